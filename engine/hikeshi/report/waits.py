"""What a run waits for now: people, times, signals, other runs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from hikeshi.core import AwaitSignal, Node, Question, RunState, TakeKey, WaitUntil
from hikeshi.playbook.model import WaitStep

__all__ = ["Wait", "WaitKind", "waits_of"]

WaitKind = Literal["approval", "form", "resolve", "resume", "time", "read", "signal", "retry", "key"]

_OF_PEOPLE = frozenset({"approval", "form", "resolve", "resume"})


@dataclass(frozen=True, slots=True)
class Wait:
    """One thing that keeps a run, or a part of it, from going on.

    `what` is the question, or the name of the read, signal or key; of `retry` and `resolve` the error. `due_at` is
    when the wait is over at the latest, aware UTC; None if it has no end. `by` lists who is asked and `votes` who has
    approved.
    """

    kind: WaitKind
    path: str
    what: str
    due_at: datetime | None = None
    by: tuple[str, ...] = ()
    votes: tuple[str, ...] = ()
    quorum: int = 1
    digest: str = ""

    @property
    def needs_people(self) -> bool:
        """Say whether it goes on only when somebody says so."""
        return self.kind in _OF_PEOPLE

    def to_json(self) -> dict[str, Any]:
        due_at = None if self.due_at is None else self.due_at.isoformat().replace("+00:00", "Z")
        shown: dict[str, Any] = {"kind": self.kind, "path": self.path, "what": self.what, "due_at": due_at}
        if self.kind in ("approval", "form"):
            shown |= {"by": list(self.by), "votes": list(self.votes), "quorum": self.quorum, "digest": self.digest}
        return shown


def waits_of(state: RunState) -> list[Wait]:
    """Return what a run waits for, people first."""
    found = [Wait("resume", "", "it is paused")] if state.paused else []
    for path in sorted(state.unknown):
        error = state.nodes[path].error
        found.append(Wait("resolve", path, "" if error is None else error.message))
    if state.finished is None:
        waits = (_wait(state, path, command) for path, command in state.owed.items())
        found += [wait for wait in waits if wait is not None]
    return sorted(found, key=lambda wait: not wait.needs_people)


def _wait(state: RunState, path: str, command: Any) -> Wait | None:
    match command:
        case TakeKey():
            return Wait("key", path, command.key)
        case AwaitSignal():
            return Wait("signal", path, command.name, command.due_at)
        case WaitUntil() if path != "":  # that of the run itself is its time limit
            return _until(state.nodes[path], command.due_at)
    return None


def _until(node: Node, due_at: datetime) -> Wait:
    question = node.question
    if question is not None and question.due_at is not None:
        return _asked(node.path, question)
    if isinstance(node.step, WaitStep):
        if node.action is None:
            return Wait("time", node.path, "", due_at)
        return Wait("read", node.path, node.action, node.due_at)
    return Wait("retry", node.path, "" if node.error is None else node.error.message, due_at)


def _asked(path: str, question: Question) -> Wait:
    return Wait(
        question.kind,
        path,
        question.text,
        question.due_at,
        tuple(question.by),
        tuple(question.votes),
        question.quorum,
        question.digest,
    )
