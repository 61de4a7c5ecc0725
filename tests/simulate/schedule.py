"""What goes wrong in one world, and when: drawn once, before anything runs."""

from __future__ import annotations

from dataclasses import dataclass, field

from dice import Dice
from playbook_maker import CONSTRUCTS
from products import CHANGE_FAULTS, READ_FAULTS, TELL_FAULTS, Habits

__all__ = ["Schedule", "draw_schedule"]

_MOMENTS = (
    "before an append",
    "after an append",
    "before a request leaves",
    "after a request has left",
    "when a request is answered",
)


@dataclass
class Schedule:
    """Everything that happens to the engine from outside. Times are seconds since the world began."""

    habits: Habits
    without: frozenset[str] = frozenset()
    runs: list[float] = field(default_factory=list)  # when each of them is asked for
    crash_after_steps: list[int] = field(default_factory=list)  # callbacks of each process, one after another
    crash_at_moments: dict[str, list[int]] = field(default_factory=dict)  # which times these moments are deadly
    down_s: list[float] = field(default_factory=list)
    jumps: list[tuple[float, float]] = field(default_factory=list)
    suspends: list[tuple[float, float]] = field(default_factory=list)
    disk_full: list[tuple[float, float]] = field(default_factory=list)
    slow_disk_percent: float = 0.0
    shuffled: bool = False
    duplicates: bool = False  # people send what they send more than once
    reboots: bool = False
    park_after_s: float = 0.0
    patience_s: float = 30.0
    cancel_percent: float = 0.0
    pause_percent: float = 0.0

    @property
    def calm(self) -> bool:
        """Say whether no call can fail but by what the playbook asks for."""
        return not (self.habits.fault_percent or self.habits.crashes or self.disk_full)


def draw_schedule(dice: Dice) -> Schedule:
    """Return what happens in a world. Each kind of trouble is left out of many worlds, so that others are seen alone."""  # noqa: E501
    habits = Habits(slow=dice.chance(40), conflicts=dice.chance(20))
    schedule = Schedule(habits, runs=[dice.seconds(0, 600) for _ in range(dice.weighted({1: 6, 2: 2, 3: 1}))])
    schedule.without = frozenset(name for name in CONSTRUCTS if name != "vault" and dice.chance(20))
    schedule.shuffled = dice.chance(60)
    schedule.park_after_s = dice.pick([0.0, 2.0, 30.0])
    schedule.patience_s = dice.pick([30.0, 0.0, 600.0])
    if dice.chance(20):
        return schedule
    _draw_products(dice, habits)
    _draw_crashes(dice, schedule)
    _draw_clocks(dice, schedule)
    if dice.chance(25):
        schedule.disk_full = [(dice.seconds(0, 900), dice.seconds(0.5, 900)) for _ in range(dice.between(1, 2))]
    if dice.chance(40):
        schedule.slow_disk_percent = dice.pick([5.0, 50.0, 100.0])
    schedule.duplicates = dice.chance(40)
    schedule.cancel_percent = dice.pick([0.0, 0.0, 40.0])
    schedule.pause_percent = dice.pick([0.0, 0.0, 40.0])
    return schedule


def _draw_products(dice: Dice, habits: Habits) -> None:
    if not dice.chance(70):
        return
    habits.fault_percent = dice.pick([3.0, 10.0, 30.0, 60.0])
    faults = sorted({*READ_FAULTS, *CHANGE_FAULTS, *TELL_FAULTS})
    habits.faults = frozenset(name for name in faults if dice.chance(70))


def _draw_crashes(dice: Dice, schedule: Schedule) -> None:
    if not dice.chance(75):
        return
    wanted = dice.weighted({1: 4, 2: 3, 3: 2, 5: 1, 8: 1})
    for _ in range(wanted):
        if dice.chance(50):
            schedule.crash_after_steps.append(round(dice.seconds(1, 500)))
        else:
            moment = dice.pick(_MOMENTS)
            schedule.crash_at_moments.setdefault(moment, []).append(round(dice.seconds(1, 30)))
        schedule.down_s.append(dice.pick([0.0, 0.2, dice.seconds(1, 60), dice.seconds(60, 20_000)]))
    schedule.habits.crashes = True
    schedule.reboots = dice.chance(30)


def _draw_clocks(dice: Dice, schedule: Schedule) -> None:
    if dice.chance(35):
        for _ in range(dice.between(1, 3)):
            by_s = dice.pick([60.0, 600.0, 3600.0, 6 * 3600.0]) * dice.pick([1, -1])
            schedule.jumps.append((dice.seconds(0, 1800), by_s))
    if dice.chance(15):
        for _ in range(dice.between(1, 2)):
            schedule.suspends.append((dice.seconds(0, 1800), dice.seconds(1, 40_000)))
