"""The plain data that expressions compute with, and the limits of one evaluation.

Rule of this file: only the exact types str, int, float, bool, None, list and dict are data. Nothing here, and nothing
that builds on it, reads an attribute of a value or calls one of its methods because a playbook said so.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from hikeshi.playbook.unknown import MAX_DEPTH, Unknown

MAX_OPERATIONS = 1_000_000
MAX_TEXT = 16 * 1024 * 1024
MAX_ITEMS = 1_000_000
MAX_INTEGER_BITS = 4_096
CHARACTERS_PER_OPERATION = 256
ENTRIES_PER_OPERATION = 16

SCALARS = frozenset({str, int, float, bool, type(None)})
NUMBERS = frozenset({int, float})


class EvaluationError(Exception):
    """An expression met data that it cannot work with, or went over its limits.

    `offset` is the place in the text of the expression, in characters, or None if it is the expression as a whole.
    `expression` is that text. `path` is where the expression stands in a larger value, such as `with`.
    """

    expression: str | None = None
    path: tuple[str | int, ...] = ()

    def __init__(self, message: str, offset: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset


class LazyNames(Protocol):
    """A set of names that are looked up one by one, such as `steps`, without building a map of all of them."""

    def get(self, name: str) -> object:
        """Return the value of one name. Raises KeyError if there is none."""

    def names(self) -> Iterable[str]:
        """Return the known names, for messages."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What a path gives that leads nowhere. Only `default`, `is defined` and `is undefined` take it."""

    reason: str


class Budget:
    """What one evaluation may still spend: operations, and the sizes of what it creates."""

    __slots__ = ("left",)

    def __init__(self, operations: int = MAX_OPERATIONS) -> None:
        self.left = operations

    def spend(self, operations: int) -> None:
        self.left -= operations
        if self.left < 0:
            raise EvaluationError("the expression takes more operations than one evaluation may")

    def read_text(self, text: str) -> None:
        self.spend(len(text) // CHARACTERS_PER_OPERATION)

    def create_text(self, length: int) -> None:
        if length > MAX_TEXT:
            raise EvaluationError(f"the expression would create a text of more than {MAX_TEXT // 1024 // 1024} MiB")
        self.spend(length // CHARACTERS_PER_OPERATION)

    def create_items(self, count: int) -> None:
        if count > MAX_ITEMS:
            raise EvaluationError(f"the expression would create a list of more than {MAX_ITEMS:,} items")
        self.spend(count)


def kind_of(value: object) -> str:
    """Return the word of the language for the type of a value."""
    if isinstance(value, Unknown):
        return "unknown"
    words = {str: "string", bool: "boolean", int: "integer", float: "number", list: "list", dict: "map"}
    return "null" if value is None else words.get(type(value), type(value).__name__)


def describe(value: object) -> str:
    """Return a value in words, short enough for a message: "a string 'abc'", "a list"."""
    kind = kind_of(value)
    if value is None:
        return "null"
    article = "an" if kind[0] in "aeiou" else "a"
    if isinstance(value, str):
        return f"{article} {kind} {value[:57] + '...' if len(value) > 60 else value!r}"
    if isinstance(value, bool):
        return f"{article} {kind} ({to_text(value)})"
    if isinstance(value, (int, float)):
        text = to_text(value) if isinstance(value, float) or value.bit_length() < 128 else "..."
        return f"{article} {kind} ({text})"
    return f"{article} {kind}"


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name that is most like `name`, or None if none is alike."""
    found = difflib.get_close_matches(name[:100], [entry[:100] for entry in known], n=1, cutoff=0.6)
    return found[0] if found else None


def hint(name: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the nearest known name, or nothing."""
    found = nearest(name, known)
    return f"; did you mean {found!r}?" if found else ""


def look_up(value: object, key: str, path: str) -> object:
    """Return what `key` leads to in a map or a set of names; Missing if it leads nowhere.

    `path` is the text of the path before the key, for messages. Raises EvaluationError if `value` has no keys at all.
    """
    if value.__class__ is dict:
        entries: dict[str, object] = value
        if key in entries:
            return entries[key]
        return Missing(f"{path} has no {key!r}" + _near(key, entries))
    if value is None:
        return Missing(f"{path} is null, so it has no {key!r}")
    if isinstance(value, Missing):
        return value
    if isinstance(value, Unknown):
        return Unknown(f"{value.shape_name}.{key}", value.why)
    if is_names(value):
        try:
            return value.get(key)  # type: ignore[attr-defined]  # is_names looked
        except KeyError:
            return Missing(f"{path} has no {key!r}" + hint(key, value.names()))  # type: ignore[attr-defined]  # same
    raise EvaluationError(f"{path} is {describe(value)}, which has no field {key!r}")


def _near(key: str, entries: dict[str, object]) -> str:
    return hint(key, list(entries)[:200])


_NAMES_TYPES: dict[type, bool] = {}  # a type never changes its answer


def is_names(value: object) -> bool:
    """Return whether `value` is a set of lazily read names.

    The type is asked, not the value: isinstance() with a Protocol would read attributes of a foreign object.
    """
    kind = type(value)
    known = _NAMES_TYPES.get(kind)
    if known is None:
        plain = kind in SCALARS or kind in (list, dict, Unknown, Missing)
        methods = (getattr(kind, "get", None), getattr(kind, "names", None))
        known = _NAMES_TYPES[kind] = not plain and all(map(callable, methods))
    return known


def settle(budget: Budget, value: object, what: str = "the value") -> Unknown | None:
    """Return the Unknown that is contained anywhere in `value`, or None if all of it is known plain data.

    Raises EvaluationError for what is missing, for what is not plain data, and for more than 100 nested levels.
    """
    kind = value.__class__
    if kind in SCALARS:
        return None
    if kind is Unknown:
        return value  # type: ignore[return-value]  # the class was just compared
    if kind is not list and kind is not dict:
        refuse(value, what)
    found: Unknown | None = None
    level: list[object] = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
        for container in level:
            entries = container.values() if container.__class__ is dict else container
            budget.spend(len(entries) // ENTRIES_PER_OPERATION + 1)  # type: ignore[arg-type]  # list or dict view
            for entry in entries:  # type: ignore[attr-defined]  # list or dict view
                kind = entry.__class__
                if kind in SCALARS:
                    continue
                if kind is list or kind is dict:
                    below.append(entry)
                elif kind is Unknown:
                    found = entry if found is None else found
                else:
                    refuse(entry, what)
        if not below:
            return found
        level = below
    raise EvaluationError(f"{what} is nested deeper than {MAX_DEPTH} levels")


def refuse(value: object, what: str) -> None:
    """Raise the EvaluationError for something that is not plain data."""
    if isinstance(value, Missing):
        raise EvaluationError(f"{value.reason}. A missing path may feed only `default` or `is defined`")
    if is_names(value):
        raise EvaluationError(f"{what} is a set of names, which is read only by name, as in `steps.find`")
    raise EvaluationError(f"{what} is a {type(value).__name__}, which is not plain data")


def equal(left: object, right: object) -> bool:
    """Return whether two known values are the same. A boolean is no number; 1 and 1.0 are the same number."""
    kind = left.__class__
    if kind is not right.__class__:
        return kind in NUMBERS and right.__class__ in NUMBERS and left == right
    if kind is list:
        return len(left) == len(right) and all(map(equal, left, right))  # type: ignore[arg-type,call-overload]  # two lists
    if kind is dict:
        mine: dict[str, object] = left  # type: ignore[assignment]  # two maps
        other: dict[str, object] = right  # type: ignore[assignment]  # two maps
        return len(mine) == len(other) and all(key in other and equal(mine[key], other[key]) for key in mine)
    return left == right


def identity(value: object) -> object:
    """Return something hashable that is equal for two known values exactly when `equal` says they are the same."""
    if isinstance(value, list):
        return ("list", *map(identity, value))
    if isinstance(value, dict):
        return ("map", frozenset((key, identity(entry)) for key, entry in value.items()))
    return ("boolean", value) if isinstance(value, bool) else value


def to_text(value: object) -> str:
    """Return a scalar as text. Raises EvaluationError for null, lists and maps."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(check_number(value))
    if isinstance(value, float):
        return repr(value)
    advice = "use `default`" if value is None else "use `join` or `tojson`"
    raise EvaluationError(f"{describe(value)} cannot be put into text; {advice}")


def check_number(value: object) -> int | float:
    """Return a computed number. Raises EvaluationError if it is not a number, not finite, or too large."""
    if isinstance(value, int):
        if value.bit_length() > MAX_INTEGER_BITS:
            raise EvaluationError(f"the number has more than {MAX_INTEGER_BITS:,} bits")
        return value
    if not isinstance(value, float) or not math.isfinite(value):
        raise EvaluationError("the result is not a finite number")
    return value
