"""The ledger: what is contained now, by whom, why, since when and until when, what is overdue first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hikeshi.access.roles import Permission
from hikeshi.console.dialogs import asking
from hikeshi.console.elements import Fields, Tag, button, counting, fact, link, moment, tag
from hikeshi.console.frame import Page
from hikeshi.console.marks import mark
from hikeshi.console.shelf import Card, Shelf
from hikeshi.console.undoing import ask_undo
from hikeshi.documents.holds import status_of, why_of
from hikeshi.runtime.standing import in_words

if TYPE_CHECKING:
    from hikeshi.runtime.ledger import Hold

__all__ = ["holds_page"]

_MOST = 200
_HOURS_MOST = 24 * 30


async def holds_page(page: Page) -> None:
    """Build the list."""
    _Holds(page)


class _Holds:
    """The page of the ledger."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._say = page.say
        self._read: dict[str, tuple[str, str]] = {}
        page.title(self._say("place.holds"), about=self._say("holds.about"))
        with tag("div", "", "buttons"):
            self._count = tag("p", "", "dim", role="status")
            button(self._say("holds.read_all"), self._read_all)
        self._nothing = tag("p", self._say("holds.nothing"), "empty")
        self._shelf = Shelf(tag("div", "", "cards"))
        self._more = tag("p", "", "warn")
        page.live(self._draw)

    def _draw(self) -> None:
        app = self._page.visitor.app
        now = app.clock.now()
        count, first = app.tally().kept, app.first_holds(_MOST)
        by = app.opened_by(first)
        self._shelf.put([self._card(hold, status_of(hold, now), by.get(hold.run, {})) for hold in first])
        self._count.say(self._say("holds.count", count=count))
        self._nothing.set_visibility(not first)
        self._more.say(self._say("common.more", count=count - _MOST) if count > _MOST else "")

    def _card(self, hold: Hold, status: str, by: Mapping[str, Any]) -> Card:
        may = self._page.visitor.who().permissions
        depends = (status, hold.expires_at, hold.release_error, hold.under_release, self._read.get(hold.hold), may)
        return hold.hold, depends, lambda: self._draw_one(hold, status, by)

    def _draw_one(self, hold: Hold, status: str, by: Mapping[str, Any]) -> None:
        say = self._say
        with tag("div", "", "card-head"):
            mark(say, status)
            if hold.expires_at is not None:
                with tag("p", "", "deadline"):
                    tag("span", say("holds.ends_in"))
                    counting(hold.expires_at, say("holds.over"))
        tag("h2", hold.label, "card-title", id=hold.hold, tabindex="-1")
        with tag("dl", "", "facts"):
            fact(say("column.action"), f"{hold.action} · {hold.connector}", "code")
            fact(say("holds.by"), self._page.visitor.name_of(str(by.get("actor", "?"))))
            fact(say("holds.why"), why_of(hold) or "–")
            _time(say("holds.since"), hold.opened_at)
            if hold.expires_at is not None:
                _time(say("holds.until"), hold.expires_at)
            else:
                fact(say("holds.until"), say("holds.no_end"))
            if hold.lifted_at is not None:
                _time(say("holds.product_until"), hold.lifted_at)
            with fact(say("column.run")):
                link(str(by.get("playbook", hold.run)), f"/runs/{hold.run}")
        if hold.release_error:
            tag("p", say("holds.release_failed", why=hold.release_error), "warn")
        read = self._read.get(hold.hold)
        if read is not None:
            with tag("p", "", "reading", role="status"):
                mark(say, read[0])
                tag("span", read[1])
        self._buttons(hold)

    def _buttons(self, hold: Hold) -> Tag:
        say = self._say
        with tag("div", "", "buttons") as place:
            if hold.under_release is not None:
                link(say("holds.being_released"), f"/runs/{hold.under_release}", "as-button")
            button(say("holds.read"), lambda: self._read_some([hold]))
            if self._page.visitor.may(Permission.UNDO):
                if hold.expires_at is not None:
                    button(say("holds.extend"), lambda: self._extend(hold))
                if hold.under_release is None:
                    button(say("holds.release"), lambda: ask_undo(self._page, hold=hold.hold), "danger")
        return place

    # --- doing ------------------------------------------------------------------------------------------------

    async def _read_all(self) -> None:
        await self._read_some(self._page.visitor.app.first_holds(_MOST))

    async def _read_some(self, holds: list[Hold]) -> None:
        self._page.tell(self._say("holds.reading", count=len(holds)))
        done, found = await self._page.do(lambda who: self._page.visitor.service.read_holds(who, holds))
        if not done or found is None:
            return
        for name, reading in found.items():
            words = reading.why or (in_words(reading.state) if reading.state is not None else "")
            self._read[name] = (reading.standing, words)
        self._page.tell(self._say("holds.was_read", count=len(found)))
        self._draw()

    async def _extend(self, hold: Hold) -> None:
        say = self._say

        async def extend(fields: Fields) -> None:
            hours, reason = _hours(fields.get("hours", "")), fields.get("reason", "").strip()
            if hours is None:
                self._page.tell(say("holds.no_hours"))
                return
            service = self._page.visitor.service
            done, _ = await self._page.do(lambda who: service.extend(who, hold.hold, by_s=hours * 3600, reason=reason))
            if done:
                self._page.tell(say("holds.extended", label=hold.label))

        with asking(self._page, say("holds.extend_title", label=hold.label), say("holds.extend"), extend) as ask:
            with tag("p"):
                tag("span", say("holds.until") + " ")
                moment(hold.expires_at, "long")
            with tag("label", "", "field"):
                tag("span", say("holds.hours"))
                tag("input", type="number", name="hours", min="1", max=str(_HOURS_MOST), value="4", required=True)
            ask.reason(say("common.reason"))


def _hours(text: str) -> float | None:
    try:
        hours = float(text)
    except ValueError:
        return None
    return hours if 0 < hours <= _HOURS_MOST else None


def _time(title: str, at: Any) -> None:
    with fact(title):
        moment(at)
