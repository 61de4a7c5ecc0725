"""Texts from outside: shown as they are, never obeyed, never cut in silence."""

import html
import random

import pytest

from hikeshi_connectors.slack.message_text import TEXT_MOST_CHARACTERS, escaped, message_text


@pytest.mark.parametrize(
    "text",
    [
        "<!channel>",
        "<!here|x> <!everyone>",
        "<@U012AB3CDE>",
        "<#C1H9RESGL>",
        "<!subteam^S123>",
        "<https://evil.example|https://bank.example>",
        "&lt;!channel&gt;",
        "a && b <c> </entry>",
    ],
)
def test_outside_text_is_shown_and_not_obeyed(text: str):
    """No control character of Slack is left, and Slack shows exactly what came in."""
    made = message_text(text)
    assert "<" not in made
    assert ">" not in made
    assert html.unescape(made) == text


def test_other_characters_stay_as_they_are():
    """Only the three characters are replaced."""
    assert escaped("\"quotes\" 'and' *bold* `code` \n 火消し") == "\"quotes\" 'and' *bold* `code` \n 火消し"


def test_text_at_the_limit_is_not_cut():
    """Exactly as long as Slack takes is short enough."""
    assert message_text("a" * TEXT_MOST_CHARACTERS) == "a" * TEXT_MOST_CHARACTERS


def test_text_over_the_limit_says_how_much_is_missing():
    """What was kept and what was cut add up to the original."""
    made = message_text("a" * 50_000, "[HIGH] ")
    kept = made.count("a", len("[HIGH] "), made.index("…"))
    assert made.endswith(f"… ({50_000 - kept} characters cut)")
    assert made.startswith("[HIGH] aaa")
    assert TEXT_MOST_CHARACTERS - 3 <= len(made) <= TEXT_MOST_CHARACTERS


def test_no_entity_is_cut_in_two():
    """The cut never falls into an entity, whatever the text consists of."""
    dice = random.Random(4)
    for _ in range(20):
        text = "".join(dice.choices("ab&<>", k=dice.randint(30_000, 60_000)))
        made = message_text(text)
        assert len(made) <= TEXT_MOST_CHARACTERS
        shown = html.unescape(made.partition("…")[0])
        assert text.startswith(shown)
        assert "&" not in made.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
