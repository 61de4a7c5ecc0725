"""What a plan showed, to hold the changes of the run that applies it against."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hikeshi.capabilities import ActionSpec
from hikeshi.core import Node, RunState, StartAction
from hikeshi.core.events import ActionPlanned
from hikeshi.core.lasting import is_as_known, lasting_state
from hikeshi.playbook.unknown import Unknown
from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.targets import Target

__all__ = ["Difference", "Planned"]

_INDEX = re.compile(r"\[\d+\]")


@dataclass(frozen=True, slots=True)
class Difference:
    """How a change differs from what was shown: `not_planned`, or `stale` if its target has changed since."""

    code: str
    why: str


class Planned:
    """The changes that one plan showed. The plan is read when the first change asks."""

    def __init__(self, fold: Callable[[str], RunState], plan: str) -> None:
        self._fold = fold
        self._plan = plan
        self._state: RunState | None = None

    @property
    def plan(self) -> str:
        return self._plan

    def difference(
        self,
        spec: ActionSpec,
        command: StartAction,
        connector: str,
        targets: Sequence[Target],
        states: Sequence[Any],
    ) -> Difference | None:
        """Return what is not as the plan showed it, or None. `states` are those of the targets now, as plain data."""
        node = self._node(command.path)
        if node is None or node.plan is None:
            return _not_planned("the plan shows no change at this place")
        shown = node.plan
        if (shown.action, shown.connector or connector) != (spec.name, connector):
            return _not_planned(f"the plan shows {shown.action} on {shown.connector} here, this is on {connector}")
        return (
            _other_targets(shown, targets)
            or _other_arguments(node, command.arguments)
            or _other_states(shown, targets, states)
        )

    def requests(self, path: str) -> tuple[list[Any], bool] | None:
        """Return the requests that were shown, and whether those were all; None if the plan could not know any."""
        node = self._node(path)
        if node is None or node.plan is None or (node.plan.target is None and not node.plan.requests):
            return None
        return node.plan.requests, node.plan.complete

    def _node(self, path: str) -> Node | None:
        if self._state is None:
            self._state = self._fold(self._plan)
        # Of a loop whose items could not be known, the plan shows one for all of them.
        return self._state.nodes.get(path) or self._state.nodes.get(_of_first_items(self._state, path))


def _of_first_items(state: RunState, path: str) -> str:
    """Return a path with the first item in the place of each that the plan could not know."""
    parts: list[str] = []
    at = 0
    for found in _INDEX.finditer(path):
        parts.append(path[at : found.start()])
        loop = state.nodes.get("".join(parts))
        parts.append("[0]" if loop is not None and loop.more_unknown else found.group())
        at = found.end()
    return "".join([*parts, path[at:]])


def _not_planned(why: str) -> Difference:
    return Difference("not_planned", why)


def _other_targets(shown: ActionPlanned, targets: Sequence[Target]) -> Difference | None:
    if shown.target is None or isinstance(shown.target, Unknown):
        return None
    entries = shown.target if isinstance(shown.target, list) else [shown.target]
    planned = {entry["identity"]: entry["label"] for entry in entries}
    new = [target.label for target in targets if target.identity not in planned]
    gone = set(planned) - {target.identity for target in targets}
    if not new and not gone:
        return None
    was, now = _few(sorted(planned.values())), _few([target.label for target in targets])
    return _not_planned(f"the plan shows it for {was}, now it is for {now}")


def _other_arguments(node: Node, arguments: Mapping[str, Any]) -> Difference | None:
    before = node.arguments or {}
    for name in sorted({*before, *arguments}):
        if not is_as_known(before.get(name), arguments.get(name)):
            return _not_planned(f"its argument {name!r} differs from the one in the plan")
    return None


def _other_states(shown: ActionPlanned, targets: Sequence[Target], states: Sequence[Any]) -> Difference | None:
    if not isinstance(shown.prior, list):
        return None  # the plan says that it did not look
    before = {entry["target"]: lasting_state(entry["state"]) for entry in shown.prior}
    for target, state in zip(targets, states, strict=True):
        was, now = before.get(target.identity), lasting_state(state)
        if was != now:
            return Difference("stale", f"{target.label} has changed since the plan was made: {_changed(was, now)}")
    return None


def _changed(was: Any, now: Any) -> str:
    if not isinstance(was, Mapping) or not isinstance(now, Mapping):
        return f"{was!r} then, {now!r} now"
    parts = [f"{key} was {was.get(key)!r}, is {now.get(key)!r}" for key in now if was.get(key) != now.get(key)]
    return ", ".join(parts) or "what it shows is less than it was"


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
