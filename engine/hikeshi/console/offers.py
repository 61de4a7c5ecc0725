"""Plans that triggers have made and offer: somebody accepts one, or declines it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hikeshi.access.roles import Permission
from hikeshi.console.dialogs import asking
from hikeshi.console.elements import Fields, button, counting, link, tag
from hikeshi.console.frame import Page
from hikeshi.console.shelf import Card

__all__ = ["offer_cards"]

Offer = Mapping[str, Any]


def offer_cards(page: Page) -> list[Card]:
    """Return a card for each open offer. A project without triggers has none."""
    page.visitor.who()
    offers: Callable[[], list[Offer]] | None = getattr(page.visitor.service.triggers, "offers", None)
    return [] if offers is None else [_card(page, each) for each in offers()]


def _card(page: Page, offer: Offer) -> Card:
    return offer["plan"], offer.get("digest"), lambda: _draw(page, offer)


def _draw(page: Page, offer: Offer) -> None:
    say = page.say
    with tag("div", "", "card-head"):
        tag("p", say("offer.kicker", trigger=f"{offer.get('playbook')}/{offer.get('trigger')}"), "kicker")
        if offer.get("expires_at"):
            with tag("p", "", "deadline"):
                tag("span", say("question.left"))
                counting(offer["expires_at"], say("question.over"))
    tag("h3", str(offer.get("playbook") or offer["plan"]))
    with tag("div", "", "buttons"):
        link(say("offer.see"), f"/plans/{offer['plan']}", "as-button")
        # The service of this version has these two as soon as its triggers offer anything.
        if page.visitor.may(Permission.RUN) and hasattr(page.visitor.service, "accept_offer"):
            button(say("offer.decline"), lambda: _decline(page, offer))
            button(say("offer.accept"), lambda: _accept(page, offer), "primary")


async def _accept(page: Page, offer: Offer) -> None:
    service: Any = page.visitor.service

    async def do(_: Fields) -> None:
        done, state = await page.do(lambda who: service.accept_offer(who, offer["plan"]))
        if done and state is not None:
            page.go(f"/runs/{state.run}")

    with asking(page, page.say("offer.accept_title"), page.say("offer.accept"), do, danger=True):
        tag("p", page.say("offer.accept_then"))


async def _decline(page: Page, offer: Offer) -> None:
    service: Any = page.visitor.service

    async def do(fields: Fields) -> None:
        reason = fields.get("reason", "")
        done, _ = await page.do(lambda who: service.decline_offer(who, offer["plan"], reason=reason))
        if done:
            page.tell(page.say("offer.declined"))

    with asking(page, page.say("offer.decline_title"), page.say("offer.decline"), do) as ask:
        ask.reason(page.say("common.reason"))
