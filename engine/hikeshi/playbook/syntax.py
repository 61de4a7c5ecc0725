"""The tree of an expression.

Our own nodes, so that evaluation, inference and the search for references read the same tree and none of them knows
the parser. Every node has its offset in the text of the expression, in characters.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import TypeAlias

from hikeshi.playbook.functions import Function
from hikeshi.quick_dataclass import dataclass


class ExpressionError(ValueError):
    """The text of an expression or a template is not part of the language. `offset` is the place, in characters."""

    def __init__(self, message: str, offset: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True)
class Constant:
    """A value that is written out: text, a number, true, false, null."""

    value: bool | int | float | str | None
    offset: int


@dataclass(frozen=True, slots=True)
class Name:
    """A top-level name: inputs, steps, item ..."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class Attribute:
    """`subject.key`; a subscript with a constant text is the same."""

    subject: Node
    key: str
    offset: int


@dataclass(frozen=True, slots=True)
class Item:
    """`subject[index]` with a computed key or index."""

    subject: Node
    index: Node
    offset: int


@dataclass(frozen=True, slots=True)
class Slice:
    """`subject[start:stop:step]`."""

    subject: Node
    start: Node | None
    stop: Node | None
    step: Node | None
    offset: int


@dataclass(frozen=True, slots=True)
class Unary:
    """`-x` or `+x`."""

    operator: str
    operand: Node
    offset: int


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic, and `+` of texts and lists."""

    operator: str
    left: Node
    right: Node
    offset: int


@dataclass(frozen=True, slots=True)
class Concatenation:
    """`a ~ b ~ c`: scalars as text, one after the other."""

    operands: tuple[Node, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`a < b <= c`: every neighbouring pair must hold. Also `in` and `not in`."""

    operands: tuple[Node, ...]
    operators: tuple[str, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Not:
    """`not x`."""

    operand: Node
    offset: int


@dataclass(frozen=True, slots=True)
class Logic:
    """`a and b and c`, or the same with `or`: read from the left until it is decided."""

    operator: str
    operands: tuple[Node, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Conditional:
    """`a if condition else b`."""

    condition: Node
    then: Node
    otherwise: Node | None
    offset: int


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`; `(a, b)` is the same."""

    items: tuple[Node, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class MapOf:
    """`{'key': value}`."""

    keys: tuple[Node, ...]
    values: tuple[Node, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Application:
    """A filter, a test or a function with its arguments in the order of its parameters, defaults filled in.

    `subject` is what stands left of `|` or `is`; a function has none. `inner` is the filter or test that `map`,
    `select` and their like apply to each item, with `inner_arguments`.
    """

    function: Function
    subject: Node | None
    arguments: tuple[Node, ...]
    inner: Function | None
    inner_arguments: tuple[Node, ...]
    offset: int


Node: TypeAlias = (
    Constant
    | Name
    | Attribute
    | Item
    | Slice
    | Unary
    | Binary
    | Concatenation
    | Comparison
    | Not
    | Logic
    | Conditional
    | ListOf
    | MapOf
    | Application
)


def children(node: Node) -> Iterator[Node]:
    """Return the nodes directly below, in the order of the text."""
    for entry in fields(node):
        value = getattr(node, entry.name)
        for child in value if isinstance(value, tuple) else (value,):
            if isinstance(child, Node):
                yield child


def walk(node: Node) -> Iterator[Node]:
    """Return the node and everything below it."""
    yield node
    for child in children(node):
        yield from walk(child)
