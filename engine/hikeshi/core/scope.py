"""What an expression in a step can see. Names are looked up one by one; nothing is built that grows with the run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from hikeshi.core.large import present
from hikeshi.core.outputs import error_of, has_output, output_of
from hikeshi.core.settle import child_path
from hikeshi.core.state import Frame, Node, RunState
from hikeshi.core.status import StepStatus
from hikeshi.playbook.unknown import Unknown

__all__ = ["about_run", "frame_scope", "inside_out", "join_path", "keys_of", "scope_of", "split_chain"]

_NEVER_BEGAN = frozenset({StepStatus.SKIPPED, StepStatus.BLOCKED, StepStatus.CANCELLED})
_ROLES = ("on_error", "on_failure", "finally")
_IF_FAILED = ("on_error", "on_failure")


def scope_of(state: RunState, node: Node, *, after_itself: bool = False) -> dict[str, Any]:
    """Return the names that a step's expressions may use; `after_itself`, its own output as well."""
    scope = frame_scope(state, node.frame, node)
    if after_itself:
        scope["steps"] = _Steps(state, node.frame, node, own=node)
    for above in inside_out(node):
        if above.has_item and above.group is not None and above.group.is_loop:
            scope.setdefault(getattr(above.step, "loop").name, present(state, above.item))  # noqa: B009 - loops have it
        if above.siblings is not None and above.siblings.role == "on_error" and "error" not in scope:
            assert above.siblings.owner is not None
            scope["error"] = _handled_error(state, above.siblings.owner)
    return scope


def frame_scope(state: RunState, frame: Frame, node: Node | None = None) -> dict[str, Any]:
    """Return the names that a playbook's own expressions may use, such as its outputs."""
    names = {
        "vars": _Variables(state, frame, node),
        "steps": _Steps(state, frame, node),
        "status": _Statuses(state, frame, node),
        "errors": _Errors(state, frame, node),
        "run": about_run(state),
        "now": _unless_planned(state, "datetime", None if state.now is None else _text(state.now)),
    }
    if state.has_stored:
        return _Scope(state, frame, names)
    return {"inputs": frame.inputs, **names}


class _Scope(dict[str, Any]):
    """The names, in a run some of whose values are stored elsewhere: inputs are loaded only for who reads them."""

    def __init__(self, state: RunState, frame: Frame, names: Mapping[str, Any]) -> None:
        super().__init__(names)
        self._state = state
        self._frame = frame

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*super().__iter__(), "inputs")))

    def __missing__(self, name: str) -> Any:
        if name != "inputs":
            raise KeyError(name)
        self[name] = present(self._state, self._frame.inputs)
        return self[name]


def about_run(state: RunState) -> dict[str, Any]:
    """Return what `run` names."""
    started = None if state.started_at is None else _text(state.started_at)
    return {
        "id": _unless_planned(state, "string", state.run),
        "started_at": _unless_planned(state, "datetime", started),
        "actor": state.actor,
    }


def _text(at: Any) -> str:
    return str(at.isoformat().replace("+00:00", "Z"))


def _unless_planned(state: RunState, shape: str, value: Any) -> Any:
    """Return the value, but in a plan: it will be another one when the plan is carried out."""
    return Unknown(shape, "it is only known when the run is live") if state.mode == "plan" else value


def _handled_error(state: RunState, owner: Node) -> Any:
    if state.mode == "plan" and owner.error is None:
        return Unknown("error", "the step has not failed")
    return error_of(owner)


def inside_out(node: Node) -> Iterator[Node]:
    """Give a node and what it is inside of, as far as its own playbook."""
    at: Node | None = node
    while at is not None and at.frame is node.frame:
        yield at
        at = at.parent


class _Names:
    """Looks steps up by ID, as seen from a step, or from the playbook itself."""

    def __init__(self, state: RunState, frame: Frame, node: Node | None) -> None:
        self._state = state
        self._frame = frame
        self._from = list(inside_out(node)) if node is not None else []

    def names(self) -> Iterable[str]:
        return self._frame.playbook.chains

    def node(self, name: str) -> Node:
        """Return the node of a step ID. Raises KeyError if there is none, or it was not reached."""
        chain = self._frame.playbook.chains[name]
        prefix, rest = self._common(chain)
        return self._state.nodes[join_path(prefix, rest)]

    def _common(self, chain: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        return split_chain(self._frame, self._from, chain)

    def never_reached(self, name: str) -> str | None:
        """Return the status of a step that has no node, because what it is inside of never began; else None."""
        prefix, rest = self._common(self._frame.playbook.chains[name])
        if join_path(prefix, rest) in self._state.nodes:
            return None
        while rest := rest[:-1]:
            around = self._state.nodes.get(join_path(prefix, rest))
            if around is not None:
                return around.status.value if around.status in _NEVER_BEGAN else StepStatus.WAITING.value
        return StepStatus.WAITING.value

    def is_maybe(self, node: Node) -> bool:
        """Say whether a plan cannot know that a step ran, as seen from here."""
        if self._state.mode == "live":
            return False
        around = {id(above) for above in self._from}
        lists = {id(above.siblings) for above in self._from}
        at: Node | None = node
        while at is not None and id(at) not in around and at.frame is node.frame:
            handled = at.siblings is not None and at.siblings.role in _IF_FAILED and id(at.siblings) not in lists
            if at.own_maybe or handled:
                return True
            at = at.parent
        return False


class _Steps(_Names):
    def __init__(self, state: RunState, frame: Frame, node: Node | None, own: Node | None = None) -> None:
        super().__init__(state, frame, node)
        self._own = own

    def get(self, name: str) -> Any:
        node = self.node(name)
        if self._own is not None and node in (self._own, self._own.group):
            return present(self._state, self._own.output)
        if not has_output(node):
            raise KeyError(name)
        if self.is_maybe(node):
            return Unknown("output", f"the step {name!r} may be skipped")
        return present(self._state, output_of(node))


class _Statuses(_Names):
    def get(self, name: str) -> Any:
        never = self.never_reached(name)
        if never is not None:
            return never
        node = self.node(name)
        if self.is_maybe(node) or node.planned:
            return Unknown("string", f"the step {name!r} was only planned")
        return node.status.value


class _Errors(_Names):
    def get(self, name: str) -> Any:
        node = self.node(name)
        if self.is_maybe(node) or node.planned:
            return Unknown("error", f"the step {name!r} was only planned")
        return error_of(node)


class _Variables(_Names):
    """Variables: those of the innermost item first, then of the playbook."""

    def get(self, name: str) -> Any:
        for values, set_by in self._maps():
            if name in values:
                setter = set_by.get(name)
                if setter is not None and self.is_maybe(setter):
                    return Unknown("variable", f"the step that sets {name!r} may be skipped")
                return present(self._state, values[name])
        raise KeyError(name)

    def names(self) -> Iterable[str]:
        return {name for values, _ in self._maps() for name in values}

    def _maps(self) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Node]]]:
        for above in self._from:
            if above.vars is not None:
                yield above.vars, above.set_by or {}
        yield self._frame.vars, self._frame.set_by


def split_chain(frame: Frame, from_inside_out: Iterable[Node], chain: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Return the path of the innermost node that both a viewer and a step are inside of, and the keys from there.

    So a step in a loop sees its own item's steps.
    """
    for above in from_inside_out:
        keys = keys_of(above)
        if above.children is not None and chain[: len(keys)] == keys and len(chain) > len(keys):
            return above.path, chain[len(keys) :]
    return frame.path, chain


def keys_of(node: Node) -> tuple[str, ...]:
    """Return the keys from the playbook's root to a node's step; items of loops count as their step."""
    keys: list[str] = []
    at: Node | None = node
    while at is not None and at.frame is node.frame:
        if at.group is None:
            keys.append(at.step.key)
            assert at.siblings is not None
            if at.siblings.role in _ROLES:
                keys.append(at.siblings.role)
        at = at.parent
    return tuple(reversed(keys))


def join_path(prefix: str, keys: tuple[str, ...]) -> str:
    path, role = prefix, ""
    for key in keys:
        if key in _ROLES:
            role = key
            continue
        path = child_path(path, role or "block", key)  # type: ignore[arg-type]  # one of the roles, just compared
        role = ""
    return path
