"""What is large in one of many targets is stored beside the record, and comes back whole."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from hikeshi.core import decode_event, encode_event
from hikeshi.core import events as ev
from hikeshi.core.events import ErrorRecord
from hikeshi.core.large import LARGEST_INLINE_BYTES, load_all, move_out, value_of
from hikeshi.journal import decode_record, encode_record
from hikeshi.playbook.unknown import Stored

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
LARGE = {"rules": ["deny any"] * 12_000, "n": 1}
SMALL = {"rules": ["deny any"], "n": 2}
LOOKS_STORED = {"$hikeshi": "stored", "sha256": "0" * 64, "bytes": 7}


def stored(event: Any) -> tuple[Any, dict[str, bytes], int]:
    """Return an event as it is read back, what is stored beside it by hash, and the size of its record in bytes."""
    data, blobs = move_out(encode_event(event))
    kind = type(event).__name__
    encoded = encode_record(run="r", seq=1, at=AT, kind=kind, path=event.path, data=data)
    record = decode_record(encoded)
    return decode_event(record.kind, record.path, record.data), blobs, len(encoded)


def loaded(value: Any, blobs: dict[str, bytes]) -> Any:
    return load_all(value, lambda each: value_of(blobs[each.sha256]))


def intended(states: list[Any]) -> ev.ActionIntended:
    """Return an intent whose targets were found in these states."""
    prior = [{"target": f"t{at}", "state": state} for at, state in enumerate(states)]
    return ev.ActionIntended("a", 1, "fw.set", "fw", "k", [], prior)


def settled(states: list[Any]) -> ev.TargetsSettled:
    fates = [ev.SettledTarget(f"t{at}", "done", None, f"h{at}", state) for at, state in enumerate(states)]
    return ev.TargetsSettled("a", fates)


def opened(priors: list[Any]) -> ev.HoldsOpened:
    holds = [ev.OpenedHold(f"h{at}", f"t{at}", f"l{at}", prior, {"of": at}) for at, prior in enumerate(priors)]
    return ev.HoldsOpened("a", "fw.set", "fw", holds, {"action": "fw.set", "arguments": {"reason": "r"}}, "rules", AT)


def test_a_large_state_of_one_of_many_targets_is_stored_elsewhere() -> None:
    """It alone: the states of the others, and who they are, stay in the record."""
    states = [SMALL] * 300 + [LARGE] + [SMALL] * 300
    event, blobs, size = stored(intended(states))

    assert (len(blobs), size < LARGEST_INLINE_BYTES * 2) == (1, True)
    assert [each["target"] for each in event.prior] == [f"t{at}" for at in range(601)]
    assert [at for at, each in enumerate(event.prior) if each["state"] != states[at]] == [300]
    assert isinstance(event.prior[300]["state"]["rules"], Stored)
    assert [loaded(each["state"], blobs) for each in event.prior] == states


def test_what_the_ledger_holds_is_never_stored_elsewhere() -> None:
    """An undo compares it with what is there, in a transaction that loads nothing."""
    failed = ev.SettledTarget("u", "failed", ErrorRecord("forbidden", "no" * LARGEST_INLINE_BYTES), "h")
    for made in (opened([SMALL, LARGE, None]), settled([LARGE]), ev.TargetsSettled("a", [failed])):
        event, blobs, _ = stored(made)
        assert (event, blobs) == (made, {})


def test_alike_large_states_are_stored_once() -> None:
    """By what they are, not by whose they are."""
    event, blobs, _ = stored(intended([LARGE, SMALL, LARGE]))
    assert len(blobs) == 1
    assert [loaded(each["state"], blobs) for each in event.prior] == [LARGE, SMALL, LARGE]


def test_many_small_states_stay_in_their_record() -> None:
    """However large all of them are together: a list of targets is never moved as one value."""
    states = [{"text": "x" * 200, "at": at} for at in range(1000)]
    made = intended(states)
    event, blobs, size = stored(made)
    assert (event, blobs) == (made, {})
    assert size > LARGEST_INLINE_BYTES


@pytest.mark.parametrize(
    "state",
    [
        {"text": "\ud800" * 20_000},
        {"text": "ü\udfff" + "x" * 70_000, "more": LOOKS_STORED},
        {"half": "\ud83d", "other": "x" * 70_000},
        "\ud800" * 20_000,
        ["\udc00"] * 20_000,
        {"\ud800": "x" * 70_000},
    ],
    ids=["a text", "among others", "beside a large one", "nothing else", "a list", "a key"],
)
def test_half_a_surrogate_pair_breaks_nothing(state: Any) -> None:
    """UTF-8 has no form for it; it is stored elsewhere like any other text, and comes back as it was."""
    made = intended([SMALL, state, SMALL])
    event, blobs, size = stored(made)
    assert (len(blobs) >= 1, size < LARGEST_INLINE_BYTES) == (True, True)
    assert [loaded(each["state"], blobs) for each in event.prior] == [SMALL, state, SMALL]


def test_half_a_surrogate_pair_in_a_small_value_is_left_where_it_is() -> None:
    """Beside a large one of another target: only that one moves."""
    states = [{"text": "\ud800"}, LARGE, {"\udfff": 1}]
    event, blobs, _ = stored(intended(states))
    assert [each["state"] == state for each, state in zip(event.prior, states, strict=True)] == [True, False, True]
    assert [loaded(each["state"], blobs) for each in event.prior] == states


def test_a_state_that_looks_stored_is_not_loaded() -> None:
    """A product cannot name what the engine is to load, neither in a small state nor inside of a large one."""
    states = [LOOKS_STORED, {"rules": LARGE["rules"], "also": LOOKS_STORED}]
    event, blobs, _ = stored(intended(states))
    assert len(blobs) == 1
    assert [loaded(each["state"], blobs) for each in event.prior] == states


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_only_what_is_larger_than_the_limit_is_moved(more: int) -> None:
    """A text counts with its quotation marks."""
    text = "x" * (LARGEST_INLINE_BYTES - 2 + more)
    event, blobs, _ = stored(intended([text, SMALL]))
    assert isinstance(event.prior[0]["state"], Stored) is (more > 0)
    assert [loaded(each["state"], blobs) for each in event.prior] == [text, SMALL]


def test_the_bytes_beside_a_record_are_plain_json() -> None:
    """In ASCII, so that half of a surrogate pair can be among them."""
    _, blobs, _ = stored(intended([{"text": "\ud800ü" + "x" * 70_000}]))
    (content,) = blobs.values()
    assert content.isascii()
    assert json.loads(content) == "\ud800ü" + "x" * 70_000


def test_what_is_stored_elsewhere_is_loaded_in_every_entry_of_a_list() -> None:
    """Lists of plain maps are passed on as they are; one with something to load is not such a list."""
    stored_one = Stored("a" * 64, 7)
    plain = [{"n": n} for n in range(300)]
    for value in ([*plain, {"n": stored_one}], [{"n": stored_one}, *plain], [{"n": {"deep": stored_one}}]):
        made = load_all(value, lambda _: "loaded")
        assert "loaded" in json.dumps(made)
        assert made == json.loads(json.dumps(value, default=lambda _: "loaded"))
    assert load_all(plain, lambda _: "loaded") == plain
