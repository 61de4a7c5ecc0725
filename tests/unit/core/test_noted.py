"""Events of which a state keeps nothing are noted without being read back, and come to the same state."""

from __future__ import annotations

import copy
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest

from hikeshi.core import RunState, encode_event, fold, is_only_noted, note
from hikeshi.core import events as ev
from hikeshi.core.events import ErrorRecord, Event
from hikeshi.journal import decode_record, encode_record
from hikeshi.playbook.unknown import Stored, Unknown
from hikeshi.testing.run_harness import make_program

AT = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)
PLAYBOOK = '{"id": "p", "steps": [{"id": "a", "set": {"x": "1"}}]}'
STATE = {"value": "198.51.100.7", "ports": [1, 2.5, None, True], "text": "\ud800 ü", "$hikeshi": "from outside"}
TARGET = "ipv4:198.51.100.7"
OPENED = ev.HoldsOpened(
    "block",
    "firewall.block_indicators",
    "fw",
    [ev.OpenedHold("h1", TARGET, "198.51.100.7", STATE, STATE), ev.OpenedHold("h2", "t", "t", None)],
    {"action": "x", "arguments": {"reason": "r"}},
    "indicators",
    AT,
)
NOTED = [
    OPENED,
    ev.HoldsOpened("block", "a.b", "fw", [ev.OpenedHold("h2", "t", "t", Stored("0" * 64, 70_000))]),
    ev.HoldsOpened("block", "a.b", "fw", [ev.OpenedHold("h3", "t", "t", {"seen": Unknown("text", "not read")})]),
    ev.TargetsSettled("block", [ev.SettledTarget(TARGET, "done", None, "h1", STATE), ev.SettledTarget("t", "already")]),
    ev.TargetsSettled("block", [ev.SettledTarget(TARGET, "already")]),
    ev.TargetsSettled("block", [ev.SettledTarget("t", "done", None, "h1", Stored("0" * 64, 70_000))]),
]


def state_before() -> RunState:
    return RunState("r-1", make_program(PLAYBOOK))


def kept(state: RunState) -> dict[str, Any]:
    return {
        field.name: getattr(state, field.name) for field in fields(state) if field.name not in ("program", "settling")
    }


@pytest.mark.parametrize("event", NOTED, ids=lambda each: f"{type(each).__name__}-{each.path}")
def test_noting_comes_to_the_state_that_folding_the_bytes_comes_to(event: Event) -> None:
    """Whether a process noted it or a restart read it, the state is the same."""
    assert is_only_noted(event)
    encoded = encode_record(
        run="r-1", seq=1, at=AT, kind=type(event).__name__, path=event.path, data=encode_event(event)
    )
    noted, folded = state_before(), state_before()
    record = decode_record(encoded)
    stored = fold(folded, record.seq, record.at, record.kind, record.path, record.data, encoded)
    note(noted, 1, AT, encoded)
    assert kept(noted) == kept(folded)
    assert stored == event
    assert record.data == encode_event(event)
    before = copy.copy(state_before())
    before.seq, before.now, before.has_stored = noted.seq, noted.now, noted.has_stored
    assert kept(before) == kept(noted)


def test_what_a_state_keeps_something_of_is_read_back() -> None:
    """An answer changes the state, and an error may come back in another form."""
    assert not is_only_noted(ev.ActionSucceeded("block", 1, None))
    failed = ev.SettledTarget("t", "failed", ErrorRecord("refused", "no"))
    assert not is_only_noted(ev.TargetsSettled("block", [failed]))
    assert not is_only_noted(ev.TargetsSettled("block", [ev.SettledTarget("u", "done"), failed]))
