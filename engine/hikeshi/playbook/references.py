"""What an expression reads: the paths from its top-level names, and whether it is ready for them to be missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from hikeshi.playbook import syntax


@dataclass(frozen=True, slots=True)
class Reference:
    """A path that is read, such as `steps.find.name`: root "steps", path ("find", "name").

    The path ends where a key is computed. `guarded`: it stands before `default` or `is defined`, or is read only where
    `is defined`, or a comparison of the same step's status with 'succeeded', has held.
    """

    root: str
    path: tuple[str, ...]
    offset: int
    guarded: bool


Facts = frozenset[tuple[str, ...]]


def references_in(node: syntax.Node, facts: Facts = frozenset(), guarded: bool = False) -> Iterator[Reference]:
    """Yield the references of a tree. `facts` are the paths known to lead somewhere where the node is evaluated."""
    match node:
        case syntax.Name() | syntax.Attribute():
            path = path_of(node)
            if path is None:
                assert isinstance(node, syntax.Attribute)
                yield from references_in(node.subject, facts, guarded)
            else:
                known = any(path[: len(fact)] == fact for fact in facts)
                yield Reference(path[0], path[1:], _start(node), guarded or known)
        case syntax.Item():
            yield from references_in(node.subject, facts, guarded)
            yield from references_in(node.index, facts)
        case syntax.Application(subject=subject, function=function) if subject and function.form in (
            "default",
            "defined",
        ):
            yield from references_in(subject, facts, True)
            for argument in node.arguments:
                yield from references_in(argument, facts, guarded)
        case syntax.Conditional():
            yield from references_in(node.then, facts | _facts(node.condition, True), guarded)
            yield from references_in(node.condition, facts)
            if node.otherwise is not None:
                yield from references_in(node.otherwise, facts | _facts(node.condition, False), guarded)
        case syntax.Logic():
            for operand in node.operands:
                yield from references_in(operand, facts)
                facts |= _facts(operand, node.operator == "and")
        case _:
            for child in syntax.children(node):
                yield from references_in(child, facts)


def path_of(node: syntax.Node) -> tuple[str, ...] | None:
    """Return the name and the keys of a path that is written out, or None for anything else."""
    keys: list[str] = []
    while isinstance(node, syntax.Attribute):
        keys.append(node.key)
        node = node.subject
    return (node.name, *reversed(keys)) if isinstance(node, syntax.Name) else None


def _start(node: syntax.Node) -> int:
    while isinstance(node, syntax.Attribute):
        node = node.subject
    return node.offset


def _facts(condition: syntax.Node, holds: bool) -> Facts:
    """The paths that surely lead somewhere if the condition holds, or if it does not."""
    match condition:
        case syntax.Not(operand=operand):
            return _facts(operand, not holds)
        case syntax.Application(function=function, subject=subject) if subject and function.form == "defined":
            path = path_of(subject)
            return frozenset({path}) if path and holds is (function.name == "defined") else frozenset()
        case syntax.Logic(operator=operator, operands=operands) if holds is (operator == "and"):
            return frozenset().union(*(_facts(operand, holds) for operand in operands))
        case syntax.Comparison(operands=(left, right), operators=("==",)) if holds:
            path, value = (path_of(left), right) if isinstance(right, syntax.Constant) else (path_of(right), left)
            succeeded = isinstance(value, syntax.Constant) and value.value == "succeeded"
            if path and len(path) == 2 and path[0] == "status" and succeeded:
                return frozenset({("steps", path[1])})
    return frozenset()
