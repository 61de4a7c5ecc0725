"""Finding the question that somebody means, among those that a run asks now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from hikeshi.cli.failure import CommandError
from hikeshi.cli.session import Session

if TYPE_CHECKING:
    from hikeshi.core import Node

__all__ = ["the_question"]

_WORDS = {"approval": ("approval", "approve"), "form": ("answer", "answer")}


def the_question(session: Session, run: str, step: str | None, kind: str) -> Mapping[str, Any]:
    """Return the open question at a step of a run, or its only one.

    Raises UnknownRun, and CommandError with what is open instead, or what became of what was.
    """
    session.app.check_run(run)
    questions = session.app.questions(run)
    fitting = [each for each in questions if each["kind"] == kind]
    if step is None:
        if len(fitting) == 1:
            return fitting[0]
        raise _none_or_many(session, run, kind, fitting, questions)
    found = next((each for each in questions if each["path"] == step), None)
    if found is None:
        raise _not_open(session, run, step, fitting)
    if found["kind"] != kind:
        verb = _WORDS[found["kind"]][1]
        raise CommandError(
            "no_question", f"what is asked at {step!r} takes another command: hikeshi {verb} {run} {step}"
        )
    return found


def _none_or_many(
    session: Session, run: str, kind: str, fitting: list[dict[str, Any]], others: list[dict[str, Any]]
) -> CommandError:
    noun, verb = _WORDS[kind]
    if fitting:
        paths = [f"hikeshi {verb} {run} {each['path']}" for each in fitting]
        return CommandError("no_question", f"run {run} asks for {len(fitting)} of these; name the step", paths)
    state = session.app.fold(run)
    if state.finished is not None:
        return CommandError(
            "run_is_over", f"run {run} is over: {state.finished}; it asks nothing any more", refused=True
        )
    instead = [f"hikeshi {_WORDS[each['kind']][1]} {run} {each['path']}" for each in others]
    return CommandError("no_question", f"run {run} asks for no {noun} now; see 'hikeshi watch {run}'", instead)


def _decision(node: Node) -> str:
    """Return what became of a question that is not open any more."""
    if node.error is not None:
        return node.error.message
    assert node.question is not None
    if node.question.kind == "form":
        return "it was answered"
    return f"approved by {', '.join(node.question.votes)}"


def _not_open(session: Session, run: str, step: str, fitting: list[dict[str, Any]]) -> CommandError:
    """Return why nothing is asked at a step: decided already, not asked yet, or no such step."""
    from hikeshi.playbook.plain_data import hint

    state = session.app.fold(run)
    node = state.nodes.get(step)
    question = None if node is None else node.question
    if question is not None and question.digest:
        assert node is not None
        return CommandError("not_open", f"{step!r} of run {run} is decided: {_decision(node)}", refused=True)
    if state.finished is not None:
        return CommandError(
            "run_is_over", f"run {run} is over: {state.finished}; it asks nothing any more", refused=True
        )
    open_ones = [each["path"] for each in fitting]
    listed = f" (open: {', '.join(open_ones)})" if open_ones else ""
    if node is not None:
        return CommandError("no_question", f"nothing is asked at {step!r} of run {run} now{listed}")
    return CommandError("no_question", f"run {run} asks nothing at {step!r}{hint(step, open_ones)}{listed}")
