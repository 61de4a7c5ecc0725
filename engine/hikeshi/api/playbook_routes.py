"""Playbooks: which there are, what they do, and beginning one."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse

from hikeshi.api.bodies import Apply, Page, PlaybookRow, RunBegun, Save, Start
from hikeshi.api.doors import Key, Looker, OneService, Planner, Runner, once
from hikeshi.api.paging import Cursor, Limit, page_of
from hikeshi.documents.playbooks import playbook_document, playbook_row
from hikeshi.documents.runs import begun_document

__all__ = ["routes"]

routes = APIRouter(tags=["playbooks"])


@routes.get("/playbooks", response_model=Page[PlaybookRow])
async def playbooks(
    who: Looker,
    service: OneService,
    search: Annotated[str, Query(max_length=200, description="A text in the ID, name, description or phase.")] = "",
    limit: Limit = 50,
    after: Cursor = None,
) -> Any:
    """List the playbooks."""
    app = service.look(who)
    rows = (playbook_row(app, name) for name in app.library.ids())
    return page_of((row for row in rows if _has(row, search)), lambda row: str(row["id"]), limit, after)


def _has(row: dict[str, Any], search: str) -> bool:
    texts = (row[key] or "" for key in ("id", "name", "description", "phase"))
    return not search or search.casefold() in "\n".join(texts).casefold()


@routes.get("/playbooks/{playbook}")
async def playbook(playbook: str, who: Looker, service: OneService) -> dict[str, Any]:
    """Show what a playbook does and needs, with its diagram as Mermaid text."""
    from hikeshi.playbook.graph import mermaid

    app = service.look(who)
    found = app.library.load(playbook)
    document = playbook_document(app, found)
    del document["source"]  # where files are on the server is nobody's business outside of it
    return {**document, "mermaid": mermaid(found)}


@routes.post("/playbooks/{playbook}/run", status_code=202, response_model=RunBegun)
async def run(
    request: Request, playbook: str, body: Start, who: Runner, service: OneService, key: Key = None
) -> JSONResponse:
    """Begin a run. It goes on by itself; see `/runs/{run}`."""
    return await _begin(request, playbook, body, who, service, key, live=True)


@routes.post("/playbooks/{playbook}/plan", status_code=202, response_model=RunBegun)
async def plan(
    request: Request, playbook: str, body: Start, who: Planner, service: OneService, key: Key = None
) -> JSONResponse:
    """Begin a dry run, which changes nothing; `/runs/{run}/plan` shows it when it is over."""
    return await _begin(request, playbook, body, who, service, key, live=False)


async def _begin(
    request: Request, playbook: str, body: Start, who: Any, service: OneService, key: str | None, *, live: bool
) -> JSONResponse:
    async def do() -> tuple[int, Any]:
        begun = await service.start(who, playbook, body.inputs, live=live, once=key and f"{request.url.path}\0{key}")
        return 202, begun_document(begun)

    return await once(request, service, who, key, do)


@routes.get("/runs/{run}/plan", tags=["plans"])
async def planned(run: str, who: Looker, service: OneService) -> dict[str, Any]:
    """Show what a dry run found: every action that would be taken, with its target and requests."""
    from hikeshi.app.errors import PlanRefused
    from hikeshi.report import plan_report

    app = service.look(who)
    app.check_run(run)
    state = app.fold(run)
    if state.mode != "plan":
        raise PlanRefused([f"run {run} is no dry run: it did what it shows"])
    return plan_report(state, app.journal.read(run))


@routes.post("/runs/{run}/plan", tags=["plans"], status_code=201)
async def save(
    request: Request, run: str, body: Save, who: Planner, service: OneService, key: Key = None
) -> JSONResponse:
    """Save a dry run that is over, as a document that may be applied once."""

    async def do() -> tuple[int, Any]:
        service.app.check_run(run)
        return 201, await service.save_plan(who, run, good_for_s=body.good_for_s)

    return await once(request, service, who, key, do)


@routes.post("/plans/apply", tags=["plans"], status_code=202, response_model=RunBegun)
async def apply(request: Request, body: Apply, who: Runner, service: OneService, key: Key = None) -> JSONResponse:
    """Begin the run that does what a saved plan shows, and nothing else. Everything known is compared first."""

    async def do() -> tuple[int, Any]:
        return 202, begun_document(await service.apply(who, body.plan))

    return await once(request, service, who, key, do)
