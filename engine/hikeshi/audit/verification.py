"""Judging a journal or a pack: by its records, by the checkpoints with it, and by those that anchors have kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from hikeshi.audit.anchor_file import Anchored, read_anchors
from hikeshi.audit.errors import NoteError, NotSigned
from hikeshi.audit.key_change import Trust, trust_in
from hikeshi.audit.note import VerifierKey, open_note, read_note
from hikeshi.audit.stream import AUDIT_RUN, KEY_CHANGED
from hikeshi.audit.tree_head import TreeHead
from hikeshi.audit.witness import Claim, Witness
from hikeshi.journal.examination import BadRecord
from hikeshi.journal.statements import statements
from hikeshi.journal.verification import evidence, examined
from hikeshi.quick_dataclass import dataclass

if TYPE_CHECKING:
    import sqlite3

    from hikeshi.journal.examination import Examination

__all__ = ["Verdict", "judged", "key_statements", "verify_journal", "verify_pack"]

Status = Literal["ok", "ok_unanchored_tail", "broken", "wrong_key"]
_MOST_PROBLEMS: Final = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found. All counts are of records in the order of the journal, from its first.

    `signed_to` of them are what a believed key has signed, `anchored_to` what an anchor has kept a checkpoint of.
    `problems` are the first of each run, at most 100, by their places. `scope` is the run that a pack shows, or None
    for all of them. `remarks` say what was passed over. `pruned` of the records have no bytes any more.
    """

    status: Status
    records: int
    runs: int
    signed_to: int
    anchored_to: int
    first_bad: BadRecord | None
    problems: tuple[BadRecord, ...]
    remarks: tuple[str, ...]
    scope: str | None
    pruned: int


def verify_journal(
    path: Path, key: VerifierKey | None, anchors: Sequence[Path] = (), *, may_be_older: bool = False
) -> Verdict:
    """Judge the journal at a path, as it is now. Reads only. Without a key no signature is believed.

    With `may_be_older` the anchors may know of more records: the file is said to be a copy of some time ago.
    Raises JournalError if it can't be read as a journal at all, AuditError if an anchor can't be read.
    """
    anchored = read_anchors(anchors)
    with evidence(path) as connection:
        stored = _stored_notes(connection)
        trust = None if key is None else trust_in(key, key_statements(connection))
        court = _Court(trust, stored, anchored)
        return court.verdict(examined(connection, court.witness.watch), may_be_older=may_be_older)


def verify_pack(path: Path, key: VerifierKey, anchors: Sequence[Path] = (), *, may_be_older: bool = False) -> Verdict:
    """Judge an exported pack. Needs nothing but these files.

    With `may_be_older`, the anchors may know of more records than the pack. Raises PackError if it is no pack, and
    AuditError if an anchor can't be read.
    """
    from hikeshi.audit.pack_reader import PackReader

    anchored = read_anchors(anchors)
    with PackReader(path) as pack:
        court = _Court(trust_in(key, pack.key_statements()), pack.notes(), anchored)
        found = pack.examined(court.witness.watch, court.believed_roots())
        return court.verdict(found, scope=pack.run, may_be_older=may_be_older)


class _Court:
    """Brings claims and records together."""

    def __init__(self, trust: Trust | None, notes: Sequence[tuple[int, Any]], anchored: Anchored) -> None:
        self._trust = trust
        self.remarks: list[str] = []
        self._altered: list[BadRecord] = []
        self._strangers: list[int] = []  # sizes that a key nobody vouches for has signed
        claims = [] if trust is None else [*self._own(notes, trust), *self._of_anchors(anchored, trust)]
        self._claims = claims
        leaves = anchored.leaves if claims else ()
        self.witness = Witness(claims, leaves, trust.retired if trust else None)

    def believed_roots(self) -> dict[int, bytes]:
        return {claim.size: claim.root for claim in self._claims}

    def _own(self, notes: Sequence[tuple[int, Any]], trust: Trust) -> Iterator[Claim]:
        for size, note in notes:
            where = f"checkpoint {size}"
            try:
                if type(note) is not str:
                    raise NoteError("It is not text", where, "")
                claim = _claim(note, trust, where, is_anchored=False)
                if claim.size != size:
                    raise NoteError(f"It stands in the place of checkpoint {size}", where, "")
                yield claim
            except NotSigned:
                self._strangers.append(size)
            except NoteError as exc:
                self._altered.append(BadRecord("", 0, f"the checkpoint over {size} records: {exc.what}", size))

    def _of_anchors(self, anchored: Anchored, trust: Trust) -> Iterator[Claim]:
        for number, note in enumerate(anchored.notes, 1):
            where = f"anchored checkpoint {number}"
            try:
                yield _claim(note, trust, where, is_anchored=True)
            except NotSigned:
                self._note_stranger(note, trust, where)
            except NoteError as exc:
                self.remarks.append(f"{where} was passed over: {exc.what}")

    def _note_stranger(self, note: str, trust: Trust, where: str) -> None:
        """Another log's checkpoint in the same file is no matter; one in this log's name is."""
        try:
            head = TreeHead.parse(read_note(note, where).text, where)
        except NoteError as exc:
            self.remarks.append(f"{where} was passed over: {exc.what}")
            return
        if head.origin == trust.keys[0].name:
            self._strangers.append(head.size)
        else:
            self.remarks.append(f"{where} is of another log ({head.origin})")

    def verdict(self, found: Examination, *, may_be_older: bool, scope: str | None = None) -> Verdict:
        witness = self.witness
        seen = [*found.first_problems(), *self._unsigned_prunings(found), *self._altered]
        problems = witness.problems(seen, may_be_older=may_be_older, only_run=scope)
        strange = [*self._strangers, *(claim.size for claim in witness.rejected)]
        is_strange = any(size > witness.signed_to for size in strange)
        if strange and not is_strange:
            self.remarks.append("earlier checkpoints are signed by a key that the given one does not vouch for")
        return Verdict(
            judged(problems, is_strange, witness.anchored_to, found.records),
            found.records,
            len(found.runs),
            witness.signed_to,
            witness.anchored_to,
            problems[0] if problems else None,
            tuple(problems[:_MOST_PROBLEMS]),
            (*self.remarks, *witness.remarks()),
            scope,
            found.bare,
        )

    def _unsigned_prunings(self, found: Examination) -> Iterator[BadRecord]:
        """Give the runs that were taken out before it was signed that they are: anybody could have said so."""
        if self._trust is None:
            return
        for each in found.prunings:
            if each.position > self.witness.signed_to:
                what = "its bytes are gone, and nobody whom you believe has signed the record that says it was pruned"
                yield BadRecord(each.run, 1, what, each.first)


def judged(problems: Sequence[BadRecord], is_strange: bool, anchored_to: int, records: int) -> Status:
    """Return the status: what is broken comes first, then what a wrong key has signed."""
    if problems:
        return "broken"
    if is_strange:
        return "wrong_key"
    return "ok" if anchored_to == records > 0 else "ok_unanchored_tail"


def _claim(note: str, trust: Trust, where: str, *, is_anchored: bool) -> Claim:
    text, signers = open_note(note, trust.keys, where)
    head = TreeHead.parse(text, where)
    if head.origin != signers[0].name:
        raise NoteError(f"It is about another log ({head.origin})", where, "")
    return Claim(head.size, head.root, signers[-1], is_anchored)


def _stored_notes(connection: sqlite3.Connection) -> list[tuple[int, Any]]:
    """Return the checkpoints that stand in the journal: their sizes and notes, whatever is in them."""
    names = {name for _, name in connection.execute(statements()["schema_objects"])}
    if b"checkpoints" not in names:
        return []
    rows = connection.execute(statements()["all_checkpoints"])
    return [(size, note.decode(errors="replace") if type(note) is bytes else note) for size, _, note, _ in rows]


def key_statements(connection: sqlite3.Connection) -> Iterable[tuple[int, str]]:
    """Give the statements about changes of keys, by the number of their record."""
    rows = connection.execute(statements()["page_of_run"], (AUDIT_RUN, 0, -1))
    for seq, encoded, _ in rows.fetchall():
        try:
            record = json.loads(encoded)
            if record["kind"] == KEY_CHANGED and type(seq) is int:
                yield seq, str(record["data"]["statement"])
        except (ValueError, TypeError, KeyError, RecursionError):
            continue  # what is wrong with the record is found where all records are examined
