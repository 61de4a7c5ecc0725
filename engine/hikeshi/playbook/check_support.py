"""What a playbook needs and does not have: parts of the language that can't be run yet, connectors."""

from __future__ import annotations

from collections.abc import Iterator

from hikeshi.capabilities import Catalogue, UnknownAction
from hikeshi.playbook.check_places import Places
from hikeshi.playbook.check_shapes import KnownPlaybooks
from hikeshi.playbook.model import (
    ActionStep,
    ApproveStep,
    AskStep,
    BlockStep,
    Playbook,
    PlaybookStep,
    Position,
    ReadWait,
    ReleaseStep,
    Step,
    WaitStep,
)
from hikeshi.playbook.problem import Problem, in_order

__all__ = ["check_bindings", "refuse_unsupported"]


def refuse_unsupported(playbook: Playbook) -> list[Problem]:
    """Return what a playbook uses of the language that this version can't run yet, before a run starts."""
    places = Places(playbook)
    found = [_refusal(places, step.position, key) for _, step in playbook.walk() for key in _unsupported_keys(step)]
    for key, value in (("timeout", playbook.timeout_s), ("concurrency", playbook.concurrency)):
        if value is not None:
            found.append(_refusal(places, playbook.position, key))
    return in_order(found)


def _refusal(places: Places, start: Position, key: str) -> Problem:
    message = f"{key!r} is part of the language, but this version can't run it yet"
    return Problem("unsupported", message, places.key(start, (key,)))


def _unsupported_keys(step: Step) -> Iterator[str]:
    match step:
        case ApproveStep():
            yield "approve"
        case AskStep():
            yield "ask"
        case WaitStep():
            yield "wait"
        case ReleaseStep():
            yield "release"
        case BlockStep(repeat=repeat) if repeat is not None:
            yield "while"
        case ActionStep():
            yield from (key for key, value in (("hold", step.hold), ("undo", step.undo)) if value is not None)


def check_bindings(playbook: Playbook, catalogue: Catalogue, library: KnownPlaybooks) -> list[Problem]:
    """Return the actions of a playbook, and of those it runs, that nothing in this project carries out."""
    found: list[Problem] = []
    open_, seen = [playbook], {playbook.id}
    while open_:
        current = open_.pop()
        found.extend(_unbound(current, catalogue))
        for _, step in current.walk():
            if isinstance(step, PlaybookStep) and step.playbook not in seen:
                seen.add(step.playbook)
                called = library.playbook(step.playbook)
                open_.extend([] if called is None else [called])
    return in_order(found)


def _unbound(playbook: Playbook, catalogue: Catalogue) -> Iterator[Problem]:
    places = Places(playbook)
    for _, step in playbook.walk():
        for action, *path in _actions_of(step):
            try:
                catalogue.spec(action)
            except UnknownAction:
                continue  # reported as such
            try:
                catalogue.route(action)
            except UnknownAction as error:
                yield Problem("unbound-action", str(error), places.value(step.position, tuple(path)))


def _actions_of(step: Step) -> Iterator[tuple[str, ...]]:
    if isinstance(step, ActionStep):
        yield step.action, "action"
    elif isinstance(step, WaitStep) and isinstance(step.wait, ReadWait):
        yield step.wait.action, "wait", "action"
