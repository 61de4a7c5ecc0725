"""The service itself: who you are, connectors, guardrails, the audit log, tokens."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.background import BackgroundTask
from starlette.responses import FileResponse, JSONResponse

from hikeshi.api.bodies import Me, TokenDocument
from hikeshi.api.doors import Auditor, Key, Looker, OneService, Porter, once
from hikeshi.api.failures import PLAIN_RESPONSES
from hikeshi.documents.audit import verdict_document
from hikeshi.documents.connectors import instances_of, product_document
from hikeshi.documents.guardrails import approval_of, breaker_of, limit_of, protected_of
from hikeshi.documents.tokens import token_document

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi

__all__ = ["routes"]

routes = APIRouter(tags=["service"])


@routes.get("/me", response_model=Me)
async def me(who: Looker) -> Any:
    """Show who the token says you are, and what you may do."""
    return {
        "actor": who.actor,
        "person": who.person,
        "name": who.shown,
        "roles": sorted(who.roles),
        "permissions": sorted(who.permissions),
    }


@routes.get("/connectors")
async def connectors(who: Looker, service: OneService) -> dict[str, Any]:
    """List the connectors of the project, with what each can do, and the installed products."""
    app = service.look(who)
    instances = [{**each, "problems": _problems(app, each["name"])} for each in instances_of(app)]
    return {"instances": instances, "products": [product_document(app, name) for name in app.registry.products()]}


def _problems(app: Hikeshi, name: str) -> list[str]:
    """Return what is wrong with a connector, without where its file is on the server."""
    return [text.rpartition("hikeshi.yaml: ")[2] for text in app.wrong_settings([name], secrets=True)]


@routes.get("/guardrails")
async def guardrails(who: Looker, service: OneService) -> dict[str, Any]:
    """List the rules that hold for every change. With `broken_because` every change is refused."""
    rules = service.look(who).guardrails
    return {
        "protected": [protected_of(rule) for rule in rules.protected],
        "limits": [limit_of(rule) for rule in rules.limits],
        "approvals": [approval_of(rule) for rule in rules.approvals],
        "breaker": None if rules.breaker is None else breaker_of(rules.breaker),
        "broken_because": rules.broken_because or None,
        "digest": rules.digest,
    }


class AuditState(BaseModel):
    """How much of the log is signed, and what each anchor has got."""

    records: int
    signed: int
    anchors: dict[str, int] = Field(description="How many records each anchor outside has got the signature of.")
    key: str | None = Field(description="The public key, as others pin it; null before the first signature.")


@routes.get("/audit", tags=["audit"], response_model=AuditState)
async def audit(who: Looker, service: OneService) -> Any:
    """Show how much of the audit log is signed and anchored."""
    return service.look(who).audit.state()


@routes.post("/audit/verification", tags=["audit"])
async def verify(who: Auditor, service: OneService) -> dict[str, Any]:
    """Judge the whole log: its chain, its tree, its signatures, its anchors."""
    return verdict_document(await service.verify(who))


@routes.post("/audit/checkpoint", tags=["audit"])
async def checkpoint(who: Auditor, service: OneService) -> dict[str, Any]:
    """Sign the log now, and send the signature to the anchors."""
    size, problems = await service.checkpoint(who)
    return {"signed": size, "problems": problems}


@routes.post(
    "/audit/export",
    tags=["audit"],
    response_class=FileResponse,
    responses={
        **PLAIN_RESPONSES,
        200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}},
    },
)
async def export(
    who: Auditor, service: OneService, run: Annotated[str | None, Query(max_length=200)] = None
) -> FileResponse:
    """Give out a pack of a run, or of all, that can be verified offline."""
    folder = tempfile.TemporaryDirectory()
    pack = Path(folder.name) / "hikeshi-audit.pack"
    try:
        await service.export(who, pack, run)
    except BaseException:
        folder.cleanup()
        raise
    return FileResponse(
        pack, media_type="application/zip", filename=pack.name, background=BackgroundTask(folder.cleanup)
    )


@routes.get("/tokens", response_model=list[TokenDocument])
async def tokens(who: Porter, service: OneService) -> Any:
    """List every token, without its secret. New ones are made on the server alone: 'hikeshi token new'."""
    now = service.app.clock.now()
    return [token_document(each, now) for each in await service.all_tokens(who)]


@routes.post("/tokens/{token}/revoke", response_model=TokenDocument)
async def revoke(request: Request, token: str, who: Porter, service: OneService, key: Key = None) -> JSONResponse:
    """Let a token, and the sessions that began with it, open nothing any more."""

    async def do() -> tuple[int, Any]:
        return 200, token_document(await service.revoke(who, token), service.app.clock.now())

    return await once(request, service, who, key, do)
