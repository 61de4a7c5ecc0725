"""Writing packs: one file with everything that somebody needs who believes nothing but a key and an anchor.

A pack is a ZIP file, not compressed, whose bytes depend on the journal alone.

| file | a line, or all of it |
|---|---|
| manifest.json | `{format, run or null, size, records, key, blobs: [hash]}` |
| leaves.jsonl | `[run, seq, hash of the chain]` of each record of the journal, in its order |
| records.jsonl | the bytes of each record that the pack shows, in their order |
| checkpoints.jsonl | `{size, at, note}` |
| keys.jsonl | `{seq, statement}` of each change of keys |
| proofs.jsonl | `{run, seq, position, size, hashes}`: that a record is in a checkpoint |
| | `{old, new, hashes}`: that one checkpoint goes on from another |
| receipts.jsonl | `{anchor, size, at, receipt}`, the last one in base64 |
| blobs/HASH | the content of large values |
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import zipfile
from collections.abc import Collection, Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from hikeshi.audit.errors import PackError
from hikeshi.audit.leaf import NO_LEAF, leaf_of
from hikeshi.audit.merkle import Tree
from hikeshi.audit.note import VerifierKey
from hikeshi.audit.verification import key_statements
from hikeshi.journal.blob_check import has_blobs
from hikeshi.journal.statements import statements
from hikeshi.journal.verification import evidence
from hikeshi.quick_dataclass import dataclass

__all__ = ["FORMAT", "FORMAT_OF_SEVERAL", "Written", "refuse_existing", "write_pack"]

FORMAT: Final = "hikeshi audit pack 1"
FORMAT_OF_SEVERAL: Final = "hikeshi audit pack 2"
"""Of packs that show several runs and not all, which the first format has no way to say: `runs` lists them."""

_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Written:
    """What a pack shows: how many records of how many in the journal, up to which checkpoint they are signed."""

    records: int
    size: int
    signed_to: int


def write_pack(
    journal: Path, pack: Path, key: VerifierKey, *, run: str | None = None, runs: Collection[str] | None = None
) -> Written:
    """Write a new pack of one run, of some `runs` or of all, as the journal is now; what was altered goes out as it is.

    Raises PackError if there is no such run, or the file exists or cannot be written, and JournalError.
    """
    temporary = pack.with_name(f".{pack.name}.{os.urandom(4).hex()}")
    refuse_existing(pack)
    try:
        with evidence(journal) as connection, open(temporary, "xb", opener=_private) as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                written = _Writer(archive, connection, key, run, runs).write()
            os.fsync(file.fileno())
        os.link(temporary, pack)
    except FileExistsError as exc:
        raise _exists(pack) from exc
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
        raise PackError(f"The pack cannot be written: {reason}", str(pack), "Check the folder and the disk") from exc
    finally:
        temporary.unlink(missing_ok=True)
    return written


def refuse_existing(pack: Path) -> None:
    """Raise PackError if the file is there."""
    if os.path.lexists(pack):
        raise _exists(pack)


def _exists(pack: Path) -> PackError:
    return PackError("The file exists", str(pack), "Name another one; a pack is never written over")


class _Writer:
    def __init__(
        self,
        archive: zipfile.ZipFile,
        connection: sqlite3.Connection,
        key: VerifierKey,
        run: str | None,
        runs: Collection[str] | None,
    ) -> None:
        self._archive = archive
        self._connection = connection
        self._key = key
        self._run = run
        self._runs = None if runs is None else sorted(runs)
        chosen = runs if run is None else [run]
        self._chosen = None if chosen is None else frozenset(each.encode() for each in chosen)
        self._tree = Tree()
        self._records = 0
        self._last: dict[bytes, tuple[int, int]] = {}  # the seq and the position of the last record of each run

    def write(self) -> Written:
        self._lines("leaves.jsonl", self._leaves())
        self._lines("records.jsonl", self._shown())
        if self._run is not None and not self._records:
            raise PackError(f"There is no run {self._run[:60]!r}", "the journal", "'hikeshi runs' lists them")
        notes = list(self._checkpoints())
        self._lines("checkpoints.jsonl", (_json(note) for note in notes))
        changes = key_statements(self._connection)
        self._lines("keys.jsonl", (_json({"seq": seq, "statement": text}) for seq, text in changes))
        sizes = sorted({note["size"] for note in notes if 0 < note["size"] <= len(self._tree)})
        self._lines("proofs.jsonl", map(_json, self._proofs(sizes)))
        self._lines("receipts.jsonl", map(_json, self._receipts()))
        blobs = list(self._blobs())
        for digest in blobs:
            self._blob(digest)
        manifest = {
            "format": FORMAT if self._runs is None else FORMAT_OF_SEVERAL,
            "run": self._run,
            **({} if self._runs is None else {"runs": self._runs}),
            "size": len(self._tree),
            "records": self._records,
            "key": str(self._key),
            "blobs": [digest.hex() for digest in blobs],
        }
        self._archive.writestr(_entry("manifest.json"), json.dumps(manifest, indent=1) + "\n")
        return Written(self._records, len(self._tree), sizes[-1] if sizes else 0)

    def _lines(self, name: str, lines: Iterable[bytes]) -> None:
        with self._archive.open(_entry(name), "w", force_zip64=True) as file:
            for line in lines:
                file.write(line + b"\n")

    def _leaves(self) -> Iterator[bytes]:
        for _, run, seq, _, digest in self._connection.execute(statements()["all_records"]):
            is_one = type(run) is bytes and type(seq) is int and seq > 0 and type(digest) is bytes
            self._tree.append(leaf_of(run, seq, digest) if is_one else NO_LEAF)
            if is_one and self._shows(run):
                self._last[run] = seq, len(self._tree)
            yield _json([_text(run), seq if type(seq) is int else None, digest.hex() if digest else None])

    def _shown(self) -> Iterator[bytes]:
        for _, run, _, encoded, _ in self._connection.execute(statements()["all_records"]):
            if self._shows(run):
                self._records += 1
                yield _record_line(encoded)

    def _shows(self, run: Any) -> bool:
        return self._chosen is None or run in self._chosen

    def _has(self, table: bytes) -> bool:
        return table in {name for _, name in self._connection.execute(statements()["schema_objects"])}

    def _checkpoints(self) -> Iterator[dict[str, Any]]:
        if self._has(b"checkpoints"):
            for size, at, note, _ in self._connection.execute(statements()["all_checkpoints"]):
                yield {"size": size, "at": _text(at), "note": _text(note)}

    def _proofs(self, sizes: list[int]) -> Iterator[dict[str, Any]]:
        newest = sizes[-1] if sizes else 0
        for run, (seq, position) in self._last.items():
            if position <= newest:
                hashes = [each.hex() for each in self._tree.inclusion(position - 1, newest)]
                yield {"run": _text(run), "seq": seq, "position": position, "size": newest, "hashes": hashes}
        for old, new in pairwise(sizes):
            yield {"old": old, "new": new, "hashes": [each.hex() for each in self._tree.prefix(old, new)]}

    def _receipts(self) -> Iterator[dict[str, Any]]:
        if self._has(b"receipts"):
            for anchor, size, at, receipt in self._connection.execute(statements()["all_receipts"]):
                kept = base64.b64encode(receipt).decode()
                yield {"anchor": _text(anchor), "size": size, "at": _text(at), "receipt": kept}

    def _blobs(self) -> Iterator[bytes]:
        if not has_blobs(self._connection):
            return
        seen: set[bytes] = set()
        for digest, run, _, _ in self._connection.execute(statements()["all_blob_links"]):
            if self._shows(run) and type(digest) is bytes and digest not in seen:
                seen.add(digest)
                yield digest

    def _blob(self, digest: bytes) -> None:
        row = self._connection.execute(statements()["content_of_blob"], (digest,)).fetchone()
        if row is not None and row[0] is not None:  # one that is missing is found missing by whoever verifies
            self._archive.writestr(_entry(f"blobs/{digest.hex()}"), row[0])


def _record_line(encoded: Any) -> bytes:
    """Return the record's bytes; what is no record any more, so that it stays one line: ! and base64."""
    if type(encoded) is bytes and encoded.startswith(b"{") and b"\n" not in encoded:
        return encoded
    return b"!" + base64.b64encode(encoded or b"")


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # for its owner alone, and of the first moment that the format knows
    entry.create_system = 3  # as on every system where modes mean something
    return entry


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _text(value: Any) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, _MODE)
