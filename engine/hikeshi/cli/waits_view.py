"""What a run waits for, in words, with the command that another person types."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime

from hikeshi.cli.moments import deadline
from hikeshi.cli.text import Piece, Styled
from hikeshi.report import Wait

__all__ = ["command_for", "wait_lines", "wait_text"]

MOST = 8
"""So many waits are shown one by one; of more, so many and a count."""


def command_for(run: str, wait: Wait) -> str | None:
    """Return what somebody types to end a wait, or None if nobody can."""
    path = shlex.quote(wait.path)
    match wait.kind:
        case "approval":
            return f"hikeshi approve {run} {path}"
        case "form":
            return f"hikeshi answer {run} {path}"
        case "resolve":
            return f"hikeshi resolve {run} {path} --happened   (or --did-not-happen)"
        case "resume":
            return f"hikeshi resume {run}"
    return None


def wait_text(wait: Wait, now: datetime) -> str:
    """Return what is waited for and until when, on one line."""
    head, rest = _texts(wait, now)
    return f"{head}: {rest}" if rest else head


def _texts(wait: Wait, now: datetime) -> tuple[str, str]:
    """Return what is waited for, and what is to be said of it besides."""
    if wait.kind not in ("approval", "form"):
        return _text(wait, now), ""
    noun = "an approval" if wait.kind == "approval" else "an answer"
    until = "" if wait.due_at is None else f" until {deadline(wait.due_at, now)}"
    so_far = f"; {len(wait.votes)} of {wait.quorum} so far" if wait.quorum > 1 else ""
    return f"{noun} at {wait.path}{until}", f"{wait.what} ({', '.join(wait.by)}{so_far})"


def _text(wait: Wait, now: datetime) -> str:
    until = "" if wait.due_at is None else f" until {deadline(wait.due_at, now)}"
    match wait.kind:
        case "resolve":
            return f"somebody who finds out what became of {wait.path}: {wait.what}"
        case "resume":
            return "somebody who resumes it: it is paused"
        case "time":
            return f"the time of {wait.path}{until}"
        case "read":
            return f"{wait.what} to say so at {wait.path}, at longest{until}"
        case "signal":
            return f"the signal {wait.what!r} at {wait.path}, at longest{until}"
        case "retry":
            when = "" if wait.due_at is None else f" at {deadline(wait.due_at, now)}"
            return f"the next attempt of {wait.path}{when}, after: {wait.what}"
        case "key":
            return f"its turn: another run has the key {wait.what!r}"
        case _:
            return wait.what


def wait_lines(run: str, waits: Sequence[Wait], now: datetime) -> Iterator[list[Piece]]:
    """Give a line for each wait, and one for what ends it."""
    for wait in waits[:MOST]:
        head, rest = _texts(wait, now)
        yield [Styled("  waits for ", "yellow"), head]
        if rest:
            yield ["      ", rest]
        command = command_for(run, wait)
        if command is not None:
            yield ["      ", Styled(command, "cyan")]
    if len(waits) > MOST:
        yield [f"  and {len(waits) - MOST} more"]
