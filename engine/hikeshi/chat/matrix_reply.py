"""What somebody means who replies to a question: `approve`, or `reject` with a reason, with or without the code."""

from __future__ import annotations

import re
from typing import Final

from hikeshi.chat.deciding import Decision
from hikeshi.quick_dataclass import dataclass

__all__ = ["CODE_LENGTH", "Command"]

CODE_LENGTH: Final = 8
_NOTE_MOST: Final = 500
_COMMAND: Final = re.compile(
    r"\s*(?P<word>approve|reject)(?![\w-])(?:\s+(?P<code>[0-9a-f]{8})(?!\S))?(?:\s+(?P<note>.*?))?\s*",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Command:
    """A decision in words. `code` is the beginning of the digest of what was read, if they gave it.

    Without a `decision` it is an approval with more words behind it: "approve this only if ..." approves nothing.
    """

    decision: Decision | None
    code: str | None
    note: str | None

    @classmethod
    def of(cls, text: str) -> Command | None:
        """Return what a reply means, or None for any other text."""
        found = _COMMAND.fullmatch(text)
        if found is None:
            return None
        code, note = found["code"], " ".join((found["note"] or "").split())[:_NOTE_MOST] or None
        if found["word"].lower() == "approve":
            return cls("approve" if note is None else None, code and code.lower(), None)
        return cls("reject", code and code.lower(), note)

    def fits(self, digest: str) -> bool:
        """Say whether the code, where one was given, is that of a question."""
        return self.code is None or digest.startswith(self.code)
