"""Messages to a run. Only a run's owner appends to it; everybody else posts here, and the owner takes them."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from hikeshi.journal.entry import Entry, Rows, decode_entry, encode_data, need_names
from hikeshi.journal.errors import JournalMisused
from hikeshi.journal.statements import statements
from hikeshi.journal.stored_form import FIX_CALLER, JSON, LARGEST_NUMBER, encode_time


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody asks of a run. `id` increases over all runs and is never used again; `at` is aware, in UTC."""

    id: int
    run: str
    kind: str
    sender: str
    at: datetime
    data: dict[str, JSON]


def message_entry(run: str, kind: str, data: Mapping[str, JSON], sender: str, at: datetime) -> Entry:
    """Return a message as it is stored. Raises JournalMisused if it can't be."""
    where = f"message {kind!r} to run {run!r}"
    need_names(where, run=run, kind=kind, sender=sender)
    return Entry("post_message", (run, kind, sender, encode_time(at, where), encode_data(data, where)))


def messages_of_run(rows: Rows, run: str, after: int, where: str) -> list[Message]:
    """Return what waits for a run, oldest first. Raises JournalBroken for a message that can't be read."""
    found = rows(statements()["messages_of_run"], (run, min(max(after, 0), LARGEST_NUMBER)))
    return [_message(*row, where=where) for row in found]


def runs_with_messages(rows: Rows) -> list[str]:
    """Return the runs that something waits for, the one with the oldest message first."""
    return [run for (run,) in rows(statements()["runs_with_messages"], ())]


def checked_takes(takes: Sequence[int], where: str) -> tuple[int, ...]:
    """Return the ids of messages to take. Raises JournalMisused for what never was an id."""
    for taken in takes:
        if type(taken) is not int or not 1 <= taken <= LARGEST_NUMBER:
            raise JournalMisused(f"{taken!r} is not the id of a message", where, FIX_CALLER)
    return tuple(takes)


def take_messages(tx: sqlite3.Connection, run: str, takes: Sequence[int]) -> None:
    """Remove messages from the run's inbox. Those of other runs stay, and one that is gone is no error."""
    tx.executemany(statements()["take_message"], [(taken, run) for taken in takes])


def _message(number: int, run: str, kind: str, sender: str, at: str, data: bytes, *, where: str) -> Message:
    return Message(number, run, kind, sender, *decode_entry(at, data, f"message {number} to run {run} in {where}"))
