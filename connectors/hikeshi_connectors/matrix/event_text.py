"""The content of our messages: plain text, and the same as HTML in which everything from outside is escaped.

`m.mentions` is always there and empty: then no word in a text notifies anybody, "@room" neither.
Source: https://spec.matrix.org/v1.15/client-server-api/#mroommessage-msgtypes and sections "User and room mentions",
"Event replacements", "Threading". Events have at most 65,536 bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

__all__ = ["QUESTION", "conclusion_content", "question_content", "text_content"]

QUESTION = "io.hikeshi.question"
"""The key under which a message that asks says what it asks. Only its sender can have written that."""

_TEXT_MOST_BYTES = 40_000
_HTML = "org.matrix.custom.html"


def text_content(text: str, thread: str | None = None) -> dict[str, Any]:
    """Return a message of plain text; `thread` is the event in whose thread it stands."""
    content: dict[str, Any] = {"msgtype": "m.text", "body": _fitting(text), "m.mentions": {}}
    if thread is not None:
        reply_to = {"m.in_reply_to": {"event_id": thread}}
        content["m.relates_to"] = {"rel_type": "m.thread", "event_id": thread, "is_falling_back": True, **reply_to}
    return content


def question_content(
    question: str,
    facts: Sequence[str],
    targets: Sequence[str],
    more_targets: int,
    due_at: datetime,
    link: str,
    answer_to: Mapping[str, str],
) -> dict[str, Any]:
    """Return a message that asks for an approval, and says how to reply."""
    code = answer_to["digest"][:8]
    until = f"{due_at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    more = [f"… and {more_targets} more"] if more_targets else []
    shown = [*targets, *more]
    heading = "Would be changed:" if targets else "Nothing that would be changed is known yet."
    how = [f"approve {code}", f"reject {code} reason"]
    lines = ["Approval needed: " + question, *facts, heading, *(f"- {each}" for each in shown), f"Open until {until}."]
    lines += [f"Reply to this message with: {how[0]}", f"or with: {how[1]}", *([link] if link else [])]
    html = [
        f"<p><strong>Approval needed</strong><br>{escape(question)}</p>",
        f"<p>{_lines(facts)}</p>" if facts else "",
    ]
    html += [f"<p>{heading}</p>", f"<ul>{''.join(f'<li>{escape(each)}</li>' for each in shown)}</ul>" if shown else ""]
    html += [f"<p>Open until {until}.{_linked(link, 'See everything')}</p>"]
    html += [f"<p>Reply to this message with <code>{how[0]}</code> or <code>{escape(how[1])}</code></p>"]
    return {**_rich("\n".join(lines), "".join(html)), QUESTION: dict(answer_to)}


def conclusion_content(event: str, question: str, outcome: str, link: str) -> dict[str, Any]:
    """Return what takes the place of a message that asked."""
    body = "\n".join(["Approval was needed: " + question, outcome, *([link] if link else [])])
    html = f"<p><strong>Approval was needed</strong><br>{escape(question)}</p><p>{escape(outcome)}"
    html += f"{_linked(link, 'See the run')}</p>"
    new = _rich(body, html)
    fallback = _rich(f"* {body}", html)
    return {**fallback, "m.new_content": new, "m.relates_to": {"rel_type": "m.replace", "event_id": event}}


def _rich(body: str, html: str) -> dict[str, Any]:
    return {"msgtype": "m.text", "body": body, "format": _HTML, "formatted_body": html, "m.mentions": {}}


def _lines(texts: Sequence[str]) -> str:
    return "<br>".join(map(escape, texts))


def _linked(link: str, label: str) -> str:
    return f' <a href="{escape(link, quote=True)}">{label}</a>' if link.startswith(("https://", "http://")) else ""


def _fitting(text: str) -> str:
    """Return as much of a text as an event takes, with a note of what is missing."""
    if _bytes(text) <= _TEXT_MOST_BYTES:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if _bytes(text[:middle]) <= _TEXT_MOST_BYTES - 100 else (low, middle - 1)
    return f"{text[:low]}… ({len(text) - low} characters cut)"


def _bytes(text: str) -> int:
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass"))
