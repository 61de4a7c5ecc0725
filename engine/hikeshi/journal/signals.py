"""Signals: things that happened outside, by name, that runs wait for. They are kept, so a wait may begin after one."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from hikeshi.journal.entry import Entry, Rows, decode_entry, encode_data, need_names
from hikeshi.journal.errors import JournalMisused
from hikeshi.journal.statements import statements
from hikeshi.journal.stored_form import FIX_CALLER, JSON, LARGEST_NUMBER, encode_time


@dataclass(frozen=True, slots=True)
class Signal:
    """Something that happened outside. `id` says the order in which they came; `at` is aware, in UTC."""

    id: int
    name: str
    at: datetime
    source: str
    data: dict[str, JSON]


def signal_entry(name: str, data: Mapping[str, JSON], source: str, at: datetime) -> Entry:
    """Return a signal as it is stored. Raises JournalMisused if it can't be."""
    where = f"signal {name!r}"
    need_names(where, name=name, source=source)
    return Entry("store_signal", (name, source, encode_time(at, where), encode_data(data, where)))


def signals_of_name(rows: Rows, name: str, since: datetime, after: int, limit: int, where: str) -> list[Signal]:
    """Return at most `limit` signals from a time on and after an id, in the order in which they came."""
    asked = f"signals {name!r}"
    earliest = encode_time(since, asked)
    if limit < 1:
        raise JournalMisused("A page of signals has at least one", asked, FIX_CALLER)
    limit = min(limit, LARGEST_NUMBER)
    if after > 0:
        found = rows(statements()["signals_after"], (name, min(after, LARGEST_NUMBER), earliest, limit))
    else:
        found = rows(statements()["signals_since"], (name, earliest, limit))
    return [_signal(*row, where=where) for row in found]


def _signal(number: int, name: str, at: str, source: str, data: bytes, *, where: str) -> Signal:
    happened_at, decoded = decode_entry(at, data, f"signal {number} in {where}")
    return Signal(number, name, happened_at, source, decoded)
