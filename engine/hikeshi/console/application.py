"""Adds the console to the API's application.

NiceGUI has one application in each process; its pages are those of the service that was added last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.console.login import login_routes
from hikeshi.console.single_sign_on import single_sign_on_routes
from hikeshi.service.service import Service

__all__ = ["add_console"]

_STATIC = Path(__file__).parent / "static"
_FILES = {"console.css": "text/css", "console.js": "text/javascript", "favicon.svg": "image/svg+xml"}
_API_OWN = ("/api/", "/hooks/", "/chat/", "/login", "/logout", "/static/")
_RECONNECT_S = 5.0
_KEEP_PAGE_S = 120.0
"""A phone that was locked for so long finds its page as it was, with what was typed into it."""


def add_console(api: FastAPI, service: Service) -> None:
    """Add every page of the console. Whoever serves it puts it behind `ConsoleDoor`."""
    api.router.routes.extend([*single_sign_on_routes(service), *login_routes(service), *_static_routes()])
    _add_pages(api, service)


# --- files ------------------------------------------------------------------------------------------------------------


def _static_routes() -> list[BaseRoute]:
    files = [Route(f"/static/{name}", _file(name), methods=["GET"]) for name in _FILES]
    return [*files, Route("/favicon.ico", _file("favicon.svg"), methods=["GET"])]


def _file(name: str) -> Callable[[Request], Awaitable[Response]]:
    async def give(_: Request) -> Response:
        headers = {"cache-control": "public, max-age=31536000, immutable"}  # its address has its digest
        return FileResponse(_STATIC / name, media_type=_FILES[name], headers=headers)

    return give


def _address(name: str) -> str:
    return f"/static/{name}?{hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:16]}"


# --- pages ------------------------------------------------------------------------------------------------------------


def _add_pages(api: FastAPI, service: Service) -> None:
    from nicegui import core, ui
    from nicegui.client import Client

    _quiet()
    core.app.middleware_stack = None  # it was built if another service of this process was added before
    core.app.user_middleware.clear()
    Client.shared_head_html = _HEAD.format(css=_address("console.css"), js=_address("console.js"))
    _register(service)
    ui.run_with(
        api,
        title="Hikeshi 火消し",
        favicon=_STATIC / "favicon.svg",
        dark=None,
        tailwind=False,
        prod_js=True,
        show_welcome_message=False,
        reconnect_timeout=_RECONNECT_S,
        message_history_length=200,
        binding_refresh_interval=None,
    )
    _move_behind(api)


_HEAD = '<link rel="stylesheet" href="{css}"><script src="{js}"></script>'


def _quiet() -> None:
    """Let NiceGUI log what goes wrong, and nothing of addresses that people mistype."""
    import logging

    logging.getLogger("nicegui").setLevel(logging.ERROR)


def _register(service: Service) -> None:
    """Register the pages; what each needs is imported when it is first asked for."""
    from nicegui import ui

    from hikeshi.console.pages import PAGES, load

    def add(path: str, here: str, name: str) -> None:
        async def show(request: Request) -> None:
            from hikeshi.console.frame import open_page

            await open_page(service, request, here, load(name, request.path_params))

        ui.page(path, reconnect_timeout=_KEEP_PAGE_S, response_timeout=20.0)(show)

    for path, here, name in PAGES:
        add(path, here, name)


def _move_behind(api: FastAPI) -> None:
    """Let pages answer what no route of the API does.

    In front of them a mount at `/` would match everything: a route that is asked with a wrong method would no longer
    say so, and an address of the API that there is not would be a page.
    """
    mount = api.router.routes.pop()
    pages = getattr(mount, "app")  # noqa: B009 - routes of other kinds have none
    not_found = api.router.default

    async def behind(scope: Any, receive: Any, send: Any) -> None:
        await (not_found if scope["path"].startswith(_API_OWN) else pages)(scope, receive, send)

    api.router.default = behind
