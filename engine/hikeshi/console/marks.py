"""Statuses as people see them: a sign, a word and a colour, never a colour alone."""

from __future__ import annotations

from collections.abc import Mapping

from hikeshi.console.elements import Tag, tag
from hikeshi.console.words import Words

__all__ = ["SIGNS", "kind_of", "mark"]

# By status: the sign in front of the word, and how grave it is.
SIGNS: Mapping[str, tuple[str, str]] = {
    "pending": ("○", "idle"),
    "waiting": ("◷", "warn"),
    "running": ("▶", "info"),
    "succeeded": ("✓", "good"),
    "failed": ("✕", "bad"),
    "cancelled": ("⊘", "idle"),
    "skipped": ("–", "idle"),
    "blocked": ("⊘", "idle"),
    "unknown": ("?", "bad"),
    "interrupted": ("!", "warn"),
    "paused": ("‖", "warn"),
    "opening": ("▶", "info"),
    "active": ("●", "info"),
    "overdue": ("!", "bad"),
    "lifted?": ("?", "warn"),
    "release failed": ("✕", "bad"),
    "released": ("✓", "good"),
    "passed_on": ("→", "idle"),
    "void": ("–", "idle"),
    "done": ("✓", "good"),
    "held": ("●", "info"),
    "changed": ("!", "bad"),
    "unreadable": ("?", "warn"),
    "no_read": ("?", "warn"),
    "ok": ("✓", "good"),
    "ok_unanchored_tail": ("✓", "good"),
    "broken": ("✕", "bad"),
    "wrong_key": ("✕", "bad"),
    "planned": ("✓", "good"),
    "started": ("✓", "good"),
    "joined": ("✓", "good"),
    "deduplicated": ("–", "idle"),
    "not_wanted": ("–", "idle"),
    "refused": ("✕", "bad"),
    "missed": ("!", "warn"),
}


def kind_of(status: str) -> str:
    """Return how grave a status is: `good`, `bad`, `warn`, `info`, `idle`."""
    return SIGNS.get(status, ("", "idle"))[1]


def mark(say: Words, status: str) -> Tag:
    """Show a status. One that there are no words for, as of a newer version, is shown as it is."""
    sign, kind = SIGNS.get(status, ("", "idle"))
    with tag("span", "", f"mark {kind}", data_status=status) as shown:
        tag("span", sign, aria_hidden="true")
        tag("span", say(f"status.{status}") if status in SIGNS else status)
    return shown
