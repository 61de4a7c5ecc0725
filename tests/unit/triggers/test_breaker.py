"""When most alerts of a source ask for the same change, the change waits for people."""

from __future__ import annotations

from typing import Any

import pytest
from watch import SETTINGS, Watch

from hikeshi.triggers import Triggers

pytestmark = pytest.mark.safety(11)

CONTAIN = """
id: it
inputs:
  host: {type: hostname}
  bad: {type: boolean, default: true}
triggers:
  - id: alert
    SOURCE
    inputs: {host: "{{ event.host }}", bad: "{{ event.bad }}"}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.host }}"}}
  - {id: isolate, when: inputs.bad, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: an alert}}
"""
BREAKER = "guardrails:\n  breaker: {within: 1h, at_most_per_cent: 50, at_least: 3MORE}\n"


async def alerts(watch: Watch, *bad: bool, more: str = "", source: str = "webhook: edr") -> Triggers:
    """Let alerts come in, one host each, and let everything be done that may be."""
    if not (watch.folder / "playbooks" / "it.yaml").exists():
        watch.settings(SETTINGS + BREAKER.replace("MORE", more))
        watch.write(CONTAIN.replace("SOURCE", source))
    triggers = watch.triggers()
    for each in bad:
        number = len(watch.runs()) + 100
        watch.world.add_host(f"pc{number}")
        await triggers.receive("webhook:edr", f"e{number}", {"host": f"pc{number}", "bad": each})
        await triggers.settled()
        await watch.work()
    return triggers


def isolated(watch: Watch) -> int:
    return len(watch.world.sent("isolate_host"))


def asked(triggers: Triggers) -> list[dict[str, Any]]:
    return triggers.app.questions()


async def test_a_source_whose_alerts_all_ask_for_the_same_pauses(watch: Watch) -> None:
    """The first ones go through; from `at_least` on, each waits for people, who may let it pass."""
    triggers = await alerts(watch, True, True, True, True)
    assert isolated(watch) == 2
    first, second = asked(triggers)
    assert "3 of 3 alerts of webhook:edr ask for edr.isolate_host" in first["question"]
    assert set(first["by"]) == {"mei", "kei"}
    await triggers.app.tell(second["run"], "approve", {"path": second["path"], "digest": second["digest"]}, actor="mei")
    await watch.work()
    assert isolated(watch) == 3
    assert [each["run"] for each in asked(triggers)] == [first["run"]]


async def test_a_source_that_mostly_asks_for_nothing_does_not_trip_it(watch: Watch) -> None:
    """Half of the alerts is what is allowed here."""
    triggers = await alerts(watch, False, False, False, True, True, True)
    assert isolated(watch) == 3
    assert asked(triggers) == []
    await alerts(watch, True)
    assert isolated(watch) == 3
    assert len(asked(triggers)) == 1


async def test_alerts_of_an_hour_ago_do_not_count(watch: Watch) -> None:
    """Only the window counts, and the alert itself always does."""
    triggers = await alerts(watch, True, True)
    watch.clock.pass_by(3601)
    await alerts(watch, True, True)
    assert isolated(watch) == 4
    assert asked(triggers) == []


async def test_an_alert_that_asks_twice_counts_once(watch: Watch) -> None:
    """Distinct alerts count: one that asks twice is one."""
    again = "  - {id: again, when: inputs.bad, action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: b}}\n"
    watch.write(CONTAIN.replace("SOURCE", "webhook: edr") + again)
    watch.settings(SETTINGS + BREAKER.replace("MORE", ""))
    triggers = watch.triggers()
    watch.world.add_host("pc100")
    for number in range(3):
        await triggers.receive("webhook:edr", f"e{number}", {"host": "pc100", "bad": number == 0})
    await triggers.receive("webhook:edr", "e0", {"host": "pc100", "bad": True})
    await triggers.settled()
    await watch.work()
    rows = watch.journal.query("SELECT COUNT(*) FROM trigger_asks WHERE action = 'edr.isolate_host'")
    assert rows[0][0] == 1
    assert asked(triggers) == []


@pytest.mark.parametrize(
    ("more", "trips"),
    [
        (", sources: [edr]", True),
        (", sources: ['webhook:*']", True),
        (", sources: [siem]", False),
        (", actions: [edr.isolate_host]", True),
        (", actions: ['identity.*']", False),
    ],
)
async def test_it_watches_what_it_is_told_to(watch: Watch, more: str, trips: bool) -> None:
    """Sources are called as in `hikeshi.yaml`, or with their kind before it."""
    triggers = await alerts(watch, True, True, True, more=more)
    assert (len(asked(triggers)) == 1) is trips
    assert isolated(watch) == (2 if trips else 3)


async def test_what_people_start_is_not_counted(watch: Watch) -> None:
    """The breaker judges sources of alerts; a person who starts a run is none."""
    triggers = await alerts(watch)
    for number in range(5):
        watch.world.add_host(f"pc{number + 50}")
        await triggers.app.start_run("it", {"host": f"pc{number + 50}"}, actor="mei", mode="live")
    assert isolated(watch) == 5
    assert asked(triggers) == []


async def test_a_schedule_is_no_source_of_alerts(watch: Watch) -> None:
    """It asks for the same each time because that is what it is for."""
    watch.settings(SETTINGS + BREAKER.replace("MORE", ""))
    text = CONTAIN.replace("SOURCE", "schedule: {every: 1m}").replace("{{ event.host }}", "pc1")
    watch.write(text.replace("{{ event.bad }}", "{{ true }}"))
    triggers = watch.triggers()
    await triggers.turn()
    for _ in range(5):
        await watch.turn(triggers, 60)
        await watch.work()
        watch.world.isolation.clear()
    assert isolated(watch) == 5
    assert asked(triggers) == []
