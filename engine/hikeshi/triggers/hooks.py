"""The door for webhooks: POST /hooks/{source}. Nothing is parsed before it is small enough and signed.

Answers: 202 with the event once it is stored; otherwise `{error: {code, message}}`. 400 malformed or stale, 401 not
signed as it has to be, 403 a topic that may not send, 404 no such source, 405, 408 too slow, 409 seen before, 413 too
large, 415 another type of content, 503 when it can't be stored or verified now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from hikeshi.journal import JournalError
from hikeshi.project.webhooks import WebhookSource
from hikeshi.triggers.message import body_of, content_type_of, headers_of, refusal
from hikeshi.triggers.refusals import UNKNOWN
from hikeshi.triggers.verify import Delivery, Refused, SigningSecret, Unavailable, Verified, Verifier, verifier_of

if TYPE_CHECKING:
    from hikeshi.triggers.triggers import Triggers

__all__ = ["hook_routes"]

_BODY_WITHIN_S = 30.0
_RETRY_AFTER_S = 5
_log = structlog.get_logger("hikeshi.triggers")


def hook_routes(
    triggers: Triggers, *, verifiers: Mapping[str, Verifier] | None = None, body_within_s: float = _BODY_WITHIN_S
) -> list[BaseRoute]:
    """Return the routes of the project's webhooks. `verifiers` take the place of those that hikeshi.yaml asks for."""
    return [Route("/hooks/{source:path}", _Hooks(triggers, verifiers or {}, body_within_s))]


class _Hooks:
    """The application behind the route."""

    def __init__(self, triggers: Triggers, verifiers: Mapping[str, Verifier], body_within_s: float) -> None:
        self._triggers = triggers
        self._body_within_s = body_within_s
        self._verifiers = dict(verifiers)
        self._given = frozenset(verifiers)
        self._sources: dict[str, WebhookSource] = {}
        self._secrets: dict[str, SigningSecret] = {}
        self._after: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return  # nobody is there any more who could be told
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        name = request.path_params["source"]
        source = self._triggers.app.config.webhooks.get(name)
        try:
            if source is None:
                raise Refused(404, "unknown_source", "there is no such webhook")
            if request.method != "POST":
                raise Refused(405, "method", "events are posted")
            return await self._take(source, request)
        except Refused as exc:
            self._note(source, exc.code)
            allow = {"Allow": "POST"} if exc.status == 405 else {}
            return refusal(exc.status, exc.code, str(exc), allow)
        except (Unavailable, JournalError) as exc:
            self._note(source, "unavailable")
            self._triggers.complain(f"webhook {name}: {exc}")
            text = "this can't be taken now; send it again"
            return refusal(503, "unavailable", text, {"Retry-After": str(_RETRY_AFTER_S)})

    def _note(self, source: WebhookSource | None, code: str) -> None:
        self._triggers.note_refusal(UNKNOWN if source is None else source.name, code)

    async def _take(self, source: WebhookSource, request: Request) -> Response:
        verifier = self._verifier(source)
        headers = headers_of(request)
        content_type = content_type_of(headers, verifier.content_types, verifier, most_bytes=source.max_bytes)
        body = await body_of(request, most_bytes=source.max_bytes, within_s=self._body_within_s)
        delivery = Delivery(headers, content_type, body, self._triggers.app.clock.now())
        if source.name in self._secrets:
            await self._secrets[source.name].ready()
        verified = await verifier.verify(delivery)
        if verified.answer is not None:
            return JSONResponse(dict(verified.answer))
        return await self._store(source, verified)

    async def _store(self, source: WebhookSource, verified: Verified) -> Response:
        try:
            receipt = await self._triggers.receive(
                f"webhook:{source.name}",
                verified.id,
                verified.data,
                also=verified.also,
                meant=[] if verified.is_for_people else None,
            )
        except ValueError:  # what has no stored form
            raise Refused(400, "malformed", "the body can't be stored") from None
        if not receipt.is_new:
            raise Refused(409, "seen", "this message was received before")
        if verified.told:
            self._triggers.tell(f"webhook {source.name}: {verified.told} ({receipt.event})")
        if verified.after is not None:
            task = asyncio.create_task(self._afterwards(source, verified.after))
            self._after.add(task)
            task.add_done_callback(self._after.discard)
        return JSONResponse({"event": receipt.event}, 202)

    async def _afterwards(self, source: WebhookSource, after: Callable[[], Awaitable[None]]) -> None:
        try:
            await after()
        except (OSError, ValueError) as exc:
            self._triggers.tell(f"webhook {source.name}: its subscription could not be confirmed: {exc}")

    def _verifier(self, source: WebhookSource) -> Verifier:
        found = self._verifiers.get(source.name)
        is_new = found is None or self._sources.get(source.name) != source  # hikeshi.yaml may have been changed
        if found is None or (is_new and source.name not in self._given):
            self._sources[source.name] = source
            secret = self._secrets[source.name] = SigningSecret(source.secrets, self._triggers.app.redactor)
            found = self._verifiers[source.name] = verifier_of(source, secret)
        return found
