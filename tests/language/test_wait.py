"""`wait`: for a time, for a read that says so, for an event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hikeshi.testing.fake_connector import Call
from hikeshi.testing.run_harness import Outcome, RunHarness

Codes = Callable[..., list[str]]

READ = "action: edr.list_alerts, until: result | length > 0, every: 10s, at_most: 5m"
EVENT = "event: scan_done, when: event.host == inputs.name, at_most: 1h"


def refuses(key: str, text: str, code: str) -> Any:
    return pytest.param(f"wait: {text}", code, id=key or "wait", marks=pytest.mark.language("wait", key, refuses=True))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        refuses("", "{every: 1m}", "wrong-type"),
        refuses("", "[5m]", "wrong-type"),
        refuses("", "5m\nfor_each: inputs.names", "misplaced-key"),
        refuses("for a time", "300", "wrong-type"),
        refuses("for a time", "5 minutes", "wrong-value"),
        refuses("for a time", "'{{ inputs.names }}'", "wrong-duration"),
        refuses("for a time", "'{{ inputs.count }} minutes'", "wrong-duration"),
        refuses("for a read", f"{{{READ}, event: done}}", "unknown-key"),
        refuses(
            "for a read.action", "{action: edr.list_alrts, until: 'true', every: 1s, at_most: 5m}", "unknown-action"
        ),
        refuses(
            "for a read.action",
            "{action: messaging.post, with: {channel: c, text: t}, until: 'true', every: 1s, at_most: 5m}",
            "not-a-read",
        ),
        refuses("for a read.with", f"{{{READ}, with: {{since: 60}}}}", "unknown-argument"),
        refuses("for a read.until", "{action: edr.list_alerts, every: 1s, at_most: 5m}", "missing-key"),
        refuses("for a read.until", f"{{{READ.replace(' | length > 0', '')}}}", "wrong-expression"),
        refuses("for a read.until", f"{{{READ.replace('result', 'event')}}}", "unknown-name"),
        refuses("for a read.every", f"{{{READ.replace('10s', '0s')}}}", "wrong-value"),
        refuses("for a read.every", f"{{{READ.replace(', every: 10s', '')}}}", "missing-key"),
        refuses("for a read.at_most", f"{{{READ.replace(', at_most: 5m', '')}}}", "missing-key"),
        refuses("for an event", "{event: done}", "missing-key"),
        refuses("for an event.event", "{event: 7, at_most: 1h}", "wrong-type"),
        refuses("for an event.when", f"{{{EVENT.replace('event.host == inputs.name', '1 + 1')}}}", "wrong-expression"),
        refuses("for an event.when", f"{{{EVENT.replace('event.host', 'result.host')}}}", "unknown-name"),
        refuses("for an event.at_most", f"{{{EVENT.replace('1h', '1')}}}", "wrong-type"),
    ],
)
def test_a_wait_that_is_written_wrong_is_refused(codes_of_step: Codes, keys: str, code: str) -> None:
    """Every wait is bounded, and only a read is repeated."""
    assert code in codes_of_step(keys)


@pytest.mark.parametrize(
    ("wait", "read", "expected"),
    [
        (f"{{{READ}}}", "steps.x[0].severity", []),
        (f"{{{READ}}}", "steps.x[0].severty", ["wrong-expression"]),
        (f"{{{EVENT}}}", "steps.x.whatever", []),
        ("5m", "steps.x", []),
        ("5m", "steps.x.whatever", ["unknown-field"]),
    ],
)
def test_what_a_wait_gives_is_known(codes_of_step: Codes, wait: str, read: str, expected: list[str]) -> None:
    """The result of the read, an event of which nobody knows anything, or nothing."""
    assert codes_of_step(f"wait: {wait}", f'  - {{set: {{a: "{read}"}}}}\n') == expected


def took_s(outcome: Outcome) -> float:
    """Return the seconds from the first record to the last."""
    return (outcome.records[-1].at - outcome.records[0].at).total_seconds()


@pytest.mark.language("wait", runs=True)
@pytest.mark.language("wait", "for a time", runs=True)
@pytest.mark.parametrize("wait", ["2h", '"{{ inputs.hours }}h"'])
async def test_a_wait_for_a_time_lasts_so_long(harness: RunHarness, wait: str) -> None:
    """Then the next step starts; it gives nothing."""
    head = "id: t\ninputs: {hours: {type: integer, default: 2}}\n"
    outcome = await harness.run(f"{head}steps:\n  - {{id: x, wait: {wait}}}\n  - {{id: then, set: {{a: steps.x}}}}\n")

    assert outcome.node("then").output == {"a": None}
    assert took_s(outcome) == pytest.approx(7200, abs=1)


@pytest.mark.language("wait", "for a read", runs=True)
@pytest.mark.language("wait", "for a read.action", runs=True)
@pytest.mark.language("wait", "for a read.with", runs=True)
@pytest.mark.language("wait", "for a read.until", runs=True)
@pytest.mark.language("wait", "for a read.every", runs=True)
async def test_a_wait_for_a_read_repeats_it_until_it_says_so(harness: RunHarness) -> None:
    """`until` sees the result, which is what the step gives."""

    async def come_up(call: Call) -> None:
        if len(harness.world.called("find_hosts")) == 2:
            harness.world.add_host("pc9")

    harness.world.on_call = come_up
    outcome = await harness.run("""
id: t
steps:
  - id: x
    wait: {action: edr.find_hosts, with: {name: pc9}, until: result | length > 0, every: 20s, at_most: 5m}
outputs: {id: "{{ steps.x[0].id }}"}
""")

    assert outcome.outputs == {"id": "id-pc9"}
    assert [call.arguments for call in harness.world.called("find_hosts")] == [{"name": "pc9"}] * 3
    assert took_s(outcome) == pytest.approx(40, abs=1)


@pytest.mark.language("wait", "for a read.at_most", runs=True)
async def test_a_wait_for_a_read_ends_as_a_timeout(harness: RunHarness) -> None:
    """What does not come in time has failed."""
    outcome = await harness.run("""
id: t
steps:
  - {id: x, wait: {action: edr.find_hosts, with: {name: pc9}, until: "result != []", every: 20s, at_most: 1m}}
""")

    assert outcome.node("x").error is not None
    assert outcome.node("x").error.kind == "timeout"
    assert took_s(outcome) <= 61


EVENTS = "id: t\nsteps: [{id: x, wait: {event: scan_done, when: event.host == 'pc1', at_most: 1h}}]\n"


@pytest.mark.language("wait", "for an event", runs=True)
@pytest.mark.language("wait", "for an event.event", runs=True)
@pytest.mark.language("wait", "for an event.when", runs=True)
async def test_a_wait_for_an_event_ends_with_the_one_that_fits(harness: RunHarness) -> None:
    """Others of the same name, and those of other names, are let pass."""
    waiting = asyncio.create_task(harness.run(EVENTS))
    await asyncio.sleep(0)
    await harness.signal("scan_done", {"host": "pc2", "found": 1})
    await harness.signal("scan_began", {"host": "pc1", "found": 2})
    await harness.signal("scan_done", {"host": "pc1", "found": 3})
    outcome = await waiting

    assert outcome.node("x").output == {"host": "pc1", "found": 3}
    assert outcome.status == "succeeded"


@pytest.mark.language("wait", "for an event.at_most", runs=True)
async def test_a_wait_for_an_event_ends_as_a_timeout(harness: RunHarness) -> None:
    """Nothing came."""
    outcome = await harness.run(EVENTS)

    assert outcome.node("x").error is not None
    assert outcome.node("x").error.kind == "timeout"
    assert took_s(outcome) == pytest.approx(3600, abs=60)
