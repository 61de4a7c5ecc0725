"""What a retry takes over: a step that is confirmed is not done again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hikeshi.core import Node, RunState, StartAction, StepStatus
from hikeshi.core import events as ev
from hikeshi.core.events import Event

__all__ = ["Carry"]

# They answer to what happens in this run, so they are done anew.
_ANEW = ("on_error", "on_failure", "finally")


class Carry:
    """The confirmed results of another run of the same texts and inputs.

    With `only`, what else failed there counts as failed here, and is not tried.
    """

    def __init__(self, fold: Callable[[str], RunState], load: Callable[[Any], Any], run: str, only: str | None) -> None:
        self._fold = fold
        self._load = load
        self._run = run
        self._only = only
        self._old: RunState | None = None

    def answer(self, command: StartAction) -> list[Event] | None:
        """Return how an action ended there, or None if it is to be carried out."""
        if self._old is None:
            self._old = self._fold(self._run)
        node = self._old.nodes.get(command.path)
        if node is None or node.action != command.action or any(node.is_inside(role) for role in _ANEW):  # type: ignore[arg-type]
            return None
        if node.status is StepStatus.SUCCEEDED and self._is_the_same(node, command.arguments):
            return [ev.ActionSucceeded(command.path, command.attempt, node.output, node.already, False, self._run)]
        if self._only is not None and node.status is StepStatus.FAILED and not _is_within(command.path, self._only):
            assert node.error is not None
            return [ev.StepFailed(command.path, node.error)]
        return None

    def _is_the_same(self, node: Node, arguments: dict[str, Any]) -> bool:
        """Say whether a result answers these arguments: all of them, but of a change its target decides."""
        assert self._old is not None
        before = self._load(node.arguments or {})
        routing = self._old.routes.get(node.action or "")
        if routing is not None and routing.target is not None and routing.target in arguments:
            return bool(before.get(routing.target) == arguments[routing.target])
        return bool(before == arguments)


def _is_within(path: str, step: str) -> bool:
    return path == step or path.startswith((f"{step}.", f"{step}["))
