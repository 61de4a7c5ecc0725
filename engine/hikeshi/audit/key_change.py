"""Changing the signing key: a statement that names both keys, signed by both, as a record of the journal.

Whoever pinned the old key finds in it that the new one is meant; whoever pins the new one, that the old one was. From
the record on, the old key signs nothing that counts.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from hikeshi.audit.errors import AuditError, KeyNotUsable, NoteError
from hikeshi.audit.keys import KEY_FILE, NEXT_KEY_FILE, key_to_sign, load_key, put_key_in_place, write_key
from hikeshi.audit.note import SignerKey, VerifierKey, new_signer, open_note, read_note, sign_note
from hikeshi.audit.stream import KEY_CHANGED, KEY_REPLACED, append_own, last_seq, own_records
from hikeshi.journal import SqliteJournal

__all__ = ["KeyChange", "SigningKey", "Trust", "change_key", "read_key_change", "trust_in"]

_TITLE: Final = "hikeshi audit key change v1"


@dataclass(frozen=True, slots=True)
class KeyChange:
    """From which key to which, by record `seq` of the run `audit`."""

    seq: int
    old: VerifierKey
    new: VerifierKey


def read_key_change(note: str, where: str) -> KeyChange:
    """Return what a statement says. Raises NoteError or KeyNotUsable unless both keys have signed it."""
    lines = read_note(note, where).text.splitlines()
    if len(lines) != 4 or lines[0] != _TITLE or not lines[1].isascii() or not lines[1].isdigit():
        raise NoteError("The note is not about a change of keys", where, "Verify the journal: hikeshi audit verify")
    old, new = VerifierKey.parse(lines[2], where), VerifierKey.parse(lines[3], where)
    _, signed = open_note(note, [old, new], where)
    if len(signed) != 2 or old.name != new.name:
        raise NoteError("A change of keys has to be signed by both", where, "Do not believe the new key")
    return KeyChange(int(lines[1]), old, new)


async def change_key(
    journal: SqliteJournal, folder: Path, *, actor: str, at: datetime, lost: bool = False
) -> VerifierKey:
    """Change to a new key and return it. Raises KeyNotUsable or JournalError; the old key counts on then.

    With `lost` there is no old key to sign with any more: the record says so, and nobody vouches for the new key.
    """
    with _alone(folder):
        return await _change(journal, folder, actor, at, lost)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep others from changing the key meanwhile: of two new keys one would be lost, and it might be the one named."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as exc:
        raise KeyNotUsable(f"The key cannot be changed: {exc.strerror}", str(folder), "Check the folder") from exc
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise AuditError("Somebody else is changing the key at this moment", str(folder), "Try again") from exc
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough if a child was forked meanwhile
        os.close(descriptor)


async def _change(journal: SqliteJournal, folder: Path, actor: str, at: datetime, lost: bool) -> VerifierKey:
    with suppress(FileNotFoundError):
        (folder / NEXT_KEY_FILE).unlink()  # of a change that did not come to its record
    if lost:
        return await _replace(journal, folder, actor, at)
    old = SigningKey(journal, folder).current()
    new = new_signer(old.verifier.name)
    write_key(folder / NEXT_KEY_FILE, new)
    # The statement names the record's number, so it has to be made again if somebody else takes that.
    seq = last_seq(journal) + 1
    text = f"{_TITLE}\n{seq}\n{old.verifier}\n{new.verifier}\n"
    data = {"by": actor, "old": str(old.verifier), "new": str(new.verifier), "statement": sign_note(text, old, new)}
    if await append_own(journal, KEY_CHANGED, data, at) != seq:
        raise AuditError(
            "Another process wrote about the journal at the same moment, so the change does not count",
            f"run audit, record {seq}",
            "Try again",
        )
    put_key_in_place(folder)
    return new.verifier


async def _replace(journal: SqliteJournal, folder: Path, actor: str, at: datetime) -> VerifierKey:
    if (folder / KEY_FILE).exists():
        raise KeyNotUsable(
            "There is a key, so it is not lost", str(folder / KEY_FILE), "Leave --lost out, or move it away"
        )
    last = journal.last_checkpoint()
    name = None if last is None else read_note(last.note, f"checkpoint {last.size}").signatures[0].name
    if name is None:
        return key_to_sign(folder).verifier
    new = new_signer(name)
    write_key(folder / NEXT_KEY_FILE, new)
    await append_own(journal, KEY_REPLACED, {"by": actor, "new": str(new.verifier)}, at)
    put_key_in_place(folder)
    return new.verifier


class SigningKey:
    """The key that signs now: the one that the journal named last."""

    def __init__(self, journal: SqliteJournal, folder: Path) -> None:
        self._journal = journal
        self._folder = folder
        self._seen = 0
        self._named: str | None = None

    def current(self) -> SignerKey:
        """Return the key to sign with. It is made if nothing was signed yet. Raises KeyNotUsable, JournalError."""
        for record in own_records(self._journal, self._seen):
            self._seen = record.seq
            if record.kind in (KEY_CHANGED, KEY_REPLACED) and _counts(record.kind, record.seq, record.data):
                self._named = str(record.data["new"])
        if not (self._folder / KEY_FILE).exists() and self._journal.last_checkpoint() is not None:
            self._finish_change()
        key = key_to_sign(self._folder)
        if self._named in (None, str(key.verifier)):
            return key
        self._finish_change()
        return load_key(self._folder / KEY_FILE)

    def _finish_change(self) -> None:
        """Put the key in place that the journal names: somebody changed to it and got no further."""
        path = self._folder / NEXT_KEY_FILE
        try:
            found = load_key(path)
        except FileNotFoundError:
            found = None
        if found is None or str(found.verifier) != self._named:
            raise KeyNotUsable(
                "The key that signed the last checkpoint is gone",
                str(self._folder / KEY_FILE),
                "Restore it from a backup; if it is lost: hikeshi audit rotate --lost, and auditors pin the new key",
            )
        put_key_in_place(self._folder)


def _counts(kind: str, seq: int, data: Mapping[str, Any]) -> bool:
    """Say whether a record changes the key: a statement that names another place does not."""
    if kind == KEY_REPLACED:
        return True
    try:
        return read_key_change(str(data.get("statement")), f"run audit, record {seq}").seq == seq
    except (NoteError, KeyNotUsable):
        return False


@dataclass(frozen=True, slots=True)
class Trust:
    """Which keys are believed because of the one that was pinned, and from which record of `audit` on no longer."""

    keys: Sequence[VerifierKey]
    retired: Mapping[VerifierKey, int]


def trust_in(pinned: VerifierKey, statements: Iterable[tuple[int, str]]) -> Trust:
    """Return the keys that the pinned one vouches for, forth and back, by the statements of records of `audit`."""
    changes: list[KeyChange] = []
    for seq, statement in statements:
        with suppress(NoteError, KeyNotUsable):
            change = read_key_change(statement, f"run audit, record {seq}")
            if change.seq == seq:
                changes.append(change)
    keys = [pinned]
    for change in changes:
        if change.old == keys[-1]:
            keys.append(change.new)
    for change in reversed(changes):
        if change.new == keys[0]:
            keys.insert(0, change.old)
    retired = {change.old: change.seq for change in changes if change.old in keys and change.new in keys}
    return Trust(tuple(keys), retired)
