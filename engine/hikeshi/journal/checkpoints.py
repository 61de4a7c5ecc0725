"""Signed statements of what the journal held, kept beside it. What they say and who signs them is not known here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from hikeshi.journal.entry import Entry, Rows
from hikeshi.journal.errors import JournalBroken
from hikeshi.journal.statements import statements
from hikeshi.journal.stored_form import decode_time, encode_time


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed note about the first `size` records. `edge` is what a tree over them goes on from; `at` is in UTC."""

    size: int
    at: datetime
    note: str
    edge: bytes


class Place(NamedTuple):
    """A record by its place in the journal, from 1, without its contents. `hash` is that of the run's chain."""

    position: int
    run: str
    seq: int
    hash: bytes


def checkpoint_entry(checkpoint: Checkpoint) -> Entry:
    """Return a checkpoint as it is stored."""
    at = encode_time(checkpoint.at, f"checkpoint {checkpoint.size}")
    return Entry("store_checkpoint", (checkpoint.size, at, checkpoint.note, checkpoint.edge))


def receipt_entry(anchor: str, size: int, receipt: bytes, at: datetime) -> Entry:
    """Return that an anchor has got a checkpoint, as it is stored."""
    return Entry("store_receipt", (anchor, size, encode_time(at, f"receipt of {anchor}"), receipt))


def last_checkpoint(rows: Rows, where: str) -> Checkpoint | None:
    """Return the checkpoint over the most records. Raises JournalBroken if what is stored is none."""
    found = rows(statements()["last_checkpoint"], ())
    return decode_checkpoint(found[0], where) if found else None


def decode_checkpoint(row: Sequence[object], where: str) -> Checkpoint:
    """Return the checkpoint of a row. Raises JournalBroken."""
    size, at, note, edge = row
    try:
        if type(size) is int and type(note) is str and type(edge) is bytes:
            return Checkpoint(size, decode_time(at), note, edge)
    except ValueError:
        pass
    raise JournalBroken("A stored checkpoint cannot be read", where, "Verify the journal: hikeshi audit verify")
