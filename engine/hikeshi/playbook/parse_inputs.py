"""Declarations of inputs and of the fields of forms."""

from __future__ import annotations

import re
from typing import Any

from hikeshi.playbook.model import InputDeclaration
from hikeshi.playbook.parse_kinds import DATA, FLAG, NAME, NAME_RULE, TEXT, Choice, Kind, ListOf, Number, Schema
from hikeshi.playbook.parse_record import Key, OneOf, Record, read_keys, schema_of_keys
from hikeshi.playbook.parse_report import INVALID, Report
from hikeshi.playbook.values import TYPE_NAMES, Constraints, Items, check_constraints
from hikeshi.playbook.yaml_tree import Mapping, Node, Scalar

__all__ = ["DECLARATIONS", "DECLARATION_KEYS", "FORM", "ITEMS"]

_LENGTH = Number(0, 1_000_000)
_TYPE = Choice(TYPE_NAMES)
_TYPE.expected = f"a type ({', '.join(TYPE_NAMES)})"


class _Limit(Kind):
    """A bound: a number, or text for durations and dates; the type decides whether it fits."""

    expected = "a number, a duration or a date and time"

    def read(self, node: Node, report: Report) -> Any:
        if isinstance(node, Scalar) and isinstance(node.value, (int, float, str)) and not isinstance(node.value, bool):
            return node.value
        return report.wrong_type(node, self.expected)

    def schema(self) -> Schema:
        return {"type": ["number", "string"]}


class _ItemsKind(Kind):
    """What the items of a list are: the name of a type, or a map with its limits, lists of lists included."""

    expected = "a type, or a map such as {type: integer, minimum: 1}"

    def read(self, node: Node, report: Report) -> Any:
        return ITEMS.read(node, report)

    def schema(self) -> Schema:
        return {"$ref": "#/$defs/items"}


def _constraints(values: dict[str, Any]) -> Constraints:
    words = ("enum", "pattern", "minimum", "maximum", "min_length", "max_length", "items")
    return Constraints(**{word: values.get(word) for word in words})


_CONSTRAINT_KEYS = (
    Key("enum", ListOf(DATA, "[low, high]"), "The only values that are accepted"),
    Key("pattern", TEXT, "A regular expression that the whole text must match"),
    Key("minimum", _Limit(), "The least value"),
    Key("maximum", _Limit(), "The greatest value"),
    Key("min_length", _LENGTH, "The least number of characters or items"),
    Key("max_length", _LENGTH, "The greatest number of characters or items"),
    Key("items", _ItemsKind(), "What the items of a list are"),
)
_TYPE_KEY = Key("type", _TYPE, "The type of the value", required=True)


class _TypedItems(Kind):
    """A map of a type and its limits."""

    expected = "a map, such as {type: integer, minimum: 1}"

    def read(self, node: Node, report: Report) -> Any:
        before = len(report.problems)
        values = read_keys((_TYPE_KEY, *_CONSTRAINT_KEYS), node, report, "the type of items")  # type: ignore[arg-type]  # OneOf looked
        return INVALID if len(report.problems) > before else Items(values["type"], _constraints(values))

    def schema(self) -> Schema:
        return schema_of_keys((_TYPE_KEY, *_CONSTRAINT_KEYS))


class _PlainItems(Kind):
    expected = _TYPE.expected

    def read(self, node: Node, report: Report) -> Any:
        name = _TYPE.read(node, report)
        return INVALID if name is INVALID else Items(name)

    def schema(self) -> Schema:
        return _TYPE.schema()


ITEMS = OneOf(_ItemsKind.expected, scalar=_PlainItems(), mapping=_TypedItems())

DECLARATION_KEYS = (
    _TYPE_KEY,
    Key("description", TEXT, "What it is for, for the person who fills it in"),
    Key("required", FLAG, "Whether it must be given; true unless there is a default"),
    Key("default", DATA, "The value if none is given"),
    *_CONSTRAINT_KEYS,
)


class _Declarations(Kind):
    """Declarations by name."""

    expected = "a map, such as {hostname: {type: hostname}}"

    def __init__(self, *, empty: bool = True) -> None:
        self.empty = empty

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, Mapping):
            return report.wrong_type(node, self.expected)
        if not node.entries and not self.empty:
            return report.add("wrong-value", f"this map is empty; {self.expected} is expected here", node)
        found: dict[str, Any] = {}
        for name, entry in node.entries.items():
            if not re.fullmatch(NAME, name, re.ASCII):
                report.add("bad-id", f"{name[:60]!r} is not a name: {NAME_RULE}", entry)
            found[name] = _read_declaration(name, entry.value, report)
        return found

    def schema(self) -> Schema:
        declaration = {"$ref": "#/$defs/declaration"}
        schema = {"type": "object", "propertyNames": {"pattern": f"^{NAME}$"}, "additionalProperties": declaration}
        return schema if self.empty else schema | {"minProperties": 1}


def _read_declaration(name: str, node: Node, report: Report) -> Any:
    values = _DECLARATION.read(node, report)
    if values is INVALID:
        return INVALID
    assert isinstance(node, Mapping)
    constraints = _constraints(values)
    before = len(report.problems)
    for message in check_constraints(values["type"], constraints):
        report.add("wrong-limit", f"{name}: {message}", node)
    if "default" in values and values.get("required"):
        report.add(
            "wrong-value", "an input with a default can't be required; leave one of them out", node.entries["required"]
        )
    if len(report.problems) > before:
        return INVALID
    return InputDeclaration(
        name=name,
        type=values["type"],
        required=values.get("required", "default" not in values),
        default=values.get("default"),
        description=values.get("description", ""),
        constraints=constraints,
        position=report.position(node),
    )


_DECLARATION = Record("the declaration", "{type: string, default: none given}", DECLARATION_KEYS)
DECLARATIONS = _Declarations()
FORM = _Declarations(empty=False)
