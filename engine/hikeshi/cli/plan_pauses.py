"""Where a plan would stop and wait: for approvals, answers, times and signals, and what it would release."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hikeshi.cli.text import Piece, Styled
from hikeshi.playbook.durations import format_duration

__all__ = ["pause_lines"]

MOST = 5

Entry = Mapping[str, Any]
Lines = Iterator[list[Piece]]


def pause_lines(report: Mapping[str, Any]) -> Lines:
    """Give the lines for everything that a plan would wait for or release."""
    for title, entries, lines in (
        ("It would ask for approval:", report["approvals"], _approval),
        ("It would ask people:", report["forms"], _form),
        ("It would wait:", report["waits"], _wait),
        ("It would release what is held:", report["releases"], _release),
    ):
        if entries:
            yield []
            yield [Styled(title, "bold")]
        for entry in entries:
            yield ["  ", Styled(entry["path"], "cyan"), f"  {_certainty(entry)}"]
            yield from lines(entry)


def _certainty(entry: Entry) -> str:
    return "" if entry["certainty"] == "certain" else f"maybe: {entry['condition'] or 'it is not known yet'}"


def _line(title: str, text: str) -> list[Piece]:
    return [f"    {title:12} ", text]


def _approval(entry: Entry) -> Lines:
    yield _line("question", _text(entry["question"]))
    quorum = f" ({entry['quorum']} have to approve)" if entry["quorum"] > 1 else ""
    yield _line("who", f"{', '.join(entry['by'])}{quorum}, within {format_duration(entry['within_s'])}")
    escalate = entry["escalate"]
    if escalate is not None:
        yield _line("then", f"{', '.join(escalate['to'])} too, within {format_duration(escalate['within_s'])}")
    covers = entry["covers"]
    yield _line("would allow", _few(covers) if covers else "nothing that is known")


def _form(entry: Entry) -> Lines:
    yield _line("question", _text(entry["question"]))
    yield _line("who", f"{', '.join(entry['by'])}, within {format_duration(entry['within_s'])}")
    yield _line("fields", ", ".join(entry["fields"]))


def _wait(entry: Entry) -> Lines:
    longest = "" if entry["at_most_s"] is None else f", at longest {format_duration(entry['at_most_s'])}"
    yield _line("until", f"{entry['until']}{longest}")


def _release(entry: Entry) -> Lines:
    targets = entry["targets"]
    yield _line("targets", _few([_text(each) for each in targets] if isinstance(targets, list) else [_text(targets)]))
    if entry["approvals"]:
        yield _line("approval", f"only after {', '.join(entry['approvals'])}")


def _text(value: Any) -> str:
    """Return a question or a target in words; a plan may not know it."""
    if isinstance(value, Mapping):
        if value.get("$hikeshi") == "unknown":
            return f"not known yet: {value.get('why', '')}"
        return next((str(value[key]) for key in ("name", "value", "id") if value.get(key)), "?")
    return str(value)


def _few(texts: Sequence[str]) -> str:
    rest = f" and {len(texts) - MOST} more" if len(texts) > MOST else ""
    return ", ".join(texts[:MOST]) + rest
