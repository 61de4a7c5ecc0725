"""Taking the bytes of whole runs out of a journal, and what the journal says about that.

A run that was pruned keeps a row for each of its records, with its place and the hash of the chain, and no bytes. So
the chain, the tree over all records and every checkpoint stay what they were. That the bytes may be missing is said by
a record of the run `retention`; without one they are gone, and that is found.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final, NamedTuple

from hikeshi.journal.record import Record
from hikeshi.journal.statements import statements

__all__ = ["RETENTION", "RUNS_PRUNED", "PrunedRun", "Removal", "digest_of", "pruned_by", "remove_bytes"]

RETENTION: Final = "retention"
"""The run that holds records about what was pruned. It is no run of a playbook."""

RUNS_PRUNED: Final = "RunsPruned"
"""`{by, before, pack, sha256, runs: [{run, records, hashes}], limits}`; `hashes` as `digest_of` gives it."""


class PrunedRun(NamedTuple):
    """What a record says of one pruned run: how many records it has, and the digest of the hashes of its chain."""

    run: str
    records: int
    hashes: str


@dataclass(frozen=True, slots=True)
class Removal:
    """Runs whose bytes are to be taken out, with the number of the record of `retention` that says so."""

    runs: Sequence[PrunedRun]
    seq: int

    @property
    def weight(self) -> int:
        """How much of a batch it takes, in records of a usual size."""
        return sum(each.records for each in self.runs)


def digest_of(hashes: Iterable[bytes]) -> str:
    """Return the SHA-256, in hexadecimal, over the chain's hashes of a run's records, in their order."""
    found = sha256()
    for each in hashes:
        found.update(each)
    return found.hexdigest()


def pruned_by(record: Record) -> Iterator[PrunedRun]:
    """Give the runs that a record says were pruned; none if it is about something else, or is not as we write it."""
    runs: Any = record.data.get("runs")
    if record.run != RETENTION or record.kind != RUNS_PRUNED or not isinstance(runs, list):
        return
    for each in runs:
        if isinstance(each, dict):
            found = PrunedRun(each.get("run"), each.get("records"), each.get("hashes"))  # type: ignore[arg-type]
            if type(found.run) is str and type(found.records) is int and type(found.hashes) is str:
                yield found


def remove_bytes(tx: sqlite3.Connection, removal: Removal) -> int:
    """Take the bytes of runs out, with the large values that nothing else refers to. Return how many records they had.

    A run that does not end as it did when it was said to be pruned is left alone.
    """
    named = statements()
    tx.execute(named["overwrite_what_is_deleted"]).fetchall()
    count = 0
    for each in removal.runs:
        rows = tx.execute(named["hashes_of_run"], (each.run,)).fetchall()
        if len(rows) != each.records or digest_of(row[0] for row in rows) != each.hashes:
            continue
        tx.execute(named["remember_pruned"], (each.run, removal.seq))
        count += tx.execute(named["remove_bytes"], (each.run,)).rowcount
        linked = tx.execute(named["blobs_of_run"], (each.run,)).fetchall()
        tx.execute(named["unlink_blobs"], (each.run,))
        tx.executemany(named["remove_blob"], linked)
    return count
