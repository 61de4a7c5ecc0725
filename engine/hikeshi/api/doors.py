"""Who makes a request, and the same request once: what every route of the API depends on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Header, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.responses import JSONResponse

from hikeshi.access.identity import Identity
from hikeshi.access.roles import MAY, Permission
from hikeshi.access.tokens import NotKnown
from hikeshi.service.replies import Replies, Reply
from hikeshi.service.service import Service

__all__ = [
    "Auditor",
    "Decider",
    "Key",
    "Looker",
    "OneService",
    "Planner",
    "Porter",
    "Runner",
    "StopReleaser",
    "Stopper",
    "Trier",
    "Undoer",
    "once",
    "roles_with",
]

_BEARER = HTTPBearer(
    auto_error=False, scheme_name="token", description="A token of this project: 'hikeshi token new' makes one."
)
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        description="The same request with the same key is done once, and answered the same again.",
    ),
]


def _service(request: Request) -> Service:
    service: Service = request.app.state.service
    return service


OneService = Annotated[Service, Depends(_service)]


def caller(permission: Permission) -> Callable[..., Awaitable[Identity]]:
    """Return the dependency that gives who makes a request, if a role of theirs permits it."""

    async def known(
        request: Request,
        service: OneService,
        given: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
    ) -> Identity:
        try:
            if given is None:
                raise NotKnown("this needs a token: send it as 'Authorization: Bearer ...'")
            who = service.tokens.identify(given.credentials)
        except NotKnown as exc:
            await service.requests.record_unknown(_place_of(request))
            raise HTTPException(401, str(exc)) from None
        request.state.actor = who.actor
        if not who.may(permission):
            await service.deny(who, permission, f"{request.method} {request.url.path}")
        return who

    known.permission = permission  # type: ignore[attr-defined]  # the table of routes and roles reads it
    return known


Looker = Annotated[Identity, Depends(caller(Permission.LOOK))]
Planner = Annotated[Identity, Depends(caller(Permission.PLAN))]
Runner = Annotated[Identity, Depends(caller(Permission.RUN))]
Undoer = Annotated[Identity, Depends(caller(Permission.UNDO))]
Decider = Annotated[Identity, Depends(caller(Permission.DECIDE))]
Stopper = Annotated[Identity, Depends(caller(Permission.STOP))]
StopReleaser = Annotated[Identity, Depends(caller(Permission.RELEASE_STOP))]
Trier = Annotated[Identity, Depends(caller(Permission.TRY))]
Auditor = Annotated[Identity, Depends(caller(Permission.AUDIT))]
Porter = Annotated[Identity, Depends(caller(Permission.PEOPLE))]


def roles_with(permission: Permission) -> list[str]:
    """Return the roles that permit something."""
    return [str(role) for role, may in MAY.items() if permission in may]


async def once(
    request: Request,
    service: Service,
    who: Identity,
    key: str | None,
    do: Callable[[], Coroutine[Any, Any, tuple[int, Any]]],
) -> JSONResponse:
    """Answer a request, or with a key that came before give the answer it got then."""
    if key is None:
        status, body = await do()
        return JSONResponse(body, status)
    replies = Replies(service.app)
    asked = {
        "method": request.method,
        "path": request.url.path,
        "body": (await request.body()).decode(errors="replace"),
    }
    known = await replies.claim(who, key, asked)
    if known is not None:
        return JSONResponse(known.body, known.status, headers={"Idempotency-Replayed": "true"})
    reply = await _answered(do)
    await replies.keep(who, key, reply)
    return JSONResponse(reply.body, reply.status)


async def _answered(do: Callable[[], Awaitable[tuple[int, Any]]]) -> Reply:
    from hikeshi.api.failures import expected_response

    try:
        status, body = await do()
    except Exception as exc:
        answer = expected_response(exc)
        if answer is None:
            raise  # nobody knows what was done; the key stays claimed
        return Reply(*answer)
    return Reply(status, body)


def _place_of(request: Request) -> str:
    return request.client.host if request.client is not None else "unknown"
