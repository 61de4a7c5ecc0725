"""A signed and anchored journal of several runs, and an attacker who has its file and knows SQLite."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from hikeshi.audit.anchors import FileAnchor
from hikeshi.audit.checkpoint import CheckpointMaker
from hikeshi.audit.delivery import Delivery
from hikeshi.audit.keys import KEY_FILE, key_to_sign
from hikeshi.audit.leaf import leaf_of
from hikeshi.audit.merkle import Edge
from hikeshi.audit.note import SignerKey, VerifierKey, sign_note
from hikeshi.audit.tree_head import TreeHead
from hikeshi.journal import SqliteJournal, encode_record
from hikeshi.journal.chain import genesis_hash, next_hash

AT = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
TRIGGERS = (
    "records_are_not_updated",
    "records_are_not_deleted",
)


@dataclass
class Archive:
    """The journal's file as an attacker has prepared it, and what auditors keep elsewhere."""

    path: Path
    key: VerifierKey
    anchor: Path
    notes_only: Path
    places: list[tuple[str, int]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    older: dict[int, Path] = field(default_factory=dict)

    @contextlib.contextmanager
    def edited(self) -> Iterator[tuple[Path, sqlite3.Connection]]:
        """Give a copy, opened for editing. It has to be closed before it is verified."""
        copy = self.path.with_name("edited.db")
        shutil.copyfile(self.path, copy)
        connection = sqlite3.connect(copy, isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute("BEGIN")
        try:
            yield copy, connection
        finally:
            connection.close()


def records_of(run: str, first: int, last: int) -> list[bytes]:
    """Return records as they are appended."""
    return [
        encode_record(run=run, seq=seq, at=AT, kind="Noted", path=f"s{seq}", data={"n": seq, "host": f"pc{seq}"})
        for seq in range(first, last + 1)
    ]


async def build(folder: Path, *, records: int, runs: int, every: int) -> Archive:
    """Return an archive of so many records, of runs that go on side by side, with a checkpoint after every few."""
    state = folder / "state"
    path, anchor, notes_only = state / "journal.db", folder / "anchor", folder / "notes"
    journal = SqliteJournal.open(path)
    maker = CheckpointMaker(journal, state, lambda: AT)
    delivery = Delivery(journal, [FileAnchor(anchor), FileAnchor(notes_only, leaves=False)], lambda: AT)
    found = Archive(folder / "attacked.db", key_to_sign(state).verifier, anchor, notes_only)
    ends = dict.fromkeys(range(runs), 0)
    while len(found.places) < records:
        number = (len(found.places) * 7 // 3) % runs
        count = min(1 + len(found.places) % 3, records - len(found.places))
        run, end = f"r-{number}", ends[number]
        await journal.append(run, end + 1, records_of(run, end + 1, end + count))
        ends[number] = end + count
        found.places += [(run, seq) for seq in range(end + 1, end + count + 1)]
        if (
            len(found.places) // every > (found.sizes[-1] if found.sizes else 0) // every
            or len(found.places) == records
        ):
            made = await maker.make()
            assert made is not None
            assert await delivery.send() == []
            found.sizes.append(made.size)
            found.older[made.size] = folder / f"older-{made.size}.db"
            backup(path, found.older[made.size])
    journal.close()
    backup(path, found.path)
    return found


def go_on(archive: Archive, size: int, folder: Path) -> None:
    """Let the engine go on from an older copy for longer than the journal was, with its own key and anchor."""

    async def write() -> None:
        journal = SqliteJournal.open(folder / "journal.db")
        maker = CheckpointMaker(journal, folder, lambda: AT)
        delivery = Delivery(journal, [FileAnchor(folder / "anchor")], lambda: AT)
        for number in range(2):
            await journal.append("other", 1 + 150 * number, records_of("other", 1 + 150 * number, 150 * (number + 1)))
            await maker.make()
            await delivery.send()
        journal.close()

    folder.mkdir()
    shutil.copy(archive.older[size], folder / "journal.db")
    shutil.copy(archive.anchor.parent / "state" / KEY_FILE, folder / KEY_FILE)
    shutil.copy(archive.anchor, folder / "anchor")
    asyncio.run(write())


def backup(source: Path, target: Path) -> None:
    """Copy a journal as an attacker does, and take its triggers off."""
    with contextlib.closing(sqlite3.connect(source)) as reads, contextlib.closing(sqlite3.connect(target)) as writes:
        reads.backup(writes)
        writes.execute("PRAGMA journal_mode = DELETE")
        for trigger in TRIGGERS:
            writes.execute(f"DROP TRIGGER {trigger}")
        writes.commit()


def build_now(folder: Path, *, records: int = 200, runs: int = 6, every: int = 25) -> Archive:
    """Build an archive outside of an event loop."""
    return asyncio.run(build(folder, records=records, runs=runs, every=every))


Row = tuple[str, int, bytes]


def rows_of(connection: sqlite3.Connection) -> list[Row]:
    """Return run, seq and bytes of all records, in the order of the journal."""
    return connection.execute("SELECT run, seq, encoded FROM records ORDER BY id").fetchall()


def write_anew(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    """Store other records in place of all: every seq, hash, head and number computed as the engine would."""
    connection.execute("DELETE FROM records")
    connection.execute("DELETE FROM heads")
    heads: dict[str, tuple[int, bytes]] = {}
    for run, _, encoded in rows:
        seq, digest = heads.get(run, (0, genesis_hash(run)))
        fields = json.loads(encoded)
        fields["run"], fields["seq"] = run, seq + 1
        stored = json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode()
        heads[run] = seq + 1, next_hash(digest, stored)
        connection.execute(
            "INSERT INTO records (run, seq, encoded, hash) VALUES (?, ?, ?, ?)", (run, seq + 1, stored, heads[run][1])
        )
    connection.executemany("INSERT INTO heads VALUES (?, ?, ?)", [(run, *head) for run, head in heads.items()])


def sign_anew(connection: sqlite3.Connection, signer: SignerKey) -> None:
    """Replace every checkpoint by one over what is stored now, signed with another key of the same name."""
    rows = connection.execute("SELECT run, seq, hash FROM records ORDER BY id").fetchall()
    sizes = {size for (size,) in connection.execute("SELECT size FROM checkpoints")}
    edge = Edge()
    for run, seq, digest in rows:
        edge.append(leaf_of(run.encode(), seq, digest))
        if edge.size in sizes:
            note = sign_note(TreeHead(signer.verifier.name, edge.size, edge.root()).text, signer)
            connection.execute(
                "UPDATE checkpoints SET note = ?, edge = ? WHERE size = ?", (note, edge.to_bytes(), edge.size)
            )
    connection.execute("DELETE FROM checkpoints WHERE size > ?", (len(rows),))
