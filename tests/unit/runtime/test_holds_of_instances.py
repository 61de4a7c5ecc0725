"""The same indicator is blocked on several firewalls: each hold is its own."""

from hikeshi.core import events as ev
from hikeshi.testing.fake_connector import FakeWorld, fake_connector
from hikeshi.testing.run_harness import RunHarness

INPUTS = "inputs: {bad: {type: indicator, default: 203.0.113.9}}"
WITH = "with: {indicators: ['{{ inputs.bad }}'], reason: r}"
BLOCK = f"- {{id: block, action: firewall.block_indicators, {WITH}}}"


def two_firewalls() -> RunHarness:
    connector = fake_connector(FakeWorld())
    return RunHarness(instances={"fw_eu": connector, "fw_us": connector})


async def test_a_release_undoes_what_is_blocked_on_each_firewall() -> None:
    """What one of them keeps is no reason to leave it on the other."""
    harness = two_firewalls()
    outcome = await harness.run(f"id: t\n{INPUTS}\nsteps:\n  {BLOCK}\n  - {{id: undo, release: inputs.bad}}\n")

    assert outcome.status == "succeeded"
    assert [event.outcome for event in outcome.of(ev.HoldReleased)] == ["released", "released"]
    assert {event.instance for event in outcome.of(ev.ActionIntended) if "unblock" in event.action} == {
        "fw_eu",
        "fw_us",
    }


async def test_undoing_it_on_one_firewall_keeps_the_hold_on_the_other() -> None:
    """The ledger says what is still blocked, and where."""
    harness = two_firewalls()
    await harness.run(f"id: t\n{INPUTS}\nsteps:\n  {BLOCK}\n")
    await harness.run(f"id: u\n{INPUTS}\nsteps:\n  - {{action: fw_eu.unblock_indicators, {WITH}}}\n", run="run-2")

    rows = harness.journal.query("SELECT connector, status FROM holds WHERE action LIKE '%.block_indicators'")
    assert sorted((row["connector"], row["status"]) for row in rows) == [("fw_eu", "released"), ("fw_us", "active")]
