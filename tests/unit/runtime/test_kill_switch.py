"""The kill switch as it is stored: what is engaged, by whom, and how many people it takes to release it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hikeshi.guardrails import Scope, Stop, Stops
from hikeshi.journal import JournalUnavailable
from hikeshi.runtime.projections import standard_projections
from hikeshi.runtime.stops import EngagedStop, KillSwitch
from hikeshi.testing.memory_journal import MemoryJournal

pytestmark = pytest.mark.safety(12)

AT = datetime(2026, 2, 3, tzinfo=UTC)
LATER = AT + timedelta(seconds=60)


def stop(text: str, by: str = "mei", why: str = "") -> Stop:
    (found,) = Stops.read([text]).engaged
    return Stop(found.scope, found.name, by, why)


@pytest.fixture
def switch() -> KillSwitch:
    return KillSwitch(MemoryJournal(standard_projections()))


async def test_what_is_engaged_is_listed_oldest_first(switch: KillSwitch) -> None:
    """With who did it, when, why, and how many people release it."""
    await switch.engage(stop("connector:fw", "ken", "wrong rules"), people=2, at=LATER)
    await switch.engage(stop("everything"), people=1, at=AT)

    assert switch.engaged() == [
        EngagedStop("everything", "mei", "", AT, 1, ()),
        EngagedStop("connector:fw", "ken", "wrong rules", LATER, 2, ()),
    ]
    assert [(each.text, each.by, each.why) for each in switch.stops().engaged] == [
        ("everything", "mei", ""),
        ("connector:fw", "ken", "wrong rules"),
    ]


async def test_nothing_is_engaged_at_first(switch: KillSwitch) -> None:
    """The twin."""
    assert switch.engaged() == []
    assert switch.stops().match("edr.isolate_host", "falcon", "p") is None


async def test_it_takes_as_many_different_people_as_were_asked_for(switch: KillSwitch) -> None:
    """One who asks twice is one; the wishes for another stop are no matter."""
    await switch.engage(stop("everything"), people=2, at=AT)
    await switch.engage(stop("playbook:p"), people=2, at=LATER)
    for who, what in (("mei", "everything"), ("mei", "everything"), ("ken", "playbook:p")):
        await switch.want_released(what, by=who, why="over", at=LATER)

    assert [(each.stop, each.released_by) for each in switch.engaged()] == [
        ("everything", ("mei",)),
        ("playbook:p", ("ken",)),
    ]
    assert len(switch.stops().engaged) == 2

    await switch.want_released("everything", by="aki", why="over", at=LATER)
    assert [each.stop for each in switch.engaged()] == ["playbook:p"]


async def test_who_wants_it_released_is_listed_by_name(switch: KillSwitch) -> None:
    """Of three that it takes, two."""
    await switch.engage(stop("everything"), people=3, at=AT)
    for who in ("mei", "aki"):
        await switch.want_released("everything", by=who, why="over", at=LATER)

    assert switch.engaged()[0].released_by == ("aki", "mei")


async def test_wishes_from_before_do_not_release_what_is_engaged_anew(switch: KillSwitch) -> None:
    """Whoever engages it again knows of something that they did not."""
    await switch.engage(stop("everything"), people=2, at=AT)
    await switch.want_released("everything", by="mei", why="over", at=LATER)
    await switch.engage(stop("everything", "ken"), people=1, at=LATER)
    await switch.want_released("everything", by="aki", why="over", at=LATER)

    (engaged,) = switch.engaged()
    assert (engaged.by, engaged.people, engaged.released_by) == ("mei", 2, ("aki",))


class Unreadable(MemoryJournal):
    """A journal whose disk is gone."""

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        raise JournalUnavailable("Cannot read", "memory", "Check the disk")


@pytest.mark.safety(13)
def test_a_switch_that_cannot_be_read_holds_everything_back() -> None:
    """And says why."""
    stops = KillSwitch(Unreadable(standard_projections())).stops()

    match = stops.match("edr.isolate_host", "falcon", "p")
    assert match is not None
    assert match.scope is Scope.EVERYTHING
    assert "JournalUnavailable" in match.why


@pytest.mark.safety(13)
async def test_a_stop_that_this_version_does_not_understand_holds_everything_back(switch: KillSwitch) -> None:
    """Another version may have stored it; what it meant is said with who did it."""
    await switch.engage(Stop(Scope.CONNECTOR, "", "ken", ""), people=1, at=AT)

    (found,) = switch.stops().engaged
    assert found.scope is Scope.EVERYTHING
    assert found.by == "ken"
    assert found.why
