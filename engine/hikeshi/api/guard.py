"""What holds for every request, whatever route it takes: its size, and what browsers are told about the answer."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import structlog
from fastapi import HTTPException

from hikeshi.app.failure import Failure

__all__ = ["Guard"]

_log = structlog.get_logger("hikeshi.request")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LARGEST_BYTES = 8 * 1024 * 1024
"""A saved plan of ten thousand targets fits; whoever sends more means harm, or is mistaken."""

# The console's toolkit compiles its templates in the browser, so scripts may be inline and evaluated there; they may
# still come from this server alone, and talk to it alone.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'self';"
    " form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),  # with none at all, browsers send forms of our own as from nowhere
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"content-security-policy", _POLICY.encode()),
)


class TooLarge(HTTPException):
    """A body is larger than any request may be. Of this kind, so that whoever reads the body lets it through."""

    def __init__(self) -> None:
        super().__init__(413, f"the request is larger than {LARGEST_BYTES // 1024 // 1024} MiB")


class Guard:
    """An ASGI application around another one."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._inner(scope, receive, send)
            return
        began, answer = time.perf_counter(), _Answer(scope, send)
        # Triggers judge the size of what they are sent by themselves, each source has a limit of its own.
        limited = receive if scope["path"].startswith("/hooks/") else _limited(scope, receive)
        try:
            await self._inner(scope, limited, answer.send)
        except TooLarge as exc:
            if answer.status is None:
                await _refuse(answer.send, str(exc.detail))
        finally:
            if not _is_turned_away(scope, answer.status):
                _log.info(
                    "request",
                    method=scope["method"],
                    path=_shown(scope["path"]),
                    status=answer.status,
                    actor=scope.get("state", {}).get("actor"),
                    client=(scope.get("client") or ("",))[0],
                    took_ms=round((time.perf_counter() - began) * 1000, 1),
                )


def _is_turned_away(scope: Scope, status: int | None) -> bool:
    """Say whether this is a message that a webhook refused: those are counted, so that a flood fills no log."""
    return str(scope["path"]).startswith("/hooks/") and status is not None and 400 <= status < 500


def _shown(path: str) -> str:
    """Return a path for the log, without the secret that may stand in that of a published list."""
    parts = path.split("/")
    if parts[1:2] != ["lists"] or len(parts) < 4:
        return path
    name = parts[-1] if parts[-1].endswith(".txt") else "..."
    return "/".join([*parts[:3], *(["..."] if len(parts) > 4 else []), name])


class _Answer:
    """Adds headers to an answer, and remembers its status."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self._send = send
        self._headers = list(_HEADERS)
        if scope["scheme"] == "https":
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))
        if scope["path"].startswith("/api/"):
            self._headers.append((b"cache-control", b"no-store"))
        self.status: int | None = None

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = {name.lower() for name, _ in message.get("headers", ())}
            more = [(name, value) for name, value in self._headers if name not in given]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await self._send(message)


def _limited(scope: Scope, receive: Receive) -> Receive:
    said = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if said.isdigit() and int(said) > LARGEST_BYTES:

        async def refuse() -> Message:
            raise TooLarge()

        return refuse
    got = 0

    async def count() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > LARGEST_BYTES:
            raise TooLarge()
        return message

    return count


async def _refuse(send: Send, text: str) -> None:
    import json

    body = json.dumps(Failure("too_large", text).to_json()).encode()
    headers = [(b"content-type", b"application/json"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
