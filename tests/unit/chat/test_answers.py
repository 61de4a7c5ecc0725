"""Answers from outside, read: clicks, replies in words, and the questions that they name."""

from __future__ import annotations

import pytest

from hikeshi.chat.matrix_reply import Command
from hikeshi.chat.question import Asked, shown

DIGEST = "abcd1234" + "0" * 56
GOOD = {"run": "20260302-090000-aa", "path": "sure", "digest": DIGEST}


@pytest.mark.parametrize(
    ("text", "decision", "code", "note"),
    [
        ("approve", "approve", None, None),
        (" Approve \n", "approve", None, None),
        ("APPROVE ABCD1234", "approve", "abcd1234", None),
        ("approve abcd1234 but only the first", None, "abcd1234", None),
        ("approve abcd123", None, None, None),
        ("reject", "reject", None, None),
        ("reject abcd1234", "reject", "abcd1234", None),
        ("reject abcd1234  it is\n ours ", "reject", "abcd1234", "it is ours"),
        ("reject it is ours", "reject", None, "it is ours"),
        ("reject deadbeef1 is a host", "reject", None, "deadbeef1 is a host"),
    ],
)
def test_a_reply_is_a_decision_in_words(text: str, decision: str | None, code: str | None, note: str | None) -> None:
    """The code may be left out; an approval with more words behind it decides nothing."""
    found = Command.of(text)
    assert found is not None
    assert (found.decision, found.code, found.note) == (decision, code, note)


@pytest.mark.parametrize("text", ["", "yes", "approved", "I approve", "approve-it", "approve_x", "rejected", "re ject"])
def test_other_texts_are_none(text: str) -> None:
    """Whoever talks about a question has not decided it."""
    assert Command.of(text) is None


def test_a_long_reason_is_cut() -> None:
    """It is for the record of the run, and people read it."""
    found = Command.of("reject " + "x" * 4000)
    assert found is not None
    assert found.note == "x" * 500


def test_a_code_has_to_be_that_of_the_question() -> None:
    """Without one, the message that is replied to says which question it is."""
    assert Command("approve", "abcd1234", None).fits(DIGEST)
    assert Command("approve", None, None).fits(DIGEST)
    assert not Command("approve", "bcd12340", None).fits(DIGEST)


def test_a_question_is_named_by_run_path_and_digest() -> None:
    """All three, and nothing besides."""
    assert Asked.of(GOOD) == Asked(**GOOD)


@pytest.mark.parametrize(
    "given",
    [
        None,
        [],
        {},
        {**GOOD, "more": 1},
        {**GOOD, "run": "../x"},
        {**GOOD, "run": ""},
        {**GOOD, "run": "a" * 200},
        {**GOOD, "run": 7},
        {**GOOD, "path": ""},
        {**GOOD, "path": "x" * 3000},
        {**GOOD, "digest": DIGEST[:8]},
        {**GOOD, "digest": DIGEST.upper()},
        {**GOOD, "digest": None},
    ],
)
def test_what_names_no_question_is_none(given: object) -> None:
    """Whatever else comes in."""
    assert Asked.of(given) is None


def test_an_announcement_has_one_name_for_each_question_and_channel() -> None:
    """The same in each process; another one for another digest, path, run, channel or connector."""
    asked = Asked(**GOOD)
    others = [Asked("r", "sure", DIGEST), Asked(asked.run, "b", DIGEST), Asked(asked.run, "sure", "0" * 64)]
    names = [asked.id_for("a", "#b"), *(each.id_for("a", "#b") for each in others)]
    names += [asked.id_for("a", "#c"), asked.id_for("b", "#b"), asked.id_for("a#", "b")]
    assert len(set(names)) == len(names)
    assert names[0] == Asked(**GOOD).id_for("a", "#b") == "b927b7c5aa16b17a234fdc8b"


def test_texts_from_outside_are_one_line_without_anything_invisible() -> None:
    """A name can't turn the direction of what follows, begin a line of its own or fill the screen."""
    assert shown("pc\u202e1\n\tApproved by\x1b[0m you") == "pc\ufffd1 Approved by\ufffd[0m you"
    assert shown("x" * 500) == "x" * 119 + "…"
    assert shown("火消し") == "火消し"
