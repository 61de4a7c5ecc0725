"""One stored fact, and the bytes it is stored as.

A record is encoded once. Those bytes are what is stored, hashed and read back; nothing is ever encoded again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from hikeshi.journal.errors import JournalBroken, JournalMisused
from hikeshi.journal.stored_form import (
    FIX_CALLER,
    JSON,
    LARGEST_NUMBER,
    decode_json,
    decode_time,
    encode_json,
    encode_plain,
    encode_time,
    is_name,
)

RECORD_FORMAT: Final = 1
RECORD_FIELDS: Final = frozenset({"v", "run", "seq", "at", "kind", "path", "data"})


@dataclass(frozen=True, slots=True)
class Record:
    """One stored fact. `seq` counts from 1 within the run, `at` is aware and in UTC, `encoded` is what is hashed."""

    run: str
    seq: int
    at: datetime
    kind: str
    path: str
    data: dict[str, JSON]
    encoded: bytes


def encode_record(
    *, run: str, seq: int, at: datetime, kind: str, path: str, data: Mapping[str, JSON], plain: bool = False
) -> bytes:
    """Return the bytes of a record: compact JSON in UTF-8, with the format's version.

    The order of `data` is kept, since it can carry meaning. `at` is stored in UTC with microseconds. `plain` says that
    `data` was looked through and holds nothing but what JSON has a form for, as what `encode_event` returns.
    Raises JournalMisused if a field cannot be stored and read back: a naive time, NaN, a type JSON has no form for.
    """
    where = f"run {run!r}, record {seq}, {kind}"
    if not is_name(run) or not is_name(kind) or not 1 <= seq <= LARGEST_NUMBER:
        raise JournalMisused("A record needs a run, a kind and a sequence number from 1", where, FIX_CALLER)
    fields: dict[str, JSON] = {
        "v": RECORD_FORMAT,
        "run": run,
        "seq": seq,
        "at": encode_time(at, where),
        "kind": kind,
        "path": path,
        "data": data if isinstance(data, dict) else dict(data),
    }
    return encode_plain(fields, where) if plain else encode_json(fields, where)


def decode_record(encoded: bytes | Record) -> Record:
    """Return the record that the bytes stand for. Raises JournalBroken if they are not a record.

    A record is given back as it is: whoever has decoded the bytes already need not have it done again.
    """
    if isinstance(encoded, Record):
        return encoded
    try:
        fields = decode_json(encoded)
        if fields.keys() != RECORD_FIELDS or fields["v"] != RECORD_FORMAT:
            raise ValueError("not the fields of a record")
        return Record(
            _name(fields["run"]),
            _seq(fields["seq"]),
            decode_time(fields["at"]),
            _name(fields["kind"]),
            _text(fields["path"]),
            _mapping(fields["data"]),
            encoded,
        )
    except (ValueError, RecursionError) as exc:
        raise JournalBroken(
            f"The stored bytes are not a record of format {RECORD_FORMAT}",
            f"{type(encoded).__name__} of length {len(encoded or ())}",
            "Verify the journal; restore it from a backup if it is damaged",
        ) from exc


def decode_append(run: str, expected_seq: int, records: Sequence[bytes | Record]) -> list[Record]:
    """Return the records of one append. Raises JournalMisused unless they are exactly the next ones of the run."""
    where = f"append to run {run!r} at {expected_seq}"
    if not records:
        raise JournalMisused("An append needs a record", where, FIX_CALLER)
    decoded = []
    for seq, encoded in enumerate(records, expected_seq):
        try:
            record = decode_record(encoded)
        except JournalBroken as exc:
            raise JournalMisused(exc.what, where, "Encode records with encode_record") from exc
        if record.run != run or record.seq != seq:
            raise JournalMisused(
                f"Record {record.seq} of run {record.run!r} stands where record {seq} of run {run!r} belongs",
                where,
                FIX_CALLER,
            )
        decoded.append(record)
    return decoded


def _name(value: Any) -> str:
    if not is_name(value):
        raise ValueError("not a name")
    assert isinstance(value, str)
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("not text")
    return value


def _seq(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= LARGEST_NUMBER:
        raise ValueError("not a sequence number")
    return value


def _mapping(value: Any) -> dict[str, JSON]:
    if type(value) is not dict:
        raise ValueError("not an object")
    return value
