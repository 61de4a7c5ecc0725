"""What people and other processes send to a run: each message becomes events of its owner, or is refused with a reason.

The rule: nothing here trusts a message. Who sent it was established by the face that took it; whether they may, and
whether it still fits what is asked, is judged when it is taken out, against the run as it is then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hikeshi.core import Node, Question, RunState
from hikeshi.core import events as ev
from hikeshi.core.events import Event
from hikeshi.journal import Message
from hikeshi.playbook.inputs import WrongInputs, accept_fields
from hikeshi.playbook.model import AskStep

__all__ = ["MayDecide", "events_of", "nobody_may"]

MayDecide = Callable[[str, Sequence[str]], bool]
"""Says whether somebody, by the name they act under, is among those whom a question asks."""


def nobody_may(_sender: str, _by: Sequence[str]) -> bool:
    """Without people in the project nobody may decide anything."""
    return False


class _No(Exception):
    """A message is refused; the text is what its sender is told."""


def events_of(
    state: RunState,
    message: Message,
    may_decide: MayDecide,
    same_person: Callable[[str, str], bool] = str.__eq__,
) -> list[Event]:
    """Return what a message means for a run: at least one event, which names the message."""
    judge = _JUDGES.get(message.kind)
    try:
        if judge is None:
            raise _No(f"a run knows no message of the kind {message.kind!r}")
        if state.finished is not None:
            raise _No(f"the run is over: {state.finished}")
        return judge(state, message, may_decide, same_person)
    except _No as exc:
        return [ev.MessageRefused("", message.kind, message.sender, str(exc), message.id)]


def _open_question(state: RunState, message: Message, kind: str) -> tuple[str, Question]:
    path = str(message.data.get("path", ""))
    node = state.nodes.get(path)
    question = node.question if node is not None else None
    what = "approval" if kind == "approval" else "question"
    if question is None or question.kind != kind:
        raise _No(f"the run asks for no {what} at {path!r}{_open_ones(state)}")
    if question.due_at is None or path not in state.owed:
        assert node is not None
        raise _No(f"the {what} at {path!r} is no longer open{_how_it_ended(node, question)}")
    return path, question


def _how_it_ended(node: Node, question: Question) -> str:
    if "reject" in question.votes.values():
        return ": it was rejected"
    if question.votes and len(question.votes) >= question.quorum:
        return ": it was approved"
    return "" if node.error is None else f": {node.error.message}"


def _open_ones(state: RunState) -> str:
    paths = [path for path, node in state.nodes.items() if node.question is not None and path in state.owed]
    return f" (open: {', '.join(sorted(paths))})" if paths else ""


def _vote(
    state: RunState, message: Message, may_decide: MayDecide, same_person: Callable[[str, str], bool]
) -> list[Event]:
    path, question = _open_question(state, message, "approval")
    decision = "approve" if message.kind == "approve" else "reject"
    _check_sender(message, path, question, may_decide)
    if same_person(state.actor, message.sender):
        raise _No("who started a run can't decide about it; somebody else has to")
    if any(same_person(voter, message.sender) for voter in question.votes):
        raise _No(f"{message.sender} has voted already")
    note = message.data.get("note")
    return [ev.VoteCast(path, decision, message.sender, question.digest, _text(note), message.id)]  # type: ignore[arg-type]


def _check_sender(message: Message, path: str, question: Question, may_decide: MayDecide) -> None:
    assert question.due_at is not None
    if message.at > question.due_at:
        raise _No(f"the time for {path!r} was over at {question.due_at:%Y-%m-%d %H:%M:%S} UTC")
    digest = message.data.get("digest")
    if digest != question.digest:
        raise _No(f"what is asked at {path!r} has changed since it was shown; look at it again")
    if not may_decide(message.sender, question.by):
        raise _No(f"{message.sender} is not among those who are asked at {path!r}: {', '.join(question.by)}")


def _answer(state: RunState, message: Message, may_decide: MayDecide, _same: Callable[[str, str], bool]) -> list[Event]:
    path, question = _open_question(state, message, "form")
    _check_sender(message, path, question, may_decide)
    step = state.nodes[path].step
    assert isinstance(step, AskStep)
    given = message.data.get("answers")
    if not isinstance(given, Mapping):
        raise _No("an answer needs the fields of the form")
    try:
        answers = accept_fields(path, step.form, given)
    except WrongInputs as exc:
        raise _No(str(exc)) from None
    return [ev.FormAnswered(path, message.sender, answers, message.id)]


def _cancel(state: RunState, message: Message, *_: Any) -> list[Event]:
    if state.cancelling is not None:
        raise _No(f"the run is being ended already: {state.cancelling.message}")
    reason = _text(message.data.get("reason")) or "no reason given"
    return [ev.CancelRequested("", message.sender, reason, message.id)]


def _pause(state: RunState, message: Message, *_: Any) -> list[Event]:
    if state.paused:
        raise _No("the run is paused already")
    return [ev.PauseRequested("", message.sender, message.id)]


def _resume(state: RunState, message: Message, *_: Any) -> list[Event]:
    if not state.paused:
        raise _No("the run is not paused")
    return [ev.RunResumed("", message.sender, message.id)]


def _join(_state: RunState, message: Message, *_: Any) -> list[Event]:
    return [ev.RunJoined("", message.sender, _text(message.data.get("reason")))]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value.strip() else None


_JUDGES: Mapping[str, Callable[..., list[Event]]] = {
    "approve": _vote,
    "reject": _vote,
    "answer": _answer,
    "cancel": _cancel,
    "pause": _pause,
    "resume": _resume,
    "join": _join,
}
