"""The text of a checkpoint: which log, how many records, and the root over them.

Source: https://c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import base64
import binascii
import re

from hikeshi.audit.errors import NoteError
from hikeshi.audit.merkle import HASH_BYTES
from hikeshi.quick_dataclass import dataclass

__all__ = ["TreeHead"]

_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True)
class TreeHead:
    """The tree over the first `size` records of the log that is called `origin`."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The text that is signed: three lines."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str, where: str) -> TreeHead:
        """Return what a note's text says; further lines mean nothing to us. Raises NoteError."""
        lines = text.removesuffix("\n").split("\n")
        if len(lines) >= 3 and lines[0] and _SIZE.fullmatch(lines[1]) and all(lines[3:]):
            try:
                root = base64.b64decode(lines[2], validate=True)
            except binascii.Error:
                root = b""
            if len(root) == HASH_BYTES:
                return cls(lines[0], int(lines[1]), root)
        raise NoteError("The note is not a checkpoint", where, "Get it anew from where it was kept")
