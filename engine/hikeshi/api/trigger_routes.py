"""Triggers: what starts runs by itself, what they did, trying one, and the plans that they offer."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import JSONResponse

from hikeshi.api.bodies import Because, Event, RunBegun
from hikeshi.api.doors import Decider, Key, Looker, OneService, Trier, once
from hikeshi.documents.runs import begun_document

__all__ = ["routes"]

routes = APIRouter(tags=["triggers"])


class TriggerRow(BaseModel):
    """One trigger of one playbook. Times are in UTC."""

    playbook: str
    trigger: str
    kind: str
    source: str
    enabled: bool
    mode: str
    next_at: str | None
    last_at: str | None
    last_outcome: str | None
    last_run: str | None
    last_reason: str | None
    problem: str | None


class FireRow(BaseModel):
    """What one trigger made of one event."""

    event: str
    source: str
    id: str
    at: str
    playbook: str
    trigger: str
    outcome: str
    run: str | None
    reason: str | None


class Refusals(BaseModel):
    """How many messages of a source were turned away since the service began, and for which reason."""

    source: str
    code: str
    count: int
    first_at: str
    last_at: str


class Offer(BaseModel):
    """A plan that a trigger had made, and that somebody may accept."""

    plan: str
    playbook: str
    trigger: str
    event: str
    by: list[str]
    digest: str
    offered_at: str
    expires_at: str


@routes.get("/triggers", response_model=list[TriggerRow])
async def triggers(who: Looker, service: OneService) -> Any:
    """List the triggers: when each is due, what it did last, and what is wrong with it."""
    return service.watch_triggers(who).overview()


@routes.get("/triggers/fires", response_model=list[FireRow])
async def fires(
    who: Looker,
    service: OneService,
    playbook: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Any:
    """List what triggers made of the newest events, and why something did not start."""
    return service.watch_triggers(who).fires(limit, playbook)


@routes.get("/triggers/refusals", response_model=list[Refusals])
async def refusals(who: Looker, service: OneService) -> Any:
    """List what was turned away at the doors of the webhooks."""
    return service.watch_triggers(who).refusals()


@routes.post("/triggers/{playbook}/{trigger}/test")
async def try_one(playbook: str, trigger: str, body: Event, who: Trier, service: OneService) -> dict[str, Any]:
    """Show what an event would start. Nothing starts."""
    return await service.try_trigger(who, playbook, trigger, body.event)


@routes.get("/offers", response_model=list[Offer])
async def offers(who: Looker, service: OneService) -> Any:
    """List the plans that triggers had made, and that wait for somebody to accept them."""
    return service.watch_triggers(who).offers()


@routes.get("/offers/{plan}")
async def offered(plan: str, who: Looker, service: OneService) -> dict[str, Any]:
    """Show an offered plan, as it would be applied."""
    return service.watch_triggers(who).offered_plan(plan)


@routes.post("/offers/{plan}/accept", status_code=202, response_model=RunBegun)
async def accept(request: Request, plan: str, who: Decider, service: OneService, key: Key = None) -> JSONResponse:
    """Begin the run that does what an offered plan shows, and nothing else."""

    async def do() -> tuple[int, Any]:
        return 202, begun_document(await service.accept_offer(who, plan))

    return await once(request, service, who, key, do)


@routes.post("/offers/{plan}/decline", status_code=200)
async def decline(
    request: Request, plan: str, body: Because, who: Decider, service: OneService, key: Key = None
) -> JSONResponse:
    """Let an offered plan be."""

    async def do() -> tuple[int, Any]:
        await service.decline_offer(who, plan, reason=body.reason)
        return 200, {"plan": plan, "declined_by": who.actor}

    return await once(request, service, who, key, do)
