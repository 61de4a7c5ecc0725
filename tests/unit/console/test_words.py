"""The console's words: every one that is used is there, in English and in Japanese."""

import re
import string
from pathlib import Path

import pytest

import hikeshi.console
from hikeshi.access.roles import Role
from hikeshi.console.doors import here
from hikeshi.console.marks import SIGNS
from hikeshi.console.wording import WORDING
from hikeshi.console.words import LANGUAGES, has_words, language_of, words
from hikeshi.core import StepStatus
from hikeshi.core.events import EVENTS
from hikeshi.core.status import RunStatus
from hikeshi.guardrails.stop import Scope
from hikeshi.playbook.model import Phase

FOLDER = Path(hikeshi.console.__file__).parent
USED = re.compile(r"""say\(\s*["']([a-z_.?A-Z ]+)["']""")
FAMILIES = {
    "status": [*StepStatus, *RunStatus, *SIGNS],
    "role": list(Role),
    "phase": list(Phase),
    "scope": list(Scope),
    "severity": ["low", "medium", "high", "critical"],
    "event": list(EVENTS),
    "effect": ["change", "notify"],
    "mode": ["live", "plan"],
    "waits_for": ["people", "resolve", "resume"],
    "outcome": ["done", "already", "carried", "failed", "unknown", "open", "not_reached"],
    "undo.does": ["undo", "pass_on", "close", "decide", "try", "cannot", "over"],
    "question.done": ["approve", "reject"],
    "run.told": ["pause", "resume"],
}


def sources() -> dict[str, str]:
    return {str(path.relative_to(FOLDER)): path.read_text(encoding="utf-8") for path in FOLDER.rglob("*.py")}


def test_every_key_that_the_pages_use_has_words() -> None:
    """No page can fail because somebody forgot a word."""
    used = {key for text in sources().values() for key in USED.findall(text) if not key.endswith(".")}

    assert len(used) > 200
    assert sorted(key for key in used if not has_words(key)) == []


@pytest.mark.parametrize("family", FAMILIES)
def test_every_member_of_a_family_has_words(family: str) -> None:
    """What the engine may say one day is said in both languages today."""
    assert [each for each in FAMILIES[family] if not has_words(f"{family}.{each}")] == []


@pytest.mark.parametrize("key", sorted(WORDING))
def test_both_languages_say_something_with_the_same_values(key: str) -> None:
    """A translation leaves nothing out that a page fills in."""
    english, japanese = WORDING[key]

    assert english.strip()
    assert japanese.strip()
    assert names(english) == names(japanese)


def names(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_failure_says_what_to_do() -> None:
    """A failure without a next step leaves somebody alone at night."""
    kinds = {key.split(".")[1] for key in WORDING if key.startswith("failure.") and key.count(".") == 2}

    assert len(kinds) > 15
    assert [each for each in kinds if not (has_words(f"failure.{each}.what") and has_words(f"failure.{each}.do"))] == []


def test_no_table_has_a_key_of_another() -> None:
    """A key that stands twice would be said as the last table has it."""
    tables = [text for name, text in sources().items() if name.startswith("wording") or name == "words.py"]
    keys = [key for text in tables for key in re.findall(r'^    "([^"]+)": ?\(?', text, re.M)]

    assert sorted({key for key in keys if keys.count(key) > 1}) == []


@pytest.mark.parametrize(
    ("accepted", "chosen", "language"),
    [
        ("ja,en;q=0.8", None, "ja"),
        ("fr-CA, ja-JP;q=0.9", None, "ja"),
        ("ja", "en", "en"),
        ("en", "ja", "ja"),
        ("en", "xx<script>", "en"),
        (None, None, "en"),
    ],
)
def test_the_language_is_the_chosen_one_or_the_browsers(
    accepted: str | None, chosen: str | None, language: str
) -> None:
    """Somebody's choice holds, and anything else in the cookie chooses nothing."""
    assert language_of(accepted, chosen) == language
    assert words(language).language in LANGUAGES


@pytest.mark.parametrize("text", ["//evil.example", "/\\evil.example", "https://evil.example", "/a\nb", "", None])
def test_after_signing_in_nobody_is_sent_elsewhere(text: str | None) -> None:
    """A link to the sign-in page can't be made to lead to another site."""
    assert here(text) == "/"
