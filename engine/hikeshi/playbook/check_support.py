"""What a playbook needs and a project does not have: connectors that carry its actions out."""

from __future__ import annotations

from collections.abc import Iterator

from hikeshi.capabilities import Catalogue, UnknownAction
from hikeshi.playbook.check_places import Places
from hikeshi.playbook.check_shapes import KnownPlaybooks
from hikeshi.playbook.model import ActionStep, Playbook, PlaybookStep, ReadWait, Step, WaitStep
from hikeshi.playbook.problem import Problem, in_order

__all__ = ["check_bindings"]


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
            if isinstance(step, ActionStep) and step.does_without(action):
                continue
            try:
                catalogue.route(action)
            except UnknownAction as error:
                yield Problem("unbound-action", str(error), places.value(step.position, tuple(path)))


def _actions_of(step: Step) -> Iterator[tuple[str, ...]]:
    if isinstance(step, ActionStep):
        yield step.action, "action"
        if step.undo is not None and step.undo.action is not None:
            yield step.undo.action, "undo", "action"
    elif isinstance(step, WaitStep) and isinstance(step.wait, ReadWait):
        yield step.wait.action, "wait", "action"
