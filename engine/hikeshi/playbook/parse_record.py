"""Maps with fixed keys: each key with its kind of value, read in one pass that reports everything at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from hikeshi.playbook.model import Position
from hikeshi.playbook.parse_kinds import Kind, Schema
from hikeshi.playbook.parse_report import INVALID, Report
from hikeshi.playbook.yaml_tree import Mapping, Node

__all__ = ["Key", "OneOf", "Record", "read_keys", "schema_of_keys"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a map: what stands behind it, and what it is for."""

    name: str
    kind: Kind
    doc: str
    required: bool = False


def read_keys(keys: Iterable[Key], node: Mapping, report: Report, what: str) -> dict[str, Any]:
    """Return the values of the known keys that are there; INVALID for those that can't be read.

    `what` is named in the message about a key that is missing.
    """
    by_name = {key.name: key for key in keys}
    for name, entry in node.entries.items():
        if name not in by_name:
            space = "; put a space after the ':'" if name.partition(":")[0] in by_name else ""
            report.unknown("unknown-key", f"{what} has no key {name[:60]!r}{space}", entry, name, by_name)
    values: dict[str, Any] = {}
    for key in by_name.values():
        if key.name in node.entries:
            values[key.name] = key.kind.read(node.entries[key.name].value, report)
        elif key.required:
            message = f"{what} needs the key {key.name!r}: {key.kind.expected}"
            values[key.name] = report.add("missing-key", message, node)
    return values


def schema_of_keys(keys: Iterable[Key]) -> Schema:
    """Return the JSON Schema of a map with these keys and no others."""
    keys = tuple(keys)
    schema: Schema = {
        "type": "object",
        "properties": {key.name: key.kind.schema() | {"description": key.doc} for key in keys},
        "additionalProperties": False,
    }
    required = [key.name for key in keys if key.required]
    return schema | {"required": required} if required else schema


class Record(Kind):
    """A map with fixed keys. `build` makes the value of what was read; it gets the position and may report more."""

    def __init__(
        self,
        what: str,
        example: str,
        keys: tuple[Key, ...],
        build: Callable[[dict[str, Any], Position], Any] = lambda values, _: values,
    ) -> None:
        self.what = what
        self.keys = keys
        self.build = build
        self.expected = f"a map, such as {example}"

    def read(self, node: Node, report: Report) -> Any:
        if not isinstance(node, Mapping):
            return report.wrong_type(node, self.expected)
        before = len(report.problems)
        values = read_keys(self.keys, node, report, self.what)
        return INVALID if len(report.problems) > before else self.build(values, report.position(node))

    def schema(self) -> Schema:
        return schema_of_keys(self.keys)


class OneOf(Kind):
    """Another kind for each way to write it: text, a map or a list."""

    def __init__(self, expected: str, **kinds: Kind) -> None:
        self.expected = expected
        self.kinds = kinds  # by the name of the node's class, in lower case

    def read(self, node: Node, report: Report) -> Any:
        kind = self.kinds.get(type(node).__name__.lower())
        return report.wrong_type(node, self.expected) if kind is None else kind.read(node, report)

    def schema(self) -> Schema:
        return {"anyOf": [kind.schema() for kind in self.kinds.values()]}
