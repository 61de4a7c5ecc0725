"""The types of inputs."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hikeshi.playbook import shape as shapes
from hikeshi.playbook.durations import format_duration, parse_duration
from hikeshi.playbook.unknown import JSON
from hikeshi.playbook.values import TYPE_NAMES, Constraints, Items, check_constraints, coerce, from_text, shape_for

MD5, SHA1, SHA256 = "d41d8cd98f00b204e9800998ecf8427e", "da39a3ee5e6b4b0d3255bfef95601890afd80709", "e3b0c442" * 8


@pytest.mark.parametrize(
    ("type_name", "raw", "expected"),
    [
        ("string", "['*']", "['*']"),
        ("string", "12", "12"),
        ("integer", 12, 12),
        ("number", 1.5, 1.5),
        ("number", 2, 2),
        ("boolean", True, True),
        ("duration", "1h30m", 5400),
        ("duration", 90, 90),
        ("datetime", "2026-01-31T10:00:00+02:00", "2026-01-31T08:00:00Z"),
        ("hostname", " PC7.Corp.Example. ", "pc7.corp.example"),
        ("hostname", "FS_01", "fs_01"),
        ("ipv4", "192.0.2.7", "192.0.2.7"),
        ("ipv6", "2001:0DB8:0:0::0001", "2001:db8::1"),
        ("ip", "::1", "::1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/8"),
        ("domain", "Bad.Example.", "bad.example"),
        ("domain", "münchen.example", "xn--mnchen-3ya.example"),
        ("url", "HTTPS://Bad.Example/Path?Q=1", "https://bad.example/Path?Q=1"),
        ("email", "Bob@Bad.Example", "bob@bad.example"),
        ("md5", MD5.upper(), MD5),
        ("sha1", SHA1, SHA1),
        ("sha256", SHA256, SHA256),
        ("hash", SHA1.upper(), SHA1),
        ("indicator", "hxxp://bad[.]example", {"kind": "url", "value": "http://bad.example"}),
        ("user", " eve ", "eve"),
        ("host", "pc7", "pc7"),
        ("indicator", {"kind": "ipv4", "value": "192.0.2.7"}, {"kind": "ipv4", "value": "192.0.2.7"}),
        ("list", [1, "a"], [1, "a"]),
        ("dict", {"a": 1}, {"a": 1}),
    ],
)
def test_a_value_is_normalised_once(type_name: str, raw: object, expected: JSON) -> None:
    """The same thing has one form, and normalising that again changes nothing."""
    assert coerce(type_name, raw) == expected
    assert coerce(type_name, expected) == expected


@pytest.mark.parametrize(
    ("type_name", "raw", "reason"),
    [
        ("integer", "12", "must be an integer, and is a string '12'"),
        ("integer", True, "must be an integer"),
        ("integer", 1.0, "must be an integer"),
        ("number", "1", "must be a number"),
        ("number", float("nan"), "finite"),
        ("boolean", "true", "must be true or false"),
        ("boolean", 1, "true or false"),
        ("string", 12, "must be text"),
        ("list", "['*']", "must be a list"),
        ("dict", [], "must be a map"),
        ("string", "\ud800", "surrogate"),
        ("duration", "15 minutes", "15m"),
        ("duration", "-1h", "is not a duration"),
        ("duration", "9999999d", "ten years"),
        ("duration", True, "not a duration"),
        ("datetime", "2026-01-31T08:00:00", "no time zone"),
        ("datetime", "tomorrow", "not a date"),
        ("hostname", "", "empty"),
        ("hostname", "a b", "not a host name"),
        ("hostname", "-a", "not a host name"),
        ("hostname", "a" * 64, "not a host name"),
        ("hostname", "*", "not a host name"),
        ("hostname", "10.0.0.7", "an address"),
        ("ipv4", "010.0.0.7", "not an IP address"),
        ("ipv4", "::1", "not an IPv4"),
        ("ip", "fe80::1%eth0", "zone ID"),
        ("cidr", "0.0.0.0/0", "too wide"),
        ("cidr", "10.1.2.3/24", "did you mean 10.1.2.0/24"),
        ("domain", "com", "one label"),
        ("domain", "*.com", "not a domain"),
        ("url", "javascript:x", "not a URL"),
        ("url", "http://a b.example", "spaces"),
        ("email", "bob", "not an e-mail"),
        ("md5", SHA1, "not a md5"),
        ("hash", "xyz", "hexadecimal"),
        ("indicator", "*", "wildcard"),
        ("indicator", "", "empty"),
        ("indicator", "::/0", "too wide"),
        ("indicator", {"kind": "url", "value": "192.0.2.7"}, "of the kind ipv4"),
        ("user", "*", "wildcard"),
        ("user", "a?", "wildcard"),
        ("host", "  ", "must name one"),
        ("host", "a\nb", "control"),
        ("user", "a" * 257, "256"),
        ("user", {"name": "eve"}, "must be text"),
        ("hots", "x", "did you mean 'host'"),
        ("list", [object()], "plain data"),
    ],
)
def test_what_does_not_fit_is_refused_with_a_reason(type_name: str, raw: object, reason: str) -> None:
    """No type is chosen by the content, and nothing too broad is taken."""
    with pytest.raises(ValueError, match=reason.replace("*", r"\*")):
        coerce(type_name, raw)


@pytest.mark.parametrize(
    ("type_name", "raw", "constraints", "reason"),
    [
        ("string", "c", Constraints(enum=("a", "b")), "not one of a, b"),
        ("hostname", "PC9", Constraints(enum=("PC7",)), "not one of PC7"),
        ("integer", True, Constraints(enum=(1,)), "must be an integer"),
        ("integer", 73, Constraints(minimum=1, maximum=72), "at most 72"),
        ("duration", "1m", Constraints(minimum="5m"), "at least 5m"),
        ("datetime", "2026-01-01T00:00:00Z", Constraints(minimum="2026-02-01T00:00:00Z"), "at least"),
        ("string", "", Constraints(min_length=1), "at least 1 characters"),
        ("list", [1, 2], Constraints(max_length=1), "at most 1 items"),
        ("string", "abc", Constraints(pattern="[a-b]+"), "does not match"),
        ("string", "a" * 5000, Constraints(pattern="a+"), "too long for the pattern"),
        ("list", ["192.0.2.7", "x"], Constraints(items=Items("ip")), "item 1: 'x' is not an IP"),
        ("list", [[1], ["a"]], Constraints(items=Items("list", Constraints(items=Items("integer")))), "item 1: item 0"),
    ],
)
def test_constraints_are_obeyed(type_name: str, raw: object, constraints: Constraints, reason: str) -> None:
    """Each constraint refuses in its own words."""
    with pytest.raises(ValueError, match=reason):
        coerce(type_name, raw, constraints=constraints)


@pytest.mark.parametrize(
    ("type_name", "text", "constraints", "expected"),
    [
        ("integer", "12", Constraints(), 12),
        ("number", "1.5", Constraints(), 1.5),
        ("boolean", "True", Constraints(), True),
        ("duration", "90", Constraints(), 90),
        ("list", "a, b\nc", Constraints(), ["a", "b", "c"]),
        ("list", "[1, 2]", Constraints(), [1, 2]),
        ("list", "1,2", Constraints(items=Items("integer")), [1, 2]),
        ("list", "", Constraints(), []),
        ("dict", '{"a": 1}', Constraints(), {"a": 1}),
        ("string", "['*']", Constraints(), "['*']"),
        ("string", "12", Constraints(), "12"),
    ],
)
def test_the_command_line_gives_text(type_name: str, text: str, constraints: Constraints, expected: JSON) -> None:
    """The declared type decides how text of the command line is read."""
    assert from_text(type_name, text, constraints=constraints) == expected


@pytest.mark.parametrize(
    ("type_name", "text"),
    [("integer", "1.5"), ("boolean", "yes"), ("dict", "{a: 1}"), ("list", "[NaN]"), ("list", "[" * 9999)],
)
def test_text_that_does_not_fit_is_refused(type_name: str, text: str) -> None:
    """What cannot be read is an error."""
    with pytest.raises(ValueError):  # noqa: PT011  the reasons differ
        from_text(type_name, text)


@pytest.mark.parametrize(
    "pattern",
    ["(a+)+", "(a|a)*", "(a*)*b", "(?=a)", r"(a)\1", "(a?b?)*", "a*a*a*a*a*", "(", "a{1,60000}" * 9, "(a{1,16}){1,16}"],
)
def test_patterns_that_can_take_for_ever_are_refused(pattern: str) -> None:
    """A declared pattern is checked when it is declared."""
    assert check_constraints("string", Constraints(pattern=pattern))


@pytest.mark.parametrize(
    "pattern",
    ["[A-Z]{2,5}-[0-9]+", "INC[0-9]{7}", "(?:srv|pc)[0-9]+", r"\w+\.\w+", "(ab)?c", r"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"],
)
def test_ordinary_patterns_are_taken(pattern: str) -> None:
    """The twin: what people write for ticket numbers and names."""
    assert check_constraints("string", Constraints(pattern=pattern)) == []


def test_a_declaration_is_checked_itself() -> None:
    """Limits that a type does not have are found when the playbook is read."""
    assert check_constraints("string", Constraints(minimum=1)) == ["the type string has no minimum"]
    assert check_constraints("integer", Constraints(enum=("a",))) == [
        "`enum`: it must be an integer, and is a string 'a'"
    ]
    assert check_constraints("list", Constraints(items=Items("hots"))) == [
        "`items`: there is no type 'hots'; did you mean 'host'?"
    ]


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(TYPE_NAMES),
    st.text(max_size=20) | st.integers() | st.floats() | st.none() | st.lists(st.text(max_size=3)),
)
def test_coerce_gives_a_stable_value_or_a_reason(type_name: str, raw: object) -> None:
    """Whatever comes in: a value that is a fixed point, or ValueError."""
    try:
        value = coerce(type_name, raw)
    except ValueError:
        return
    assert coerce(type_name, value) == value


def test_no_input_has_the_shape_of_an_entity() -> None:
    """SAFETY: what comes in by inputs is never an entity."""
    for type_name in TYPE_NAMES:
        assert not shapes.contains_entity(shape_for(type_name))
    assert shape_for("list", Constraints(items=Items("ip"))) == shapes.ListShape(shapes.StringShape("ip"))
    assert shape_for("string", Constraints(enum=("a",))) == shapes.StringShape(enum=("a",))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("15m", 900), ("8h", 28_800), ("1h30m", 5_400), ("2d", 172_800), ("250ms", 0.25), ("1s500ms", 1.5), ("0s", 0)],
)
def test_durations_are_read_and_written(text: str, seconds: float) -> None:
    """A duration's text and its seconds are the same thing."""
    assert parse_duration(text) == seconds
    assert format_duration(seconds) == text


@given(st.integers(min_value=0, max_value=3_000_000_000))
def test_a_written_duration_is_read_back(milliseconds: int) -> None:
    """Formatting loses nothing down to the millisecond."""
    seconds = milliseconds / 10_000 if milliseconds % 10 == 0 else milliseconds % 300_000_000
    assert parse_duration(format_duration(seconds)) == round(seconds, 3)
