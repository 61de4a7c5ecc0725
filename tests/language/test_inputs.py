"""Declared inputs: each type, and each key of a declaration. Fields of forms are declared in the same way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hikeshi.playbook.inputs import WrongInputs
from hikeshi.testing.run_harness import RunHarness

Codes = Callable[..., list[str]]

MD5, SHA1, SHA256 = "0123456789abcdef" * 2, "0123456789" * 4, "0123456789abcdef" * 4
TYPES: list[tuple[str, Any, Any, Any]] = [  # type, as given, as it becomes, what is refused
    ("string", "a", "a", 7),
    ("integer", 7, 7, 7.5),
    ("number", 7.5, 7.5, "7.5"),
    ("boolean", True, True, "yes"),
    ("duration", "1h30m", 5400, "90 minutes"),
    ("datetime", "2026-01-31T09:00:00+09:00", "2026-01-31T00:00:00Z", "2026-01-31T09:00:00"),
    ("hostname", "PC1.Example.", "pc1.example", "a b"),
    ("ipv4", "192.0.2.7", "192.0.2.7", "2001:db8::1"),
    ("ipv6", "2001:DB8:0:0::1", "2001:db8::1", "192.0.2.7"),
    ("ip", "2001:DB8:0:0::1", "2001:db8::1", "pc1"),
    ("cidr", "192.0.2.0/24", "192.0.2.0/24", "192.0.2.0/33"),
    ("domain", "Example.COM", "example.com", "no domain"),
    ("url", "https://example.com/a", "https://example.com/a", "example"),
    ("email", "mei@Example.com", "mei@example.com", "mei"),
    ("md5", MD5.upper(), MD5, SHA1),
    ("sha1", SHA1, SHA1, MD5),
    ("sha256", SHA256.upper(), SHA256, SHA1),
    ("hash", SHA1, SHA1, "0123"),
    ("indicator", "hxxp://bad[.]example/x", {"kind": "url", "value": "http://bad.example/x"}, "not one of them"),
    ("user", " mei ", "mei", "m*"),
    ("host", "pc1", "pc1", ""),
    ("list", [1, "a"], [1, "a"], "a,b"),
    ("dict", {"a": 1}, {"a": 1}, [1]),
]
NOON = "2026-01-31T12:00:00Z"
ECHO = "steps: [{set: {x: '1'}}]\noutputs: {out: '{{ inputs.i }}'}\n"


@pytest.mark.parametrize(
    ("name", "given", "becomes"),
    [pytest.param(*case[:3], id=case[0], marks=pytest.mark.language("a type", case[0], runs=True)) for case in TYPES],
)
async def test_a_value_is_normalised_once_when_the_run_starts(
    harness: RunHarness, name: str, given: Any, becomes: Any
) -> None:
    """What steps read is what the type makes of it."""
    outcome = await harness.run(f"id: t\ninputs: {{i: {{type: {name}}}}}\n{ECHO}", inputs={"i": given})

    assert outcome.outputs == {"out": becomes}
    assert type(outcome.outputs["out"]) is type(becomes)


@pytest.mark.parametrize(
    ("name", "refused"),
    [
        pytest.param(case[0], case[3], id=case[0], marks=pytest.mark.language("a type", case[0], refuses=True))
        for case in TYPES
    ],
)
async def test_a_value_of_another_type_starts_nothing(harness: RunHarness, name: str, refused: Any) -> None:
    """The problem names the input, and no record is written."""
    with pytest.raises(WrongInputs) as raised:
        await harness.run(f"id: t\ninputs: {{i: {{type: {name}}}}}\n{ECHO}", inputs={"i": refused})

    assert [problem.split(":")[0] for problem in raised.value.problems] == ["i"]
    assert harness.records() == []


def refuses(key: str, declaration: str, code: str) -> Any:
    return pytest.param(declaration, code, id=key, marks=pytest.mark.language("an input", key, refuses=True))


@pytest.mark.parametrize(
    ("declaration", "code"),
    [
        refuses("type", "{type: strng}", "wrong-value"),
        refuses("type", "{type: secret}", "wrong-value"),
        refuses("type", "{default: a}", "missing-key"),
        refuses("description", "{type: string, description: 7}", "wrong-type"),
        refuses("required", "{type: string, required: no}", "wrong-type"),
        refuses("required", "{type: string, required: true, default: a}", "wrong-value"),
        refuses("default", "{type: integer, default: a}", "wrong-default"),
        refuses("default", "{type: integer, maximum: 3, default: 4}", "wrong-default"),
        refuses("enum", "{type: string, enum: []}", "wrong-value"),
        refuses("enum", "{type: integer, enum: [a]}", "wrong-limit"),
        refuses("pattern", "{type: string, pattern: '('}", "wrong-limit"),
        refuses("minimum", "{type: string, minimum: 1}", "wrong-limit"),
        refuses("maximum", "{type: duration, maximum: soon}", "wrong-limit"),
        refuses("min_length", "{type: string, min_length: -1}", "wrong-value"),
        refuses("max_length", "{type: string, max_length: long}", "wrong-type"),
        refuses("items", "{type: string, items: integer}", "wrong-limit"),
        refuses("items", "{type: list, items: {type: strng}}", "wrong-value"),
    ],
)
def test_a_declaration_that_is_written_wrong_is_refused(codes: Codes, declaration: str, code: str) -> None:
    """Limits belong to types that have them."""
    assert codes(f"id: t\ninputs: {{i: {declaration}}}\n{ECHO}") == [code]


def runs(key: str, declaration: str, good: Any, bad: Any) -> Any:
    return pytest.param(declaration, good, bad, id=key, marks=pytest.mark.language("an input", key, runs=True))


@pytest.mark.parametrize(
    ("declaration", "good", "bad"),
    [
        runs("type", "{type: integer}", 7, "seven"),
        runs("enum", "{type: string, enum: [low, high]}", "low", "middle"),
        runs("pattern", "{type: string, pattern: 'INC\\d+'}", "INC12", "INC"),
        runs("minimum", "{type: duration, minimum: 1h}", 7200, 60),
        runs("maximum", f"{{type: datetime, maximum: '{NOON}'}}", NOON, NOON.replace("12", "13")),
        runs("min_length", "{type: list, min_length: 2}", [1, 2], [1]),
        runs("max_length", "{type: string, max_length: 3}", "abc", "abcd"),
        runs("items", "{type: list, items: {type: integer, minimum: 1}}", [1, 2], [1, 0]),
    ],
)  # fmt: skip
async def test_a_run_takes_what_fits_the_declaration(
    harness: RunHarness, declaration: str, good: Any, bad: Any
) -> None:
    """And starts with nothing else."""
    text = f"id: t\ninputs: {{i: {declaration}}}\n{ECHO}"
    with pytest.raises(WrongInputs):
        await harness.run(text, inputs={"i": bad})

    outcome = await harness.run(text, inputs={"i": good})

    assert outcome.outputs == {"out": good}


@pytest.mark.language("an input", "required", runs=True)
@pytest.mark.language("an input", "default", runs=True)
@pytest.mark.language("an input", "description", runs=True)
async def test_an_input_may_be_left_out(harness: RunHarness) -> None:
    """It has its default then, or is null; one that is required must be given."""
    text = """
id: t
inputs:
  needed: {type: string, description: For people}
  usual: {type: integer, default: 8}
  rare: {type: string, required: false}
steps: [{set: {x: "1"}}]
outputs: {all: "{{ [inputs.needed, inputs.usual, inputs.rare] }}"}
"""
    with pytest.raises(WrongInputs, match="needed"):
        await harness.run(text)

    outcome = await harness.run(text, inputs={"needed": "a"})

    assert outcome.outputs == {"all": ["a", 8, None]}


@pytest.mark.language("an input", "type", refuses=True)
async def test_an_input_that_is_not_declared_starts_nothing(harness: RunHarness) -> None:
    """The nearest one is named."""
    with pytest.raises(WrongInputs, match="did you mean 'host'"):
        await harness.run(
            f"id: t\ninputs: {{host: {{type: host, default: a}}}}\n{ECHO.replace('.i', '.host')}", inputs={"hots": "a"}
        )
