"""The playbooks there are: found by text and phase."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from hikeshi.console.elements import Fields, link, submit, tag
from hikeshi.console.frame import Page
from hikeshi.documents.playbooks import playbook_row

__all__ = ["playbooks_page"]

_AT_ONCE = 60
_IN_ONE_GO = 5


async def playbooks_page(page: Page) -> None:
    """Build the list; what is searched for stands in the address, so that it can be passed on."""
    from urllib.parse import urlencode

    from hikeshi.playbook.model import Phase

    say, query = page.say, page.visitor.query
    text, phase = query.get("search", "")[:200], query.get("phase", "")
    page.title(say("place.playbooks"))
    with tag("form", "", "search", role="search") as form:
        with tag("label", "", "field"):
            tag("span", say("playbooks.search"))
            tag("input", type="search", name="search", value=text, maxlength="200", autocomplete="off")
        with tag("label", "", "field"):
            tag("span", say("playbooks.phase"))
            with tag("select", "", "", name="phase"):
                tag("option", say("playbooks.every_phase"), value="")
                for each in Phase:
                    tag("option", say(f"phase.{each}"), value=str(each), selected=str(each) == phase or None)
        tag("button", say("playbooks.find"), "", type="submit")

    async def find(fields: Fields) -> None:
        given = {key: fields[key] for key in ("search", "phase") if fields.get(key)}
        page.go("/playbooks" + (f"?{urlencode(given)}" if given else ""))

    submit(form, find)
    app = page.visitor.app
    rows = []
    for number, name in enumerate(app.library.ids()):
        row = playbook_row(app, name)
        rows += [row] if _has(row, text, phase) else []
        if number % _IN_ONE_GO == 0:  # the first time each is read and parsed; runs go on meanwhile
            await asyncio.sleep(0)
    tag("p", say("playbooks.count", count=len(rows)), "dim", role="status")
    with tag("ul", "", "cards tiles"):
        for row in rows[:_AT_ONCE]:
            with tag("li", "", "card"):
                _row(page, row)
    if len(rows) > _AT_ONCE:
        tag("p", say("playbooks.narrow", count=len(rows) - _AT_ONCE), "dim")


def _has(row: Mapping[str, Any], text: str, phase: str) -> bool:
    if phase and row["phase"] != phase:
        return False
    texts = "\n".join(row[key] or "" for key in ("id", "name", "description", "phase"))
    return text.casefold() in texts.casefold()


def _row(page: Page, row: Mapping[str, Any]) -> None:
    say = page.say
    with tag("h2"):
        link(row["name"] or row["id"], f"/playbooks/{row['id']}", "stretched")
    tag("p", row["id"], "code dim")
    if row["description"]:
        tag("p", row["description"], "clamp")
    with tag("p", "", "tags"):
        if row["phase"]:
            tag("span", say(f"phase.{row['phase']}"), "tag")
        if row["severity"]:
            tag("span", say(f"severity.{row['severity']}"), f"tag severity-{row['severity']}")
    for problem in (row["problems"] or ())[:3]:
        tag("p", problem.rpartition("/")[2], "warn")
