"""Reading what an anchor has kept: our own file, the file of a log server, or a single note.

Nothing in it is believed here. Lines that are not ours are passed over: log servers put their own words before.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from hikeshi.audit.errors import AuditError
from hikeshi.audit.merkle import HASH_BYTES
from hikeshi.quick_dataclass import dataclass

__all__ = ["Anchored", "Leaf", "read_anchors"]

Leaf = tuple[bytes, int, bytes]
"""The run of a record in UTF-8, its number there, and the hash of the run's chain."""

_DECODER: Final = json.JSONDecoder()
_SEQ_LIMIT: Final = 2**63
_LARGEST_NOTE_BYTES: Final = 1024 * 1024


@dataclass(slots=True)
class Anchored:
    """The notes that anchors have kept, and the leaves from the first record on, as far as they have them all."""

    notes: list[str]
    leaves: list[Leaf]


def read_anchors(paths: Iterable[Path]) -> Anchored:
    """Return what these files hold. Raises AuditError if one can't be read, or holds no checkpoint."""
    found = Anchored([], [])
    for path in paths:
        before, leaves = len(found.notes), list[Leaf]()
        try:
            with path.open(encoding="utf-8", errors="replace") as lines:
                for document in _documents(lines):
                    _take(document, found.notes, leaves)
            if len(found.notes) == before:
                _take_note(path, found.notes)
        except OSError as exc:
            raise AuditError(f"The anchor cannot be read: {exc.strerror}", str(path), "Check the path") from exc
        if len(found.notes) == before:
            raise AuditError("No checkpoint is in the file", str(path), "Name a file that an anchor has written")
        found.leaves = max(found.leaves, leaves, key=len)
    return found


def _documents(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            document, _ = _DECODER.raw_decode(line, line.index('{"'))
        except (ValueError, RecursionError):
            continue  # torn, or not ours
        if isinstance(document, dict):
            yield document


def _take(document: dict[str, Any], notes: list[str], leaves: list[Leaf]) -> None:
    note, first, listed = document.get("note"), document.get("first"), document.get("leaves")
    if isinstance(note, str):
        notes.append(note)
    # Two processes may have sent the same records; a part that is missing ends what can be used.
    if type(first) is int and isinstance(listed, list) and 1 <= first <= len(leaves) + 1:
        leaves.extend(_leaves(listed[len(leaves) + 1 - first :]))


def _leaves(listed: list[Any]) -> Iterator[Leaf]:
    for each in listed:
        try:
            run, seq, digest = each
            leaf = (run.encode(), seq, bytes.fromhex(digest))
        except (ValueError, TypeError, AttributeError):
            return
        if type(seq) is not int or not 0 < seq < _SEQ_LIMIT or len(leaf[2]) != HASH_BYTES:
            return
        yield leaf


def _take_note(path: Path, notes: list[str]) -> None:
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(_LARGEST_NOTE_BYTES)
    if "\n\n\u2014 " in text:
        notes.append(text)
