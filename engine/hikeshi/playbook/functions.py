"""The tables of filters, tests and functions: everything an expression can call.

Rule of this file: what does not stand in these tables cannot be called. Adding an entry is all it takes: the parser
binds arguments by its parameters, the evaluator checks their kinds and lets unknown through, inference takes its
shape, docs/expressions.md and the tests take its example.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from hikeshi.playbook import list_filters, predicates, text_filters
from hikeshi.playbook import shape as shapes
from hikeshi.playbook.shape import (
    ANY,
    BOOLEAN,
    INTEGER,
    LIST,
    MAP,
    NUMBER,
    STRING,
    ListShape,
    MapShape,
    RecordShape,
    Shape,
    StringShape,
    union,
)

Kind: TypeAlias = Literal[
    "any", "string", "integer", "number", "boolean", "list", "map", "scalar", "sized", "sequence", "text or number"
]
KINDS: dict[Kind, frozenset[type]] = {
    "any": frozenset({str, int, float, bool, type(None), list, dict}),
    "string": frozenset({str}),
    "integer": frozenset({int}),
    "number": frozenset({int, float}),
    "boolean": frozenset({bool}),
    "list": frozenset({list}),
    "map": frozenset({dict}),
    "scalar": frozenset({str, int, float, bool}),
    "sized": frozenset({str, list, dict}),
    "sequence": frozenset({str, list}),
    "text or number": frozenset({str, int, float}),
}
KIND_WORDS: dict[Kind, str] = {
    "sized": "a string, a list or a map",
    "sequence": "a string or a list",
    "scalar": "a string, a number or a boolean",
    "text or number": "a string or a number",
    "any": "any value",
    "integer": "an integer",
}

Form: TypeAlias = Literal["plain", "default", "defined", "pick", "pick by", "map"]


class Required:
    """Marks a parameter without a default."""

    def __repr__(self) -> str:
        return "required"


REQUIRED = Required()


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter after the subject. An optional one also takes null, meaning that it is left out."""

    name: str
    kind: Kind
    default: bool | int | str | Required | None = REQUIRED

    def __str__(self) -> str:
        if isinstance(self.default, Required):
            return self.name
        shown = "none" if self.default is None else _written(self.default)
        return f"{self.name}={shown}"


@dataclass(frozen=True, slots=True)
class Function:
    """One entry: how it is called, what it does, what it gives.

    `gives` is the shape of the result, or computes it from the shapes of the subject and the arguments. `form` says how
    it is evaluated; all but "plain" are known to the evaluator. `example` is a call and its result.
    """

    name: str
    role: Literal["filter", "test", "function"]
    subject: Kind
    parameters: tuple[Parameter, ...]
    gives: Shape | Callable[[Shape, Sequence[Shape]], Shape]
    run: Callable[..., object] | None
    doc: str
    example: tuple[str, object]
    form: Form = "plain"

    def shape(self, subject: Shape, arguments: Sequence[Shape]) -> Shape:
        """Return the shape of the result."""
        return self.gives(subject, arguments) if callable(self.gives) else self.gives

    @property
    def result_name(self) -> str:
        """Return what a result is called that is not known."""
        return "value" if callable(self.gives) else shapes.name_of(self.gives)

    @property
    def signature(self) -> str:
        """Return how it is written, without the subject."""
        shown = ", ".join(map(str, self.parameters))
        if self.form in ("pick", "map"):
            shown = {"pick": "test, *arguments", "map": "filter, *arguments"}[self.form]
        if self.form == "pick by":
            shown = "attribute, test, *arguments"
        called = f"{self.name}({shown})" if shown else self.name
        return f"{called} or map({', '.join(map(str, self.parameters))})" if self.form == "map" else called


def _same(subject: Shape, arguments: Sequence[Shape]) -> Shape:
    del arguments
    return StringShape() if isinstance(subject, StringShape) else subject


def _one_item(subject: Shape, arguments: Sequence[Shape]) -> Shape:
    del arguments
    found = [STRING if isinstance(member, StringShape) else _item_of(member) for member in shapes.members_of(subject)]
    return union(found)


def _item_of(subject: Shape) -> Shape:
    return subject.of if isinstance(subject, ListShape) else ANY


def _batches(subject: Shape, arguments: Sequence[Shape]) -> Shape:
    del arguments
    return ListShape(subject) if isinstance(subject, ListShape) else ListShape(LIST)


def _flat(subject: Shape, arguments: Sequence[Shape]) -> Shape:
    del arguments
    inner = _item_of(subject)
    parts = [member.of if isinstance(member, ListShape) else member for member in shapes.members_of(inner)]
    return ListShape(union(parts))


def _entries(subject: Shape, arguments: Sequence[Shape]) -> Shape:
    del arguments
    return ListShape(shapes.record({"key": STRING, "value": _value_of(subject)}))


def _map_values(subject: Shape, arguments: Sequence[Shape]) -> Shape:
    del arguments
    return ListShape(_value_of(subject))


def _value_of(subject: Shape) -> Shape:
    if isinstance(subject, MapShape):
        return subject.of
    return union(subject.fields.values()) if isinstance(subject, RecordShape) else ANY


def _fallback(subject: Shape, arguments: Sequence[Shape]) -> Shape:
    return union([shapes.without_null(subject), arguments[0]]) if subject != shapes.NULL else arguments[0]


def _seconds_or_text(subject: Shape, arguments: Sequence[Shape]) -> Shape:
    del arguments
    if isinstance(subject, StringShape):
        return NUMBER
    return STRING if isinstance(subject, shapes.NumberShape) else union([STRING, NUMBER])


def _number(subject: Shape, arguments: Sequence[Shape]) -> Shape:
    del arguments
    return INTEGER if subject == INTEGER else NUMBER


def _sum(subject: Shape, arguments: Sequence[Shape]) -> Shape:
    del arguments
    return INTEGER if _item_of(subject) == INTEGER else NUMBER


INDICATOR = RecordShape("Indicator", {"kind": STRING, "value": STRING}, required=frozenset({"kind", "value"}))


def _parameter(text: str) -> Parameter:
    """Read `name: kind` or `name: kind = default`; only for the tables below."""
    declared, _, default = text.partition(" = ")
    name, _, kind = declared.partition(": ")
    if not default:
        return Parameter(name, kind)  # type: ignore[arg-type]  # a test reads every kind of the tables
    words: dict[str, bool | None] = {"none": None, "true": True, "false": False}
    value: bool | int | str | None = words[default] if default in words else _constant(default)
    return Parameter(name, kind, value)  # type: ignore[arg-type]  # the same


def _constant(text: str) -> int | str:
    return text[1:-1] if text.startswith("'") else int(text)


def _filter(
    name: str,
    subject: Kind,
    parameters: str,
    gives: Shape | Callable[[Shape, Sequence[Shape]], Shape],
    run: Callable[..., object] | None,
    doc: str,
    example: str,
    result: object,
    form: Form = "plain",
) -> Function:
    declared = tuple(_parameter(text) for text in parameters.split(", ") if text)
    return Function(name, "filter", subject, declared, gives, run, doc, (example, result), form)


def _test(
    name: str,
    subject: Kind,
    parameters: str,
    run: Callable[..., bool] | None,
    doc: str,
    example: str,
    form: Form = "plain",
) -> Function:
    declared = tuple(_parameter(text) for text in parameters.split(", ") if text)
    return Function(name, "test", subject, declared, BOOLEAN, run, doc, (example, True), form)


_T, _L, _P = text_filters, list_filters, predicates
_ATTRIBUTE = "attribute: string = none"

_FILTERS = (
    # What may be missing.
    _filter("default", "any", "value: any", _fallback, None, "The value given if the subject is missing or null. "
            "It is not evaluated otherwise", "none | default('nobody')", "nobody", "default"),
    # Text.
    _filter("lower", "string", "", STRING, _T.lower, "Lower case", "'AbC' | lower", "abc"),
    _filter("upper", "string", "", STRING, _T.upper, "Upper case", "'AbC' | upper", "ABC"),
    _filter("title", "string", "", STRING, _T.title, "Each word with a capital", "'web server' | title", "Web Server"),
    _filter("trim", "string", "", STRING, _T.trim, "Without white space at both ends", "' a ' | trim", "a"),
    _filter("truncate", "string", "length: integer = 255, end: string = '...'", STRING, _T.truncate,
            "Cut to at most `length` characters, `end` included", "'abcdefgh' | truncate(6)", "abc..."),
    _filter("replace", "string", "old: string, new: string", STRING, _T.replace, "Each `old` replaced by `new`",
            "'a-b-c' | replace('-', '+')", "a+b+c"),
    _filter("split", "string", "separator: string = none", ListShape(STRING), _T.split,
            "Cut at each separator, or at white space", "'a,b' | split(',')", ["a", "b"]),
    _filter("join", "list", f"separator: string = '', {_ATTRIBUTE}", STRING, _L.join,
            "The items, or one attribute of each, as one text", "[1, 'a'] | join('-')", "1-a"),
    _filter("string", "scalar", "", STRING, _T.string, "As text", "true | string", "true"),
    _filter("tojson", "any", "", STRING, _T.tojson, "As JSON, keys sorted", "{'b': [1, none]} | tojson",
            '{"b": [1, null]}'),
    # Indicators.
    _filter("defang", "string", "", STRING, _T.defang, "Harmless: nothing in it can be clicked on",
            "'http://bad.example/x' | defang", "hxxp://bad[.]example/x"),
    _filter("refang", "string", "", STRING, _T.refang, "Defanged text made real again",
            "'hxxp://bad[.]example/x' | refang", "http://bad.example/x"),
    _filter("domain_of", "string", "", StringShape("host"), _T.domain_of,
            "The domain or address of a URL, of an e-mail "
            "address or of a domain", "'https://a.bad.example/x' | domain_of", "a.bad.example"),
    _filter("iocs", "string", "", ListShape(INDICATOR), _T.iocs,
            "Every indicator in free text, defanged or not, once each",
            "'see hxxp://bad[.]example' | iocs", [{"kind": "url", "value": "http://bad.example"}]),
    _filter("is_private_ip", "string", "", BOOLEAN, _P.private_ip,
            "Whether an address is private or local; an error for "
            "text that is no address", "'10.0.0.7' | is_private_ip", True),
    _filter("sha256", "string", "", StringShape("sha256"), _T.sha256, "The SHA-256 of the text, as hexadecimal text",
            "'' | sha256", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
    # Numbers and time.
    _filter("int", "text or number", "", INTEGER, _T.integer,
            "A whole number from text, or a number cut to a whole one",
            "'12' | int", 12),
    _filter("float", "text or number", "", NUMBER, _T.number, "A number from text or from an integer",
            "'1.5' | float", 1.5),
    _filter("round", "number", "digits: integer = 0", _number, _T.rounded,
            "Rounded, half to even; an integer if `digits` is 0",
            "2.6 | round", 3),
    _filter("abs", "number", "", _number, _T.absolute, "Without its sign", "-3 | abs", 3),
    _filter("duration", "text or number", "", _seconds_or_text, _T.duration,
            "Seconds from text such as '8h'; text from seconds",
            "'1h30m' | duration", 5400),
    _filter("timestamp", "string", "", NUMBER, _T.timestamp, "Seconds since 1970 of a date and time with its zone; the "
            "difference of two is a duration", "'1970-01-01T00:01:00Z' | timestamp", 60),
    # Lists and maps.
    _filter("length", "sized", "", INTEGER, _L.length, "The number of items, keys or characters", "[1, 2] | length", 2),
    _filter("count", "sized", "", INTEGER, _L.length, "The same as `length`", "'abc' | count", 3),
    _filter("first", "sequence", "", _one_item, _L.first, "The first item; missing if there is none",
            "[1, 2] | first", 1),
    _filter("last", "sequence", "", _one_item, _L.last, "The last item; missing if there is none", "[1, 2] | last", 2),
    _filter("min", "list", _ATTRIBUTE, _one_item, _L.smallest, "The smallest item; missing if there is none",
            "[2, 1] | min", 1),
    _filter("max", "list", _ATTRIBUTE, _one_item, _L.largest, "The largest item; missing if there is none",
            "[2, 1] | max", 2),
    _filter("sum", "list", _ATTRIBUTE, _sum, _L.total, "The sum of numbers", "[1, 2.5] | sum", 3.5),
    _filter("sort", "list", f"reverse: boolean = false, {_ATTRIBUTE}", _same, _L.ordered,
            "Sorted; all numbers or all text",
            "[3, 1, 2] | sort", [1, 2, 3]),
    _filter("reverse", "sequence", "", _same, _L.reversed_, "The other way round", "[1, 2] | reverse", [2, 1]),
    _filter("unique", "list", _ATTRIBUTE, _same, _L.unique,
            "Each value once, the first of the same kept; works on lists and "
            "maps too", "[{'a': 1}, {'a': 1}] | unique", [{"a": 1}]),
    _filter("list", "list", "", _same, _L.same, "The list itself: filters give lists already", "[1] | list", [1]),
    _filter("flatten", "list", "", _flat, _L.flatten, "Lists in a list put in their place, one level",
            "[[1], 2] | flatten", [1, 2]),
    _filter("batch", "list", "size: integer", _batches, _L.batch, "Lists of at most `size` items",
            "[1, 2, 3] | batch(2)",
            [[1, 2], [3]]),
    _filter("items", "map", "", _entries, _L.entries, "A list of `{key, value}`", "{'a': 1} | items", [{"key": "a",
            "value": 1}]),
    _filter("keys", "map", "", ListShape(STRING), _L.keys, "The keys", "{'a': 1} | keys", ["a"]),
    _filter("values", "map", "", _map_values, _L.map_values, "The values", "{'a': 1} | values", [1]),
    _filter("map", "list", f"{_ATTRIBUTE}, default: any = none", LIST, None, "A filter applied to each item, or one "
            "attribute of each; `default` stands for what is missing", "[{'a': 1}] | map(attribute='a')", [1], "map"),
    _filter("select", "list", "", _same, None, "The items that pass the test; without a test, items that are true",
            "[1, 5] | select('gt', 3)", [5], "pick"),
    _filter("reject", "list", "", _same, None, "The items that do not pass the test", "[1, 5] | reject('gt', 3)",
            [1], "pick"),
    _filter("selectattr", "list", "", _same, None, "The items whose attribute passes the test; `a.b` reads deeper",
            "[{'a': 1}, {'a': 2}] | selectattr('a', 'eq', 2)", [{"a": 2}], "pick by"),
    _filter("rejectattr", "list", "", _same, None, "The items whose attribute does not pass the test",
            "[{'a': 1}, {'a': 2}] | rejectattr('a', 'eq', 2)", [{"a": 1}], "pick by"),
)  # fmt: skip

_TESTS = (
    _test("defined", "any", "", None, "The path leads somewhere, be it to null", "{'a': none}.a is defined", "defined"),
    _test("undefined", "any", "", None, "The path leads nowhere", "[][0] is undefined", "defined"),
    _test("none", "any", "", _P.none, "Null", "none is none"),
    _test("string", "any", "", _P.string, "Text", "'a' is string"),
    _test("number", "any", "", _P.number, "A number; a boolean is none", "1.5 is number"),
    _test("integer", "any", "", _P.integer, "A whole number", "1 is integer"),
    _test("boolean", "any", "", _P.boolean, "True or false", "false is boolean"),
    _test("true", "any", "", _P.true, "True itself", "true is true"),
    _test("false", "any", "", _P.false, "False itself", "false is false"),
    _test("mapping", "any", "", _P.mapping, "A map", "{} is mapping"),
    _test("sequence", "any", "", _P.sequence, "A list", "[] is sequence"),
    _test("eq", "any", "other: any", _P.eq, "The same value; different types are never the same", "1 is eq 1"),
    _test("ne", "any", "other: any", _P.ne, "Not the same value", "1 is ne '1'"),
    _test("lt", "text or number", "other: text or number", _P.lt, "Less", "1 is lt 2"),
    _test("le", "text or number", "other: text or number", _P.le, "Less or the same", "1 is le 1"),
    _test("gt", "text or number", "other: text or number", _P.gt, "Greater", "2 is gt 1"),
    _test("ge", "text or number", "other: text or number", _P.ge, "Greater or the same", "1 is ge 1"),
    _test("in", "any", "container: sized", _P.in_, "An item of a list, a key of a map, a part of a text",
            "1 is in [1, 2]"),
    _test("containing", "sized", "part: any", _P.containing, "Has this item, key or part", "[1, 2] is containing 1"),
    _test("even", "integer", "", _P.even, "Even", "2 is even"),
    _test("odd", "integer", "", _P.odd, "Odd", "3 is odd"),
    _test("startswith", "string", "start: string", _P.startswith, "Text that starts so", "'abc' is startswith 'ab'"),
    _test("endswith", "string", "end: string", _P.endswith, "Text that ends so", "'abc' is endswith 'bc'"),
    _test("ip", "any", "", _P.ip, "An IP address", "'::1' is ip"),
    _test("ipv4", "any", "", _P.ipv4, "An IPv4 address", "'192.0.2.7' is ipv4"),
    _test("ipv6", "any", "", _P.ipv6, "An IPv6 address", "'2001:db8::1' is ipv6"),
    _test("domain", "any", "", _P.domain, "A domain of at least two labels", "'bad.example' is domain"),
    _test("url", "any", "", _P.url, "A URL: http, https, ftp", "'https://bad.example/x' is url"),
    _test("email", "any", "", _P.email, "An e-mail address", "'a@bad.example' is email"),
    _test("hash", "any", "", _P.hash_, "An MD5, SHA-1 or SHA-256 hash", "'d41d8cd98f00b204e9800998ecf8427e' is hash"),
    _test("private_ip", "string", "", _P.private_ip, "A private or local address; an error for text that is no address",
          "'10.0.0.7' is private_ip"),
    _test("is_private_ip", "string", "", _P.private_ip, "The same as `private_ip`", "'10.0.0.7' is is_private_ip"),
    _test("in_cidr", "string", "networks: any", _P.in_cidr, "An address in a network, or in one of a list of them",
          "'10.1.2.3' is in_cidr('10.0.0.0/8')"),
)  # fmt: skip

_FUNCTIONS = (
    Function("duration", "function", "any", (Parameter("text", "string"),), NUMBER, _T.duration,
             "Seconds from text such as '8h'", ("duration('1h30m')", 5400)),
    Function("range", "function", "any", (Parameter("stop", "integer"), Parameter("start", "integer", 0),
             Parameter("step", "integer", 1)), ListShape(INTEGER), _L.range_,
             "The whole numbers from `start` up to but not including `stop`", ("range(3)", [0, 1, 2])),
)  # fmt: skip

FILTERS: dict[str, Function] = {entry.name: entry for entry in _FILTERS}
TESTS: dict[str, Function] = {entry.name: entry for entry in _TESTS}
FUNCTIONS: dict[str, Function] = {entry.name: entry for entry in _FUNCTIONS}


def describe_table() -> str:
    """Return the filters, tests and functions as Markdown tables, for docs/expressions.md."""
    parts: list[str] = []
    for title, table in (("Filters", FILTERS), ("Tests", TESTS), ("Functions", FUNCTIONS)):
        parts += [f"### {title}", "", "| name | takes | does | example | gives |", "|---|---|---|---|---|"]
        for entry in table.values():
            takes = "" if entry.role == "function" else entry.subject
            cells = (
                f"`{entry.signature}`",
                takes,
                entry.doc,
                f"`{entry.example[0]}`",
                f"`{_written(entry.example[1])}`",
            )
            parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
        parts.append("")
    return "\n".join(parts)


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    text = repr(value)
    return text if len(text) <= 40 else text[:36] + "..."


__all__ = ["FILTERS", "FUNCTIONS", "KINDS", "KIND_WORDS", "MAP", "TESTS", "Function", "Parameter", "describe_table"]
