"""A trigger in mode plan has a plan made, and people decide whether it is carried out."""

from typing import Any

import pytest
from watch import Watch

from hikeshi.app import PlanRefused
from hikeshi.triggers import OfferRefused, Triggers, UnknownOffer

CONTAIN = """
id: it
inputs:
  host: {type: hostname}
triggers:
  - id: alert
    webhook: edr
    mode: plan
    by: [role:lead]
    inputs: {host: "{{ event.host }}"}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.host }}"}}
  - {id: isolate, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: an alert}}
"""


async def offered(watch: Watch, host: str = "pc1", id_: str = "e1") -> Triggers:
    """Let an event come in, the plan be made, and be offered."""
    watch.write(CONTAIN)
    triggers = watch.triggers()
    await triggers.receive("webhook:edr", id_, {"host": host})
    await triggers.settled()
    await watch.work()
    await watch.turn(triggers)
    return triggers


async def test_a_plan_is_made_and_offered(watch: Watch) -> None:
    """Nothing is changed by it, whom it is offered to is on record, and people are told."""
    triggers = await offered(watch)
    assert watch.world.sent() == []
    [offer] = triggers.offers()
    assert offer["by"] == ["role:lead"]
    assert offer["plan"] == watch.runs()[0]["run"]
    assert watch.runs()[0]["mode"] == "plan"
    document = triggers.offered_plan(offer["plan"])
    assert (document["digest"], document["made_by"]) == (offer["digest"], "trigger:it/alert")
    assert watch.outcomes() == [("e1", "planned")]
    assert "offers role:lead the plan" in watch.told[0]


async def test_whoever_is_asked_has_it_carried_out_once(watch: Watch) -> None:
    """Accepting does what the plan shows; a second time there is nothing to accept."""
    triggers = await offered(watch)
    [offer] = triggers.offers()
    state = await triggers.accept_offer(offer["plan"], "mei")
    await watch.work()
    assert [call.verb for call in watch.world.sent()] == ["isolate_host"]
    assert triggers.app.fold(state.run).finished == "succeeded"
    assert triggers.offers() == []
    with pytest.raises(UnknownOffer, match="was accepted by mei"):
        await triggers.accept_offer(offer["plan"], "mei")
    assert len(watch.world.sent()) == 1


@pytest.mark.safety(28)
async def test_nobody_else_may_decide(watch: Watch) -> None:
    """Who is not meant is refused, that is recorded, and the offer stays open."""
    triggers = await offered(watch)
    [offer] = triggers.offers()
    for actor in ("k.ito", "nobody", "trigger:it/alert"):
        with pytest.raises(OfferRefused, match="not among those"):
            await triggers.accept_offer(offer["plan"], actor)
        with pytest.raises(OfferRefused):
            await triggers.decline_offer(offer["plan"], actor, "no")
    assert triggers.offers() == [offer]
    denied = [record.data["by"] for record in watch.journal.read(offer["event"]) if record.kind == "OfferDenied"]
    assert denied == ["k.ito", "k.ito", "nobody", "nobody", "trigger:it/alert", "trigger:it/alert"]
    await watch.work()
    assert watch.world.sent() == []


async def test_a_plan_that_is_declined_is_gone(watch: Watch) -> None:
    """Who declined it, and why, is on record."""
    triggers = await offered(watch)
    [offer] = triggers.offers()
    await triggers.decline_offer(offer["plan"], "mei", "a test machine")
    assert triggers.offers() == []
    with pytest.raises(UnknownOffer, match="declined by mei"):
        await triggers.accept_offer(offer["plan"], "mei")
    row = watch.journal.query("SELECT became, who, reason FROM trigger_offers")[0]
    assert tuple(row) == ("declined", "mei", "a test machine")


async def test_an_offer_ends_after_a_day(watch: Watch) -> None:
    """What a plan saw is too old then."""
    triggers = await offered(watch)
    [offer] = triggers.offers()
    watch.clock.pass_by(86_400)
    assert triggers.offers() == []
    with pytest.raises(UnknownOffer, match="was good until"):
        await triggers.accept_offer(offer["plan"], "mei")


async def test_what_changed_since_is_refused(watch: Watch) -> None:
    """A plan is carried out as it was shown or not at all."""
    triggers = await offered(watch)
    [offer] = triggers.offers()
    watch.write(CONTAIN.replace("an alert", "another alert"))
    with pytest.raises(PlanRefused, match="changed"):
        await triggers.accept_offer(offer["plan"], "mei")
    assert watch.world.sent() == []


async def test_a_plan_that_would_not_work_is_told_and_not_offered(watch: Watch) -> None:
    """A host that nobody knows can't be isolated: people hear of it."""
    triggers = await offered(watch, host="nobody")
    assert triggers.offers() == []
    assert watch.outcomes() == [("e1", "refused")]
    assert "can't be offered" in watch.told[0]
    assert "nobody" in watch.told[0]


async def test_a_plan_is_offered_once_by_two_processes_and_after_a_crash(watch: Watch) -> None:
    """Who saved a plan and died before it was offered is made up for by the next."""
    watch.write(CONTAIN)
    first, second = watch.triggers(), watch.triggers()
    await first.receive("webhook:edr", "e1", {"host": "pc1"})
    await first.settled()
    await watch.work()
    stored = first._offers._store

    async def dies(*_: Any) -> None:
        return None

    first._offers._store = dies  # type: ignore[method-assign]
    await watch.turn(first)
    await watch.turn(second)
    assert second.offers() == []
    first._offers._store = stored  # type: ignore[method-assign]
    await watch.turn(second, 31)
    await watch.turn(first, 31)
    [offer] = second.offers()
    await second.accept_offer(offer["plan"], "mei")
    await watch.work()
    assert [call.verb for call in watch.world.sent()] == ["isolate_host"]


async def test_testing_a_trigger_records_nothing(watch: Watch) -> None:
    """It says what would be started, or why nothing would be."""
    watch.write(CONTAIN)
    triggers = watch.triggers()
    before = watch.journal.query("SELECT COUNT(*) FROM trigger_events")[0][0]
    found = await triggers.test("it", "alert", {"host": "PC1"})
    assert (found["outcome"], found["inputs"], found["mode"]) == ("planned", {"host": "pc1"}, "plan")
    found = await triggers.test("it", "alert", {})
    assert found["outcome"] == "refused"
    assert "'inputs' failed" in found["reason"]
    assert watch.journal.query("SELECT COUNT(*) FROM trigger_events")[0][0] == before
    assert watch.runs() == []
