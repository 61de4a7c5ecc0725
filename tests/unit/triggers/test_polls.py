"""Each new item of a poll is one event, whatever restarts in between."""

from datetime import UTC, datetime
from typing import Any

import pytest
from watch import Watch

from hikeshi.capabilities import Alert
from hikeshi.connector.errors import Unavailable
from hikeshi.triggers import Triggers

ON_ALERT = """
id: it
inputs:
  title: {type: string}
triggers:
  - id: alert
    poll: {action: edr.list_alerts, every: 1m, with: {since_s: 600}}
    inputs: {title: "{{ event.title }}"}
steps:
  - {id: a, set: {x: inputs.title}}
"""


def alert(number: int, **more: Any) -> Alert:
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    return Alert(
        connector="fake", id=f"a{number}", name=f"a{number}", title=f"t{number}", severity="high", at=at, **more
    )


async def poll(watch: Watch, triggers: Triggers, times: int = 1) -> None:
    for _ in range(times):
        await watch.turn(triggers, 60)


def started(watch: Watch) -> list[str]:
    return [id_ for id_, outcome in watch.outcomes() if outcome == "started"]


async def test_what_is_there_at_the_first_look_starts_nothing(watch: Watch) -> None:
    """The first look notes what is known; from then on each new item starts one run."""
    watch.write(ON_ALERT)
    watch.world.alerts["fake"] = [alert(1), alert(2)]
    triggers = watch.triggers()
    await poll(watch, triggers)
    assert watch.outcomes() == []
    watch.world.alerts["fake"] += [alert(3), alert(4)]
    await poll(watch, triggers, 3)
    assert started(watch) == ["fake/a3", "fake/a4"]
    assert len(watch.runs()) == 2


async def test_nothing_is_new_after_a_restart(watch: Watch) -> None:
    """What was known and what was an event stays so; what came meanwhile is new."""
    watch.write(ON_ALERT)
    watch.world.alerts["fake"] = [alert(1)]
    first = watch.triggers()
    await poll(watch, first)
    watch.world.alerts["fake"] += [alert(2)]
    await poll(watch, first)
    watch.world.alerts["fake"] += [alert(3)]
    await poll(watch, watch.triggers(), 2)
    assert started(watch) == ["fake/a2", "fake/a3"]


async def test_two_processes_make_one_event_of_an_item(watch: Watch) -> None:
    """Both look, one of them is told that it is new."""
    watch.write(ON_ALERT)
    first, second = watch.triggers(), watch.triggers()
    for number in range(1, 5):
        watch.clock.pass_by(60)
        await first.turn()
        await second.turn()
        await first.settled()
        await second.settled()
        watch.world.alerts["fake"].append(alert(number))
    assert started(watch) == ["fake/a1", "fake/a2", "fake/a3"]
    assert len(watch.runs()) == 3


async def test_an_item_that_comes_back_is_the_same_item(watch: Watch) -> None:
    """Products forget and remember: an alert that was gone for a while starts no second run."""
    watch.write(ON_ALERT)
    watch.world.alerts["fake"] = [alert(1)]
    triggers = watch.triggers()
    await poll(watch, triggers)
    for there in ([alert(1), alert(2)], [], [alert(1), alert(2)], [], [alert(2, status="open"), alert(1)]):
        watch.world.alerts["fake"] = there
        await poll(watch, triggers)
    await poll(watch, watch.triggers())
    assert started(watch) == ["fake/a2"]


async def test_an_item_without_an_id_is_recognised_by_what_it_is(watch: Watch) -> None:
    """Two that are alike are one."""
    from hikeshi.triggers.polls import _identity

    assert _identity({"value": "1", "last_seen": "now"}) == _identity({"last_seen": "then", "value": "1"})
    assert _identity({"value": "1"}) != _identity({"value": 1})
    assert _identity({"id": ""}) != _identity({"id": "x"}) == "x"
    assert _identity({"id": "x", "connector": "a"}) != _identity({"id": "x", "connector": "b"})
    assert _identity("text") == _identity("text")


async def test_a_poll_that_fails_backs_off_and_says_so_twice(watch: Watch) -> None:
    """People hear of the first failure and of the recovery; in between it is asked less and less often."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    await poll(watch, triggers)
    watch.world.script("list_alerts", *[Unavailable("the product is away")] * 8)
    watch.world.calls.clear()
    asked = []
    for minute in range(1, 90):
        await poll(watch, triggers)
        if len(watch.world.called("list_alerts")) > len(asked):
            asked.append(minute)
        if minute == 5:
            assert "the product is away" in triggers.overview()[0]["problem"]
    assert asked[:9] == [1, 2, 4, 8, 16, 26, 36, 46, 56]
    assert asked[9] == 57
    assert len(watch.told) == 2
    assert "its poll fails" in watch.told[0]
    assert "works again; it failed 8 times" in watch.told[1]
    assert triggers.overview()[0]["problem"] is None


async def test_a_first_look_that_fails_is_not_an_empty_one(watch: Watch) -> None:
    """Could not read is never "is absent": what is there when it works for the first time starts nothing."""
    watch.write(ON_ALERT)
    watch.world.alerts["fake"] = [alert(1)]
    watch.world.script("list_alerts", Unavailable("away"))
    triggers = watch.triggers()
    await poll(watch, triggers, 4)
    assert watch.outcomes() == []
    watch.world.alerts["fake"] += [alert(2)]
    await poll(watch, triggers, 2)
    assert started(watch) == ["fake/a2"]


async def test_another_question_has_a_first_look_of_its_own(watch: Watch) -> None:
    """A poll that asks for more than before does not start a run for all that it had not asked for; it says so."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    await poll(watch, triggers)
    watch.write(ON_ALERT.replace("since_s: 600", "since_s: 6000"))
    watch.world.alerts["fake"] = [alert(1)]
    await poll(watch, triggers, 2)
    assert watch.outcomes() == []
    assert "begins anew; 1 items" in watch.told[-1]
    watch.world.alerts["fake"] += [alert(2)]
    await poll(watch, triggers, 2)
    assert started(watch) == ["fake/a2"]


async def test_a_clock_that_is_set_back_does_not_stop_a_poll(watch: Watch) -> None:
    """Polls are made by the time that passes."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    await poll(watch, triggers)
    watch.clock.advance(-86_400)
    watch.world.alerts["fake"] = [alert(1)]
    await poll(watch, triggers)
    assert started(watch) == ["fake/a1"]


async def test_a_great_many_items_are_noted_and_found(watch: Watch) -> None:
    """Thousands at the first look, and hundreds of new ones at once."""
    watch.write(ON_ALERT)
    watch.world.alerts["fake"] = [alert(number) for number in range(2500)]
    triggers = watch.triggers()
    await poll(watch, triggers)
    watch.world.alerts["fake"] += [alert(number) for number in range(2500, 2700)]
    await poll(watch, triggers)
    assert len(started(watch)) == 200


@pytest.mark.safety(1)
async def test_nothing_that_a_poll_does_can_change_anything(watch: Watch) -> None:
    """A connector whose read tries to change something is stopped at its door."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    connector = type(triggers.app.instances.get("fake"))

    async def list_alerts(self: Any, since_s: int = 3600, severity: Any = None) -> list[Alert]:
        [host] = await self.find_hosts("pc1")
        await self.isolate_host(host, "by the way")
        return []

    connector.list_alerts = list_alerts  # type: ignore[method-assign, attr-defined, assignment]
    await poll(watch, triggers)
    assert watch.world.sent() == []
    assert "its poll fails" in watch.told[0]
