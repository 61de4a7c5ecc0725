"""The door of the console: nobody sees a page, or speaks over its socket, who has not come in with something known.

A session is a token with a short life in a cookie that scripts can't read and other sites' requests don't carry.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import quote, urlsplit

from starlette.responses import RedirectResponse, Response

from hikeshi.access.identity import Identity
from hikeshi.access.roles import Permission
from hikeshi.access.tokens import NotKnown
from hikeshi.journal import JournalError
from hikeshi.service.service import Service

__all__ = ["COOKIE", "ConsoleDoor", "here", "identity_of", "is_from_here"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

COOKIE = "hikeshi_session"
_OPEN = ("/api/", "/hooks/", "/chat/", "/login", "/static/")
_OPEN_EXACTLY = ("/health", "/ready", "/metrics", "/favicon.ico")


def identity_of(service: Service, headers: Any) -> Identity | None:
    """Return who has a session, from the headers of a request, or None. Raises JournalError."""
    for name, value in headers:
        if name.lower() == b"cookie":
            try:
                cookies = SimpleCookie(value.decode("latin-1"))
            except CookieError:
                continue
            if COOKIE in cookies:
                try:
                    who = service.tokens.identify(cookies[COOKIE].value, "session")
                except NotKnown:
                    continue
                return who if who.may(Permission.LOOK) else None
    return None


def is_from_here(scope: Scope) -> bool:
    """Say whether a request comes from a page of this server, as every browser of today says by itself."""
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    site = headers.get(b"sec-fetch-site")
    if site is not None:
        # A page that gives no referrer sends its forms with `Origin: null`, so that one says nothing here.
        return site in ("same-origin", "none")
    origin = headers.get(b"origin")
    return origin is None or urlsplit(origin).netloc == headers.get(b"host", "")


def here(text: str | None) -> str:
    """Return a path of this server to go to; anything else is the first page."""
    if text is None or not text.startswith("/") or text.startswith(("//", "/\\")) or not text.isprintable():
        return "/"
    return text


class ConsoleDoor:
    """An ASGI application around API and console."""

    def __init__(self, inner: Any, service: Service) -> None:
        self._inner = inner
        self._service = service

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or _is_open(scope["path"]):
            await self._inner(scope, receive, send)
            return
        try:
            who = identity_of(self._service, scope["headers"])
        except JournalError:
            who = None
        if who is not None and (
            (scope["type"] == "http" and scope["method"] in ("GET", "HEAD")) or is_from_here(scope)
        ):
            scope.setdefault("state", {})["actor"] = who.actor
            await self._inner(scope, receive, send)
            return
        await _turn_away(scope, receive, send)


def _is_open(path: str) -> bool:
    return path.startswith(_OPEN) or path in _OPEN_EXACTLY


async def _turn_away(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008})
        return
    answer: Response
    if scope["method"] in ("GET", "HEAD"):
        query = scope.get("query_string", b"").decode("latin-1")
        there = scope["path"] + (f"?{query}" if query else "")
        answer = RedirectResponse(f"/login?next={quote(here(there))}", 303)
    else:
        answer = Response("this needs a session, and a page of this server that asks\n", 403, media_type="text/plain")
    await answer(scope, receive, send)
