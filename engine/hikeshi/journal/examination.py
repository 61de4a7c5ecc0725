"""Checking records one after the other, wherever they come from: their bytes, their chains, their order, their heads.

Everything here treats what it sees as evidence that somebody may have edited: no value in it has the type it should
have until that was seen, and the first bad record is named by the place that it holds or should hold.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final, TypeAlias

from hikeshi.journal.chain import HASH_BYTES, genesis_hash, next_hash
from hikeshi.journal.errors import JournalBroken
from hikeshi.journal.pruning import RETENTION, PrunedRun, pruned_by
from hikeshi.journal.record import RECORD_FIELDS, RECORD_FORMAT, Record, decode_record
from hikeshi.journal.stored_form import decode_json, decode_time, is_name

# The number of a record in its journal, and its run, seq, bytes and hash as they stand there.
Row: TypeAlias = tuple[int, Any, Any, Any, Any]

_RETENTION: Final = RETENTION.encode()
HIDDEN: Final = object()
"""In the place of bytes: the record is not shown, and what can be checked without it is."""


@dataclass(frozen=True, slots=True)
class BadRecord:
    """The first record of a run that is wrong or missing, by its place, and what is wrong with it.

    `position` counts the records of the whole journal from 1; it is 0 if it cannot be told.
    """

    run: str
    seq: int
    what: str
    position: int = 0


@dataclass(slots=True)
class _Run:
    """How far a run is known to be good. Everything stands still at its first bad record."""

    name: str
    hash: bytes
    seq: int = 0
    position: int = 0
    is_good: bool = True
    bare: "_Bare | None" = None


@dataclass(slots=True)
class _Bare:
    """The records of a run that have no bytes: how many, where the first is, and the digest of their hashes so far."""

    position: int
    count: int = 0
    hashes: Any = field(default_factory=sha256)


@dataclass(frozen=True, slots=True)
class Pruning:
    """That a run was pruned, as the record at a place of the journal says; `first` is the place of its first record."""

    run: str
    position: int
    first: int


@dataclass(slots=True)
class Examination:
    """What was found so far. `problems` holds the first one of each run, in the order in which they were met.

    `heads` are the last seq and hash of each run, if they are known; a run without one there is a problem then. `bare`
    counts the records without bytes, and `prunings` tells of the runs of which a record says so: see `check_bare`.
    """

    heads: Mapping[bytes, tuple[Any, Any]] | None = None
    records: int = 0
    runs: dict[bytes, _Run] = field(default_factory=dict)
    problems: list[BadRecord] = field(default_factory=list)
    gap: BadRecord | None = None
    bare: int = 0
    prunings: list[Pruning] = field(default_factory=list)
    said: dict[str, tuple[PrunedRun, int]] = field(default_factory=dict)

    def first_problems(self) -> list[BadRecord]:
        """Return the problems in the order of their places. Those without one come last."""
        found = list(self.problems)
        gap = self.gap
        if gap and not any(0 < each.position <= gap.position for each in found):
            found.append(gap)
        return sorted(found, key=lambda each: (not each.position, each.position))

    def see(self, rows: Iterable[Row]) -> None:
        """Check all records, in the order in which they were appended."""
        runs = self.runs
        expected_id = 1
        for number, run_key, seq, encoded, stored_hash in rows:
            self.records += 1
            run = runs.get(run_key) if type(run_key) is bytes else None
            if run is None:
                run = self._run(run_key)
            if number != expected_id:
                self._note_gap(run, seq, expected_id, number)
            expected_id = number + 1
            if not run.is_good:
                continue
            if encoded is HIDDEN:
                self._see_hidden(run, seq, stored_hash)
                continue
            if not encoded and encoded == b"":
                self._see_bare(run, seq, stored_hash)
                continue
            if seq == run.seq + 1 and _is_record(encoded, run.name, seq):
                digest = next_hash(run.hash, encoded)
                if digest == stored_hash:
                    run.seq = seq
                    run.hash = digest
                    run.position = self.records
                    if run_key == _RETENTION:
                        self._hear(encoded)
                    continue
            self._name_bad(run, run_key, seq, _decoded(encoded))

    def _see_hidden(self, run: _Run, seq: Any, digest: Any) -> None:
        if seq != run.seq + 1:
            self._bad(run, run.seq + 1, f"is missing: record {_number(seq)} stands in its place")
            return
        run.seq, run.hash, run.position = seq, digest, self.records

    def _see_bare(self, run: _Run, seq: Any, digest: Any) -> None:
        """Take a record without bytes as it is, until it is known whether something says that it was pruned."""
        bare = run.bare = run.bare or _Bare(self.records)
        if seq != run.seq + 1:
            self._bad(run, run.seq + 1, f"is missing: record {_number(seq)} stands in its place")
        elif bare.count != run.seq or type(digest) is not bytes or len(digest) != HASH_BYTES:
            self._bad(run, seq, "its bytes are gone")
        else:
            run.seq, run.hash, run.position = seq, digest, self.records
            bare.count += 1
            bare.hashes.update(digest)
            self.bare += 1

    def _hear(self, encoded: bytes) -> None:
        for each in pruned_by(decode_record(encoded)):
            self.said.setdefault(each.run, (each, self.records))

    def check_bare(self) -> None:
        """Check that a record says of each run without bytes that it was pruned, as it is. After all were seen."""
        for run in self.runs.values():
            bare = run.bare
            if bare is None or not run.is_good:
                continue
            said, position = self.said.get(run.name, (None, 0))
            if said is None:
                what = "its bytes are gone, and no record of the run 'retention' says that it was pruned"
                self._bad(run, 1, what, bare.position)
            elif (said.records, said.hashes) != (bare.count, bare.hashes.hexdigest()):
                what = "is one of a run that was pruned, and whose hashes are not those that it had then"
                self._bad(run, 1, what, bare.position)
            else:
                self.prunings.append(Pruning(run.name, position, bare.position))

    def _name_bad(self, run: _Run, run_key: Any, seq: Any, record: Record | None) -> None:
        """Say which record this row is, or which one should stand in its place."""
        expected = run.seq + 1
        if record is None:
            self._bad(run, expected, "its bytes are not a record")
        elif (record.run, record.seq) == (run.name, seq):
            if seq == expected:
                self._bad(run, seq, "its bytes or its hash are not what was appended: the chain breaks here")
            elif seq > expected:
                self._bad(run, expected, f"is missing: record {seq} stands in its place")
            else:
                self._bad(run, seq, f"stands once more after record {run.seq}")
        elif record.run == run.name or (seq == expected and self._has_head(run_key)):
            stands = f"record {record.seq} of run {record.run}, in a row that says {_number(seq)}"
            self._bad(run, expected, f"in its place stands {stands}")
        else:
            self._name_misfiled(run, record)

    def _name_misfiled(self, run: _Run, record: Record) -> None:
        """Name a record whose row says another run than its bytes: the run that knows the record has lost it."""
        owner = self.runs.get(record.run.encode())
        if owner is None and self._has_head(record.run.encode()):
            owner = self._run(record.run.encode())
        if owner is not None and record.seq > owner.seq:
            self._bad(owner, owner.seq + 1, f"record {record.seq} stands in a row of run {run.name}")
        else:
            self._bad(run, run.seq + 1, f"in its place stands record {record.seq} of run {record.run}")

    def _has_head(self, run_key: Any) -> bool:
        return self.heads is not None and run_key in self.heads

    def check_heads(self) -> None:
        """Check that each run ends where its head says. After all records were seen."""
        heads = self.heads or {}
        for run_key, run in self.runs.items():
            if not run.is_good or (run.seq == 0 and run_key not in heads):
                continue  # named already; a run without a good record and a head exists only by a misfiled record
            if run_key not in heads:
                self._bad(run, run.seq, "is the last of its run, but the run has no head", run.position)
                continue
            seq, digest = heads[run_key]
            if type(seq) is not int or seq < run.seq:
                self._bad(run, _number(seq) + 1, f"stands after the run's head, which says {_number(seq)}", 0)
            elif seq > run.seq:
                self._bad(run, run.seq + 1, f"is missing: the run's head says that it ends with record {seq}", 0)
            elif digest != run.hash:
                self._bad(run, run.seq, "is the last of its run, but the run's head has another hash", run.position)
        for run_key in sorted(heads.keys() - self.runs.keys()):
            self._bad(_text(run_key), 1, "is missing: the run has a head, but no records", 0)

    def add(self, run_key: Any, seq: Any, what: str) -> None:
        """Note a problem that was found elsewhere, unless the run has one already."""
        run = self.runs.get(_key(run_key))
        self._bad(run or (_text(run_key) if run_key else ""), _number(seq), what, 0)

    def _note_gap(self, run: _Run, seq: Any, expected: int, number: int) -> None:
        if self.gap is None:
            what = f"records were removed before it: it is number {number} of the journal, and should be {expected}"
            self.gap = BadRecord(run.name, _number(seq), what, self.records)

    def _run(self, run_key: Any) -> _Run:
        key = _key(run_key)
        if key not in self.runs:
            name = _text(run_key)
            self.runs[key] = _Run(name, genesis_hash(name))
        return self.runs[key]

    def _bad(self, run: "_Run | str", seq: int, what: str, position: int | None = None) -> None:
        """Note a problem, unless the run has one already. Without a position it is where we are, or at the gap."""
        if isinstance(run, _Run):
            if not run.is_good:
                return
            run.is_good = False
            run = run.name
        if position is None:
            position = self.records
        if self.gap and what.startswith("is missing"):
            position = self.gap.position
        self.problems.append(BadRecord(run, seq, what, position))


def _is_record(encoded: Any, run: str, seq: int) -> bool:
    """Say whether the bytes are a record of this place. It is asked for every record, and quicker than decoding one."""
    try:
        fields = decode_json(encoded)
        decode_time(fields["at"])
        return (
            fields.keys() == RECORD_FIELDS
            and fields["v"] == RECORD_FORMAT
            and fields["run"] == run
            and fields["seq"] == seq
            and type(fields["seq"]) is int
            and type(fields["path"]) is str
            and type(fields["data"]) is dict
            and is_name(fields["kind"])
        )
    except (KeyError, ValueError, RecursionError):
        return False


def _decoded(encoded: Any) -> Record | None:
    try:
        return decode_record(encoded)
    except JournalBroken:
        return None


def _key(value: Any) -> bytes:
    return value if type(value) is bytes else repr(value).encode()


def _text(value: Any) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else repr(value)


def _number(value: Any) -> int:
    return value if type(value) is int else 0
