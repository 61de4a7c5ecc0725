"""Adaptive Cards: outside text is shown as it is, can mention nobody and disguise no link, and fits.

`TextBlock` reads markdown and `<at>`; a `TextRun` reads nothing, so every text from outside is one.
Source: https://adaptivecards.io/explorer (TextRun, RichTextBlock, Action.OpenUrl),
https://learn.microsoft.com/microsoftteams/platform/task-modules-and-cards/cards/cards-format (mentions).
A message has 28 KB at most, counted after Teams has wrapped it once more; one that is larger is accepted and lost.
Source: github.com/MicrosoftDocs/msteams-docs/issues/11274 (28,672 bytes; 24,453 sent counted as 28,897).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from hikeshi.capabilities import Severity

__all__ = ["LARGEST_BYTES", "counted_bytes", "fitting", "page_card", "post_card", "question_card"]

LARGEST_BYTES: Final = 26 * 1024
_LINK_MOST: Final = 2000
_SHORT_MOST: Final = 300

Element = dict[str, Any]


def fitting(text: str, card: Callable[[str], Element]) -> Element:
    """Return the message of a card of a text, as much of it as fits, with a note of how much is missing."""
    text = text.encode("utf-8", "replace").decode()
    whole = _message(card(text))
    if counted_bytes(whole) <= LARGEST_BYTES:
        return whole
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        fits = counted_bytes(_message(card(_cut(text, middle)))) <= LARGEST_BYTES
        low, high = (middle, high) if fits else (low, middle - 1)
    return _message(card(_cut(text, low)))


def counted_bytes(message: Element) -> int:
    """Return how large a message counts at most: its JSON as a text in JSON, with everything escaped."""
    return len(json.dumps(json.dumps(message)))


def post_card(text: str, severity: Severity | None) -> Element:
    """Return the card of a text."""
    return _card([*_heading(f"[{severity.upper()}]" if severity else ""), *_lines(text)])


def page_card(text: str, severity: Severity, *, user: str, name: str) -> Element:
    """Return a card that mentions somebody."""
    mention = f"<at>{name}</at>"
    entity = {"type": "mention", "text": mention, "mentioned": {"id": user, "name": name}}
    return _card([*_heading(f"{mention} [{severity.upper()}]"), *_lines(text)], entities=[entity])


def question_card(
    question: str, facts: Sequence[str], targets: Sequence[str], more_targets: int, due_at: datetime, link: str
) -> Element:
    """Return the card of a question: what is asked, for what, until when, and the button that opens where to decide."""
    until = f"{due_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    changed = "Would be changed:" if targets else "Nothing that would be changed is known yet."
    more = [f"… and {more_targets} more"] if more_targets else []
    body = [*_heading("Approval needed"), *_lines(question)]
    body += [line for fact in facts for line in _lines(_short(fact))]
    body += [*_lines(changed), *(line for each in targets for line in _lines(f"• {_short(each)}"))]
    body += [line for each in more for line in _lines(each)]
    body += _lines(f"Open until {until}. It is decided in Hikeshi's console, not here.")
    is_link = link.startswith(("https://", "http://")) and len(link) <= _LINK_MOST
    return _card(body, actions=[{"type": "Action.OpenUrl", "title": "See and decide", "url": link}] if is_link else [])


def _message(card: Element) -> Element:
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}


def _card(body: list[Element], *, entities: Sequence[Element] = (), actions: Sequence[Element] = ()) -> Element:
    return {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.4",
        "msteams": {"width": "Full", **({"entities": list(entities)} if entities else {})},
        "body": body,
        **({"actions": list(actions)} if actions else {}),
    }


def _heading(ours: str) -> list[Element]:
    """Return a heading of our own words; it is read as markdown, so nothing from outside may be in it."""
    return [{"type": "TextBlock", "text": ours, "weight": "Bolder", "wrap": True}] if ours else []


def _lines(text: str) -> list[Element]:
    lines = text.splitlines() or [""]
    return [
        {"type": "RichTextBlock", "spacing": "Small", "inlines": [{"type": "TextRun", "text": line or " "}]}
        for line in lines
    ]


def _short(text: str) -> str:
    return _cut(text, _SHORT_MOST)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} characters cut)"
