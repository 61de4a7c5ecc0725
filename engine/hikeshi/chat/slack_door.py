"""The door for Slack: POST /chat/slack takes clicks on buttons. Nothing is parsed before it is small enough and signed.

Answers: 200 for every click, whose outcome only the person who clicked sees; otherwise `{error: {code, message}}`. 400
malformed, stale or no click, 401 not signed as it has to be, 404 chat has no Slack, 405, 408 too slow, 409 seen before,
413 too large, 415 another type of content, 503 when it can't be stored or verified now.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from hikeshi.access.identity import Identity
from hikeshi.chat.deciding import decide, identity_of, person_with
from hikeshi.chat.slack_click import Click, NoClick
from hikeshi.chat.slack_response import SlackResponses
from hikeshi.journal import JournalError
from hikeshi.project.webhooks import WebhookSource
from hikeshi.service.replies import KeyReused, Replies, ReplyPending
from hikeshi.triggers.message import body_of, content_type_of, headers_of, refusal
from hikeshi.triggers.verify import Delivery, Refused, SigningSecret, Unavailable, Verifier, verifier_of

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from hikeshi.service.service import Service

__all__ = ["LARGEST_BYTES", "SlackDoor"]

LARGEST_BYTES: Final = 64 * 1024
_FORM: Final = "application/x-www-form-urlencoded"
_REPLAY_S: Final = 300
_BODY_WITHIN_S: Final = 10.0
_ANSWER_WITHIN_S: Final = 2.0
"""Slack shows an error to whoever clicked after 3 s; what takes longer is told to them when it is known."""
_log = structlog.get_logger("hikeshi.chat")


class SlackDoor:
    """The application behind the route."""

    def __init__(self, service: Service, responses: SlackResponses) -> None:
        self._service = service
        self._responses = responses
        self._replies = Replies(service.app)
        self._secret: tuple[str, SigningSecret, Verifier] | None = None
        self._deciding: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return  # nobody is there any more who could be told
        await response(scope, receive, send)

    async def settled(self) -> None:
        """Wait until every click that came in is decided and answered."""
        while self._deciding:
            await asyncio.gather(*self._deciding)

    async def _answer(self, request: Request) -> Response:
        try:
            if request.method != "POST":
                raise Refused(405, "method", "clicks are posted")
            return await self._take(request)
        except Refused as exc:
            await self._note(request, exc)
            return refusal(exc.status, exc.code, str(exc), {"Allow": "POST"} if exc.status == 405 else {})
        except (Unavailable, JournalError) as exc:
            _log.error("chat_door_unavailable", kind=type(exc).__name__)
            return refusal(503, "unavailable", "this can't be taken now; click once more", {"Retry-After": "5"})

    async def _note(self, request: Request, exc: Refused) -> None:
        """Record who was turned away. They are told so whether that can be stored or not."""
        _log.warning("chat_refused", code=exc.code)
        if exc.status in (400, 401, 409):
            place = request.client.host if request.client is not None else "unknown"
            try:
                await self._service.requests.record_unknown(place)
            except JournalError as trouble:
                _log.error("chat_refusal_not_recorded", kind=type(trouble).__name__)

    async def _take(self, request: Request) -> Response:
        secret, verifier = self._verifier()
        headers = headers_of(request)
        content_type = content_type_of(headers, [_FORM], verifier, most_bytes=LARGEST_BYTES)
        body = await body_of(request, most_bytes=LARGEST_BYTES, within_s=_BODY_WITHIN_S)
        delivery = Delivery(headers, content_type, body, self._service.app.clock.now())
        await secret.ready()
        verified = await verifier.verify(delivery)
        try:
            click = Click.of(verified.data.get("payload"))
        except NoClick as exc:
            raise Refused(400, "no_click", str(exc)) from None
        await self._claim(click)
        task = asyncio.create_task(self._decide(click))
        self._deciding.add(task)
        task.add_done_callback(self._deciding.discard)
        await asyncio.wait([task], timeout=_ANSWER_WITHIN_S)
        return Response(status_code=200)

    def _verifier(self) -> tuple[SigningSecret, Verifier]:
        reference = self._service.app.config.chat.signing_secret
        if reference is None:
            raise Refused(404, "no_slack", "hikeshi.yaml says nothing of Slack under 'chat'")
        if self._secret is None or self._secret[0] != reference:
            secret = SigningSecret([reference], self._service.app.redactor)
            source = WebhookSource("chat", "slack", (reference,), LARGEST_BYTES, _REPLAY_S)
            self._secret = (reference, secret, verifier_of(source, secret))
        return self._secret[1:]

    async def _claim(self, click: Click) -> None:
        """Take a click once, in this process or any other. Raises Refused for one that came before."""
        who = Identity(f"slack:{click.member}", "slack", frozenset())
        try:
            await self._replies.claim(who, f"slack {click.trigger}", {})
        except (KeyReused, ReplyPending):
            raise Refused(409, "seen", "this click was taken before") from None

    async def _decide(self, click: Click) -> None:
        try:
            text = await self._outcome(click)
        except JournalError:
            text = "Not recorded: the service can't write its journal now. Click again in a while."
        await self._responses.tell(click.respond_at, text)

    async def _outcome(self, click: Click) -> str:
        person = person_with(self._service.app.config, "slack", click.member)
        if person is None:
            await self._service.requests.record_unknown(f"slack:{click.member}")
            return (
                f"Nothing was decided: nobody in hikeshi.yaml has the Slack ID {click.member}."
                " Whoever looks after it can add it to your entry under 'people'."
            )
        who = identity_of(person, "slack", click.member)
        _, text = await decide(self._service, who, click.decision, click.asked)
        return text
