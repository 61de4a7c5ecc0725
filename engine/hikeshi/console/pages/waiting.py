"""The first page: what waits for whoever looks, then what waits for others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hikeshi.console.elements import link, moment, tag
from hikeshi.console.frame import Page
from hikeshi.console.marks import mark
from hikeshi.console.offers import offer_cards
from hikeshi.console.question import depends_on, may_answer, show_question, show_stuck
from hikeshi.console.shelf import Card, Shelf
from hikeshi.documents.holds import status_of
from hikeshi.documents.waiting import stuck_document

if TYPE_CHECKING:
    from hikeshi.runtime.ledger import Hold

__all__ = ["waiting_page"]

_MOST = 50
_WORRYING = ("overdue", "release failed", "lifted?")


async def waiting_page(page: Page) -> None:
    """Build the first page."""
    say = page.say
    page.title(say("place.waiting"))
    nothing = tag("p", say("waiting.nothing"), "empty")
    mine = _Part(say("waiting.mine"), page)
    unknown = _Part(say("waiting.unknown"), page)
    worry = _Part(say("waiting.holds"), page)
    offers = _Part(say("waiting.offers"), page)
    others = _Part(say("waiting.others"), page)
    paused = _Part(say("waiting.paused"), page)

    def draw() -> None:
        questions = page.visitor.app.questions()
        own = [each for each in questions if may_answer(page, each)]
        rest = [each for each in questions if each not in own]
        stuck = [stuck_document(page.visitor.app, row) for row in page.visitor.app.stuck()]
        mine.put([_question(page, each) for each in own])
        unknown.put([_stuck(page, each) for each in stuck if each["kind"] == "resolve"])
        paused.put([_stuck(page, each) for each in stuck if each["kind"] == "resume"])
        worry.put(_holds(page), page.visitor.app.tally().worrying)
        offers.put(offer_cards(page))
        others.put([_question(page, each) for each in rest])
        is_calm = not any(part.count for part in (mine, unknown, worry, offers, paused))
        nothing.set_visibility(is_calm)

    page.live(draw)


class _Part:
    """A heading with cards below; without cards it is not there."""

    def __init__(self, title: str, page: Page) -> None:
        self._page = page
        self.count = 0
        with tag("section", "", "part") as self._box:
            with tag("h2", title) as heading:
                self._number = tag("span", "", "count")
            self._box.put(aria_labelledby=f"c{heading.id}")
            self._shelf = Shelf(tag("div", "", "cards"))
            self._more = tag("p", "", "warn")

    def put(self, cards: list[Card], count: int | None = None) -> None:
        """Show the first cards; `count` is how many there are, if these are not all."""
        self.count = len(cards) if count is None else count
        self._number.say(str(self.count))
        self._box.set_visibility(bool(cards))
        self._shelf.put(cards[:_MOST])
        left = self.count - _MOST
        self._more.say(self._page.say("common.more", count=left) if left > 0 else "")


def _question(page: Page, question: Mapping[str, Any]) -> Card:
    key = (question["run"], question["path"])
    return key, depends_on(page, question), lambda: show_question(page, question, with_run=True)


def _stuck(page: Page, stuck: Mapping[str, Any]) -> Card:
    key = (stuck["run"], stuck["path"], stuck["kind"])
    depends = (stuck["what"], page.visitor.who().permissions)
    return key, depends, lambda: show_stuck(page, stuck, with_run=True)


def _holds(page: Page) -> list[Card]:
    app = page.visitor.app
    now = app.clock.now()
    found = [(hold, status_of(hold, now)) for hold in app.first_holds(_MOST)]
    return [_hold_card(page, hold, status) for hold, status in found if status in _WORRYING]


def _hold_card(page: Page, hold: Hold, status: str) -> Card:
    return hold.hold, (status, hold.release_error, hold.expires_at), lambda: _hold(page, hold, status)


def _hold(page: Page, hold: Hold, status: str) -> None:
    say = page.say
    with tag("div", "", "card-head"):
        mark(say, status)
        moment(hold.expires_at or hold.lifted_at)
    tag("h3", hold.label)
    tag("p", f"{hold.action} · {hold.connector}", "code dim")
    if hold.release_error:
        tag("p", hold.release_error, "warn")
    with tag("div", "", "buttons"):
        link(say("waiting.see_hold"), f"/holds#{hold.hold}", "as-button")
