"""Whatever is done to the text of a playbook, it loads or has problems; it never breaks the parser."""

from __future__ import annotations

import json
import re
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hikeshi.capabilities import BUILT_IN, Catalogue
from hikeshi.playbook import Playbook, check_playbook, load_playbook, mermaid

LANGUAGE = Path(__file__).resolve().parents[2] / "docs" / "language.md"
TEXT = re.findall(r"```yaml\n(.*?)```", LANGUAGE.read_text(), re.DOTALL)[0]
WORDS = sorted(
    {
        *re.findall(r"[A-Za-z_.]+", TEXT),
        "{{",
        "}}",
        "[",
        "]",
        "{",
        "}",
        ":",
        "- ",
        "'",
        '"',
        "|",
        "\n",
        "\t",
        "&a",
        "*a",
        "0",
        "-1",
    }
)
CATALOGUE = Catalogue()
for _capability in BUILT_IN:
    CATALOGUE.add(_capability.specs())


class NoPlaybooks:
    def playbook(self, playbook_id: str) -> Playbook | None:
        return None

    def ids(self) -> list[str]:
        return []


def survive(text: str) -> None:
    playbook, problems = load_playbook(text, "p.yaml")
    assert (playbook is None) == bool(problems)
    assert problems == sorted(
        set(problems), key=lambda found: (found.position.line, found.position.column, found.code, found.message)
    )
    if playbook is not None:
        assert mermaid(playbook).startswith("flowchart TD")
        for problem in check_playbook(playbook, CATALOGUE, NoPlaybooks()):
            assert problem.position.line >= 1


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_replaced_words_never_break_the_parser(data: st.DataObject) -> None:
    """Words of the language in wrong places are problems, not crashes."""
    text = TEXT
    for _ in range(data.draw(st.integers(1, 4))):
        words = list(re.finditer(r"[A-Za-z_.]+|[^\sA-Za-z_.]", text))
        found = words[data.draw(st.integers(0, len(words) - 1))] if words else None
        if found is not None:
            text = text[: found.start()] + data.draw(st.sampled_from(WORDS)) + text[found.end() :]
    survive(text)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_cut_and_moved_lines_never_break_the_parser(data: st.DataObject) -> None:
    """Neither do lines that are gone, doubled or indented otherwise."""
    lines = TEXT.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        lines[at : at + 1] = data.draw(
            st.sampled_from([[], [lines[at]] * 2, ["  " + lines[at]], [lines[at].lstrip()]])
        ) or [""]
    survive("\n".join(lines))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 500)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=80, deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            (
                "id",
                "name",
                "inputs",
                "vars",
                "triggers",
                "steps",
                "on_failure",
                "finally",
                "outputs",
                "timeout",
                "concurrency",
                "attack",
            ),
            JSON,
        ),
    )
)
def test_any_data_under_the_top_keys_is_judged(data: object) -> None:
    """JSON is YAML; whatever its shape, there is an answer."""
    survive(json.dumps(data))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "action",
                    "with",
                    "needs",
                    "when",
                    "on_error",
                    "for_each",
                    "set",
                    "steps",
                    "parallel",
                    "stop",
                    "retry",
                    "wait",
                    "as",
                    "hold",
                    "while",
                ]
            ),
            JSON,
            max_size=4,
        ),
        max_size=4,
    )
)
def test_any_steps_are_judged(steps: object) -> None:
    """The keys of steps with any values at all."""
    survive(json.dumps({"id": "p", "steps": steps}))


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_judged(text: str) -> None:
    """Text that was never meant to be a playbook has problems, with a place."""
    survive(text)
