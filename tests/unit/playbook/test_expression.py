"""What expressions give."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from hikeshi.playbook.expression import evaluate_condition, parse_expression
from hikeshi.playbook.plain_data import EvaluationError
from hikeshi.playbook.unknown import Unknown

SCOPE: dict[str, object] = {
    "inputs": {"hostname": "pc7", "hours": 8, "none": None},
    "steps": {
        "find": {"name": "pc7", "tags": ["server", "dmz"], "owner": None, "items": "a field", "ports": [22, 443]}
    },
    "text": "plain",
}


def value(text: str) -> object:
    return parse_expression(text).evaluate(SCOPE)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("steps.find.name == inputs.hostname", True),
        ("steps['find']['name']", "pc7"),
        ("steps.find.items", "a field"),
        ("steps.find.ports[-1]", 443),
        ("steps.find.ports.0", 22),
        ("steps.find.tags[:1]", ["server"]),
        ("text[:2]", "pl"),
        ("'server' in steps.find.tags", True),
        ("'mail' not in steps.find.tags", True),
        ("'name' in steps.find", True),
        ("1 < 2 <= 2 < 3", True),
        ("1 < 3 < 2", False),
        ("1 + 2 * 3 ** 2 - 7 // 2", 16),
        ("7 / 2", 3.5),
        ("-7 % 3", 2),
        ("'a' + 'b' ~ 1 ~ 2.5 ~ true", "ab12.5true"),
        ("[1] + [2]", [1, 2]),
        ("(1, 2)", [1, 2]),
        ("{'a': [1, none]}", {"a": [1, None]}),
        ("'yes' if inputs.hours > 4 else 'no'", "yes"),
        ("null", None),
        ("'\\u0041\\n'", "A\n"),
        ("not (true and false) or false", True),
    ],
)
def test_expression_gives_its_value(text: str, expected: object) -> None:
    """Paths, operators and literals give what a reader expects."""
    assert value(text) == expected


@pytest.mark.parametrize(
    "text",
    ["1 == '1'", "true == 1", "false == 0", "none == false", "[true] == [1]", "{'a': 1} == {'a': true}", "1 in [true]"],
)
def test_values_of_different_types_are_never_the_same(text: str) -> None:
    """A boolean is no number and text is no number, at any depth."""
    assert value(text) is False


def test_an_integer_and_a_number_of_the_same_value_are_the_same() -> None:
    """1 and 1.0 are one number."""
    assert value("1 == 1.0 and [1] == [1.0] and 1 in [1.0]") is True


@pytest.mark.parametrize(
    "text",
    [
        "true + 1",
        "'a' + 1",
        "'a' * 3",
        "'%s' % 1",
        "1 < '2'",
        "none < 1",
        "[1] < [2]",
        "-'a'",
        "not 1",
        "1 and true",
        "'x' or true",
        "1 if 'yes' else 2",
        "text.upper",
        "steps.find.tags.x",
        "text ~ none",
        "{1: 2}",
        "1 in 5",
        "steps.find[0]",
        "steps.find.tags[true]",
        "text|sum",
        "[1, 'a'] | sort",
        "steps.find.nam",
        "steps.find.owner.email",
        "steps.find.tags[9]",
        "nothing",
        "1 / 0",
        "(-8) ** 0.5",
        "'x' | int",
        "'10.0.0.300' is private_ip",
    ],
)
def test_types_never_change_silently(text: str) -> None:
    """What does not fit is an error, never a guess."""
    with pytest.raises(EvaluationError):
        value(text)


def test_a_missing_field_is_named_with_the_nearest_one() -> None:
    """The message says the path and the field that was probably meant."""
    with pytest.raises(EvaluationError, match=r"`steps.find` has no 'nam'; did you mean 'name'\?"):
        value("steps.find.nam")


def test_an_error_says_where_and_in_which_expression() -> None:
    """An evaluation error carries the offset and the text of the expression."""
    with pytest.raises(EvaluationError) as caught:
        value("true and steps.find.tags.x")
    assert (caught.value.offset, caught.value.expression) == (24, "true and steps.find.tags.x")


@pytest.mark.parametrize(
    "path", ["steps.find.nam", "steps.find.owner.email", "steps.find.tags[9]", "inputs.none.a.b", "[] | first"]
)
def test_a_missing_path_feeds_default_and_is_defined(path: str) -> None:
    """Only `default`, `is defined` and `is undefined` take a path that leads nowhere."""
    assert value(f"{path} | default('x')") == "x"
    assert value(f"{path} is defined") is False
    assert value(f"{path} is undefined") is True


def test_default_stands_for_null_and_is_not_evaluated_otherwise() -> None:
    """Null takes the default; a value that is there keeps an impossible default from being computed."""
    assert value("inputs.none | default(3)") == 3
    assert value("inputs.hours | default(1 / 0)") == 8
    assert value("false | default(true)") is False


class Steps:
    """Names that are looked up one by one, and count how often."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get(self, name: str) -> object:
        self.asked.append(name)
        return {"find": {"name": "pc7"}}[name]

    def names(self) -> Iterable[str]:
        return ["find"]


def test_lazy_names_are_asked_for_the_one_name_only() -> None:
    """Reading one step does not read the others."""
    steps = Steps()
    assert parse_expression("steps.find.name == 'pc7'").evaluate({"steps": steps}) is True
    assert steps.asked == ["find"]


def test_lazy_names_that_are_not_there_are_missing_paths() -> None:
    """A step without an output is missing, and the message has the nearest name."""
    assert parse_expression("steps.fnd is defined").evaluate({"steps": Steps()}) is False
    with pytest.raises(EvaluationError, match="did you mean 'find'"):
        parse_expression("steps.fnd").evaluate({"steps": Steps()})


@pytest.mark.parametrize("text", ["steps", "steps | length", "steps == 1", "[steps]", "steps ~ ''"])
def test_lazy_names_are_no_value(text: str) -> None:
    """The set of all steps cannot be passed on."""
    with pytest.raises(EvaluationError, match="set of names"):
        parse_expression(text).evaluate({"steps": Steps()})


class Foreign:
    """An object that would do harm if anything of it were touched."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"{name} was touched")

    def __eq__(self, other: object) -> bool:
        raise AssertionError("== was called")

    __hash__ = None  # type: ignore[assignment]


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "x.a",
        "x['a']",
        "x == 1",
        "x ~ ''",
        "x | length",
        "[x]",
        "{'a': x}",
        "1 in x",
        "x is none",
        "-x",
    ],
)
def test_objects_that_are_not_plain_data_are_refused_untouched(text: str) -> None:
    """No attribute or method of a Python object is ever used."""
    with pytest.raises(EvaluationError):
        parse_expression(text).evaluate({"x": Foreign()})
    with pytest.raises(EvaluationError):
        parse_expression("[1, 2] == y").evaluate({"y": [1, Foreign()]})


@pytest.mark.parametrize(
    "outside", ["{{ 7*7 }}", "['*']", "{% for x in y %}", "__class__", "{'$hikeshi': 'unknown'}", "x" * 10_000_000]
)
def test_text_from_outside_stays_text(outside: str) -> None:
    """SAFETY 30: text from outside is never parsed and never chooses its own type."""
    scope = {"event": {"title": outside}}
    assert parse_expression("event.title").evaluate(scope) is outside
    assert parse_expression("[event.title] | first").evaluate(scope) == outside
    assert parse_expression("event.title is string").evaluate(scope) is True
    assert parse_expression("event.title ~ ''").evaluate(scope) == outside


def test_a_condition_must_be_true_or_false() -> None:
    """A condition that gives text is an error that names the key and the text."""
    assert evaluate_condition(parse_expression("1 < 2"), {}) is True
    with pytest.raises(EvaluationError, match="`while` gave a string 'x'; a condition must be true or false"):
        evaluate_condition(parse_expression("'x'"), {}, key="while")
    unknown = Unknown("Host", "not read")
    assert evaluate_condition(parse_expression("x.up == true"), {"x": unknown}) == Unknown("boolean", "not read")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hosts | selectattr('os.name', 'eq', 'linux') | map(attribute='name')", ["a"]),
        ("hosts | rejectattr('os.name', 'in', ['linux']) | map(attribute='name') | first", "b"),
        ("hosts | selectattr('owner', 'defined') | length", 1),
        ("hosts | map(attribute='owner', default='nobody')", ["eve", "nobody"]),
        ("hosts | selectattr('up') | map(attribute='name')", ["a"]),
        ("hosts | sort(attribute='age', reverse=true) | map(attribute='name') | join(',')", "b,a"),
        ("hosts | sum(attribute='age')", 12),
        ("hosts | max(attribute='age') | tojson | length > 10", True),
        ("['A', 'b'] | map('lower') | select('in', ['a'])", ["a"]),
        ("[none, 1] | map('default', 0)", [0, 1]),
        ("['x', 'y'] | map('replace', 'x', 'z')", ["z", "y"]),
        ("hosts | unique(attribute='os') | length", 2),
    ],
)
def test_filters_on_lists_of_records(text: str, expected: object) -> None:
    """Attributes are read by dotted paths, tests and filters are applied to each item."""
    hosts = [
        {"name": "a", "os": {"name": "linux"}, "age": 5, "up": True, "owner": "eve"},
        {"name": "b", "os": {"name": "macos"}, "age": 7, "up": False},
    ]
    assert parse_expression(text).evaluate({"hosts": hosts}) == expected


def test_an_attribute_that_is_missing_in_one_item_is_an_error() -> None:
    """A filter does not silently leave out the items it cannot judge."""
    with pytest.raises(EvaluationError, match="has no 'protected'"):
        parse_expression("x | rejectattr('protected', 'eq', true)").evaluate({"x": [{"protected": True}, {}]})


def test_references_say_what_is_read_and_whether_it_may_be_missing() -> None:
    """Every path is listed with its place, and with whether the expression is ready for it to be missing."""
    text = "steps.a.x | default(steps['b'].y) ~ status.c ~ (steps.d.z if steps.d is defined else inputs.q)"
    found = {(entry.root, *entry.path): entry for entry in parse_expression(text).references}
    assert {path: entry.guarded for path, entry in found.items() if len(path) > 2} == {
        ("steps", "a", "x"): True,
        ("steps", "b", "y"): False,
        ("steps", "d", "z"): True,
    }
    assert text[found["status", "c"].offset :].startswith("status.c")
    assert parse_expression(text).names == {"steps", "status", "inputs"}


@pytest.mark.parametrize(
    ("text", "guarded"),
    [
        ("steps.a.x", False),
        ("steps.a.x is defined", True),
        ("steps.a is defined and steps.a.x == 1", True),
        ("steps.a.x == 1 and steps.a is defined", False),
        ("steps.a is undefined or steps.a.x == 1", True),
        ("status.a == 'succeeded' and steps.a.x == 1", True),
        ("status.a == 'failed' and steps.a.x == 1", False),
        ("steps.a.x if not (steps.a is undefined) else 1", True),
        ("(steps.a.x | lower) | default('')", False),
        ("steps.a.x[inputs.n] | default('')", True),
    ],
)
def test_a_reference_is_guarded_where_it_cannot_fail(text: str, guarded: bool) -> None:
    """`default` guards its own path; `is defined` guards what is read after it has held."""
    paths = [
        entry for entry in parse_expression(text).references if entry.root == "steps" and entry.path[:2] == ("a", "x")
    ]
    assert [entry.guarded for entry in paths] == [guarded]
