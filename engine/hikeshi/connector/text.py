"""Texts that have to fit into what a product takes."""

from __future__ import annotations

from typing import Final

__all__ = ["cut"]

_NOTE_MOST: Final = 40


def cut(text: str, most: int) -> str:
    """Return the text, its end cut off with a note where it is longer than `most` characters, note and all."""
    if len(text) <= most:
        return text
    kept = most - _NOTE_MOST
    return f"{text[:kept]}… ({len(text) - kept} characters cut)"
