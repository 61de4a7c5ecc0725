"""What people are asked, shown to them before they decide: all of it, since they allow exactly what they saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from hikeshi.cli.moments import deadline, duration
from hikeshi.cli.text import Piece, Styled, harmless, pad, width

__all__ = ["field_text", "question_lines"]

Question = Mapping[str, Any]
Lines = Iterator[list[Piece]]

_LEFT = 12


def question_lines(question: Question, now: datetime, *, most: int | None = None) -> Lines:
    """Give the lines of one question, as `Hikeshi.questions` describes it; with `most`, no more targets than that."""
    yield _line("question", Styled(question["question"], "bold"))
    if question["kind"] == "approval":
        yield from _targets(question["shows"], most)
        yield from _not_known(question)
    else:
        for number, field in enumerate(question["fields"]):
            yield _line("" if number else "fields", Styled(field["name"], "cyan"), f"  {field_text(field)}")
    quorum = question["quorum"]
    yield _line("who", ", ".join(question["by"]), f" ({quorum} have to approve)" if quorum > 1 else "")
    if question["kind"] == "approval" and (quorum > 1 or question["votes"]):
        voted = f": {', '.join(question['votes'])}" if question["votes"] else ""
        yield _line("so far", f"{len(question['votes'])} of {quorum}{voted}")
    yield _line("until", Styled(deadline(datetime.fromisoformat(question["due_at"]), now), "yellow"))
    asked_s = (now - datetime.fromisoformat(question["asked_at"])).total_seconds()
    yield _line("run", f"{question['playbook']}, started by {question['actor']}; asked {duration(int(asked_s))} ago")


def field_text(field: Mapping[str, Any]) -> str:
    """Return what a field of a form takes, in words."""
    limits = field["limits"]
    words = [str(field["type"])]
    if limits.get("enum"):
        words.append(f"one of {', '.join(map(str, limits['enum']))}")
    if field["default"] is not None:
        words.append(f"default {field['default']}")
    words.append("required" if field["required"] and field["default"] is None else "may be left out")
    described = f": {field['description']}" if field["description"] else ""
    return "; ".join(words) + described


def _line(title: str, *pieces: Piece) -> list[Piece]:
    return [Styled(f"  {title:{_LEFT}}", "dim"), *pieces]


def _targets(shows: Sequence[Mapping[str, Any]], most: int | None) -> Lines:
    if not shows:
        yield _line("would do", Styled("nothing that could be predicted", "yellow"))
        return
    wide = max(width(harmless(each["action"])) for each in shows)
    labels = max(width(harmless(str(each["label"]))) for each in shows[:most])
    for number, each in enumerate(shows[:most]):
        one = str(each["target"])
        identity = "" if one.endswith(f":{each['label']}") else f"  {one}"
        where = f"  on {each['connector']}"
        action = Styled(pad(each["action"], wide), "bold")
        label = pad(str(each["label"]), labels)
        so_now = Styled("  is so already", "dim") if each.get("already") else ""
        yield _line("" if number else "would do", action, f"  {label}{where}", Styled(identity, "dim"), so_now)
    if most is not None and len(shows) > most:
        yield _line("", f"and {len(shows) - most} more targets")


def _not_known(question: Question) -> Lines:
    for number, text in enumerate(question["not_known"]):
        yield _line("" if number else "not known", Styled(text, "yellow"))
    if question["not_known"] or not question["shows"]:
        yield _line("", "What is not shown here is asked for again before anything is sent to it.")
