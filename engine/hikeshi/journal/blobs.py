"""Large values, stored once under the SHA-256 of their content, and which records refer to them."""

import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from types import MappingProxyType
from typing import Final

from hikeshi.journal.entry import Rows
from hikeshi.journal.errors import JournalBroken, JournalMisused
from hikeshi.journal.record import Record
from hikeshi.journal.statements import statements
from hikeshi.journal.stored_form import FIX_CALLER

NO_BLOBS: Final[Mapping[str, bytes]] = MappingProxyType({})
_LARGEST_BLOB_BYTES: Final = 256 * 1024 * 1024
_HASH: Final = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Blob:
    """A large value and its lower-case hexadecimal SHA-256."""

    hash: str
    content: bytes


def checked_blobs(blobs: Mapping[str, bytes], where: str) -> tuple[Blob, ...]:
    """Return the blobs of an append. Raises JournalMisused unless each stands under the hash of its content."""
    return tuple(_checked(name, content, where) for name, content in blobs.items())


def store_blobs(tx: sqlite3.Connection, blobs: Sequence[Blob], records: Sequence[Record]) -> None:
    """Store the blobs of an append, and which of its records refer to them."""
    for blob in blobs:
        digest = bytes.fromhex(blob.hash)
        tx.execute(statements()["store_blob"], (digest, blob.content))
        links = [(digest, record.run, record.seq) for record in _referring(blob.hash.encode(), records)]
        tx.executemany(statements()["link_blob"], links)


def read_blob(rows: Rows, name: str, where: str) -> bytes:
    """Return the content that has this hash. Raises JournalBroken if it is missing or another one."""
    if not _HASH.fullmatch(name):
        raise JournalMisused("This is not a lower-case hexadecimal SHA-256", repr(name), FIX_CALLER)
    found = rows(statements()["content_of_blob"], (bytes.fromhex(name),))
    content: bytes | None = found[0][0] if found else None
    if content is not None and sha256(content).hexdigest() == name:
        return content
    raise JournalBroken(
        "A stored blob is not the one that was appended" if found else "A blob is not stored",
        f"blob {name} in {where}",
        "Verify the journal, and do not go on with a run that refers to it",
    )


def _checked(name: str, content: bytes, where: str) -> Blob:
    if type(content) is not bytes or len(content) > _LARGEST_BLOB_BYTES:
        raise JournalMisused(f"A blob is bytes, at most {_LARGEST_BLOB_BYTES} of them", where, FIX_CALLER)
    if sha256(content).hexdigest() != name:
        raise JournalMisused(f"A blob does not have the hash that is given for it, {name!r}", where, FIX_CALLER)
    return Blob(name, content)


def _referring(name: bytes, records: Sequence[Record]) -> Sequence[Record]:
    # The journal knows no kind of record, but one that refers to a blob has to hold its hash somewhere.
    return [record for record in records if name in record.encoded] or records[:1]
