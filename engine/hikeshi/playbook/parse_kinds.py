"""Kinds of values: what may stand behind a key.

One definition serves both readers of the language: the parser, which reads a value or says what it expected, and the
JSON Schema for editors.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from hikeshi.playbook.durations import format_duration, parse_duration
from hikeshi.playbook.expression import ExpressionError, parse_expression
from hikeshi.playbook.parse_report import INVALID, Report, find_node, to_plain
from hikeshi.playbook.template import TemplateError, parse_value
from hikeshi.playbook.yaml_tree import Mapping, Node, Scalar, Sequence

__all__ = [
    "ANY_TEMPLATE",
    "DATA",
    "EXPRESSION",
    "FLAG",
    "MAP_TEMPLATE",
    "TEXT",
    "TEXT_TEMPLATE",
    "Choice",
    "Duration",
    "Kind",
    "ListOf",
    "MapOf",
    "Number",
    "Schema",
    "Text",
]

Schema = dict[str, Any]


class Kind(ABC):
    """What may stand behind a key. `expected` is said to an author who wrote something else, with an example.

    `forms` are the different things that may be meant, if there are several, by what people call them.
    """

    expected: str
    forms: ClassVar[dict[str, Kind | None]] = {}

    @abstractmethod
    def read(self, node: Node, report: Report) -> Any:
        """Return the value, or INVALID after reporting why it is none."""

    @abstractmethod
    def schema(self) -> Schema:
        """Return the JSON Schema of the value as written."""


class Text(Kind):
    """Text that is not empty, perhaps of a pattern."""

    def __init__(self, expected: str = "text", pattern: str | None = None) -> None:
        self.expected = expected
        self.pattern = pattern

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            quoted = isinstance(node, Scalar) and node.value is not None
            return report.wrong_type(node, self.expected + (" (in quotes)" if quoted else ""))
        if not node.value.strip():
            return report.wrong_type(node, self.expected)
        if self.pattern is not None and not re.fullmatch(self.pattern, node.value, re.ASCII):
            return report.add("wrong-value", f"{node.value[:60]!r} is not {self.expected}", node)
        return node.value

    def schema(self) -> Schema:
        return (
            {"type": "string", "pattern": f"^(?:{self.pattern})$"}
            if self.pattern
            else {"type": "string", "minLength": 1}
        )


class Number(Kind):
    """A number within bounds; a whole one unless `fraction`."""

    def __init__(self, minimum: float, maximum: float, *, fraction: bool = False) -> None:
        self.minimum = minimum
        self.maximum = maximum
        self.fraction = fraction
        self.expected = f"a {'number' if fraction else 'whole number'} from {minimum:,} to {maximum:,}"

    def read(self, node: Node, report: Report) -> Any:
        value = node.value if isinstance(node, Scalar) else None
        if isinstance(value, bool) or not isinstance(value, (int, float) if self.fraction else int):
            return report.wrong_type(node, self.expected)
        if not self.minimum <= value <= self.maximum:
            return report.add("wrong-value", f"{self.expected} is expected here", node)
        return value

    def schema(self) -> Schema:
        name = "number" if self.fraction else "integer"
        return {"type": name, "minimum": self.minimum, "maximum": self.maximum}


class _Flag(Kind):
    expected = "true or false"

    def read(self, node: Node, report: Report) -> Any:
        if isinstance(node, Scalar) and isinstance(node.value, bool):
            return node.value
        return report.wrong_type(node, self.expected)

    def schema(self) -> Schema:
        return {"type": "boolean"}


class Choice(Kind):
    """One of a few words. `convert` makes the value of it."""

    def __init__(self, words: tuple[str, ...], convert: Callable[[str], Any] = str) -> None:
        self.words = words
        self.convert = convert
        self.expected = f"one of {', '.join(words)}" if len(words) > 1 else repr(words[0])

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return report.wrong_type(node, self.expected)
        if node.value not in self.words:
            message = f"{node.value[:60]!r} is not {self.expected}"
            return report.unknown("wrong-value", message, node, node.value, self.words)
        return self.convert(node.value)

    def schema(self) -> Schema:
        return {"enum": list(self.words)}


class Duration(Kind):
    """A duration with its unit, read as seconds. A bare number is refused: nobody sees whether it means minutes."""

    expected = "a duration such as 90s, 15m, 8h or 1h30m"

    def __init__(self, minimum_s: float = 1, maximum_s: float = 3650 * 86400) -> None:
        self.minimum_s = minimum_s
        self.maximum_s = maximum_s

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, Scalar) or not isinstance(node.value, str):
            return report.wrong_type(node, self.expected)
        try:
            seconds = parse_duration(node.value)
        except ValueError as error:
            return report.add("wrong-value", str(error), node)
        if not self.minimum_s <= seconds <= self.maximum_s:
            bounds = f"{format_duration(self.minimum_s)} to {format_duration(self.maximum_s)}"
            return report.add("wrong-value", f"a duration from {bounds} is expected here", node)
        return float(seconds)

    def schema(self) -> Schema:
        pattern = r"^(?=.)(\d+w)?(\d+d)?(\d+h)?(\d+m)?(\d+s)?(\d+ms)?$"
        return {"type": "string", "pattern": pattern, "examples": ["90s", "15m", "8h", "1h30m"]}


class _Expression(Kind):
    expected = 'an expression, such as "inputs.hours > 8"'

    def read(self, node: Node, report: Report) -> Any:
        text = _as_expression(node)
        if text is None:
            return report.wrong_type(node, self.expected)
        try:
            return parse_expression(text)
        except ExpressionError as error:
            return report.add("bad-expression", error.message, node, offset=error.offset)

    def schema(self) -> Schema:
        return {"type": ["string", "boolean", "number"]}


def _as_expression(node: Node) -> str | None:
    if not isinstance(node, Scalar) or node.value is None:
        return None
    return str(node.value).lower() if isinstance(node.value, bool) else str(node.value)


class _Template(Kind):
    """A value in which text may hold `{{ ... }}`; `json_type` is what it must be as written, None for anything."""

    def __init__(self, expected: str, json_type: str | None) -> None:
        self.expected = expected
        self.json_type = json_type

    def read(self, node: Node, report: Report) -> Any:
        if self.json_type == "object" and not isinstance(node, Mapping):
            return report.wrong_type(node, self.expected)
        if self.json_type == "string" and not _is_text(node):
            return report.wrong_type(node, self.expected)
        try:
            return parse_value(to_plain(node))
        except TemplateError as error:
            for found in error.problems:
                report.add("bad-expression", found.message, find_node(node, found.path), offset=found.offset)
            return INVALID

    def schema(self) -> Schema:
        if self.json_type is None:
            return {}
        return {"type": "string", "minLength": 1} if self.json_type == "string" else {"type": self.json_type}


def _is_text(node: Node) -> bool:
    return isinstance(node, Scalar) and isinstance(node.value, str) and bool(node.value.strip())


class _Data(Kind):
    expected = "a value"

    def read(self, node: Node, _: Report) -> Any:
        return to_plain(node)

    def schema(self) -> Schema:
        return {}


class ListOf(Kind):
    """A list that is not empty, of one kind of items."""

    def __init__(self, item: Kind, example: str, *, unique: bool = False, empty: bool = False) -> None:
        self.item = item
        self.unique = unique
        self.empty = empty
        self.expected = f"a list, such as {example}"

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, Sequence):
            return report.wrong_type(node, self.expected)
        if not node.items and not self.empty:
            return report.add("wrong-value", f"this list is empty; {self.expected} is expected here", node)
        values = [self.item.read(item, report) for item in node.items]
        if self.unique:
            for at, (value, item) in enumerate(zip(values, node.items, strict=True)):
                if value is not INVALID and value in values[:at]:
                    report.add("wrong-value", f"{value!r} stands in this list twice", item)
        return INVALID if INVALID in values else tuple(values)

    def schema(self) -> Schema:
        schema: Schema = {"type": "array", "items": self.item.schema()}
        if not self.empty:
            schema["minItems"] = 1
        if self.unique:
            schema["uniqueItems"] = True
        return schema


class MapOf(Kind):
    """A map with free keys that are names."""

    def __init__(self, value: Kind, example: str, *, empty: bool = True) -> None:
        self.value = value
        self.empty = empty
        self.expected = f"a map, such as {example}"

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, Mapping):
            return report.wrong_type(node, self.expected)
        if not node.entries and not self.empty:
            return report.add("wrong-value", f"this map is empty; {self.expected} is expected here", node)
        values: dict[str, Any] = {}
        for name, entry in node.entries.items():
            if not re.fullmatch(NAME, name, re.ASCII):
                report.add("bad-id", f"{name[:60]!r} is not a name: {NAME_RULE}", entry)
                values[name] = INVALID
            else:
                values[name] = self.value.read(entry.value, report)
        return INVALID if INVALID in values.values() else values

    def schema(self) -> Schema:
        schema: Schema = {"type": "object", "propertyNames": {"pattern": f"^{NAME}$"}}
        schema["additionalProperties"] = self.value.schema()
        return schema if self.empty else schema | {"minProperties": 1}


NAME = "[a-z][a-z0-9_]*"
NAME_RULE = "names are lower-case letters, digits and '_', and start with a letter"

TEXT = Text()
FLAG = _Flag()
EXPRESSION = _Expression()
DATA = _Data()
ANY_TEMPLATE = _Template("a value", None)
TEXT_TEMPLATE = _Template("text, in which {{ ... }} may stand", "string")
MAP_TEMPLATE = _Template('a map, such as {host: "{{ steps.find }}"}', "object")
