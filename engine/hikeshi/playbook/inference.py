"""Inference: the shape of an expression before the run, and what is surely wrong with it.

It reports what cannot work: a field that a record does not have, a filter that never takes such a value. What is only
perhaps wrong (any value, perhaps null) is left to the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from hikeshi.playbook import shape as shapes
from hikeshi.playbook import syntax
from hikeshi.playbook.expression import Expression
from hikeshi.playbook.functions import KIND_WORDS, KINDS, Function, Kind
from hikeshi.playbook.plain_data import hint, nearest
from hikeshi.playbook.shape import (
    ANY,
    BOOLEAN,
    INTEGER,
    NULL,
    NUMBER,
    STRING,
    AnyShape,
    BooleanShape,
    ListShape,
    MapShape,
    NullShape,
    NumberShape,
    RecordShape,
    Shape,
    StringShape,
    members_of,
    name_of,
    union,
)
from hikeshi.playbook.template import Literal, LocatedExpression, Path, Template, Text
from hikeshi.playbook.template import Part as TemplatePart


class ShapeNames(Protocol):
    """A set of names whose shapes are looked up one by one, such as `steps`."""

    def get(self, name: str) -> Shape:
        """Return the shape of one name. Raises KeyError if there is none."""

    def names(self) -> Iterable[str]:
        """Return the known names, for suggestions."""


Names: TypeAlias = Mapping[str, "Shape | ShapeNames"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that cannot work, at a character of the expression, perhaps with the name that was probably meant."""

    message: str
    offset: int
    suggestion: str | None = None


@dataclass(frozen=True, slots=True)
class LocatedFinding:
    """A finding in a template: the expression in which it is, and where that stands."""

    located: LocatedExpression
    finding: Finding


def infer(expression: Expression, names: Names) -> tuple[Shape, list[Finding]]:
    """Return the shape of an expression, and everything that cannot work in it."""
    inference = _Inference(names)
    return inference.shape(expression.tree), inference.findings


def infer_condition(expression: Expression, names: Names, key: str = "when") -> list[Finding]:
    """Return the findings of a condition, among them that it is no boolean. `key` is where it stands."""
    shape, findings = infer(expression, names)
    if not _fits(shape, "boolean"):
        findings.append(Finding(f"`{key}` must be true or false, and this is {_article(shape)}", 0))
    return findings


def infer_list(expression: Expression, names: Names, key: str = "for_each") -> tuple[Shape, list[Finding]]:
    """Return the shape of one item of a list, and the findings, among them that it is no list."""
    shape, findings = infer(expression, names)
    if not _fits(shape, "list"):
        findings.append(Finding(f"`{key}` must be a list, and this is {_article(shape)}", 0))
    return _items(shape), findings


def infer_template(template: Template, names: Names) -> tuple[Shape, list[LocatedFinding]]:
    """Return the shape of a whole value, and the findings of every expression in it."""
    findings: list[LocatedFinding] = []
    return _infer_part(template.part, names, findings), findings


def _infer_part(part: TemplatePart, names: Names, findings: list[LocatedFinding]) -> Shape:
    match part:
        case Literal(value=value):
            return shapes.shape_of_constant(value)
        case LocatedExpression():
            shape, found = infer(part.expression, names)
            findings += [LocatedFinding(part, finding) for finding in found]
            return shape
        case Text(pieces=pieces):
            for piece in pieces:
                if isinstance(piece, LocatedExpression):
                    shape = _infer_part(piece, names, findings)
                    if not _fits(shape, "scalar"):
                        message = f"{_article(shape)} cannot be put into text"
                        findings.append(LocatedFinding(piece, Finding(message, 0)))
            return STRING
        case dict():
            return shapes.record({key: _infer_part(entry, names, findings) for key, entry in part.items()})
        case list():
            return ListShape(union(_infer_part(entry, names, findings) for entry in part))


def _article(shape: Shape) -> str:
    name = name_of(shape)
    if name.startswith(("any ", "null")):
        return name
    return ("an " if name[0] in "aeiouAEIOU" else "a ") + name


def _types(shape: Shape) -> frozenset[type]:
    match shape:
        case NullShape():
            return frozenset({type(None)})
        case BooleanShape():
            return frozenset({bool})
        case NumberShape(whole=whole):
            return frozenset({int}) if whole else frozenset({int, float})
        case StringShape():
            return frozenset({str})
        case ListShape():
            return frozenset({list})
        case MapShape() | RecordShape():
            return frozenset({dict})
        case _:
            return KINDS["any"]


def _fits(shape: Shape, kind: Kind) -> bool:
    """Whether a value of the shape may be of the kind. What may be null besides gets the benefit of the doubt."""
    return any(_types(member) & KINDS[kind] for member in members_of(shape))


def _items(shape: Shape) -> Shape:
    return union(member.of if isinstance(member, ListShape) else ANY for member in members_of(shape))


class _Inference:
    def __init__(self, names: Names) -> None:
        self.names = names
        self.findings: list[Finding] = []

    def _report(self, message: str, offset: int, suggestion: str | None = None) -> None:
        finding = Finding(message, offset, suggestion)
        if finding not in self.findings:
            self.findings.append(finding)

    def shape(self, node: syntax.Node) -> Shape:
        found = self._resolve(node)
        return found if isinstance(found, Shape) else ANY

    def _resolve(self, node: syntax.Node) -> Shape | ShapeNames:
        match node:
            case syntax.Constant(value=value):
                return shapes.shape_of_constant(value)
            case syntax.Name():
                return self._name(node)
            case syntax.Attribute():
                return self._field(self._resolve(node.subject), node.key, node.offset, _shown(node.subject))
            case syntax.Item():
                return self._item(node)
            case syntax.Slice():
                return self._slice(node)
            case syntax.Unary():
                self._demand(node.operand, "number", f"`{node.operator}`")
                return self.shape(node.operand)
            case syntax.Binary():
                return self._binary(node)
            case syntax.Concatenation():
                for operand in node.operands:
                    self._demand(operand, "scalar", "`~`")
                return STRING
            case syntax.Comparison():
                return self._comparison(node)
            case syntax.Not(operand=operand):
                self._demand(operand, "boolean", "`not`")
                return BOOLEAN
            case syntax.Logic():
                for operand in node.operands:
                    self._demand(operand, "boolean", f"`{node.operator}`")
                return BOOLEAN
            case syntax.Conditional():
                return self._conditional(node)
            case syntax.ListOf(items=items):
                return ListShape(union([self.shape(item) for item in items]))
            case syntax.MapOf():
                return self._map(node)
            case syntax.Application():
                return self._application(node)

    def _demand(self, node: syntax.Node, kind: Kind, by: str) -> None:
        shape = self.shape(node)
        if not _fits(shape, kind):
            self._report(f"{by} needs {KIND_WORDS.get(kind, f'a {kind}')}, and this is {_article(shape)}", node.offset)

    def _name(self, node: syntax.Name) -> Shape | ShapeNames:
        if node.name in self.names:
            return self.names[node.name]
        suggestion = nearest(node.name, self.names)
        known = ", ".join(sorted(self.names))
        self._report(
            f"there is no name {node.name!r} here{hint(node.name, self.names)} (names: {known})",
            node.offset,
            suggestion,
        )
        return ANY

    def _field(self, subject: Shape | ShapeNames, key: str, offset: int, shown: str) -> Shape:
        if not isinstance(subject, Shape):
            try:
                return subject.get(key)
            except KeyError:
                known = list(subject.names())
                self._report(f"{shown} has no {key!r}{hint(key, known)}", offset, nearest(key, known))
                return ANY
        found = [shape for member in members_of(subject) if (shape := _field_of(member, key)) is not None]
        if found:
            return union(found)
        fields = [name for member in members_of(subject) if isinstance(member, RecordShape) for name in member.fields]
        owner = shown if name_of(subject) == "map" else name_of(subject)
        if fields or any(isinstance(member, RecordShape) for member in members_of(subject)):
            self._report(f"{owner} has no {key!r}{hint(key, fields)}", offset, nearest(key, fields))
        else:
            advice = f"; read an item first, or use map(attribute={key!r})" if isinstance(subject, ListShape) else ""
            self._report(f"{_article(subject)} has no fields, so it has no {key!r}{advice}", offset)
        return ANY

    def _item(self, node: syntax.Item) -> Shape:
        subject, index = self._resolve(node.subject), self.shape(node.index)
        if not isinstance(subject, Shape):
            return ANY
        wanted: Kind = "any"
        if all(isinstance(member, (ListShape, StringShape)) for member in members_of(subject)):
            wanted = "integer"
        elif all(isinstance(member, (MapShape, RecordShape)) for member in members_of(subject)):
            wanted = "string"
        elif not _fits(subject, "sized") and subject != NULL:
            self._report(f"{_article(subject)} has no items", node.offset)
        if not _fits(index, wanted):
            self._report(
                f"{_article(subject)} is read by {KIND_WORDS.get(wanted, f'a {wanted}')}, not by {_article(index)}",
                node.offset,
            )
        return union(_element(member) for member in members_of(subject))

    def _slice(self, node: syntax.Slice) -> Shape:
        for bound in (node.start, node.stop, node.step):
            if bound is not None:
                self._demand(bound, "integer", "a slice")
        self._demand(node.subject, "sequence", "a slice")
        return self.shape(node.subject)

    def _binary(self, node: syntax.Binary) -> Shape:
        left, right = self.shape(node.left), self.shape(node.right)
        kinds: tuple[Kind, ...] = ("number", "string", "list") if node.operator == "+" else ("number",)
        if not any(_fits(left, kind) and _fits(right, kind) for kind in kinds):
            words = "two numbers, two texts or two lists" if node.operator == "+" else "two numbers"
            self._report(f"`{node.operator}` takes {words}, not {_article(left)} and {_article(right)}", node.offset)
        if isinstance(left, StringShape) and isinstance(right, StringShape):
            return STRING
        if isinstance(left, ListShape) and isinstance(right, ListShape):
            return ListShape(union([left.of, right.of]))
        if left == right == INTEGER and node.operator not in ("/", "**"):
            return INTEGER
        return NUMBER if node.operator != "+" or isinstance(left, NumberShape) else ANY

    def _comparison(self, node: syntax.Comparison) -> Shape:
        operands = [self.shape(operand) for operand in node.operands]
        for sign, left, right in zip(node.operators, operands, operands[1:], strict=False):
            self._compare(sign, left, right, node.offset)
        return BOOLEAN

    def _compare(self, sign: str, left: Shape, right: Shape, offset: int) -> None:
        if sign in ("in", "not in"):
            if not _fits(right, "sized"):
                self._report(f"`{sign}` looks into a list, a map or a text, not into {_article(right)}", offset)
        elif sign in ("==", "!="):
            self._compare_equal(left, right, offset)
        elif not any(_fits(left, kind) and _fits(right, kind) for kind in _ORDERED):
            self._report(
                f"`{sign}` compares two numbers or two texts, not {_article(left)} with {_article(right)}", offset
            )

    def _compare_equal(self, left: Shape, right: Shape, offset: int) -> None:
        if NULL in (left, right):
            return
        types = [frozenset[type]().union(*map(_types, members_of(shape))) for shape in (left, right)]
        numbers = all(found & KINDS["number"] for found in types)
        if not types[0] & types[1] and not numbers:
            self._report(f"{_article(left)} and {_article(right)} are never the same", offset)
        if isinstance(left, StringShape) and isinstance(right, StringShape) and left.enum and right.enum:
            known, given = (left.enum, right.enum) if len(left.enum) >= len(right.enum) else (right.enum, left.enum)
            if len(known) > 1 and not set(known) & set(given):
                message = f"{given[0]!r} is not one of {', '.join(known)}{hint(given[0], known)}"
                self._report(message, offset, nearest(given[0], known))

    def _conditional(self, node: syntax.Conditional) -> Shape:
        self._demand(node.condition, "boolean", "`if`")
        branches = [self.shape(node.then)]
        if node.otherwise is not None:
            branches.append(self.shape(node.otherwise))
        return union(branches)

    def _map(self, node: syntax.MapOf) -> Shape:
        fields: dict[str, Shape] = {}
        for key, value in zip(node.keys, node.values, strict=True):
            self._demand(key, "string", "the key of a map")
            shape = self.shape(value)
            if isinstance(key, syntax.Constant):
                fields[str(key.value)] = shape
        return shapes.record(fields) if len(fields) == len(node.keys) else shapes.MAP

    def _application(self, node: syntax.Application) -> Shape:
        function = node.function
        subject = ANY if node.subject is None else self.shape(node.subject)
        arguments = [self.shape(argument) for argument in node.arguments]
        if node.subject is not None:
            self._check_kind(function, function.subject, subject, "works on", node.offset)
        if function.form in ("pick", "pick by", "map"):
            return self._each(node, subject, arguments)
        self._check_arguments(function, arguments, node.offset)
        attribute = _attribute_of(function, node.arguments)
        if attribute is not None:
            inner = self._path(_items(subject), attribute, node.offset)
            return shapes.NUMBER if function.name == "sum" and inner != INTEGER else function.shape(subject, arguments)
        return function.shape(subject, arguments)

    def _check_arguments(self, function: Function, arguments: Sequence[Shape], offset: int) -> None:
        for parameter, shape in zip(function.parameters, arguments, strict=False):
            if shape != NULL or parameter.default is not None:
                self._check_kind(function, parameter.kind, shape, f"takes as {parameter.name!r}", offset)

    def _check_kind(self, function: Function, kind: Kind, shape: Shape, verb: str, offset: int) -> None:
        if not _fits(shape, kind):
            words = KIND_WORDS.get(kind, f"a {kind}")
            self._report(f"`{function.name}` {verb} {words}, and this is {_article(shape)}", offset)

    def _each(self, node: syntax.Application, subject: Shape, arguments: Sequence[Shape]) -> Shape:
        item = _items(subject)
        name = node.arguments[0] if node.arguments else None
        if isinstance(name, syntax.Constant) and isinstance(name.value, str):
            item = self._path(item, name.value, node.offset)
        inner_arguments = [self.shape(argument) for argument in node.inner_arguments]
        result = item
        if node.inner is not None:
            self._check_kind(node.inner, node.inner.subject, item, "works on", node.offset)
            self._check_arguments(node.inner, inner_arguments, node.offset)
            result = node.inner.shape(item, inner_arguments)
        elif node.function.form != "map":
            self._check_kind(node.function, "boolean", item, "without a test works on", node.offset)
        if node.function.form != "map":
            return node.function.shape(subject, arguments)
        if node.inner is None and arguments[1] != NULL:
            result = union([shapes.without_null(result), arguments[1]])
        return ListShape(result)

    def _path(self, item: Shape, path: str, offset: int) -> Shape:
        for key in path.split("."):
            if not (key.isdigit() and not isinstance(item, RecordShape)):
                item = self._field(item, key, offset, "the item")
            else:
                item = union(_element(member) for member in members_of(item))
        return item


_ORDERED: tuple[Kind, ...] = ("number", "string")


def _shown(node: syntax.Node) -> str:
    keys: list[str] = []
    while isinstance(node, syntax.Attribute):
        keys.append(node.key)
        node = node.subject
    return "`" + ".".join((node.name, *reversed(keys))) + "`" if isinstance(node, syntax.Name) else "this"


def _field_of(shape: Shape, key: str) -> Shape | None:
    match shape:
        case AnyShape() | NullShape():
            return ANY
        case RecordShape(fields=fields):
            return fields.get(key)
        case MapShape(of=of):
            return of
        case _:
            return None


def _element(shape: Shape) -> Shape:
    match shape:
        case ListShape(of=of) | MapShape(of=of):
            return of
        case StringShape():
            return STRING
        case RecordShape(fields=fields):
            return union(fields.values())
        case _:
            return ANY


def _attribute_of(function: Function, arguments: Sequence[syntax.Node]) -> str | None:
    for parameter, argument in zip(function.parameters, arguments, strict=False):
        if parameter.name == "attribute" and isinstance(argument, syntax.Constant) and isinstance(argument.value, str):
            return argument.value
    return None


__all__ = [
    "Finding",
    "LocatedFinding",
    "Path",
    "ShapeNames",
    "infer",
    "infer_condition",
    "infer_list",
    "infer_template",
]
