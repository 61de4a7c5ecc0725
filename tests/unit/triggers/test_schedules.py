"""What is due by the clock happens once, whatever becomes of processes and clocks."""

import pytest
from watch import Watch

from hikeshi.triggers import Triggers

EVERY = """
id: it
triggers:
  - id: tick
    schedule: {schedule}
    missed: {missed}
steps:
  - {{id: a, set: {{x: "1"}}}}
"""


def playbook(schedule: str = "{every: 5m}", missed: str = "skip") -> str:
    return EVERY.format(schedule=schedule, missed=missed)


def fired(watch: Watch) -> list[str]:
    """Return hour and minute of each time that started a run."""
    return [id_[11:16] for id_, outcome in watch.outcomes() if outcome == "started"]


async def run_until(watch: Watch, seconds: int, *processes: Triggers, step: float = 20) -> None:
    """Let time pass, in which all these processes look at it now and then."""
    for _ in range(round(seconds / step)):
        watch.clock.pass_by(step)
        for each in processes:
            await each.turn()
            await each.settled()


async def test_a_time_that_comes_starts_a_run(watch: Watch) -> None:
    """Each time is due once, and `event` says which it was."""
    watch.write(playbook())
    triggers = watch.triggers()
    await triggers.turn()
    await run_until(watch, 900, triggers)
    assert fired(watch) == ["09:05", "09:10", "09:15"]
    assert len(watch.runs()) == 3
    assert triggers.overview()[0]["next_at"] == "2026-03-02T09:20:00+00:00"
    assert triggers.overview()[0]["last_outcome"] == "started"


async def test_two_processes_fire_each_time_once(watch: Watch) -> None:
    """The time is the ID of what happens then, so the journal decides."""
    watch.write(playbook())
    first, second = watch.triggers(), watch.triggers()
    await first.turn()
    await second.turn()
    await run_until(watch, 1800, first, second)
    assert fired(watch) == ["09:05", "09:10", "09:15", "09:20", "09:25", "09:30"]


async def test_a_restart_between_two_times_changes_nothing(watch: Watch) -> None:
    """Whoever comes next goes on where the last one was, also right after a fire."""
    watch.write(playbook())
    for _ in range(18):
        await run_until(watch, 100, watch.triggers(), step=50)
    assert fired(watch) == ["09:05", "09:10", "09:15", "09:20", "09:25", "09:30"]


@pytest.mark.parametrize("by_s", [3600, -3600])
async def test_a_clock_that_is_set_by_an_hour_loses_and_repeats_nothing(watch: Watch, by_s: int) -> None:
    """Each time that the clock has ever reached or passed while the engine ran has one run."""
    watch.write(playbook())
    triggers = watch.triggers()
    await triggers.turn()
    await run_until(watch, 600, triggers)
    watch.clock.advance(by_s)
    await run_until(watch, 7200, triggers)
    last = 12 if by_s > 0 else 10
    expected = [f"{hour:02}:{minute:02}" for hour in range(9, 13) for minute in range(0, 60, 5)]
    assert fired(watch) == expected[1 : expected.index(f"{last}:10") + 1]
    assert [outcome for _, outcome in watch.outcomes()] == ["started"] * len(fired(watch))


async def test_a_daily_time_that_the_clock_jumps_over_is_not_lost(watch: Watch) -> None:
    """A clock that is set forward past a time that is due once a day does not take that day's run away."""
    watch.write(playbook('"30 9 * * *"'))
    triggers = watch.triggers()
    await triggers.turn()
    watch.at("09:20:00")
    await watch.turn(triggers)
    watch.at("10:20:00")
    await watch.turn(triggers)
    watch.at("09:20:00")
    await run_until(watch, 3600, triggers)
    assert fired(watch) == ["09:30"]


async def test_a_clock_that_was_wrong_by_years_does_not_silence_a_schedule(watch: Watch) -> None:
    """When it is set right, the schedule begins anew from then, and says so."""
    watch.write(playbook())
    triggers = watch.triggers()
    await triggers.turn()
    watch.at("2036-03-02T09:00:00")
    await watch.turn(triggers)
    watch.at("2026-03-02T09:01:00")
    await run_until(watch, 600, triggers)
    assert fired(watch)[-2:] == ["09:05", "09:10"]
    assert "the clock was set back" in watch.told[-1]


async def test_a_clock_set_far_ahead_does_not_start_a_run_for_every_time_in_between(watch: Watch) -> None:
    """What is too much at once counts as missed."""
    watch.write(playbook())
    triggers = watch.triggers()
    await triggers.turn()
    watch.at("2036-03-02T09:00:00")
    await watch.turn(triggers)
    assert [outcome for _, outcome in watch.outcomes()] == ["missed", "started"]
    assert "more than 1000" in watch.reasons()[0]


async def test_what_was_missed_is_skipped_and_recorded(watch: Watch) -> None:
    """`skip`: one record for what passed while no engine ran, with how much it was; then on as before."""
    watch.write(playbook())
    await watch.triggers().turn()
    watch.clock.pass_by(7200 + 120)
    triggers = watch.triggers()
    await watch.turn(triggers)
    assert watch.outcomes() == [("2026-03-02T11:00:00+00:00", "missed")]
    expected = "no engine ran when it was due (24: from 2026-03-02T09:05:00Z to 2026-03-02T11:00:00Z)"
    assert watch.reasons() == [expected]
    await run_until(watch, 300, triggers)
    assert fired(watch) == ["11:05"]


async def test_what_was_missed_is_run_once(watch: Watch) -> None:
    """`run_once`: one run for the last time that was missed, and it can see how many there were."""
    watch.write(playbook(missed="run_once"))
    await watch.triggers().turn()
    watch.clock.pass_by(7200 + 120)
    first, second = watch.triggers(), watch.triggers()
    await watch.turn(first)
    await watch.turn(second)
    assert fired(watch) == ["11:00"]
    event = first._occurrences.read(first.fires()[0]["event"])
    assert event is not None
    assert event.data == {"due_at": "2026-03-02T11:00:00Z", "missed": 24}


async def test_a_time_that_is_late_by_less_than_a_minute_was_not_missed(watch: Watch) -> None:
    """A restart right at a time does not cost that time."""
    watch.write(playbook())
    await watch.triggers().turn()
    watch.clock.pass_by(300 + 59)
    await watch.turn(watch.triggers())
    assert watch.outcomes() == [("2026-03-02T09:05:00+00:00", "started")]


async def test_a_machine_that_slept_has_missed_what_passed(watch: Watch) -> None:
    """A process that stood still ran no more than one that was not there."""
    watch.write(playbook())
    triggers = watch.triggers()
    await triggers.turn()
    await watch.turn(triggers, 3600 + 120)
    assert watch.outcomes() == [("2026-03-02T10:00:00+00:00", "missed")]


async def test_a_schedule_that_is_new_has_missed_nothing(watch: Watch) -> None:
    """What was due before a schedule was known is nobody's; the same goes for one that was changed, or switched off."""
    triggers = watch.triggers()
    await triggers.turn()
    await run_until(watch, 3600, triggers)
    watch.write(playbook(missed="run_once"))
    await run_until(watch, 60, triggers)
    assert watch.outcomes() == []
    watch.write(playbook(missed="run_once").replace("schedule:", "enabled: false\n    schedule:"))
    await run_until(watch, 3600, triggers)
    watch.write(playbook(missed="run_once"))
    await run_until(watch, 180, triggers)
    assert watch.outcomes() == []
    watch.write(playbook("{every: 7m}", missed="run_once"))
    await run_until(watch, 60, triggers)
    assert watch.outcomes() == []


async def test_a_broken_file_does_not_end_its_schedule(watch: Watch) -> None:
    """A schedule whose file can't be read now is not forgotten: what it misses meanwhile is known when it is mended."""
    watch.write(playbook())
    await watch.triggers().turn()
    watch.write("id: it\ntriggers: [")
    await watch.turn(watch.triggers(), 3600)
    watch.write(playbook())
    await watch.turn(watch.triggers(), 120)
    assert [outcome for _, outcome in watch.outcomes()] == ["missed"]


async def test_many_schedules_are_looked_at_quickly(watch: Watch) -> None:
    """Five hundred schedules of which none is due cost next to nothing."""
    import time

    for number in range(500):
        watch.write(playbook("'0 2 * * *'").replace("id: it", f"id: it{number}"), f"it{number}")
    triggers = watch.triggers()
    await triggers.turn()
    began = time.perf_counter()
    for _ in range(10):
        await triggers._schedules.look()
    assert (time.perf_counter() - began) / 10 < 0.02
