"""Atlassian Document Format, the form in which Jira takes texts of more than a line.

Source: https://developer.atlassian.com/cloud/jira/platform/apis/document/structure/.
"""

from __future__ import annotations

import re
from typing import Any, Final

from hikeshi.connector import cut

__all__ = ["SUMMARY_MOST", "document", "one_line"]

SUMMARY_MOST: Final = 255
_TEXT_MOST: Final = 32_000  # Jira's limit is 32,767 characters for the field
_UNPRINTABLE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_PARAGRAPHS: Final = re.compile(r"\n(?:[ \t]*\n)+")


def document(text: str) -> dict[str, Any]:
    """Return a document that shows this text as it is: nothing in it is markup, a mention or a link."""
    plain = cut(_UNPRINTABLE.sub(" ", text.replace("\r\n", "\n")), _TEXT_MOST)
    paragraphs = [_paragraph(each) for each in _PARAGRAPHS.split(plain) if each.strip()]
    return {"type": "doc", "version": 1, "content": paragraphs or [_paragraph("")]}


def one_line(text: str) -> str:
    """Return a title as Jira takes it: one line, not empty, of 255 characters at most."""
    return cut(" ".join(_UNPRINTABLE.sub(" ", text).split()) or "(no title)", SUMMARY_MOST)


def _paragraph(text: str) -> dict[str, Any]:
    content: list[dict[str, Any]] = []
    for line in text.strip("\n").split("\n"):
        if content:
            content.append({"type": "hardBreak"})
        if line:  # an empty text node is refused
            content.append({"type": "text", "text": line})
    return {"type": "paragraph", "content": content}
