"""The bytes of a record."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hikeshi.journal import JournalBroken, JournalMisused, decode_record, encode_record

AT = datetime(2026, 2, 3, 4, 5, 6, 789, tzinfo=UTC)
FIELDS: dict[str, Any] = {"run": "r", "seq": 7, "at": AT, "kind": "Noted", "path": "sweep[3].isolate", "data": {"n": 1}}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_the_bytes_are_compact_json_with_a_version() -> None:
    """Somebody with any JSON reader can read the journal."""
    assert encode_record(**FIELDS) == (
        b'{"v":1,"run":"r","seq":7,"at":"2026-02-03T04:05:06.000789Z","kind":"Noted","path":"sweep[3].isolate",'
        b'"data":{"n":1}}'
    )


@given(
    data=st.dictionaries(st.text(), json_values, max_size=4),
    run=st.text("ab-é火", min_size=1),
    path=st.text(),
    plain=st.booleans(),
)
def test_what_was_encoded_is_decoded(data: dict[str, Any], run: str, path: str, plain: bool) -> None:
    """Every value of JSON survives the way there and back, lone surrogates included."""
    encoded = encode_record(**{**FIELDS, "data": data, "run": run, "path": path, "plain": plain})
    record = decode_record(encoded)
    assert (record.run, record.seq, record.at, record.kind, record.path) == (run, 7, AT, "Noted", path)
    assert record.data == data
    assert record.encoded is encoded


def test_the_order_of_data_is_kept() -> None:
    """A mapping from a vendor's answer is listed as the vendor listed it."""
    record = decode_record(encode_record(**{**FIELDS, "data": {"z": 1, "a": 2}}))
    assert list(record.data) == ["z", "a"]


def test_text_is_stored_as_utf_8() -> None:
    """Japanese takes three bytes a letter, not six."""
    assert "火消し".encode() in encode_record(**{**FIELDS, "data": {"name": "火消し"}})


def test_another_zone_is_stored_in_utc() -> None:
    """The same moment gives the same bytes, whatever zone it came in."""
    tokyo = AT.astimezone(timezone(timedelta(hours=9)))
    assert encode_record(**{**FIELDS, "at": tokyo}) == encode_record(**FIELDS)


@pytest.mark.parametrize(
    "change",
    [
        {"at": datetime(2026, 2, 3)},
        {"seq": 0},
        {"seq": 2**63},
        {"run": ""},
        {"run": "a\0b"},
        {"run": "\ud800"},
        {"kind": ""},
        {"data": {"n": float("nan")}},
        {"data": {"n": float("inf")}},
        {"data": {"n": {1, 2}}},
        {"data": {"n": b"bytes"}},
    ],
    ids=repr,
)
def test_what_could_not_be_read_back_is_refused(change: dict[str, Any]) -> None:
    """A record that would be another one after reading never gets as far as the disk."""
    with pytest.raises(JournalMisused):
        encode_record(**{**FIELDS, **change})


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_plain_data_has_no_number_that_is_none(number: float) -> None:
    """The quick way writes them as JavaScript does, which no reader of JSON need know."""
    with pytest.raises(JournalMisused):
        encode_record(**{**FIELDS, "data": {"n": [number]}, "plain": True})


def test_plain_data_is_written_as_any_other() -> None:
    """Words that look like such a number are text, and what the quick way cannot write takes the other one."""
    deep: Any = "NaN, -Infinity, \ud800"
    for _ in range(300):
        deep = [deep]
    for data in ({"NaN": "Infinity"}, {"deep": deep}, {"火消し": [1.5, True, None, {}]}):
        assert encode_record(**{**FIELDS, "data": data, "plain": True}) == encode_record(**{**FIELDS, "data": data})


def test_a_refusal_does_not_quote_the_data() -> None:
    """An error message is no way out for a secret."""
    with pytest.raises(JournalMisused) as refused:
        encode_record(**{**FIELDS, "data": {"hunter2": {"hunter2"}}})
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b"{" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        encode_record(**FIELDS)[:-1],
        encode_record(**FIELDS) + b"x",
        encode_record(**FIELDS).decode().encode("utf-16"),
    ],
    ids=lambda encoded: repr(encoded[:12]),
)
def test_garbage_is_not_a_record(encoded: bytes) -> None:
    """Malformed bytes raise the journal's own error, whatever they are."""
    with pytest.raises(JournalBroken):
        decode_record(encoded)


@pytest.mark.parametrize(
    "change",
    [
        {"v": 2},
        {"run": 1},
        {"run": ""},
        {"seq": "7"},
        {"seq": True},
        {"seq": 0},
        {"seq": 1.0},
        {"at": "2026-02-03T04:05:06"},
        {"at": "2026-02-03T04:05:06+09:00"},
        {"at": "yesterday"},
        {"at": None},
        {"kind": None},
        {"path": 3},
        {"data": []},
        {"data": float("nan")},
        {"more": 1},
    ],
    ids=repr,
)
def test_a_field_of_another_shape_is_not_a_record(change: dict[str, Any]) -> None:
    """Decoding checks every field, so nobody after it has to."""
    fields = {**json.loads(encode_record(**FIELDS)), **change}
    with pytest.raises(JournalBroken):
        decode_record(json.dumps(fields).encode())


def test_every_field_is_needed() -> None:
    """A record without one of its fields is malformed."""
    fields = json.loads(encode_record(**FIELDS))
    for name in fields:
        with pytest.raises(JournalBroken):
            decode_record(json.dumps({key: value for key, value in fields.items() if key != name}).encode())
