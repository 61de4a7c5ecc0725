"""Coming in and going out: two plain pages that need no script."""

from __future__ import annotations

import time
from collections import deque
from html import escape
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.access.identity import Identity
from hikeshi.access.tokens import NotKnown
from hikeshi.console.doors import COOKIE, here, identity_of, is_from_here
from hikeshi.console.words import Words, language_of, words
from hikeshi.service.service import Service

__all__ = ["SESSION_S", "login_page", "login_routes", "session_response"]

SESSION_S = 12 * 3600.0
_TRIES = 10
_WITHIN_S = 60.0
_MOST_PLACES = 10_000
_LARGEST_BYTES = 4096


class _Tries:
    """How often somebody came in with something wrong lately, by where they came from."""

    def __init__(self) -> None:
        self._places: dict[str, deque[float]] = {}

    def are_too_many(self, place: str) -> bool:
        """Say whether a place has to wait. Half of what has failed is forgotten within half the time."""
        since = time.monotonic() - _WITHIN_S
        tries = self._places.get(place, deque())
        while tries and tries[0] < since:
            tries.popleft()
        return len(tries) >= _TRIES

    def failed(self, place: str) -> None:
        if len(self._places) >= _MOST_PLACES:
            self._places.clear()
        self._places.setdefault(place, deque(maxlen=_TRIES)).append(time.monotonic())


def login_routes(service: Service) -> list[BaseRoute]:
    """Return the routes of coming in and going out."""
    tries = _Tries()

    async def show(request: Request) -> Response:
        return login_page(request, service, next_=here(request.query_params.get("next")))

    async def come_in(request: Request) -> Response:
        place = request.client.host if request.client is not None else "unknown"
        if not is_from_here(request.scope):
            return login_page(request, service, problem="from_elsewhere", status=403)
        if tries.are_too_many(place):
            return login_page(request, service, problem="too_many", status=429)
        if int(request.headers.get("content-length") or _LARGEST_BYTES + 1) > _LARGEST_BYTES:
            return login_page(request, service, problem="wrong_token", status=413)
        form = await request.form(max_files=0, max_fields=4)
        there = here(str(form.get("next", "/")))
        try:
            who = service.tokens.identify(str(form.get("token", "")).strip())
        except NotKnown:
            tries.failed(place)
            await service.requests.record_unknown(place)
            return login_page(request, service, problem="wrong_token", status=401, next_=there)
        return await session_response(request, service, who, there, parent=who.token)

    async def go_out(request: Request) -> Response:
        answer = RedirectResponse("/login", 303)
        who = identity_of(service, request.scope["headers"])
        if who is not None and is_from_here(request.scope):
            await service.tokens.revoke(who.token, by=who.actor)
            answer.delete_cookie(COOKIE)
        return answer

    return [
        Route("/login", show, methods=["GET"]),
        Route("/login", come_in, methods=["POST"]),
        Route("/logout", go_out, methods=["POST"]),
    ]


async def session_response(
    request: Request, service: Service, who: Identity, there: str, *, parent: str | None = None
) -> Response:
    """Begin a session for somebody, and send their browser to a page of this server."""
    _, secret = await service.tokens.make(
        who.shown or who.actor,
        who.roles,
        good_for_s=SESSION_S,
        by=who.actor,
        person=who.person,
        kind="session",
        parent=parent,
    )
    # Not a redirect: after coming from another site, as single sign-on does, a browser would leave a strict cookie out.
    page = f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={escape(there)}">'
    answer = HTMLResponse(page, headers={"cache-control": "no-store"})
    answer.set_cookie(
        COOKIE, secret, max_age=int(SESSION_S), httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return answer


def login_page(
    request: Request, service: Service, *, problem: str = "", status: int = 200, next_: str = "/"
) -> Response:
    """Return the page to sign in at; `problem` names what kept somebody from coming in."""
    say = words(language_of(request.headers.get("accept-language"), request.cookies.get("hikeshi_language")))
    said = f'<p class="problem" role="alert">{escape(say("login." + problem))}</p>' if problem else ""
    fields: dict[str, Any] = {
        "language": say.language,
        "title": escape(say("login.title")),
        "about": escape(say("login.about")),
        "token": escape(say("login.token")),
        "enter": escape(say("login.enter")),
        "how": escape(say("login.how")),
        "problem": said,
        "next": escape(next_, quote=True),
        "more": _sign_on(service, say, next_),
    }
    return HTMLResponse(_HTML.format(**fields), status, headers={"cache-control": "no-store"})


def _sign_on(service: Service, say: Words, next_: str) -> str:
    oidc = service.app.config.console.oidc
    if oidc is None:
        return ""
    text = escape(say("login.sign_on", name=oidc.name))
    return f'<p><a class="sign-on" href="/login/sso/?next={quote(next_)}">{text}</a></p>'


_HTML = """<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Hikeshi — {title}</title>
<style>
 :root {{ font: 16px/1.5 system-ui, "Noto Sans", "Noto Sans CJK JP", sans-serif; color-scheme: light dark; }}
 body {{ margin: 0; min-height: 100vh; display: grid; place-items: center; background: light-dark(#f6f5f3, #14161a); }}
 main {{ width: min(24rem, calc(100vw - 3rem)); color: light-dark(#1d2025, #e8e6e1); }}
 h1 {{ font-size: 1.6rem; margin: 0 0 .25rem; }}
 h1 span {{ color: light-dark(#b3261e, #ff8a7a); font-weight: 500; }}
 label {{ display: block; margin: 1.5rem 0 .35rem; font-weight: 600; }}
 input {{ width: 100%; box-sizing: border-box; font: inherit; padding: .65rem .75rem; border-radius: .5rem;
   border: 1px solid light-dark(#85888e, #6d727b); background: light-dark(#fff, #1d2026); color: inherit; }}
 button {{ margin-top: 1rem; width: 100%; font: inherit; font-weight: 600; padding: .7rem; border: 0;
   border-radius: .5rem; background: #b3261e; color: #fff; cursor: pointer; }}
 .sign-on {{ display: block; text-align: center; padding: .7rem; border-radius: .5rem; color: inherit;
   border: 1px solid light-dark(#85888e, #6d727b); text-decoration: none; font-weight: 600; }}
 :focus-visible {{ outline: 3px solid light-dark(#1a5fb4, #8ab4f8); outline-offset: 2px; }}
 .problem {{ padding: .6rem .75rem; border-left: 4px solid light-dark(#b3261e, #ff8a7a);
   background: light-dark(#fbe9e7, #3a1d1a); border-radius: .25rem; }}
 small {{ display: block; margin-top: 1.25rem; color: light-dark(#4d5158, #b4b8bf); }}
</style>
</head>
<body>
<main>
<h1>Hikeshi <span lang="ja">火消し</span></h1>
<p>{about}</p>
{problem}
<form method="post" action="/login">
<label for="token">{token}</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus spellcheck="false">
<input type="hidden" name="next" value="{next}">
<button type="submit">{enter}</button>
</form>
{more}
<small>{how}</small>
</main>
</body>
</html>
"""
