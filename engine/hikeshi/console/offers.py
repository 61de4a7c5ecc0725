"""Plans that triggers have made and offer: somebody accepts one, or declines it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.access.roles import Permission
from hikeshi.console.dialogs import asking
from hikeshi.console.elements import Fields, button, counting, fact, link, moment, tag
from hikeshi.console.frame import Page
from hikeshi.console.plan_targets import targets_in_short
from hikeshi.console.question import asked
from hikeshi.console.shelf import Card

__all__ = ["may_decide", "offer_buttons", "offer_cards"]

Offer = Mapping[str, Any]


def offer_cards(page: Page) -> list[Card]:
    """Return a card for each open offer. A service without triggers has none."""
    service = page.visitor.service
    if service.triggers is None:
        return []
    return [_card(page, each) for each in service.watch_triggers(page.visitor.who()).offers()]


def _card(page: Page, offer: Offer) -> Card:
    depends = (offer["digest"], page.visitor.who().permissions)
    return offer["plan"], depends, lambda: _draw(page, offer)


def may_decide(page: Page, offer: Offer) -> bool:
    """Say whether a plan is offered to whoever looks."""
    who = page.visitor.who()
    return who.may(Permission.DECIDE) and page.visitor.app.may_decide(who.actor, offer["by"])


def _draw(page: Page, offer: Offer) -> None:
    say = page.say
    with tag("div", "", "card-head"):
        tag("p", say("offer.kicker", trigger=f"{offer['playbook']}/{offer['trigger']}"), "kicker")
        with tag("p", "", "deadline"):
            tag("span", say("question.left"))
            counting(offer["expires_at"], say("question.over"))
    tag("h3", offer["playbook"])
    with tag("dl", "", "facts"):
        fact(say("question.by"), ", ".join(asked(page, each) for each in offer["by"]))
        with fact(say("question.since")):
            moment(offer["offered_at"])
    with tag("div", "", "buttons"):
        link(say("offer.see"), f"/plans/{offer['plan']}", "as-button")
        _buttons(page, offer)


def _buttons(page: Page, offer: Offer) -> None:
    if may_decide(page, offer):
        button(page.say("offer.decline"), lambda: _decline(page, offer))
        button(page.say("offer.accept"), lambda: _accept(page, offer), "primary")


def offer_buttons(page: Page, plan: str) -> bool:
    """Draw what decides about a plan, if it is one that a trigger offers. Return whether it is."""
    service = page.visitor.service
    if service.triggers is None:
        return False
    offers = service.watch_triggers(page.visitor.who()).offers()
    offer = next((each for each in offers if each["plan"] == plan), None)
    if offer is not None:
        tag("p", page.say("offer.kicker", trigger=f"{offer['playbook']}/{offer['trigger']}"), "dim")
        with tag("div", "", "buttons"):
            _buttons(page, offer)
    return offer is not None


async def _accept(page: Page, offer: Offer) -> None:
    service = page.visitor.service

    async def do(_: Fields) -> None:
        done, state = await page.do(lambda who: service.accept_offer(who, offer["plan"]))
        if done and state is not None:
            page.go(f"/runs/{state.run}")

    with asking(page, page.say("offer.accept_title"), page.say("offer.accept"), do, danger=True):
        tag("p", page.say("offer.accept_then"))
        targets_in_short(page, service.watch_triggers(page.visitor.who()).offered_plan(offer["plan"])["report"])


async def _decline(page: Page, offer: Offer) -> None:
    service = page.visitor.service

    async def do(fields: Fields) -> None:
        reason = fields.get("reason", "")
        done, _ = await page.do(lambda who: service.decline_offer(who, offer["plan"], reason=reason))
        if done:
            page.tell(page.say("offer.declined"))

    with asking(page, page.say("offer.decline_title"), page.say("offer.decline"), do) as ask:
        ask.reason(page.say("common.reason"))
