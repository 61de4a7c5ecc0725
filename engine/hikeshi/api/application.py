"""Puts the API together: its routes, how it fails, what it says of itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, FastAPI, Response
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, PlainTextResponse

from hikeshi import __version__
from hikeshi.api import hold_routes, playbook_routes, run_routes, system_routes, trigger_routes
from hikeshi.api.doors import Looker, OneService, roles_with
from hikeshi.api.failures import PLAIN_RESPONSES, RESPONSES, answer_failures
from hikeshi.api.metrics import CONTENT_TYPE, metrics_text
from hikeshi.service.service import Service

__all__ = ["PREFIX", "make_api"]

PREFIX = "/api/v1"
_ABOUT = """Runs playbooks for security incident response: plan, run, approve, undo, prove.

Every request needs a token, which `hikeshi token new` makes on the server. What each route takes is under `x-roles`.
"""


def make_api(service: Service, *, is_ready: Callable[[], bool] = lambda: True, lifespan: Any = None) -> FastAPI:
    """Return the ASGI application of a service. Nothing is served yet.

    `is_ready` says whether the worker is at work and the journal can be read.
    """
    api = FastAPI(
        title="Hikeshi",
        description=_ABOUT,
        version=__version__,
        openapi_url=f"{PREFIX}/openapi.json",
        docs_url=None,  # these pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        separate_input_output_schemas=False,
    )
    api.state.service = service
    answer_failures(api)
    routes = APIRouter(prefix=PREFIX, responses=RESPONSES)
    for each in (playbook_routes, run_routes, hold_routes, trigger_routes, system_routes):
        routes.include_router(_with_roles(each.routes))
    api.include_router(routes)
    api.include_router(_with_roles(_health(is_ready)))
    return api


def _health(is_ready: Callable[[], bool]) -> APIRouter:
    routes = APIRouter(tags=["health"])

    @routes.get("/health", summary="Say that the process is alive. Needs no token.")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @routes.get(
        "/ready",
        summary="Say whether the service can do its work now. Needs no token.",
        responses={503: {"description": "It can't, for now"}},
    )
    async def ready() -> Response:
        good = is_ready()
        return JSONResponse({"status": "ready" if good else "not ready"}, 200 if good else 503)

    @routes.get(
        "/metrics",
        response_class=PlainTextResponse,
        summary="Show what is counted, for Prometheus.",
        responses={status: PLAIN_RESPONSES[status] for status in (401, 403, 503)},
    )
    async def metrics(who: Looker, service: OneService) -> Response:
        service.look(who)
        return Response(metrics_text(service), media_type=CONTENT_TYPE)

    return routes


def _with_roles(routes: APIRouter) -> APIRouter:
    """Say in the document of each route which roles may use it."""
    for route in routes.routes:
        assert isinstance(route, APIRoute)
        needed = (getattr(each.call, "permission", None) for each in route.dependant.dependencies)
        for permission in needed:
            if permission is not None:
                route.openapi_extra = {"x-roles": roles_with(permission)}
    return routes
