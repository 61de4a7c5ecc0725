"""The runs there were and are, the newest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.console.elements import link, moment, table, tag
from hikeshi.console.frame import Page
from hikeshi.console.marks import mark
from hikeshi.console.shelf import Card, Shelf

__all__ = ["runs_page"]

_AT_ONCE = 30


async def runs_page(page: Page) -> None:
    """Build the list. Where it goes on stands in the address."""
    from urllib.parse import urlencode

    say, query = page.say, page.visitor.query
    playbook, after = query.get("playbook") or None, query.get("after") or None
    page.title(say("place.runs"), about=say("runs.of", playbook=playbook) if playbook else "")
    columns = [say(f"column.{key}") for key in ("status", "playbook", "mode", "started", "actor", "run")]
    shelf = Shelf(table(say("place.runs"), columns), "tr", "")
    nothing = tag("p", say("runs.nothing"), "empty")
    pages = tag("nav", "", "pages", aria_label=say("runs.pages"))
    shown: list[str] = []

    def draw() -> None:
        rows = page.visitor.app.runs(_AT_ONCE + 1, after=after, playbook=playbook)
        shelf.put([_row(page, row) for row in rows[:_AT_ONCE]])
        nothing.set_visibility(not rows)
        last = f"{rows[_AT_ONCE - 1]['started_at']}\n{rows[_AT_ONCE - 1]['run']}" if len(rows) > _AT_ONCE else ""
        if shown == [last]:
            return
        shown[:] = [last]
        pages.clear()
        given = {"playbook": playbook} if playbook else {}
        with pages:
            if after:
                link(say("runs.newest"), "/runs" + (f"?{urlencode(given)}" if given else ""), "as-button")
            if last:
                link(say("runs.older"), f"/runs?{urlencode({**given, 'after': last})}", "as-button")

    page.live(draw)


def _row(page: Page, row: Mapping[str, Any]) -> Card:
    depends = (row["status"], row["waits_for"])
    return row["run"], depends, lambda: _cells(page, row)


def _cells(page: Page, row: Mapping[str, Any]) -> None:
    say = page.say
    is_plan = row["mode"] == "plan"
    with tag("td", "", "", data_label=say("column.status")):
        mark(say, row["status"])
        if row["waits_for"] in ("people", "resolve", "resume"):
            tag("span", say(f"waits_for.{row['waits_for']}"), "dim")
    with tag("td", "", "strong", data_label=say("column.playbook")):
        link(row["playbook"], f"/{'plans' if is_plan else 'runs'}/{row['run']}", "stretched")
    tag("td", say(f"mode.{row['mode']}"), "", data_label=say("column.mode"))
    with tag("td", "", "", data_label=say("column.started")):
        moment(row["started_at"])
    tag("td", page.visitor.name_of(row["actor"]), "", data_label=say("column.actor"))
    tag("td", row["run"], "code dim", data_label=say("column.run"))
