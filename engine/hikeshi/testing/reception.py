"""What every request passes on its way to a vendor simulator: recording, faults, rate limit, authentication."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Message, Receive, Scope, Send

from hikeshi.testing.change_log import Change, ChangeLog
from hikeshi.testing.faults import Fault, Faults
from hikeshi.testing.simulator import Simulator

_LOG = logging.getLogger(__name__)

CONNECTION = "hikeshi.connection"
"""The key in the ASGI scope under which the server leaves the transport, so that a fault can cut it."""

LOGIN_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body><h1>Please sign in</h1></body></html>"


@dataclass(slots=True)
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def with_body(self, body: bytes) -> "Answer":
        """Return the answer with another body and a content length that fits it."""
        kept = [(name, value) for name, value in self.headers if name.lower() != b"content-length"]
        return Answer(self.status, [*kept, (b"content-length", str(len(body)).encode())], body)


class Bucket:
    """A token bucket in estate time."""

    def __init__(self) -> None:
        self._left: float | None = None
        self._at: datetime | None = None

    def take(self, now: datetime, requests: int, per_s: float) -> float:
        """Take one token and return 0, or return the seconds until there is one."""
        gained = (now - self._at).total_seconds() * requests / per_s if self._at else 0.0
        self._at = now
        left = float(requests) if self._left is None else min(float(requests), self._left + gained)
        self._left = left - 1 if left >= 1 else left
        return 0.0 if left >= 1 else (1 - left) * per_s / requests


class Window:
    """The requests of the last seconds, in estate time. One too many shuts the door to all for a while."""

    def __init__(self) -> None:
        self._taken: deque[datetime] = deque()
        self._shut_until: datetime | None = None

    def take(self, now: datetime, requests: int, per_s: float, lockout_s: float) -> float:
        """Count a request and return 0, or return the seconds until the door is open."""
        if self._shut_until is not None and now < self._shut_until:
            return (self._shut_until - now).total_seconds()
        while self._taken and (now - self._taken[0]).total_seconds() >= per_s:
            self._taken.popleft()
        if len(self._taken) < requests:
            self._taken.append(now)
            return 0.0
        self._shut_until = now + timedelta(seconds=lockout_s)
        return lockout_s


class Reception:
    """The ASGI application that stands in front of one simulator."""

    def __init__(self, simulator: Simulator, *, log: ChangeLog, faults: Faults) -> None:
        self._simulator = simulator
        self._log = log
        self._faults = faults
        self.reset()
        self._app = Starlette(
            routes=simulator.routes(),
            exception_handlers={HTTPException: self._refuse},
        )
        # A vendor's path with one slash too many is another path, not a redirect.
        self._app.router.redirect_slashes = False

    def reset(self) -> None:
        """Forget how many requests there were."""
        self._bucket, self._window = Bucket(), Window()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await _read_body(receive)
        if body is None:
            return
        simulator = self._simulator
        simulator.estate.settle()
        method, url, path = scope["method"], _url(scope), scope["path"].removeprefix(scope.get("root_path", ""))
        request = Request(scope, _replay(body, receive))
        change = self._open_change(request, url, body)
        fault = self._faults.take(simulator.product, method, path)
        if change is not None and fault is not None:
            change.fault = fault.kind
        answer = await self._process(fault, scope, request, body)
        if change is not None and answer is not None:
            change.status = answer.status
            change.applied = simulator.succeeded(answer.status, answer.body)
        route = scope.get("route")
        template = route.path if isinstance(route, Route) else "(no route)"
        status = None if answer is None else answer.status
        self._log.note(simulator.estate.now(), simulator.product, method, template, url, status)
        await self._answer(fault, answer, change, scope, receive, send)

    def _open_change(self, request: Request, url: str, body: bytes) -> Change | None:
        simulator = self._simulator
        if not self._is_change(request, body):
            return None
        content_type = request.headers.get("content-type", "")
        now = simulator.estate.now()
        return self._log.open_change(now, simulator.product, request.method, url, content_type, body)

    def _is_change(self, request: Request, body: bytes) -> bool:
        try:
            return self._simulator.is_change(request, body)
        except Exception:  # noqa: BLE001 - what cannot be judged may be a change, so it counts as one
            _LOG.exception("simulator_failed product=%s is_change url=%s", self._simulator.product, request.url)
            return True

    async def _process(self, fault: Fault | None, scope: Scope, request: Request, body: bytes) -> Answer | None:
        """Let the vendor process the request, unless a fault gets in between; None when it never did."""
        if fault is not None and fault.when == "before":
            if fault.delay_s is not None:
                await asyncio.sleep(fault.delay_s)
                self._simulator.estate.settle()
            elif fault.kind in ("status", "html", "too_many_requests_s", "drop"):
                return None
        return await self._vendor(scope, request, body)

    async def _vendor(self, scope: Scope, request: Request, body: bytes) -> Answer:
        simulator = self._simulator
        wait_s = self._refused_for_s()
        if wait_s > 0:
            return _answer_of(simulator.too_many_requests(wait_s))
        refusal = simulator.authenticate(request, body)
        if refusal is not None:
            return _answer_of(refusal)
        answer = Answer(500, [], b"")
        chunks: list[bytes] = []

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status, answer.headers = message["status"], list(message.get("headers", []))
            elif message["type"] == "http.response.body":
                chunks.append(message.get("body", b""))

        try:
            await self._app(scope, request.receive, keep)
        except Exception:  # noqa: BLE001 - a mistake in the simulator; Starlette has already made the answer 500
            _LOG.exception(
                "simulator_failed product=%s method=%s url=%s", simulator.product, request.method, request.url
            )
        answer.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return answer

    def _refused_for_s(self) -> float:
        """Return for how many seconds the vendor refuses a request, since there were too many before it."""
        limit, lockout_s = self._simulator.rate_limit, self._simulator.lockout_s
        if limit is None:
            return 0.0
        now = self._simulator.estate.now()
        return self._bucket.take(now, *limit) if lockout_s is None else self._window.take(now, *limit, lockout_s)

    async def _answer(
        self,
        fault: Fault | None,
        answer: Answer | None,
        change: Change | None,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Give the caller the answer, or what the fault makes of it."""
        if fault is not None:
            if fault.delay_s is not None and fault.when == "after":
                await asyncio.sleep(fault.delay_s)
            if fault.drop is not None or (fault.half and not (answer and answer.body)):
                await _cut(scope, receive)
                return
            if fault.half and answer is not None:
                await _send_half(_dated(answer), scope, receive, send)
                return
            answer = self._spoilt(fault, answer)
        if answer is None:
            raise AssertionError("a request was neither processed nor hit by a fault")
        if change is not None and change.status is None:
            change.status = answer.status
        await _send(_dated(answer), send)

    def _spoilt(self, fault: Fault, answer: Answer | None) -> Answer | None:
        if fault.status is not None:
            return _fault_answer(fault.status, fault.body, fault.headers)
        if fault.html:
            return Answer(200, [(b"content-type", b"text/html; charset=utf-8")], b"").with_body(LOGIN_PAGE)
        if fault.too_many_requests_s is not None:
            return _answer_of(self._simulator.too_many_requests(fault.too_many_requests_s))
        if fault.body_bytes is not None and answer is not None:
            return answer.with_body(answer.body.ljust(fault.body_bytes))
        return answer

    async def _refuse(self, _: Request, exc: Exception) -> Response:
        if not isinstance(exc, HTTPException):
            raise exc
        return self._simulator.error(exc.status_code, exc.detail)


async def _read_body(receive: Receive) -> bytes | None:
    chunks: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunks.append(message.get("body", b""))
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _replay(body: bytes, receive: Receive) -> Receive:
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def _url(scope: Scope) -> str:
    host = next((value for name, value in scope["headers"] if name == b"host"), b"")
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    query: bytes = scope["query_string"]
    text = host + path + (b"?" + query if query else b"")
    return f"{scope['scheme']}://{text.decode('latin-1')}"


def _answer_of(response: Response) -> Answer:
    return Answer(response.status_code, list(response.raw_headers), bytes(response.body))


def _fault_answer(status: int, body: object, headers: Mapping[str, str]) -> Answer:
    text = body if isinstance(body, str) else json.dumps({"fault": status} if body is None else body)
    kind = "text/plain; charset=utf-8" if isinstance(body, str) else "application/json"
    named = {"content-type": kind, **{name.lower(): value for name, value in headers.items()}}
    if status in (204, 304):
        text = ""
    raw = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
    return Answer(status, raw, b"").with_body(text.encode())


def _dated(answer: Answer) -> Answer:
    """Return the answer with the machine's time, unless the simulator says another."""
    if any(name.lower() == b"date" for name, _ in answer.headers):
        return answer
    date = format_datetime(datetime.now(UTC), usegmt=True).encode()
    return Answer(answer.status, [*answer.headers, (b"date", date)], answer.body)


async def _send(answer: Answer, send: Send) -> None:
    await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
    await send({"type": "http.response.body", "body": answer.body})


async def _send_half(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    whole = answer.with_body(answer.body)
    await send({"type": "http.response.start", "status": whole.status, "headers": whole.headers})
    await send({"type": "http.response.body", "body": whole.body[: len(whole.body) // 2], "more_body": True})
    transport = _transport(scope)
    transport.close()
    await _gone(receive)


async def _cut(scope: Scope, receive: Receive) -> None:
    _transport(scope).abort()
    await _gone(receive)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(scope: Scope) -> asyncio.WriteTransport:
    transport: asyncio.WriteTransport | None = scope.get(CONNECTION)
    if transport is None:
        raise RuntimeError("a connection can only be cut on a real server: use running() or serve()")
    return transport
