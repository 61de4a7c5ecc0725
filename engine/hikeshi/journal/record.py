"""One stored fact, and the bytes it is stored as.

A record is encoded once. Those bytes are what is stored, hashed and read back; nothing is ever encoded again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from hikeshi.journal.errors import JournalBroken, JournalMisused

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

_FORMAT: Final = 1
_FIELDS: Final = frozenset({"v", "run", "seq", "at", "kind", "path", "data"})
_LARGEST_SEQ: Final = 2**63 - 1
_NO_OFFSET: Final = timedelta(0)
_FIX_CALLER: Final = "This is a bug in the caller"


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


def _not_a_constant(name: str) -> JSON:
    raise ValueError(f"{name} is not JSON")


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
# Text with lone surrogates (vendors send it) has no UTF-8 form; escaped, it survives the way there and back.
_ESCAPING_ENCODER: Final = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":"))
_DECODER: Final = json.JSONDecoder(parse_constant=_not_a_constant)


def encode_record(*, run: str, seq: int, at: datetime, kind: str, path: str, data: Mapping[str, JSON]) -> bytes:
    """Return the bytes of a record: compact JSON in UTF-8, with the format's version.

    The order of `data` is kept, since it can carry meaning. `at` is stored in UTC with microseconds.
    Raises JournalMisused if a field cannot be stored and read back: a naive time, NaN, a type JSON has no form for.
    """
    where = f"run {run!r}, record {seq}, {kind}"
    if not _is_name(run) or not _is_name(kind) or not 1 <= seq <= _LARGEST_SEQ:
        raise JournalMisused("A record needs a run, a kind and a sequence number from 1", where, _FIX_CALLER)
    if at.tzinfo is None:
        raise JournalMisused("A record's time needs a time zone", where, _FIX_CALLER)
    fields = {
        "v": _FORMAT,
        "run": run,
        "seq": seq,
        "at": at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z",
        "kind": kind,
        "path": path,
        "data": data if isinstance(data, dict) else dict(data),
    }
    try:
        try:
            return _ENCODER.encode(fields).encode()
        except UnicodeEncodeError:
            return _ESCAPING_ENCODER.encode(fields).encode()
    except (TypeError, ValueError, RecursionError) as exc:
        # The cause is named by its type only: its message may quote the data.
        raise JournalMisused(f"The data has no form in JSON ({type(exc).__name__})", where, _FIX_CALLER) from exc


def decode_record(encoded: bytes) -> Record:
    """Return the record that the bytes stand for. Raises JournalBroken if they are not a record."""
    try:
        if type(encoded) is not bytes:
            raise ValueError("not bytes")
        fields = _DECODER.decode(encoded.decode())
        if type(fields) is not dict or fields.keys() != _FIELDS or fields["v"] != _FORMAT:
            raise ValueError("not the fields of a record")
        return Record(
            _name(fields["run"]),
            _seq(fields["seq"]),
            _time(fields["at"]),
            _name(fields["kind"]),
            _text(fields["path"]),
            _mapping(fields["data"]),
            encoded,
        )
    except (ValueError, RecursionError) as exc:
        raise JournalBroken(
            f"The stored bytes are not a record of format {_FORMAT}",
            f"{type(encoded).__name__} of length {len(encoded or b'')}",
            "Verify the journal; restore it from a backup if it is damaged",
        ) from exc


def decode_append(run: str, expected_seq: int, records: Sequence[bytes]) -> list[Record]:
    """Return the records of one append. Raises JournalMisused unless they are exactly the next ones of the run."""
    where = f"append to run {run!r} at {expected_seq}"
    if not records:
        raise JournalMisused("An append needs a record", where, _FIX_CALLER)
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
                _FIX_CALLER,
            )
        decoded.append(record)
    return decoded


def _is_name(value: Any) -> bool:
    # SQLite cuts text at NUL in places, and a run with a lone surrogate could not be a key.
    if not isinstance(value, str) or not value or "\0" in value:
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(value: Any) -> str:
    if not _is_name(value):
        raise ValueError("not a name")
    assert isinstance(value, str)
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise ValueError("not text")
    return value


def _seq(value: Any) -> int:
    if type(value) is not int or not 1 <= value <= _LARGEST_SEQ:
        raise ValueError("not a sequence number")
    return value


def _time(value: Any) -> datetime:
    if type(value) is not str:
        raise ValueError("not a time")
    at = datetime.fromisoformat(value)
    if at.utcoffset() != _NO_OFFSET:
        raise ValueError("not in UTC")
    return at


def _mapping(value: Any) -> dict[str, JSON]:
    if type(value) is not dict:
        raise ValueError("not an object")
    return value
