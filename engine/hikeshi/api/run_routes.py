"""Runs: the list, one of them, watching it live, and saying something to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request
from starlette.responses import JSONResponse, StreamingResponse

from hikeshi.access.identity import Identity
from hikeshi.api.bodies import (
    Answer,
    Because,
    Decision,
    Page,
    Resolution,
    Retry,
    RunBegun,
    RunRow,
    Undo,
    Waiting,
)
from hikeshi.api.doors import Decider, Key, Looker, OneService, Runner, Undoer, once
from hikeshi.api.failures import PLAIN_RESPONSES
from hikeshi.api.paging import Cursor, Limit, cursor_of, key_of
from hikeshi.documents.runs import begun_document
from hikeshi.documents.undo import plan_document
from hikeshi.documents.waiting import is_for, stuck_document
from hikeshi.report import run_report, timeline
from hikeshi.service.service import Service

__all__ = ["routes"]

routes = APIRouter(tags=["runs"])


_LOOK_EVERY_S = 0.25
_BEAT_EVERY_S = 15.0


@routes.get("/runs", response_model=Page[RunRow])
async def runs(
    who: Looker,
    service: OneService,
    playbook: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 50,
    after: Cursor = None,
) -> Any:
    """List runs, the newest first."""
    app = service.look(who)
    rows = app.runs(limit + 1, after=key_of(after), playbook=playbook)
    last = rows[limit - 1] if len(rows) > limit else None
    return {"items": rows[:limit], "next": last and cursor_of(f"{last['started_at']}\n{last['run']}")}


@routes.get("/runs/{run}")
async def one_run(run: str, who: Looker, service: OneService) -> dict[str, Any]:
    """Show what a run came to, or how it stands."""
    following = service.following(who, run)
    return {**run_report(following.state), "actor": following.state.actor}


@routes.get("/runs/{run}/timeline")
async def run_timeline(run: str, who: Looker, service: OneService) -> dict[str, Any]:
    """Show everything that happened in a run. That somebody read it is recorded."""
    service.look(who).check_run(run)
    app = await service.records_read(who, "api", run)
    return {"run": run, "events": [entry.to_json() for entry in timeline(app.records(run))]}


@routes.get(
    "/runs/{run}/events",
    response_class=StreamingResponse,
    responses={**PLAIN_RESPONSES, 200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(
    request: Request,
    run: str,
    who: Looker,
    service: OneService,
    last: Annotated[str, Header(alias="Last-Event-ID", pattern=r"^[0-9]{1,12}$")] = "0",
) -> StreamingResponse:
    """Send each event of a run as it happens, as server-sent events, until the run is over.

    Whoever comes back says with Last-Event-ID what they have seen, and misses nothing.
    """
    service.look(who).check_run(run)
    app = await service.records_read(who, "api", run)
    stream = _stream(request, service, app.records, run, int(last))
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _stream(request: Request, service: Service, records: Any, run: str, seen: int) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    idle_s = 0.0
    while not await request.is_disconnected() and not service.stopping:
        is_over = False
        for entry in timeline(records(run, after=seen)) if seen else timeline(records(run)):
            seen, idle_s = entry.seq, 0.0
            is_over = is_over or entry.kind == "RunFinished"
            yield f"id: {entry.seq}\nevent: {entry.kind}\ndata: {json.dumps(entry.to_json())}\n\n"
        if is_over or not service.app.journal.query("SELECT 1 FROM runs WHERE run = ? AND finished_at IS NULL", (run,)):
            yield "event: over\ndata: {}\n\n"
            return
        await asyncio.sleep(_LOOK_EVERY_S)
        idle_s += _LOOK_EVERY_S
        if idle_s >= _BEAT_EVERY_S:  # so that nobody in between takes the line for dead
            idle_s = 0.0
            yield ": still here\n\n"


# --- what waits for people, and what they say -------------------------------------------------------------------------


@routes.get("/waiting", tags=["approvals"], response_model=Waiting)
async def waiting(
    who: Looker, service: OneService, mine: Annotated[bool, Query(description="Only questions for you.")] = False
) -> Any:
    """List what waits for people: approvals with their exact targets, forms, unknown outcomes, paused runs."""
    app = service.look(who)
    questions = [{**each, "for_you": is_for(app, who.actor, each)} for each in app.questions()]
    stuck = [] if mine else [stuck_document(app, row) for row in app.stuck()]
    return {"questions": [each for each in questions if each["for_you"] or not mine], "stuck": stuck}


async def _say(
    request: Request,
    service: Service,
    who: Identity,
    key: str | None,
    run: str,
    kind: str,
    data: Mapping[str, Any],
) -> JSONResponse:
    async def do() -> tuple[int, Any]:
        return 200, begun_document(await service.tell(who, run, kind, data))

    return await once(request, service, who, key, do)


@routes.post("/runs/{run}/approve", tags=["approvals"], response_model=RunBegun)
async def approve(
    request: Request, run: str, body: Decision, who: Decider, service: OneService, key: Key = None
) -> JSONResponse:
    """Approve what a run asks for, exactly as it was shown."""
    return await _say(request, service, who, key, run, "approve", body.model_dump())


@routes.post("/runs/{run}/reject", tags=["approvals"], response_model=RunBegun)
async def reject(
    request: Request, run: str, body: Decision, who: Decider, service: OneService, key: Key = None
) -> JSONResponse:
    """Say no to what a run asks for. One rejection rejects."""
    return await _say(request, service, who, key, run, "reject", body.model_dump())


@routes.post("/runs/{run}/answer", tags=["approvals"], response_model=RunBegun)
async def answer(
    request: Request, run: str, body: Answer, who: Runner, service: OneService, key: Key = None
) -> JSONResponse:
    """Fill in the form of a step that asks people."""
    return await _say(request, service, who, key, run, "answer", body.model_dump())


@routes.post("/runs/{run}/cancel", response_model=RunBegun)
async def cancel(
    request: Request, run: str, body: Because, who: Runner, service: OneService, key: Key = None
) -> JSONResponse:
    """End a run: nothing more starts, what was sent is finished, holds stay."""
    return await _say(request, service, who, key, run, "cancel", body.model_dump())


@routes.post("/runs/{run}/pause", response_model=RunBegun)
async def pause(request: Request, run: str, who: Runner, service: OneService, key: Key = None) -> JSONResponse:
    """Let nothing more start in a run, until it is resumed."""
    return await _say(request, service, who, key, run, "pause", {})


@routes.post("/runs/{run}/resume", response_model=RunBegun)
async def resume(request: Request, run: str, who: Runner, service: OneService, key: Key = None) -> JSONResponse:
    """Let a paused run go on."""
    return await _say(request, service, who, key, run, "resume", {})


@routes.post("/runs/{run}/resolve", response_model=RunBegun)
async def resolve(
    request: Request, run: str, body: Resolution, who: Runner, service: OneService, key: Key = None
) -> JSONResponse:
    """Say what became of a change whose outcome is unknown."""

    async def do() -> tuple[int, Any]:
        return 200, begun_document(await service.resolve(who, run, body.path, happened=body.happened))

    return await once(request, service, who, key, do)


@routes.post("/runs/{run}/retry", status_code=202, response_model=RunBegun)
async def retry(
    request: Request, run: str, body: Retry, who: Runner, service: OneService, key: Key = None
) -> JSONResponse:
    """Run what failed once more, as a new run that takes over everything confirmed."""

    async def do() -> tuple[int, Any]:
        return 202, begun_document(await service.retry(who, run, body.path))

    return await once(request, service, who, key, do)


@routes.get("/runs/{run}/undo", tags=["holds"])
async def planned_undo(
    run: str, who: Looker, service: OneService, path: Annotated[str | None, Query(max_length=200)] = None
) -> dict[str, Any]:
    """Show what undoing a run, or one step of it, would do. Changes nothing."""
    return plan_document(await service.plan_undo(who, run, path))


@routes.post("/runs/{run}/undo", tags=["holds"], status_code=202, response_model=RunBegun)
async def undo(
    request: Request, run: str, body: Undo, who: Undoer, service: OneService, key: Key = None
) -> JSONResponse:
    """Begin the run that undoes what a run did, the last change first."""

    async def do() -> tuple[int, Any]:
        plan = await service.plan_undo(who, run, body.path)
        return 202, begun_document(await service.undo(who, plan, reason=body.reason, override=body.override))

    return await once(request, service, who, key, do)
