"""The lists that connectors publish, for firewalls to poll: plain text, one entry a line.

The rule: who may not have a list learns nothing, not even whether the instance exists.
They are a door of their own: a firewall has neither a token of ours nor a session of the console.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import structlog
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from hikeshi.connector import ConnectorError
from hikeshi.connector.registry import ConnectorNotUsable
from hikeshi.secrets import SecretUnavailable

if TYPE_CHECKING:
    from hikeshi.connector.published import PublishedLists
    from hikeshi.service.service import Service

__all__ = ["ListDoor", "lists_of"]

_BELOW = "/lists/"
_log = structlog.get_logger("hikeshi.lists")
_METHODS = ("GET", "HEAD")


class ListDoor:
    """An ASGI application around another one: it answers what is asked below /lists/."""

    def __init__(self, inner: Any, service: Service) -> None:
        async def answer(request: Request) -> Response:
            return await _answer(service, request)

        self._inner = inner
        # With a secret in the path, where a product cannot authenticate.
        paths = (f"{_BELOW}{{instance}}/{{file}}", f"{_BELOW}{{instance}}/{{secret}}/{{file}}")
        self._lists = Starlette(routes=[Route(path, answer, methods=list(_METHODS)) for path in paths])
        self._lists.router.redirect_slashes = False  # it would answer with the path, and the secret in it

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        below = scope["type"] == "http" and scope["path"].startswith(_BELOW)
        await (self._lists if below else self._inner)(scope, receive, send)


def lists_of(service: Service, instance: str) -> PublishedLists | None:
    """Return the lists of an instance, or None if it publishes none or cannot be built."""
    if instance not in service.app.config.connectors:
        return None
    try:
        return service.app.instances.get(instance).published_lists()
    except (ConnectorNotUsable, SecretUnavailable):
        return None


async def _answer(service: Service, request: Request) -> Response:
    place = request.path_params
    lists = lists_of(service, place["instance"])
    address = request.client.host if request.client is not None else ""
    given = {"secret": place.get("secret", ""), "authorization": request.headers.get("authorization", "")}
    name, dot, kind = place["file"].rpartition(".")
    try:
        if lists is None or not await asyncio.to_thread(lists.admits, **given, address=address):
            return _unknown()
        text = await asyncio.to_thread(lists.read, name) if (dot, kind) == (".", "txt") else None
    except (ConnectorError, SecretUnavailable) as exc:
        _log.error("list_not_readable", instance=place["instance"], list=name, kind=type(exc).__name__)
        # An error, not an empty list: firewalls keep what they have.
        return PlainTextResponse("the list cannot be read now\n", 503, headers={"Retry-After": "30"})
    if text is None:
        return PlainTextResponse("there is no such list\n", 404)
    headers = {
        "ETag": f'"{text.etag}"',
        "Last-Modified": format_datetime(text.changed_at, usegmt=True),
        "Cache-Control": "no-cache",
    }
    # Noted when the answer is out. Who asks for the head alone has not got the list.
    note = BackgroundTask(lists.polled, text, address) if request.method == "GET" else None
    if _has_it(request, text.etag, text.changed_at):
        return Response(status_code=304, headers=headers, background=note)
    return PlainTextResponse(text.content, headers=headers, background=note)


def _unknown() -> Response:
    refusal = {"WWW-Authenticate": 'Basic realm="lists", charset="UTF-8"'}
    return PlainTextResponse("who fetches a list has to say who they are\n", 401, headers=refusal)


def _has_it(request: Request, etag: str, changed_at: datetime) -> bool:
    """Say whether the caller's copy is still right. Source: RFC 9110, 13.1: a tag counts before a date."""
    tags = request.headers.get("if-none-match")
    if tags is not None:
        return tags.strip() == "*" or etag in [each.strip().removeprefix("W/").strip('"') for each in tags.split(",")]
    try:
        since = parsedate_to_datetime(request.headers.get("if-modified-since", ""))
        return changed_at.replace(microsecond=0) <= since
    except (TypeError, ValueError):  # none, no date, or one without its zone
        return False
