"""Messages that ask for an approval, as blocks of Slack's Block Kit.

Every text from outside is escaped and `verbatim`, so Slack makes neither links nor mentions of it.
Source: https://docs.slack.dev/reference/block-kit (blocks, elements, limits).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hikeshi_connectors.slack.message_text import escaped, message_text

__all__ = ["APPROVE", "REJECT", "conclusion_blocks", "question_blocks"]

APPROVE, REJECT = "hikeshi_approve", "hikeshi_reject"
_SECTION_MOST, _VALUE_MOST, _LINK_MOST = 3000, 2000, 2500


def question_blocks(
    question: str,
    facts: Sequence[str],
    targets: Sequence[str],
    more_targets: int,
    due_at: datetime,
    link: str,
    answer_to: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Return the blocks of a question: what is asked, for what, until when, where to see all, and two buttons."""
    blocks = [_section(question, "*Approval needed*\n")]
    if facts:
        blocks.append(_section("\n".join(facts)))
    blocks.append(_section(_targets(targets, more_targets)))
    blocks.append(_section_of(f"Open until {_local(due_at)}." + _linked(link, "See everything")))
    value = json.dumps(answer_to, separators=(",", ":"))
    if len(value) <= _VALUE_MOST:
        buttons = [_button(APPROVE, "Approve", "primary", value), _button(REJECT, "Reject", "danger", value)]
        blocks.append({"type": "actions", "block_id": "hikeshi_decide", "elements": buttons})
    return blocks


def conclusion_blocks(question: str, outcome: str, link: str) -> list[dict[str, Any]]:
    """Return the blocks of a question that is over."""
    return [_section(question, "*Approval was needed*\n"), _section(outcome), *_link_section(link)]


def _targets(targets: Sequence[str], more: int) -> str:
    if not targets:
        return "Nothing that would be changed is known yet."
    lines = [f"• {target}" for target in targets]
    return "\n".join(["Would be changed:", *lines, *([f"… and {more} more"] if more else [])])


def _local(at: datetime) -> str:
    """Return a time as Slack shows it in the time zone of who reads it."""
    utc = at.astimezone(UTC)
    return f"<!date^{int(utc.timestamp())}^{{date_short_pretty}} {{time}}|{utc:%Y-%m-%d %H:%M} UTC>"


def _linked(link: str, label: str) -> str:
    """Return a link, or nothing for one that could mean something else within Slack's angle brackets."""
    if not link or len(link) > _LINK_MOST or any(character in link for character in "<>|\n "):
        return ""
    return f" <{escaped(link)}|{label}>"


def _link_section(link: str) -> list[dict[str, Any]]:
    text = _linked(link, "See the run").strip()
    return [_section_of(text)] if text else []


def _section(text: str, prefix: str = "") -> dict[str, Any]:
    return _section_of(message_text(text, prefix, _SECTION_MOST))


def _section_of(mrkdwn: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": mrkdwn, "verbatim": True}}


def _button(action_id: str, label: str, style: str, value: str) -> dict[str, Any]:
    text = {"type": "plain_text", "text": label}
    return {"type": "button", "action_id": action_id, "text": text, "style": style, "value": value}
