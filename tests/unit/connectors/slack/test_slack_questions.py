"""Messages of Slack that ask for an approval: their blocks stay within Slack's limits, and outside text stays text."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hikeshi_connectors.slack.question_blocks import APPROVE, REJECT, conclusion_blocks, question_blocks

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ASKED = {"run": "r-1", "path": "sure", "digest": "d" * 64}


def blocks_of(question: str = "Isolate?", **more: Any) -> list[dict[str, Any]]:
    given = {"facts": [], "targets": ["PC-7"], "more_targets": 0, "link": "https://h.example/runs/r-1#sure", **more}
    return question_blocks(
        question, given["facts"], given["targets"], given["more_targets"], AT, given["link"], given.get("asked", ASKED)
    )


def texts(blocks: list[dict[str, Any]]) -> list[str]:
    return [each["text"]["text"] for each in blocks if each["type"] == "section"]


def test_two_buttons_carry_the_question_back():
    """Each says which question it answers, and neither says for whom."""
    *_, actions = blocks_of()
    assert [each["action_id"] for each in actions["elements"]] == [APPROVE, REJECT]
    assert [json.loads(each["value"]) for each in actions["elements"]] == [ASKED, ASKED]


def test_outside_text_makes_no_mention_and_no_link():
    """Escaped, and marked so that Slack looks for nothing in it."""
    hostile = "<!channel> <https://evil.example|https://bank.example> & <@U012AB3CDE>"
    found = blocks_of(hostile, facts=[hostile], targets=[hostile])
    assert all(each["text"]["verbatim"] for each in found if each["type"] == "section")
    question, facts, targets, rest = texts(found)
    for text in (question, facts, targets):
        assert "<" not in text
        assert "&lt;!channel&gt; &lt;https://evil.example" in text
    assert rest.count("<") == 2  # the time and the link, which are ours
    over = conclusion_blocks(hostile, hostile, "")
    assert "<" not in str(over)


def test_a_long_question_and_many_targets_stay_within_the_limits():
    """Slack refuses a message with a longer section altogether."""
    found = blocks_of("&" * 5000, facts=["<" * 3000] * 5, targets=["x" * 400] * 20, more_targets=80)
    assert all(len(each) <= 3000 for each in texts(found))
    assert all("characters cut" in each for each in texts(found)[:3])
    assert "… and 80 more" in texts(blocks_of(more_targets=80))[1]


def test_a_question_that_no_button_can_carry_has_none():
    """It is decided at the link, then."""
    found = blocks_of(asked={**ASKED, "path": "x" * 2000})
    assert {each["type"] for each in found} == {"section"}
    assert "<https://h.example/runs/r-1#sure|See everything>" in texts(found)[-1]


def test_without_an_address_there_is_no_link():
    """Nor with one that could mean something else there."""
    for link in ("", "https://h.example/a|b", "https://h.example/<x>", "https://h.example/a b", "h" * 3000):
        assert "See everything" not in str(blocks_of(link=link))
        assert "See the run" not in str(conclusion_blocks("?", "Over.", link))


def test_nothing_to_show_is_said():
    """An approval whose targets nobody can know yet is none of nothing."""
    assert "Nothing that would be changed is known yet." in texts(blocks_of(targets=[]))[1]
