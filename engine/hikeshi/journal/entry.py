"""One row that stands outside of the records of runs, a message or a signal, on its way into the journal and out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeAlias

from hikeshi.journal.errors import JournalBroken, JournalMisused
from hikeshi.journal.stored_form import FIX_CALLER, JSON, decode_json, decode_time, encode_json, is_name

_LARGEST_DATA_BYTES: Final = 1024 * 1024

# Gives the rows of a statement with its parameters, whatever the journal is kept in. Raises JournalError.
Rows: TypeAlias = Callable[[str, Sequence[Any]], list[Any]]


@dataclass(frozen=True, slots=True)
class Entry:
    """What one INSERT writes, by the name of its statement. The row's id is the database's to give."""

    statement: str
    values: tuple[str | bytes | int, ...]

    @property
    def weight(self) -> int:
        """How much of a batch it takes, in records of a usual size."""
        return 1

    @property
    def size_bytes(self) -> int:
        """How much it adds to the log, roughly: its last value is the large one."""
        last = self.values[-1]
        return 8 if isinstance(last, int) else len(last)


def need_names(where: str, **names: object) -> None:
    """Raise JournalMisused unless each of the values can be a key."""
    for what, name in names.items():
        if not is_name(name):
            raise JournalMisused(f"The {what} has to be text, not empty and without NUL", where, FIX_CALLER)


def encode_data(data: Mapping[str, JSON], where: str) -> bytes:
    """Return the bytes of an entry's data. Raises JournalMisused if they are more than 1 MiB or have no form."""
    encoded = encode_json(data, where)
    if len(encoded) > _LARGEST_DATA_BYTES:
        raise JournalMisused(
            f"The data has {len(encoded)} bytes; at most {_LARGEST_DATA_BYTES} are kept", where, "Send less of it"
        )
    return encoded


def decode_entry(at: Any, data: Any, where: str) -> tuple[datetime, dict[str, JSON]]:
    """Return an entry's time and data. Raises JournalBroken if what is stored has no such form."""
    try:
        return decode_time(at), decode_json(data)
    except (ValueError, RecursionError) as exc:
        raise JournalBroken(
            "What is stored is not what was handed in", where, "Verify the journal, then restore it from a backup"
        ) from exc
