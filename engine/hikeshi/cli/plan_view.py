"""A plan, for people: every action with its target and its exact requests, and what nobody could check."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hikeshi.cli.output import Output
from hikeshi.cli.plan_pauses import pause_lines
from hikeshi.cli.run_view import candidate_text
from hikeshi.cli.text import Piece, Styled
from hikeshi.playbook.durations import format_duration

__all__ = ["show_plan"]

MOST = 3
"""So many items of a batch, actions of a loop and entries of a body are shown; of more, so many and a count."""
_LONG_LINE = 1000
_INDEX = re.compile(r"\[\d+\]")

Action = Mapping[str, Any]


def show_plan(output: Output, report: Mapping[str, Any], saved: str | None = None) -> None:
    """Write a plan; `saved` names the file that it is in or goes to."""
    actions: Sequence[Action] = report["actions"]
    output.line()
    output.line(Styled(f"Plan {report['plan']} of {report['playbook']}", "bold"), f": {_summary(actions)}.")
    output.line("Nothing was changed and nobody was told: no change left this machine.")
    number = 0
    for family in _families(actions):
        for action in family[:MOST]:
            number += 1
            output.line()
            output.lines(list(_action(number, action)))
        if len(family) > MOST:
            number += len(family) - MOST
            output.line()
            output.line(f"    ... and {len(family) - MOST} more like these; --json shows all")
    output.lines(list(pause_lines(report)))
    _problems(output, report)
    output.line()
    reads = len(report["reads"])
    made = "1 step has read" if reads == 1 else f"{reads} steps have read"
    output.line(f"{made}, besides what each change had to know first. Digest {report['digest'][:16]}")
    if saved is None:
        output.line(f"To do it: hikeshi run {report['playbook']} with the same inputs. A run reads and decides anew.")
    else:
        output.line(f"To do exactly this, once: hikeshi apply {saved}")
    output.line(f"Every event: hikeshi log {report['plan']}")


def _summary(actions: Sequence[Action]) -> str:
    if not actions:
        return "nothing would be done"
    words = []
    for effect, one, many in (("change", "change", "changes"), ("notify", "message", "messages")):
        sure = [each for each in actions if each["effect"] == effect and each["certainty"] == "certain"]
        new = sum(not each["already"] for each in sure)
        maybe = sum(each["effect"] == effect and each["certainty"] == "maybe" for each in actions)
        already = len(sure) - new
        if new:
            words.append(f"{new} {one if new == 1 else many}")
        if maybe:
            words.append(f"perhaps {maybe} {'more ' if new else ''}{one if maybe == 1 else many}")
        if already:
            words.append(f"{already} {'is' if already == 1 else 'are'} so already")
    return ", ".join(words)


def _families(actions: Sequence[Action]) -> Iterator[list[Action]]:
    """Give the actions, those that are items of the same loop together."""
    found: dict[tuple[str, str], list[Action]] = {}
    for action in actions:
        found.setdefault((_INDEX.sub("[]", action["path"]), action["certainty"]), []).append(action)
    yield from found.values()


def _action(number: int, action: Action) -> Iterator[list[Piece]]:
    maybe = action["certainty"] == "maybe"
    certainty = f"maybe: {action['condition'] or 'it is not known yet'}" if maybe else "certain"
    yield [
        Styled(f"{number:3} {action['action']}", "bold"),
        f"  on {action['connector'] or 'a connector that is not known yet'}  ",
        Styled(certainty, "yellow" if maybe else "green"),
    ]
    if action["target"] is not None:
        yield ["    target       ", _targets(action["target"])]
    yield ["    effect       ", _EFFECTS.get(str(action["effect"]), str(action["effect"]))]
    yield ["    step         ", str(action["path"])]
    if action["approvals"]:
        yield ["    approval     ", f"only after {', '.join(action['approvals'])}"]
    for need in action["consents"]:
        people = f"{need['quorum']} of {', '.join(need['by'])}" if need["quorum"] > 1 else ", ".join(need["by"])
        yield ["    approval     ", f"by {people}, as {need['rule']} requires"]
    if action["hold_s"] is not None:
        yield ["    held         ", _hold(action["hold_s"])]
    if action["already"]:
        yield ["    ", Styled("It is so already: nothing would be sent.", "green")]
        return
    for request in action["requests"][:MOST]:
        yield from _request(request)
    if len(action["requests"]) > MOST:
        yield [f"    ... and {len(action['requests']) - MOST} more requests; --json shows all"]
    if not action["complete"]:
        yield ["    ", Styled("Not complete: more may be sent than is shown here.", "yellow")]
    for each in action["not_checked"]:
        yield ["    not checked  ", Styled(each, "dim")]


def _hold(hold_s: Any) -> str:
    if isinstance(hold_s, int | float):
        return f"{format_duration(hold_s)}, then it is undone by itself"
    return "for a time that is not known yet, then it is undone by itself"


_EFFECTS = {"change": "changes a system", "notify": "tells people"}


def _targets(target: Any) -> str:
    entries = target if isinstance(target, list) else [target]
    shown = ", ".join(str(each["label"]) for each in entries[:MOST])
    rest = f" and {len(entries) - MOST} more" if len(entries) > MOST else ""
    one = entries[0]["identity"] if len(entries) == 1 else ""
    return f"{shown}{rest}" + (f"  ({one})" if one and not one.endswith(f":{shown}") else "")


def _request(request: Mapping[str, Any]) -> Iterator[list[Piece]]:
    yield ["    request      ", Styled(f"{request['method']} ", "cyan"), request["url"]]
    for line in _body(request["body"]):
        yield ["                 ", line]
    volatile = [name for name in request["volatile"] if _mentions(request["body"], name)]
    if volatile:
        yield ["                 ", Styled(f"differs each time it is sent: {', '.join(volatile)}", "dim")]


def _body(body: Any) -> Iterator[str]:
    if body is None:
        return
    if isinstance(body, str):
        yield from (_short(line) for line in body.splitlines())
        return
    for line in json.dumps(_abbreviated(body), indent=2, ensure_ascii=False, default=str).splitlines():
        yield _short(line)


def _abbreviated(body: Any) -> Any:
    if isinstance(body, Mapping):
        return {str(key): _abbreviated(value) for key, value in body.items()}
    if isinstance(body, list):
        shown = [_abbreviated(each) for each in body[:MOST]]
        return [*shown, f"... and {len(body) - MOST} more"] if len(body) > MOST else shown
    return body


def _short(line: str) -> str:
    cut_off = len(line) - _LONG_LINE
    return f"{line[:_LONG_LINE]}... ({cut_off} more characters; --json shows all)" if cut_off > 0 else line


def _mentions(body: Any, name: str) -> bool:
    if isinstance(body, Mapping):
        return name in body or any(_mentions(each, name) for each in body.values())
    return isinstance(body, list) and any(_mentions(each, name) for each in body)


def _problems(output: Output, report: Mapping[str, Any]) -> None:
    problems = report["problems"]
    if not problems and report["error"] is None:
        return
    output.line()
    output.line(Styled("It would not work as it is:", "red"))
    if report["error"] is not None:
        output.line("  ", report["error"]["message"])
    for each in problems:
        output.line(f"  step {each['path']}: ", each["error"]["message"])
        for candidate in each["error"]["candidates"][:20]:
            output.line("      could be: ", candidate_text(candidate))
