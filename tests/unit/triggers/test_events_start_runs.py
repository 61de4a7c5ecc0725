"""An event is stored, judged and acted on once, whatever stops in between."""

import asyncio
from typing import Any

import pytest
from watch import Watch

from hikeshi.journal import JournalUnavailable
from hikeshi.triggers import Triggers

ON_ALERT = """
id: it
inputs:
  host: {type: hostname}
  count: {type: integer, default: 1}
triggers:
  - id: alert
    webhook: edr
    when: event.severity == 'high'
    inputs: {host: "{{ event.host }}"}
steps:
  - {id: say, set: {who: inputs.host}}
"""
WAITS = ON_ALERT.replace("set: {who: inputs.host}", "wait: 1h")


async def send(triggers: Triggers, id_: str, **data: Any) -> bool:
    receipt = await triggers.receive("webhook:edr", id_, {"severity": "high", "host": "pc1", **data})
    await triggers.settled()
    return receipt.is_new


async def test_an_event_starts_a_run_with_the_inputs_it_gives(watch: Watch) -> None:
    """The run is begun under the trigger's name, with inputs from the event, and whoever works is woken."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    assert await send(triggers, "e1", host="PC1")
    [run] = watch.runs()
    assert (run["playbook"], run["mode"], run["actor"]) == ("it", "live", "trigger:it/alert")
    assert watch.woken == 1
    await watch.work()
    assert triggers.app.fold(run["run"]).root.inputs["host"] == "pc1"  # type: ignore[union-attr]
    assert triggers.app.fold(run["run"]).finished == "succeeded"
    assert triggers.fires()[0]["run"] == run["run"]


@pytest.mark.safety(29)
async def test_the_same_id_starts_one_run_over_processes(watch: Watch) -> None:
    """A second delivery is recognised by the journal, in the same process and in the next one."""
    watch.write(ON_ALERT)
    first, second = watch.triggers(), watch.triggers()
    assert await send(first, "e1")
    assert not await send(first, "e1")
    assert not await send(second, "e1", host="pc2")
    assert len(watch.runs()) == 1


@pytest.mark.safety(29)
async def test_the_same_id_a_hundred_times_at_once_starts_one_run(watch: Watch) -> None:
    """Of a hundred deliveries at the same moment one is new."""
    watch.write(ON_ALERT)
    some = [watch.triggers() for _ in range(2)]
    new = await asyncio.gather(*(send(some[number % 2], "e1") for number in range(100)))
    assert sum(new) == 1
    assert len(watch.runs()) == 1


async def test_the_same_id_of_another_source_is_another_event(watch: Watch) -> None:
    """IDs belong to their source."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    assert await send(triggers, "e1")
    receipt = await triggers.receive("webhook:other", "e1", {})
    assert receipt.is_new


async def test_an_event_that_is_not_wanted_is_recorded(watch: Watch) -> None:
    """'when' is false: nothing starts, and that is on record."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    await send(triggers, "e1", severity="low")
    assert watch.outcomes() == [("e1", "not_wanted")]
    assert watch.runs() == []
    assert watch.told == []


@pytest.mark.parametrize(
    ("change", "event", "why"),
    [
        (("event.severity == 'high'", "event.severity"), {}, "'when' failed: `when` gave a string 'high'"),
        (("event.severity == 'high'", "event.level > 3"), {}, "'when' failed"),
        (("event.host ", "event.nothing "), {}, "'inputs' failed"),
        (("event.host ", "event.host "), {"host": "no host"}, "'inputs' do not fit: host"),
        (("event.severity == 'high'", "event.n ** event.n > 1"), {"n": 99999}, "'when' failed"),
    ],
)
async def test_what_cannot_be_judged_is_recorded_and_told(
    watch: Watch, change: tuple[str, str], event: dict[str, Any], why: str
) -> None:
    """An expression that fails starts nothing, and people hear of it."""
    watch.write(ON_ALERT.replace(*change))
    await send(watch.triggers(), "e1", **event)
    assert watch.outcomes() == [("e1", "refused")]
    assert watch.reasons()[0].startswith(why)
    assert len(watch.told) == 1
    assert why in watch.told[0]
    assert watch.runs() == []


async def test_text_from_outside_is_never_an_expression(watch: Watch) -> None:
    """What an event says stays the text it is."""
    watch.write(ON_ALERT.replace("type: hostname", "type: string"))
    triggers = watch.triggers()
    await send(triggers, "e1", host="{{ 1 + 1 }}")
    state = triggers.app.fold(watch.runs()[0]["run"])
    await watch.work()
    assert triggers.app.fold(state.run).root.inputs["host"] == "{{ 1 + 1 }}"  # type: ignore[union-attr]


async def test_a_crash_before_the_judgement_is_made_up_for(watch: Watch) -> None:
    """What was stored and not judged is judged by the next process, once."""
    watch.write(ON_ALERT)
    dead = watch.triggers()
    await dead._occurrences.receive("webhook:edr", "e1", {"severity": "high", "host": "pc1"})
    first, second = watch.triggers(), watch.triggers()
    await asyncio.gather(first.turn(), second.turn())
    await first.settled()
    await second.settled()
    assert watch.outcomes() == [("e1", "started")]
    assert len(watch.runs()) == 1


async def test_a_crash_before_the_start_is_made_up_for(watch: Watch) -> None:
    """What was decided and not begun is begun by the next process, with the inputs that were decided."""
    watch.write(ON_ALERT)
    dead = watch.triggers()
    await dead.refresh()
    dead._starter.begin = _nothing  # type: ignore[method-assign]
    await send(dead, "e1", extra="x" * 100_000, host="pc1")
    assert watch.runs() == []
    watch.write(ON_ALERT.replace("{{ event.host }}", "other"))
    first, second = watch.triggers(), watch.triggers()
    await asyncio.gather(first.turn(), second.turn())
    [run] = watch.runs()
    await watch.work()
    assert first.app.fold(run["run"]).root.inputs["host"] == "pc1"  # type: ignore[union-attr]
    assert watch.journal.query("SELECT * FROM trigger_starts") == []


async def _nothing(*_: Any) -> None:
    return None


async def test_another_process_does_not_hurry_what_was_just_taken(watch: Watch) -> None:
    """What came a moment ago is left to whoever took it, and done by others when that does not happen."""
    watch.write(ON_ALERT)
    dead, other = watch.triggers(), watch.triggers()
    await watch.turn(other)
    await dead._occurrences.receive("webhook:edr", "e1", {"severity": "high", "host": "pc1"})
    await watch.turn(other, 1)
    assert watch.runs() == []
    await watch.turn(other, 5)
    assert len(watch.runs()) == 1


async def test_a_journal_that_fails_delays_and_loses_nothing(watch: Watch) -> None:
    """While nothing can be stored an event waits; it is judged and begun when it can be."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    triggers.app.patience_s = 0
    await triggers.refresh()
    await triggers._occurrences.receive("webhook:edr", "e1", {"severity": "high", "host": "pc1"})
    full = JournalUnavailable("The disk is full", "a test", "Wait")
    watch.journal.fail_next(full)
    await watch.turn(triggers)
    assert watch.outcomes() == []
    assert "The disk is full" in watch.told[0]
    await watch.turn(triggers, 10)
    assert watch.outcomes() == [("e1", "started")]
    assert len(watch.runs()) == 1


async def test_a_defect_in_one_part_does_not_end_the_others(watch: Watch) -> None:
    """Schedules that can't be kept keep nobody from judging events, and `run` goes on."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()

    async def broken() -> None:
        raise KeyError("a defect")

    triggers._schedules.look = broken  # type: ignore[method-assign]
    await triggers._occurrences.receive("webhook:edr", "e1", {"severity": "high", "host": "pc1"})
    await watch.turn(triggers)
    assert len(watch.runs()) == 1
    assert watch.told == ["schedules wait: a defect: KeyError"]


async def test_run_goes_on_until_it_is_stopped(watch: Watch) -> None:
    """What comes while it runs is done, and stopping waits for what is under way."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    working = asyncio.create_task(triggers.run())
    await asyncio.sleep(0.05)
    await triggers.receive("webhook:edr", "e1", {"severity": "high", "host": "pc1"})
    triggers.stop()
    await asyncio.wait_for(working, 10)
    assert len(watch.runs()) == 1


async def test_inputs_that_are_nested_too_deep_to_be_stored_are_refused(watch: Watch) -> None:
    """An event is at the edge of what is stored; a list around it is one level too many."""
    watch.write(
        ON_ALERT.replace("host: {type: hostname}", "host: {type: list}").replace(
            '"{{ event.host }}"', '[["{{ event.host }}"]]'
        )
    )
    deep: Any = []
    for _ in range(98):
        deep = [deep]
    await send(watch.triggers(), "e1", host=deep)
    assert watch.outcomes() == [("e1", "refused")]
    assert len(watch.told) == 1


async def test_an_event_for_nobody_is_settled(watch: Watch) -> None:
    """Without a trigger for its source an event is stored, and not looked at over and over."""
    triggers = watch.triggers()
    await send(triggers, "e1")
    assert watch.journal.query("SELECT judged FROM trigger_events")[0]["judged"] == 1


async def test_a_trigger_that_is_not_enabled_starts_nothing(watch: Watch) -> None:
    """`enabled: false` switches a trigger off."""
    watch.write(ON_ALERT.replace("webhook: edr", "webhook: edr\n    enabled: false"))
    await send(watch.triggers(), "e1")
    assert watch.runs() == []


async def test_a_large_event_is_kept_beside_its_record(watch: Watch) -> None:
    """More than 64 KiB goes into a blob, and expressions see all of it."""
    watch.write(ON_ALERT.replace("event.severity == 'high'", "event.notes | length == 200000"))
    triggers = watch.triggers()
    receipt = await triggers.receive("webhook:edr", "e1", {"host": "pc1", "notes": "n" * 200_000})
    await triggers.settled()
    assert max(len(record.encoded) for record in watch.journal.read(receipt.event)) < 70_000
    assert len(watch.runs()) == 1


@pytest.mark.safety(26)
async def test_a_secret_in_an_event_is_not_stored(watch: Watch) -> None:
    """What the redactor knows is masked before anything is written."""
    watch.write(ON_ALERT)
    triggers = watch.triggers()
    triggers.app.redactor.add("hunter2-hunter2")
    receipt = await triggers.receive("webhook:edr", "id-hunter2-hunter2", {"text": "it is hunter2-hunter2"})
    await triggers.settled()
    stored = b"".join(record.encoded for record in watch.journal.read(receipt.event))
    assert b"hunter2" not in stored
    assert b"[secret]" in stored


async def test_a_playbook_that_refuses_a_second_run_says_so(watch: Watch) -> None:
    """A start that the playbook's own key refuses is recorded, and people are told."""
    watch.write(WAITS + 'concurrency: {key: "one", on_conflict: reject}\n')
    triggers = watch.triggers()
    await send(triggers, "e1")
    await watch.work()
    await send(triggers, "e2")
    assert watch.outcomes() == [("e1", "started"), ("e2", "refused")]
    assert "has the key" in watch.told[0]
    assert watch.journal.query("SELECT * FROM trigger_starts") == []


async def test_a_run_that_is_joined_is_named(watch: Watch) -> None:
    """With `on_conflict: join` the event is answered by the run that was under way."""
    watch.write(WAITS + 'concurrency: {key: "one", on_conflict: join}\n')
    triggers = watch.triggers()
    await send(triggers, "e1")
    await watch.work()
    await send(triggers, "e2")
    assert watch.outcomes() == [("e1", "started"), ("e2", "joined")]
    assert triggers.fires()[0]["run"] == watch.runs()[0]["run"]


async def test_what_cannot_be_used_now_is_tried_for_a_while(watch: Watch, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret that is missing for a minute loses no event; one that stays away is recorded and told."""
    from hikeshi.project import ProjectError

    watch.write(ON_ALERT)
    triggers = watch.triggers()
    there = False

    def started(*_: Any, **__: Any) -> Any:
        if not there:
            raise ProjectError(["the vault is away"])
        return type(triggers.app)._started(triggers.app, *_, **__)

    monkeypatch.setattr(triggers.app, "_started", started)
    await send(triggers, "e1")
    await watch.turn(triggers, 30)
    assert watch.outcomes() == [("e1", "started")]
    assert watch.runs() == []
    there = True
    await watch.turn(triggers, 30)
    assert len(watch.runs()) == 1
    there = False
    await send(triggers, "e2")
    await watch.turn(triggers, 301)
    assert watch.outcomes()[1] == ("e2", "refused")
    assert "the vault is away" in watch.told[-1]
