"""What a run came to: what it changed, what is held, what went wrong, what it gives."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hikeshi.console.elements import link, moment, table, tag
from hikeshi.console.frame import Page
from hikeshi.console.marks import mark
from hikeshi.documents.holds import status_of

if TYPE_CHECKING:
    from hikeshi.core import RunState
    from hikeshi.report import Change

__all__ = ["show_result"]

_MOST = 50


def show_result(page: Page, state: RunState) -> None:
    """Draw the end of a run, or what is known of it while an outcome is unknown."""
    from hikeshi.report import changes

    found = list(changes(state, page.visitor.app.journal.read(state.run)))
    tag("h2", _headline(page, found))
    if state.error is not None:
        tag("p", state.error.message, "warn")
    _changes(page, found)
    _holds(page, state)
    _failures(page, state)
    _outputs(page, state)


def _headline(page: Page, found: Sequence[Change]) -> str:
    from hikeshi.capabilities import Effect

    done = [each for each in found if each.outcome == "done"]
    counts = Counter("changes" if each.effect is Effect.CHANGE else "messages" for each in done)
    words = [page.say("run.done", changes=counts["changes"], messages=counts["messages"])]
    for outcome in ("failed", "unknown"):
        number = sum(each.outcome == outcome for each in found)
        if number:
            words.append(page.say(f"run.{outcome}_count", count=number))
    return " · ".join(words)


def _changes(page: Page, found: Sequence[Change]) -> None:
    say = page.say
    if not found:
        return
    columns = [say(f"column.{key}") for key in ("status", "target", "action", "connector")]
    with table(say("run.changes"), columns):
        for each in found[:_MOST]:
            _change(page, each)
    if len(found) > _MOST:
        tag("p", say("common.more", count=len(found) - _MOST), "dim")


def _change(page: Page, each: Change) -> None:
    say = page.say
    with tag("tr"):
        with tag("td", "", "", data_label=say("column.status")):
            words = say(f"outcome.{each.outcome.replace(' ', '_')}")
            tag("span", words, f"outcome {_KINDS[each.outcome]}")
        with tag("td", "", "strong", data_label=say("column.target")):
            tag("span", each.target)
            if each.error:
                tag("div", each.error, "warn")
            if each.possibly_repeated:
                tag("div", say("run.repeated"), "dim")
        tag("td", each.action, "code", data_label=say("column.action"))
        tag("td", each.connector, "", data_label=say("column.connector"))


_KINDS = {"done": "good", "failed": "bad", "unknown": "bad", "already": "idle", "carried": "idle"} | {
    "open": "info",
    "not reached": "idle",
}


def _holds(page: Page, state: RunState) -> None:
    say, app = page.say, page.visitor.app
    held = app.holds_of(state.run)
    if not held:
        return
    now = app.clock.now()
    tag("h3", say("run.held", count=len(held)))
    with tag("ul", "", "plain"):
        for hold in held[:_MOST]:
            with tag("li"):
                mark(say, status_of(hold, now))
                link(hold.label, f"/holds#{hold.hold}", "strong")
                tag("span", f" {hold.action} ", "code dim")
                if hold.expires_at is not None:
                    tag("span", say("holds.until") + " ")
                    moment(hold.expires_at)


def _failures(page: Page, state: RunState) -> None:
    """Show what failed, why, and what to do. A step that failed only because one inside of it did says nothing new."""
    if not state.failures:
        return
    with tag("ul", "", "plain failures"):
        for path in state.failures[:_MOST]:
            node = state.nodes.get(path)
            if node is None or any(other.startswith((f"{path}.", f"{path}[")) for other in state.failures):
                continue
            with tag("li", "", "bad-text"):
                tag("strong", node.step.label)
                tag("span", f" {path} ", "code dim")
                tag("div", "" if node.error is None else node.error.message)
                for each in (node.error.candidates if node.error is not None else None) or ():
                    tag("div", page.say("plan.could_be", what=json.dumps(each, ensure_ascii=False)[:300]), "dim small")
    tag("p", page.say("run.what_now"), "to-do")


def _outputs(page: Page, state: RunState) -> None:
    from hikeshi.playbook.unknown import to_json

    if not state.outputs:
        return
    with tag("details"):
        tag("summary", page.say("run.outputs", count=len(state.outputs)))
        shown: dict[str, Any] = {name: to_json(value) for name, value in state.outputs.items()}
        with tag("pre", "", "", tabindex="0"):
            tag("code", json.dumps(shown, indent=2, ensure_ascii=False)[:20_000])
