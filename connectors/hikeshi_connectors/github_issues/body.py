"""What an issue or a comment says: its text as it is, and a mark that nobody sees.

GitHub makes links, mentions and pictures of what stands in Markdown. What a playbook writes has often come from
outside, so it stands in a code block, in which GitHub makes nothing of it.
"""

from __future__ import annotations

import re
from typing import Final

from hikeshi.connector import cut

__all__ = ["TITLE_MOST", "marked", "one_line"]

TITLE_MOST: Final = 250
_RUN_MOST: Final = 100
_LONG_RUN: Final = re.compile(f"`{{{_RUN_MOST},}}")
_TEXT_MOST: Final = 60_000  # GitHub's limit is 65,536 characters, with the mark


def marked(text: str, mark: str, *, markdown: bool) -> str:
    """Return a body with this text and, in a comment of HTML, the mark."""
    plain = cut(text, _TEXT_MOST)
    shown = plain if markdown or not plain.strip() else _fenced(plain)
    return "\n\n".join(part for part in (shown, f"<!-- {mark} -->") if part.strip())


def one_line(text: str) -> str:
    """Return a title: one line, not empty, not too long."""
    return cut(" ".join(text.split()) or "(no title)", TITLE_MOST)


def _fenced(text: str) -> str:
    """Put a text into a code block that nothing in it can end."""
    tame = _LONG_RUN.sub("`" * _RUN_MOST, text)  # else the fence could be longer than the text may be
    longest = max((len(run) for run in re.findall("`+", tame)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{tame}\n{fence}"
