"""The shapes of values: what is known of a value before the run.

A small lattice of static types for checking playbooks. An entity is a record that an action made; nothing that comes
from outside may take its place.
"""

from __future__ import annotations

import datetime as dt
import enum
import ipaddress
import types
import typing
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from hikeshi.playbook.plain_data import hint


@dataclass(frozen=True, slots=True)
class AnyShape:
    """Nothing is known; it is checked at run time."""


@dataclass(frozen=True, slots=True)
class NullShape:
    """Null, and nothing else."""


@dataclass(frozen=True, slots=True)
class BooleanShape:
    """True or false."""


@dataclass(frozen=True, slots=True)
class NumberShape:
    """A number, perhaps known to be whole."""

    whole: bool = False


@dataclass(frozen=True, slots=True)
class StringShape:
    """Text, perhaps of a known format (a type of input, such as `hostname`), perhaps one of a few known texts."""

    format: str | None = None
    enum: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class ListShape:
    """A list whose items have one shape."""

    of: Shape


@dataclass(frozen=True, slots=True)
class MapShape:
    """A map with free keys."""

    of: Shape


@dataclass(frozen=True, slots=True)
class RecordShape:
    """A map with known fields. A record of a model is compared by the model, so a model may contain itself."""

    name: str
    fields: Mapping[str, Shape] = field(compare=False, repr=False)
    entity: bool = False
    required: frozenset[str] = field(default=frozenset(), compare=False, repr=False)
    model: str = ""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RecordShape):
            return NotImplemented
        if self.model or other.model:
            return self.model == other.model
        return self.name == other.name and dict(self.fields) == dict(other.fields)

    def __hash__(self) -> int:
        return hash((self.name, self.model, frozenset(self.fields)))


@dataclass(frozen=True, slots=True)
class UnionShape:
    """One of several shapes. Null among them makes it optional."""

    members: tuple[Shape, ...]


Shape: TypeAlias = (
    AnyShape | NullShape | BooleanShape | NumberShape | StringShape | ListShape | MapShape | RecordShape | UnionShape
)

ANY = AnyShape()
NULL = NullShape()
BOOLEAN = BooleanShape()
INTEGER = NumberShape(whole=True)
NUMBER = NumberShape()
STRING = StringShape()
LIST = ListShape(ANY)
MAP = MapShape(ANY)

_FORMAT_FAMILIES: dict[str, frozenset[str]] = {
    "hostname": frozenset({"host"}),
    "domain": frozenset({"host"}),
    "host": frozenset({"host"}),
    "ip": frozenset({"host", "ip"}),
    "ipv4": frozenset({"host", "ip", "v4"}),
    "ipv6": frozenset({"host", "ip", "v6"}),
    "email": frozenset({"user"}),
    "user": frozenset({"user"}),
    "hash": frozenset({"md5", "sha1", "sha256"}),
}


def optional(shape: Shape) -> Shape:
    """Return the shape that is also null."""
    return union([shape, NULL])


def union(shapes: Iterable[Shape]) -> Shape:
    """Return the shape of a value that has one of the given shapes."""
    members: list[Shape] = []
    for shape in shapes:
        for member in shape.members if isinstance(shape, UnionShape) else (shape,):
            if member not in members:
                members.append(member)
    if not members or ANY in members:
        return ANY
    if sum(isinstance(member, StringShape) for member in members) > 1:
        texts = [member for member in members if isinstance(member, StringShape)]
        members = [_join_strings(texts), *(member for member in members if not isinstance(member, StringShape))]
    if NUMBER in members and INTEGER in members:
        members.remove(INTEGER)
    return members[0] if len(members) == 1 else UnionShape(tuple(members))


def _join_strings(shapes: list[StringShape]) -> StringShape:
    formats = {shape.format for shape in shapes}
    texts: dict[str, None] = {}
    for shape in shapes:
        if shape.enum is None:
            return StringShape(format=formats.pop() if len(formats) == 1 else None)
        texts.update(dict.fromkeys(shape.enum))
    return StringShape(format=formats.pop() if len(formats) == 1 else None, enum=tuple(texts))


def without_null(shape: Shape) -> Shape:
    """Return the shape that is left when the value is not null."""
    if isinstance(shape, UnionShape):
        return union(member for member in shape.members if member != NULL)
    return shape


def members_of(shape: Shape) -> tuple[Shape, ...]:
    """Return the shapes a value of this shape may have, null left out unless it is the only one."""
    shape = without_null(shape)
    return shape.members if isinstance(shape, UnionShape) else (shape,)


def name_of(shape: Shape) -> str:
    """Return the shape in words: "string", "list of Host"."""
    match shape:
        case AnyShape():
            return "any value"
        case NullShape():
            return "null"
        case BooleanShape():
            return "boolean"
        case NumberShape(whole=whole):
            return "integer" if whole else "number"
        case StringShape(format=None, enum=(only,)):
            return f"string {only[:40]!r}"
        case StringShape(format=text_format):
            return text_format or "string"
        case ListShape(of=of):
            return "list" if of == ANY else f"list of {name_of(of)}"
        case MapShape():
            return "map"
        case RecordShape(name=name):
            return name or "map"
        case UnionShape(members=members):
            return " or ".join(name_of(member) for member in members)


def shape_of(annotation: Any) -> Shape:
    """Return the shape of what a Python annotation becomes as plain JSON data; Any for what is not recognised."""
    return _shape_of(annotation, {})


_STRINGS: dict[object, str | None] = {
    str: None,
    bytes: None,
    dt.datetime: "datetime",
    dt.date: None,
    dt.time: None,
    dt.timedelta: None,
    uuid.UUID: None,
    ipaddress.IPv4Address: "ipv4",
    ipaddress.IPv6Address: "ipv6",
    ipaddress.IPv4Network: "cidr",
    ipaddress.IPv6Network: "cidr",
}
_PLAIN: dict[object, Shape] = {
    bool: BOOLEAN,
    int: INTEGER,
    float: NUMBER,
    None: NULL,
    type(None): NULL,
    list: LIST,
    tuple: LIST,
    set: LIST,
    frozenset: LIST,
    dict: MAP,
}


def _shape_of(annotation: Any, seen: dict[type, Shape]) -> Shape:
    annotation = getattr(annotation, "__value__", annotation)  # a `type` alias
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return _shape_of(arguments[0], seen)
    if origin is typing.Literal:
        return union(map(shape_of_constant, arguments))
    if origin in (typing.Union, types.UnionType):
        return union(_shape_of(argument, seen) for argument in arguments)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return MapShape(_shape_of(arguments[1], seen))
    if isinstance(origin, type) and issubclass(origin, tuple):
        return ListShape(union(_shape_of(entry, seen) for entry in arguments if entry is not Ellipsis))
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return ListShape(_shape_of(arguments[0], seen))
    return _shape_of_class(annotation, seen)


def _shape_of_class(annotation: Any, seen: dict[type, Shape]) -> Shape:
    if annotation is None or annotation in _PLAIN:
        return _PLAIN[annotation]
    if not isinstance(annotation, type):
        supertype = getattr(annotation, "__supertype__", None)  # a NewType
        return ANY if supertype is None else _shape_of(supertype, seen)
    if hasattr(annotation, "model_fields"):
        return _shape_of_model(annotation, seen)
    if issubclass(annotation, enum.Enum):
        return union(shape_of_constant(member.value) for member in annotation)
    for base, text_format in _STRINGS.items():
        if issubclass(annotation, base):  # type: ignore[arg-type]  # the keys are classes
            return StringShape(text_format)
    return next((shape for base, shape in _PLAIN.items() if base and issubclass(annotation, base)), ANY)  # type: ignore[arg-type]  # classes


def _shape_of_model(model: Any, seen: dict[type, Shape]) -> Shape:
    if model in seen:
        return seen[model]
    fields: dict[str, Shape] = {}
    entity = isinstance(getattr(model, "entity_kind", None), str)
    required = frozenset(name for name, entry in model.model_fields.items() if entry.is_required())
    shape = RecordShape(model.__name__, fields, entity, required, f"{model.__module__}.{model.__qualname__}")
    seen[model] = shape
    for name, entry in model.model_fields.items():
        fields[name] = _shape_of(entry.annotation, seen)
        extra = entry.json_schema_extra
        if fields[name] == STRING and isinstance(extra, dict) and isinstance(extra.get("format"), str):
            fields[name] = StringShape(extra["format"])
    for name, entry in model.model_computed_fields.items():
        fields[name] = _shape_of(entry.return_type, seen)
    is_root = list(fields) == ["root"] and any(base.__name__ == "RootModel" for base in model.__mro__)
    return fields["root"] if is_root else shape


def shape_of_constant(value: object) -> Shape:
    """Return the shape of a value that is written out."""
    if value is None:
        return NULL
    if isinstance(value, bool):
        return BOOLEAN
    if isinstance(value, (int, float)):
        return INTEGER if isinstance(value, int) else NUMBER
    if isinstance(value, str):
        return StringShape(enum=(value,))
    if isinstance(value, (list, tuple)):
        return ListShape(union(map(shape_of_constant, value)))
    if isinstance(value, dict):
        return record({str(key): shape_of_constant(entry) for key, entry in value.items()})
    return ANY


def record(fields: Mapping[str, Shape], name: str = "") -> RecordShape:
    """Return the shape of a map with exactly these fields."""
    return RecordShape(name, dict(fields), required=frozenset(fields))


def contains_entity(shape: Shape) -> bool:
    """Return whether a value of this shape is or contains an entity."""
    return _entity_in(shape, set()) is not None


def _entity_in(shape: Shape, seen: set[int]) -> RecordShape | None:
    if id(shape) in seen:
        return None
    seen.add(id(shape))
    match shape:
        case RecordShape(entity=True):
            return shape
        case RecordShape(fields=fields):
            parts: Iterable[Shape] = fields.values()
        case ListShape(of=of) | MapShape(of=of):
            parts = (of,)
        case UnionShape(members=members):
            parts = members
        case _:
            return None
    return next((found for part in parts if (found := _entity_in(part, seen)) is not None), None)


def assignable(source: Shape, target: Shape) -> str | None:
    """Return None if a value of the source's shape may be used where the target's is wanted, else the reason.

    What is only perhaps right (any value, perhaps null, text without a known format) is let through and checked at run
    time, except where an entity is wanted: that needs a source which is the same entity.
    """
    return _assignable(source, target, frozenset())


def _assignable(source: Shape, target: Shape, seen: frozenset[tuple[int, int]]) -> str | None:
    if target == ANY or source == target or (id(source), id(target)) in seen:
        return None
    seen = seen | {(id(source), id(target))}
    if isinstance(source, UnionShape):
        members = source.members if NULL not in source.members else members_of(source)
        reasons = (_assignable(member, target, seen) for member in members)
        return next((reason for reason in reasons if reason is not None), None)
    if isinstance(target, UnionShape):
        return _assignable_to_union(source, target, seen)
    entity = _entity_in(target, set())
    if source == ANY:
        return None if entity is None else _not_an_entity(entity, "any value")
    match source, target:
        case StringShape(), StringShape():
            return _strings_assignable(source, target)
        case NumberShape(), NumberShape(whole=whole):
            return None if source.whole or not whole else "a number may have a fraction; use `int` or `round`"
        case ListShape(of=given), ListShape(of=wanted):
            reason = _assignable(given, wanted, seen)
            return None if reason is None else f"in the items of the list: {reason}"
        case MapShape(of=given), MapShape(of=wanted):
            return _assignable(given, wanted, seen)
        case RecordShape(fields=fields), MapShape(of=wanted):
            reasons = (_assignable(given, wanted, seen) for given in fields.values())
            return next((reason for reason in reasons if reason is not None), None)
        case _, RecordShape(entity=True):
            return _not_an_entity(target, name_of(source))
        case MapShape(of=given), RecordShape(fields=fields):
            reasons = (_assignable(given, wanted, seen) for wanted in fields.values())
            return next((reason for reason in reasons if reason is not None), None)
        case RecordShape(), RecordShape():
            return _records_assignable(source, target, seen)
    return f"it is {_with_article(source)}, and {_with_article(target)} is needed"


def _assignable_to_union(source: Shape, target: UnionShape, seen: frozenset[tuple[int, int]]) -> str | None:
    reasons = [_assignable(source, member, seen) for member in target.members]
    if source == ANY:  # at run time it may turn out to be any of them, so it must be allowed to be each
        return next((reason for reason in reasons if reason is not None), None)
    if None in reasons:
        return None
    entity = _entity_in(target, set())
    if entity is not None and len(members_of(target)) == 1:
        return _not_an_entity(entity, name_of(source))
    return f"it is {_with_article(source)}, and {_with_article(target)} is needed"


def _not_an_entity(entity: RecordShape, given: str) -> str:
    return (
        f"a {entity.name} is needed, and {given} may come from outside; "
        f"look the {entity.name.lower()} up first, for example with an action that returns a {entity.name}"
    )


def _strings_assignable(source: StringShape, target: StringShape) -> str | None:
    if target.enum is not None and source.enum is not None:
        for text in source.enum:
            if text not in target.enum:
                return f"{text!r} is not one of {', '.join(target.enum)}" + hint(text, target.enum)
    if source.format and target.format and source.format != target.format:
        given = _FORMAT_FAMILIES.get(source.format, frozenset()) | {source.format}
        wanted = _FORMAT_FAMILIES.get(target.format, frozenset()) | {target.format}
        versions = {source.format, target.format} == {"ipv4", "ipv6"}
        if versions or not given & wanted:
            return f"it is {_with_article(source)}, and {_with_article(target)} is needed"
    return None


def _records_assignable(source: RecordShape, target: RecordShape, seen: frozenset[tuple[int, int]]) -> str | None:
    for name in source.fields:
        if name not in target.fields:
            return f"{name_of(target)} has no {name!r}" + hint(name, target.fields)
    for name in sorted(target.required):
        if name not in source.fields:
            return f"{name_of(target)} needs {name!r}"
    for name, given in source.fields.items():
        reason = _assignable(given, target.fields[name], seen)
        if reason is not None:
            return f"in {name!r}: {reason}"
    return None


def _with_article(shape: Shape) -> str:
    name = name_of(shape)
    if name == "null" or name.startswith("any "):
        return name
    return ("an " if name[0] in "aeiouAEIOU" else "a ") + name
