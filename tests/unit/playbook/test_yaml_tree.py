"""YAML text as a tree with positions."""

from __future__ import annotations

import sys

import pytest

from hikeshi.playbook.parse_report import to_plain
from hikeshi.playbook.yaml_tree import MAX_DEPTH, Mapping, Scalar, Sequence, parse_yaml


def read(text: str) -> object:
    node, faults = parse_yaml(text)
    assert faults == []
    assert node is not None
    return to_plain(node)


def fault(text: str) -> tuple[str, int, int]:
    _, faults = parse_yaml(text)
    return faults[0].code, faults[0].line, faults[0].column


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("off", "off"),
        ("2026-01-31", "2026-01-31"),
        ("10:30", "10:30"),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-7", -7),
        ("'7'", "7"),
        ('"true"', "true"),
        ("1.2.3", "1.2.3"),
        ("!!str 7", "7"),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(written: str, value: object) -> None:
    """What YAML 1.1 would take for a boolean or a date stays text."""
    found = read(f"key: {written}")

    assert found == {"key": value}
    assert type(found["key"]) is type(value)  # type: ignore[index]  # a map


def test_keys_and_values_know_their_place() -> None:
    """Lines and columns count from 1, also in flow style and behind wide characters."""
    node, _ = parse_yaml('a: 1\n日本: {b: [x, "y"]}\n')

    assert isinstance(node, Mapping)
    entry = node.entries["日本"]
    assert (entry.line, entry.column) == (2, 1)
    assert isinstance(entry.value, Mapping)
    items = entry.value.entries["b"].value
    assert isinstance(items, Sequence)
    assert [(item.line, item.column) for item in items.items] == [(2, 10), (2, 13)]


def test_text_in_quotes_knows_where_it_starts() -> None:
    """Places inside a text are counted from behind its quote; in text of several lines they are not known."""
    node, _ = parse_yaml("a: x\nb: 'x'\nc: |\n  x\n")

    assert isinstance(node, Mapping)
    offsets = [entry.value.offset for entry in node.entries.values() if isinstance(entry.value, Scalar)]
    assert offsets == [3, 4, None]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("by: [role:soc_lead, a::b]", {"by": ["role:soc_lead", "a::b"]}),
        ("{url: https://bad.example/x?y:z, ask: Go?}", {"url": "https://bad.example/x?y:z", "ask": "Go?"}),
        ('{"a":1}', {"a": 1}),
        ("a: 'x:y'\nb: |\n  p:q\n", {"a": "x:y", "b": "p:q\n"}),
        ("a:b: c", {"a:b": "c"}),
    ],
)
def test_a_colon_inside_a_word_is_part_of_it(text: str, value: object) -> None:
    """YAML 1.2 allows role:lead in a flow list, where the C parser alone would refuse it."""
    assert read(text) == value


def test_aliases_stand_for_what_they_name() -> None:
    """Anchors and aliases work for values of every type."""
    assert read("a: &x {b: 1}\nc: *x\nd: &y [2]\ne: *y\nf: &z 3\ng: *z") == {
        "a": {"b": 1}, "c": {"b": 1}, "d": [2], "e": [2], "f": 3, "g": 3,
    }  # fmt: skip


def test_aliases_cannot_blow_up_a_small_file() -> None:
    """A file of a few lines that stands for a billion values is refused before they are made."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]

    assert fault("\n".join(lines))[0] == "yaml-alias"


@pytest.mark.parametrize("text", ["[" * (MAX_DEPTH + 1), "a: &x [[[[1]]]]\nb: " + "[" * (MAX_DEPTH - 2) + "*x"])
def test_depth_is_limited(text: str) -> None:
    """Nesting is refused at a fixed depth, aliases included."""
    assert fault(text)[0] == "yaml-depth"


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("", "yaml-empty", 1, 1),
        ("# nothing\n", "yaml-empty", 1, 1),
        ("a: 1\n---\nb: 2\n", "yaml-documents", 2, 1),
        ("a: !!python/object:os.system x", "yaml-tag", 1, 4),
        ("a: !mine {b: 1}", "yaml-tag", 1, 4),
        ("a: 1\nb: 2\na: 3", "yaml-duplicate-key", 3, 1),
        ("1: a", "yaml-key", 1, 1),
        ("<<: {a: 1}", "yaml-key", 1, 1),
        ("a: {{ b }}", "yaml-key", 1, 5),
        ("a: .inf", "yaml-number", 1, 4),
        ("a: " + "9" * 2000, "yaml-number", 1, 4),
        ("a: *nothing", "yaml-alias", 1, 4),
        ("a: &x [*x]", "yaml-alias", 1, 8),
        ("a:\n\tb: 1", "yaml-syntax", 2, 1),
        ("a: b: c", "yaml-syntax", 1, 5),
        ("a: 'open", "yaml-syntax", 1, 9),
        ("a: [1, 2", "yaml-syntax", 2, 1),
        ("a: x\x07", "yaml-syntax", 1, 5),
        ("a: \ud800", "yaml-syntax", 1, 4),
        ("a: @b", "yaml-syntax", 1, 4),
    ],
)
def test_what_is_no_plain_yaml_is_refused_at_its_place(text: str, code: str, line: int, column: int) -> None:
    """Each fault says where it is."""
    assert fault(text) == (code, line, column)


def test_a_tab_is_named_as_the_cause() -> None:
    """The advice says what to do, not what the parser expected."""
    _, faults = parse_yaml("steps:\n\t- a")

    assert "indent with spaces" in faults[0].message


def test_a_file_that_is_too_large_is_refused() -> None:
    """The limit counts bytes, and nothing is parsed."""
    assert fault("#" + "あ" * (4 * 1024 * 1024 // 3 + 1))[0] == "yaml-size"


def test_several_faults_of_a_readable_file_are_all_reported() -> None:
    """Keys that are written twice, tags and numbers out of bounds don't hide each other."""
    node, faults = parse_yaml("a: 1\na: 2\nb: .nan\nc: !x 1")

    assert node is not None
    assert [found.code for found in faults] == ["yaml-duplicate-key", "yaml-number", "yaml-tag"]


def test_a_byte_order_mark_is_no_content() -> None:
    """Editors on Windows write one."""
    assert read("\ufeffa: 1") == {"a": 1}


def test_the_slow_parser_is_never_used_in_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the compiled parser there is an error that says what to install."""
    monkeypatch.setitem(sys.modules, "ruamel.yaml.cyaml", None)

    with pytest.raises(RuntimeError, match=r"ruamel\.yaml\.clib"):
        parse_yaml("a: 1")


def test_text_may_hold_every_character_that_yaml_allows() -> None:
    """What the parser hides signs behind is chosen so that no text can have it by chance."""
    every = "".join(map(chr, range(0xE000, 0xF8FF)))

    assert read(f"a: [role:lead, '{chr(0xE000)}:{chr(0xE001)}?']") == {"a": ["role:lead", "\ue000:\ue001?"]}
    assert read(f"a: '{every}:x'") == {"a": f"{every}:x"}
