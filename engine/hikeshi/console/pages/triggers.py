"""What starts runs by itself: every trigger, when it is due, what it did last, and what was made of the last events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.console.elements import link, moment, table, tag
from hikeshi.console.frame import Page
from hikeshi.console.marks import mark
from hikeshi.console.offers import offer_cards
from hikeshi.console.shelf import Card, Shelf

__all__ = ["triggers_page"]

_MOST = 50


async def triggers_page(page: Page) -> None:
    """Build the page. A service that was started without triggers says so."""
    say, service = page.say, page.visitor.service
    page.title(say("place.triggers"))
    if service.triggers is None:
        tag("p", say("triggers.none"), "empty")
        return
    offers = Shelf(tag("div", "", "cards"))
    nothing = tag("p", say("triggers.nothing"), "empty")
    with tag("div") as some:
        rows = Shelf(
            table(say("place.triggers"), _columns(page, "trigger", "kind", "next", "last", "outcome")), "tr", ""
        )
    with tag("section", "", "part") as lately:
        lately.put(aria_labelledby=f"c{tag('h2', say('triggers.fires')).id}")
        fired = Shelf(table(say("triggers.fires"), _columns(page, "when", "trigger", "outcome", "run")), "tr", "")

    def draw() -> None:
        triggers = service.watch_triggers(page.visitor.who())
        found, last = triggers.overview(), triggers.fires(_MOST)
        offers.put(offer_cards(page))
        rows.put([_row(page, each) for each in found])
        fired.put([_fire(page, number, each) for number, each in enumerate(last)])
        nothing.set_visibility(not found)
        some.set_visibility(bool(found))
        lately.set_visibility(bool(last))

    page.live(draw)


def _columns(page: Page, *keys: str) -> list[str]:
    return [page.say(f"column.{key}") for key in keys]


def _row(page: Page, row: Mapping[str, Any]) -> Card:
    key = (row.get("playbook"), row.get("trigger"))
    return key, tuple(str(value) for value in row.values()), lambda: _cells(page, row)


def _cells(page: Page, row: Mapping[str, Any]) -> None:
    say = page.say
    with tag("th", "", "", scope="row"):
        link(str(row.get("playbook")), f"/playbooks/{row.get('playbook')}")
        tag("span", f" {row.get('trigger')}", "code dim")
        if row.get("problem"):
            tag("div", str(row["problem"]), "warn")
    with tag("td", "", "", data_label=say("column.kind")):
        tag("span", f"{row.get('kind') or ''} {row.get('source') or ''}".strip(), "code")
        if row.get("enabled") is False:
            tag("span", say("triggers.disabled"), "tag")
    with tag("td", "", "", data_label=say("column.next")):
        moment(row.get("next_at")) or tag("span", "–")
    with tag("td", "", "", data_label=say("column.last")):
        moment(row.get("last_at")) or tag("span", "–")
    with tag("td", "", "", data_label=say("column.outcome")):
        _outcome(page, row.get("last_outcome"), row.get("last_reason"))


def _outcome(page: Page, outcome: Any, reason: Any) -> None:
    if outcome is not None:
        mark(page.say, str(outcome))
    if reason:
        tag("div", str(reason), "dim")


def _fire(page: Page, number: int, each: Mapping[str, Any]) -> Card:
    key = (each.get("event"), each.get("playbook"), each.get("trigger"), number)
    return key, tuple(str(value) for value in each.values()), lambda: _fire_cells(page, each)


def _fire_cells(page: Page, each: Mapping[str, Any]) -> None:
    say = page.say
    with tag("td", "", "", data_label=say("column.when")):
        moment(each.get("at"))
    tag("td", f"{each.get('playbook')}/{each.get('trigger')}", "code", data_label=say("column.trigger"))
    with tag("td", "", "", data_label=say("column.outcome")):
        _outcome(page, each.get("outcome"), each.get("reason"))
    with tag("td", "", "", data_label=say("column.run")):
        if each.get("run"):
            link(str(each["run"]), f"/runs/{each['run']}", "code")
