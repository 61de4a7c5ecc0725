"""Signing in with an OpenID Connect provider, by Authlib. Who somebody is comes from there; what they may, from us.

The rule: a person of the project's `people` comes in, with the roles of their `access`, and nobody else.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from hikeshi.access.identity import Identity
from hikeshi.access.roles import Role
from hikeshi.console.doors import here
from hikeshi.console.login import login_page, session_response
from hikeshi.secrets import Secret
from hikeshi.service.service import Service

if TYPE_CHECKING:
    from hikeshi.project.console import OidcSettings
    from hikeshi.project.people import Person

__all__ = ["single_sign_on_routes"]

_log = structlog.get_logger("hikeshi.login")
_STATE_FOR_S = 600


def single_sign_on_routes(service: Service) -> list[BaseRoute]:
    """Return the routes of single sign-on. Without `oidc` in hikeshi.yaml they answer that there is none."""

    async def begin(request: Request) -> Response:
        settings = service.app.config.console.oidc
        if settings is None:
            return login_page(request, service, problem="no_provider", status=404)
        request.session["next"] = here(request.query_params.get("next"))
        try:
            answer: Response = await _client(service, settings).authorize_redirect(request, _back(service))
        except Exception as exc:  # noqa: BLE001 - a provider fails in any way, and people are told in one
            return _failed(request, service, exc)
        return answer

    async def back(request: Request) -> Response:
        settings = service.app.config.console.oidc
        if settings is None:
            return login_page(request, service, problem="no_provider", status=404)
        there = here(request.session.pop("next", None))
        try:
            token: Mapping[str, Any] = await _client(service, settings).authorize_access_token(request)
        except Exception as exc:  # noqa: BLE001 - as above; a forged or replayed answer ends here, too
            return _failed(request, service, exc)
        claims: Mapping[str, Any] = token.get("userinfo") or {}
        who = _identity(service, settings, claims)
        if who is None:
            await service.requests.record_unknown(request.client.host if request.client is not None else "unknown")
            return login_page(request, service, problem="no_person", status=403)
        return await session_response(request, service, who, there)

    # The state between going and coming back is in a cookie of its own; the provider's answer comes from another site.
    state = Middleware(
        SessionMiddleware,
        secret_key=os.urandom(32).hex(),
        session_cookie="hikeshi_sign_on",
        max_age=_STATE_FOR_S,
        path="/login/sso",
        same_site="lax",
        https_only=(service.app.config.console.url or "").startswith("https://"),
    )
    return [Mount("/login/sso", routes=[Route("/", begin), Route("/back", back)], middleware=[state])]


def _client(service: Service, settings: OidcSettings) -> Any:
    from authlib.integrations.starlette_client import OAuth

    secret = Secret.parse(settings.client_secret).reveal()
    service.app.redactor.add(secret)
    return OAuth().register(
        "provider",
        client_id=settings.client_id,
        client_secret=secret,
        server_metadata_url=f"{settings.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid email profile", "code_challenge_method": "S256", "timeout": 10},
    )


def _back(service: Service) -> str:
    return f"{service.app.config.console.url}/login/sso/back"


def _identity(service: Service, settings: OidcSettings, claims: Mapping[str, Any]) -> Identity | None:
    """Return who the provider's claims mean, or None for nobody who may come in."""
    login = claims.get(settings.claim)
    if not isinstance(login, str) or (settings.claim == "email" and claims.get("email_verified") is False):
        return None
    person: Person | None = service.app.config.person_of(login)
    roles = frozenset(Role(each) for each in getattr(person, "access", ()))
    if person is None or not roles:
        return None
    return Identity(person.id, "", roles, person.id, person.name)


def _failed(request: Request, service: Service, exc: Exception) -> Response:
    """Say that it did not work. The provider's own words may hold anything, so the log has their kind only."""
    _log.warning("single_sign_on_failed", kind=type(exc).__name__)
    return login_page(request, service, problem="sign_on_failed", status=502)
