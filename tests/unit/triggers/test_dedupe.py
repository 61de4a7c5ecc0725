"""Events that give the same value within the window start one run."""

import asyncio

import pytest
from watch import Watch

ON_ALERT = """
id: it
inputs:
  host: {type: hostname}
triggers:
  - id: alert
    webhook: edr
    inputs: {host: "{{ event.host }}"}
    dedupe: event.host
    window: 10m
steps:
  - {id: say, set: {who: inputs.host}}
"""


async def send(triggers, *events: tuple[str, str]) -> None:  # type: ignore[no-untyped-def]
    await asyncio.gather(*(triggers.receive("webhook:edr", id_, {"host": host}) for id_, host in events))
    await triggers.settled()


async def test_the_same_value_within_the_window_starts_one_run(watch: Watch) -> None:
    """The later event names the run that it joined; another value starts its own."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    await send(triggers, ("e1", "pc1"))
    watch.clock.pass_by(599)
    await send(triggers, ("e2", "pc1"))
    await send(triggers, ("e3", "pc2"))
    assert watch.outcomes() == [("e1", "started"), ("e2", "deduplicated"), ("e3", "started")]
    fires = {fire["id"]: fire["run"] for fire in triggers.fires()}
    assert fires["e2"] == fires["e1"] == watch.runs()[0]["run"]
    assert len(watch.runs()) == 2


async def test_after_the_window_the_value_starts_a_run_again(watch: Watch) -> None:
    """The window counts from the event that started a run, and ends."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    await send(triggers, ("e1", "pc1"))
    watch.clock.pass_by(300)
    await send(triggers, ("e2", "pc1"))
    watch.clock.pass_by(300)
    await send(triggers, ("e3", "pc1"))
    assert [outcome for _, outcome in watch.outcomes()] == ["started", "deduplicated", "started"]


async def test_the_same_value_at_the_same_moment_starts_one_run(watch: Watch) -> None:
    """The transaction that stores the judgement decides, between processes too."""
    watch.write(ON_ALERT)
    first, second = watch.triggers(), watch.triggers()
    await asyncio.gather(
        send(first, *((f"a{number}", "pc1") for number in range(20))),
        send(second, *((f"b{number}", "pc1") for number in range(20))),
    )
    assert len(watch.runs()) == 1
    assert sorted(outcome for _, outcome in watch.outcomes()) == ["deduplicated"] * 39 + ["started"]


async def test_the_window_outlives_a_restart(watch: Watch) -> None:
    """Another process knows what started within the window."""
    watch.write(ON_ALERT)
    await send(watch.triggers(), ("e1", "pc1"))
    await send(watch.triggers(), ("e2", "pc1"))
    assert len(watch.runs()) == 1


@pytest.mark.parametrize("back_s", [3600, 10 * 365 * 86400])
async def test_a_clock_that_is_set_back_neither_ends_nor_prolongs_the_window(watch: Watch, back_s: int) -> None:
    """What is deduplicated stays so, and from then on the window counts by the new time."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    await send(triggers, ("e1", "pc1"))
    watch.clock.advance(-back_s)
    await send(triggers, ("e2", "pc1"))
    watch.clock.pass_by(599)
    await send(triggers, ("e3", "pc1"))
    watch.clock.pass_by(2)
    await send(triggers, ("e4", "pc1"))
    assert [outcome for _, outcome in watch.outcomes()] == ["started", "deduplicated", "deduplicated", "started"]


async def test_two_triggers_do_not_share_values(watch: Watch) -> None:
    """Each trigger starts its own run for the same value."""
    watch.write(ON_ALERT)
    watch.write(ON_ALERT.replace("id: it", "id: other"), "other")
    triggers = watch.triggers()
    await send(triggers, ("e1", "pc1"))
    assert [run["playbook"] for run in watch.runs()] == ["it", "other"]
    await send(triggers, ("e2", "pc1"))
    assert [outcome for _, outcome in watch.outcomes()] == ["started", "started", "deduplicated", "deduplicated"]


async def test_a_start_that_is_refused_keeps_no_other_from_starting(watch: Watch) -> None:
    """A value stands for a run; where none was begun the next event starts one."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    await triggers.refresh()
    (watch.folder / "playbooks" / "it.yaml").write_text("id: it\nsteps: [{id: a, action: edr.nothing}]\n")
    await send(triggers, ("e1", "pc1"))
    await watch.turn(triggers, 11)
    assert watch.outcomes() == [("e1", "refused")]
    watch.write(ON_ALERT)
    again = watch.triggers()
    await send(again, ("e2", "pc1"))
    assert watch.outcomes()[1] == ("e2", "started")


async def test_the_tables_are_the_same_when_they_are_filled_again(watch: Watch) -> None:
    """Everything follows from the records: starts, values, fires."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    await send(triggers, ("e1", "pc1"), ("e2", "pc1"), ("e3", "pc2"))
    watch.clock.advance(-3600)
    await send(triggers, ("e4", "pc1"))
    from hikeshi.runtime.projections import standard_projections
    from hikeshi.testing.memory_journal import MemoryJournal

    other = MemoryJournal(standard_projections())
    runs = [row["event"] for row in watch.journal.query("SELECT event FROM trigger_events ORDER BY rowid")]
    for run in runs:
        records = list(watch.journal.read(run))
        await other.append(run, 1, records)
    for table in ("trigger_values", "trigger_fires", "trigger_events"):
        rows = [tuple(row) for row in watch.journal.query(f"SELECT * FROM {table} ORDER BY 1, 2, 3")]
        assert rows == [tuple(row) for row in other.query(f"SELECT * FROM {table} ORDER BY 1, 2, 3")], table
    other.close()
