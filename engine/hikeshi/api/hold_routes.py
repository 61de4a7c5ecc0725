"""The ledger: what is contained now, releasing it, and giving it another end. And the kill switch."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse

from hikeshi.api.bodies import Because, Extension, HoldDocument, Page, RunBegun, StopDocument, StopRequest, Undo
from hikeshi.api.doors import Key, Looker, OneService, Stopper, StopReleaser, Undoer, once
from hikeshi.api.paging import Cursor, Limit, key_of, page_of
from hikeshi.documents.holds import hold_document, reading_document
from hikeshi.documents.runs import begun_document
from hikeshi.documents.stops import stop_document
from hikeshi.documents.undo import plan_document

__all__ = ["routes"]

routes = APIRouter(tags=["holds"])


@routes.get("/holds", response_model=Page[HoldDocument])
async def holds(who: Looker, service: OneService, limit: Limit = 100, after: Cursor = None) -> Any:
    """List what is contained now, or may be, oldest first."""
    app = service.look(who)
    kept, now = app.holds(after=key_of(after), limit=limit + 1), app.clock.now()
    by = app.opened_by(kept)
    page = page_of(kept, lambda hold: f"{hold.opened_at.isoformat()}\n{hold.hold}", limit, after)
    page["items"] = [hold_document(hold, by.get(hold.run, {}), now) for hold in page["items"]]
    return page


@routes.get("/holds/{hold}")
async def one_hold(hold: str, who: Looker, service: OneService) -> dict[str, Any]:
    """Show a hold, and read back from its product how its target stands now. Changes nothing."""
    app = service.look(who)
    found = app.hold(hold)
    document = hold_document(found, app.opened_by([found]).get(found.run, {}), app.clock.now())
    if not found.is_kept:
        return {**document, "reading": None, "release": None}
    readings = await service.read_holds(who, [found])
    plan = await service.plan_release(who, [hold])
    return {**document, "reading": reading_document(found, readings[hold]), "release": plan_document(plan)}


@routes.post("/holds/{hold}/release", status_code=202, response_model=RunBegun)
async def release(
    request: Request, hold: str, body: Undo, who: Undoer, service: OneService, key: Key = None
) -> JSONResponse:
    """Begin the run that ends a hold now, by undoing its change."""

    async def do() -> tuple[int, Any]:
        plan = await service.plan_release(who, [hold])
        return 202, begun_document(await service.undo(who, plan, reason=body.reason, override=body.override))

    return await once(request, service, who, key, do)


@routes.post("/holds/{hold}/extend", response_model=HoldDocument)
async def extend(
    request: Request, hold: str, body: Extension, who: Undoer, service: OneService, key: Key = None
) -> JSONResponse:
    """Give a hold a later end. Nothing is sent."""

    async def do() -> tuple[int, Any]:
        found = await service.extend(who, hold, by_s=body.by_s, reason=body.reason)
        by = service.app.opened_by([found]).get(found.run, {})
        return 200, hold_document(found, by, service.app.clock.now())

    return await once(request, service, who, key, do)


@routes.get("/stops", tags=["kill switch"], response_model=list[StopDocument])
async def stops(who: Looker, service: OneService) -> Any:
    """List the kill switches that are engaged."""
    return [stop_document(each) for each in service.look(who).kill_switch.engaged()]


@routes.post("/stops", tags=["kill switch"], status_code=201, response_model=list[StopDocument])
async def stop(request: Request, body: StopRequest, who: Stopper, service: OneService, key: Key = None) -> JSONResponse:
    """Let no change start any more, until this is released. Reads, releases and undo go on."""

    async def do() -> tuple[int, Any]:
        return 201, [stop_document(each) for each in await service.stop(who, body.stop, reason=body.reason)]

    return await once(request, service, who, key, do)


@routes.post("/stops/{stop}/release", tags=["kill switch"], response_model=StopDocument | None)
async def release_stop(
    request: Request, stop: str, body: Because, who: StopReleaser, service: OneService, key: Key = None
) -> JSONResponse:
    """Say that a kill switch may be released. Null when it is; else what is missing."""

    async def do() -> tuple[int, Any]:
        left = await service.release_stop(who, stop, reason=body.reason)
        return 200, left and stop_document(left)

    return await once(request, service, who, key, do)
