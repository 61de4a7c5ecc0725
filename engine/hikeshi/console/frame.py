"""What every page of the console has: who is here, where else to go, engaged kill switches, notices, dialogs, life."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine
from copy import copy
from typing import TYPE_CHECKING, Any, TypeVar

from nicegui import ui
from nicegui.client import Client
from starlette.requests import Request

from hikeshi.console.elements import Tag, harmless, hint, icon, link, tag
from hikeshi.console.failures import show_failure
from hikeshi.console.visitor import SessionOver, Visitor, failure_for
from hikeshi.console.words import LANGUAGES

if TYPE_CHECKING:
    from hikeshi.access.identity import Identity
    from hikeshi.app.failure import Failure

__all__ = ["PLACES", "Page", "open_page"]

T = TypeVar("T")
Build = Callable[["Page"], Coroutine[Any, Any, None]]

PLACES = (
    ("waiting", "/", "inbox"),
    ("playbooks", "/playbooks", "menu_book"),
    ("runs", "/runs", "play_circle"),
    ("holds", "/holds", "lock"),
    ("stop", "/stop", "front_hand"),
    ("triggers", "/triggers", "bolt"),
    ("connectors", "/connectors", "power"),
    ("audit", "/audit", "verified"),
)
_FIRST = 4  # so many fit at the bottom of a phone; the others are behind one more button
_LOOK_EVERY_S = 0.5
_REST = 10  # drawing takes a tenth of the time at most, however much there is
_ANEW_EVERY = 30  # looks: what changes with time alone is drawn anew so often
_STATUS = {"not_allowed": 403, "session_over": 403, "internal": 500, "journal": 503}


class Page:
    """One opened page. `say` gives the words of its reader's language."""

    def __init__(self, visitor: Visitor, here: str) -> None:
        self.visitor = visitor
        self.say = visitor.say
        self.client: Client = ui.context.client
        self._live: list[Callable[[], None]] = []
        self._seen = -1
        self._looks = 0
        self._stops_shown: object = None
        self._rests_until = 0.0
        self._trouble: Failure | None = None
        _make_plain(self.client, self.say.language)
        link(self.say("frame.skip"), "#main", "skip")
        self._header()
        self._navigation(here)
        with tag("main", id="main", tabindex="-1") as self.main:
            self.banner = tag("div", "", "banner-place")
            with tag("div", "", "notices", role="alert", aria_live="assertive") as self.notices:
                pass
            self.body = tag("div", "", "body")
        self._told = hint("", "told")
        self._told.put(role="status", aria_live="polite")
        self.dialogs = tag("div", "", "dialogs")
        self._timer: Any = None

    def title(self, text: str, *, about: str = "") -> Tag:
        """Say what the page is about, in the browser's title and in a heading, which is returned."""
        self.client.title = f"{harmless(text)} · Hikeshi 火消し"
        with tag("div", "", "title"):
            heading = tag("h1", text)
            if about:
                tag("p", about, "about")
        return heading

    # --- the frame --------------------------------------------------------------------------------------------

    def _header(self) -> None:
        say, who = self.say, self.visitor.who()
        with tag("header", "", "top"):
            with link("", "/", "brand", aria_label="Hikeshi 火消し"):
                tag("span", "Hikeshi")
                tag("span", "火消し", "kanji", lang="ja")
            with tag("div", "", "me"):
                tag("span", who.shown or who.actor, "name")
                tag("span", ", ".join(say(f"role.{role}") for role in sorted(who.roles)), "roles")
            for name, shown in LANGUAGES.items():
                if name != say.language:
                    tag("button", shown, "quiet", type="button", lang=name).on(
                        "click", js_handler=f"() => hk.choose('hikeshi_language', '{name}')"
                    )
            leave = say("frame.leave")
            with (
                tag("form", "", "", method="post", action="/logout"),
                tag("button", "", "quiet", type="submit", aria_label=leave, title=leave),
            ):
                icon("logout")

    def _navigation(self, here: str) -> None:
        with tag("nav", "", "places", aria_label=self.say("frame.places")):
            with tag("ul"):
                for number, place in enumerate(PLACES):
                    self._place(*place, here, "" if number < _FIRST else "wide-only")
            with tag("details", "", "more"):
                with tag("summary", "", "now" if here in [each[0] for each in PLACES[_FIRST:]] else ""):
                    icon("more_horiz")
                    tag("span", self.say("frame.more"))
                with tag("ul"):
                    for place in PLACES[_FIRST:]:
                        self._place(*place, here, "")

    def _place(self, name: str, to: str, picture: str, here: str, classes: str) -> None:
        with tag("li", "", classes), link("", to, aria_current="page" if name == here else None):
            icon(picture)
            tag("span", self.say(f"place.{name}"))

    # --- saying something -------------------------------------------------------------------------------------

    def fail(self, failure: Failure) -> None:
        """Show what went wrong, why, and what to do, above everything else."""
        self.notices.clear()
        if failure.code == "session_over":
            self._end()
            return
        with self.notices:
            show_failure(self.say, failure, self.be_quiet)
        self.client.run_javascript("document.querySelector('.notices')?.scrollIntoView({block: 'nearest'})")

    def be_quiet(self) -> None:
        """Take away what was said."""
        self.notices.clear()

    def tell(self, text: str) -> None:
        """Say that something is done."""
        self.notices.clear()
        self._told.say(text)
        with self.notices:
            tag("p", text, "notice good")

    async def do(self, what: Callable[[Identity], Awaitable[T]]) -> tuple[bool, T | None]:
        """Do something as whoever looks; what keeps them from it is shown."""
        return await self.visitor.do(what, self.fail)

    def go(self, to: str) -> None:
        """Open another page of the console in place of this one."""
        assert to.startswith("/"), to
        ui.navigate.to(to)

    def _end(self) -> None:
        """Show nothing more: the session is over."""
        from urllib.parse import quote

        self._live.clear()
        if self._timer is not None:
            self._timer.deactivate()
        for part in (self.banner, self.body, self.dialogs, self.notices):
            part.clear()
        with self.body, tag("section", "", "card ended"):
            tag("h1", self.say("failure.session_over.what"))
            tag("p", self.say("failure.session_over.do"))
            link(self.say("login.enter"), f"/login?next={quote(self.visitor.path)}", "primary as-button")

    # --- life -------------------------------------------------------------------------------------------------

    def live(self, draw: Callable[[], None]) -> None:
        """Draw something now, and anew when the journal changes."""
        self._live.append(draw)
        draw()

    def begin(self) -> None:
        """Begin to look for changes."""
        with self.main:
            self._timer = ui.timer(_LOOK_EVERY_S, self._look)

    async def _look(self) -> None:
        try:
            changes = self.visitor.app.journal.changes()
            self._looks += 1
            if (changes == self._seen and self._looks % _ANEW_EVERY) or time.monotonic() < self._rests_until:
                return
            began = time.monotonic()
            self._seen = changes
            for draw in (self.draw_banner, *self._live):
                draw()
                await asyncio.sleep(0)  # a page with much on it must not keep the others waiting
            self._rests_until = began + _REST * (time.monotonic() - began)
            self._is_well()
        except SessionOver:
            self._end()
        except Exception as exc:  # noqa: BLE001 - it is shown, and tried again
            self._cannot_look(failure_for(exc))

    def _cannot_look(self, failure: Failure) -> None:
        """Say once why nothing is drawn any more."""
        self._seen = -1
        if failure.code == "not_allowed":
            self._end()
        elif failure != self._trouble:
            self.fail(failure)
            self._trouble = failure

    def _is_well(self) -> None:
        if self._trouble is not None:
            self._trouble = None
            self.be_quiet()

    def draw_banner(self) -> None:
        """Show every kill switch that is engaged."""
        stops = self.visitor.app.kill_switch.engaged()
        if stops == self._stops_shown:
            return
        self._stops_shown = stops
        self.banner.clear()
        if not stops:
            return
        with self.banner, tag("section", "", "stops", role="alert", aria_label=self.say("stop.engaged")):
            for each in stops:
                with tag("p"):
                    icon("front_hand")
                    tag("strong", self.say("stop.banner", what=_scope_words(self.say, each.stop)))
                    tag("span", self.say("stop.by", who=self.visitor.name_of(each.by), why=each.why or "–"))
                    link(self.say("stop.see"), "/stop")


def _scope_words(say: Any, stop: str) -> str:
    scope, _, name = stop.partition(":")
    return str(say(f"scope.{scope}.named", name=name)) if name else str(say("scope.everything"))


def _make_plain(client: Client, language: str) -> None:
    """Take NiceGUI's own frame away: it has a `main` of its own, and no language of its reader."""
    parents: list[Any] = [client.layout, client.page_container]
    assert client.content.parent_slot is not None
    parents.append(client.content.parent_slot.parent)
    for each in parents:
        each.tag = "div"
        each.props.clear()
    client.content.classes(remove="nicegui-content", add="frame")
    client.page = copy(client.page)
    client.page.language = "ja" if language == "ja" else "en-US"


async def open_page(service: Any, request: Request, here: str, build: Build) -> None:
    """Build one page for whoever asked for it."""
    visitor = Visitor(service, request)
    client: Client = ui.context.client
    client.title = "Hikeshi 火消し"
    page = Page(visitor, here)
    try:
        page.draw_banner()
        with page.body:
            await build(page)
    except Exception as exc:  # noqa: BLE001 - whatever it is, it becomes a page that says what to do
        failure = failure_for(exc)
        page.body.clear()
        client.status_code = 404 if failure.code.startswith("unknown_") else _STATUS.get(failure.code, 409)
        with page.body:
            page.title(visitor.say("failure.title"))
            show_failure(visitor.say, failure)
            link(visitor.say("failure.home"), "/", "as-button")
        return
    page.begin()
    client.run_javascript("hk.anchor()")
