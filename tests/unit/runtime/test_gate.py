"""The gate: what becomes of one action of one run, asked without a run around it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from hikeshi.capabilities import Host, Recovery
from hikeshi.capabilities.action import change
from hikeshi.connector import Applied, Conflict, Forbidden, PartialFailure, Timeout, Unavailable
from hikeshi.connector.registry import Registry
from hikeshi.core import StartAction
from hikeshi.core import events as ev
from hikeshi.core.commands import Intent
from hikeshi.guardrails import ApprovalRule, Guardrails, Limit, Listed, Per, Protected, Sense, Stops
from hikeshi.journal import JournalUnavailable
from hikeshi.runtime.gate import Gate
from hikeshi.runtime.instances import Instances
from hikeshi.runtime.ledger import Hold, Ledger
from hikeshi.runtime.planned import Planned
from hikeshi.runtime.rules import Rules
from hikeshi.testing.fake_connector import Fault, fake_connector
from hikeshi.testing.run_harness import RunHarness

FULL = JournalUnavailable("Cannot write: the disk is full", "memory", "Free some space")


class Bench:
    """A gate over two instances of one fake product, and everything that it stored."""

    def __init__(self, harness: RunHarness, *, rules: Guardrails | None = None, stops: Stops | None = None) -> None:
        self.harness, self.world = harness, harness.world
        self.stored: list[Any] = []
        self.more = ""  # what the connector puts into its request
        self.is_broken = False
        self.answers: int | None = None  # for how many targets of a batch it gives a state
        registry = Registry()

        bench = self

        class Fake(fake_connector(harness.world), product="fake"):  # type: ignore[misc]
            async def run_script(self, host: str) -> None:
                """Nobody has said what it does, so it is a change."""
                await self._send("run_script", {"host": host}, lambda: None)

            async def isolate_host(self, host: Any, reason: str) -> None:
                await super().isolate_host(host, f"{reason}{bench.more}")

            async def blocks_of(self, indicators: Any) -> Any:
                return (await super().blocks_of(indicators))[: bench.answers]

            @change(target="name", undo=None, because="it cannot be taken back", recovery=Recovery.IDEMPOTENT)
            async def wipe(self, name: str) -> None:
                """Wipe something."""
                await self._send("wipe", {"name": name}, lambda: None)

            @change(
                target="host",
                undo=None,
                because="it cannot be taken back",
                verify="isolation_of",
                done=lambda state, _: bench.is_done(state),
            )
            async def seal(self, host: Host, reason: str) -> None:
                """Cut a host off in a way that nobody sends twice."""
                await self._isolate(host, "seal", reason, "isolating", "isolated")

        registry.add(Fake)
        harness.instances = {"fake": Fake, "branch": Fake}
        instances = Instances(registry, {name: {"product": "fake"} for name in harness.instances}, harness.redactor)
        self.gate = Gate("r", "live", harness.catalogue(), instances, harness.redactor, harness.clock)
        self.stops = stops or Stops()
        if rules is not None or stops is not None:
            self.gate.rules = Rules(lambda: rules or Guardrails(), lambda: self.stops, "contain", ("role:lead",))

    def is_done(self, state: Any) -> bool:
        if self.world.sent() and self.is_broken:
            raise ValueError("a defect in the connector")
        return bool(state.state == "isolated")

    async def record(self, events: Sequence[Any]) -> None:
        self.stored.extend(events)

    async def perform(self, action: str, arguments: dict[str, Any], **more: Any) -> list[Any]:
        given = {"at": ("fake",), "attempt": 1, "path": "cut", "timeout_s": None, "maybe": False, **more}
        return list(await self.gate.perform(StartAction(action=action, arguments=arguments, **given), self.record))

    async def seal(self, **more: Any) -> list[Any]:
        host = self.world.hosts["fake"][0].model_dump(mode="json")
        return await self.perform("fake.seal", {"host": host, "reason": "r"}, **more)

    async def isolate(self, name: str = "pc1", **more: Any) -> list[Any]:
        (host,) = (host for hosts in self.world.hosts.values() for host in hosts if host.name == name)
        return await self.perform("edr.isolate_host", {"host": host.model_dump(mode="json"), "reason": "r"}, **more)

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.stored]


class Holds(Ledger):
    """A ledger with these holds in it, and perhaps another that keeps their targets, or a person who overrides."""

    def __init__(self, *holds: Hold, keeper: str | None = None, overridden: bool = False) -> None:
        self._holds = {hold.hold: hold for hold in holds}
        self._keeper = keeper
        self._overridden = overridden

    def get(self, hold: str) -> Hold | None:
        return self._holds.get(hold)

    def keeper_besides(self, hold: str) -> str | None:
        return self._keeper

    def active_on(self, action: str, connector: str, target: str) -> Hold | None:
        found = (each for each in self._holds.values() if (each.action, each.target) == (action, target))
        return next(found, None)

    def overrides(self, run: str) -> bool:
        return self._overridden


def hold_of(harness: RunHarness, action: str, target: str, prior: Any, state: Any) -> Hold:
    return Hold(
        "h1", "r0", "p", action, "fake", target, target, prior, None, "active", harness.clock.now(), None, state
    )


@pytest.mark.safety(19)
async def test_an_intent_that_cannot_be_stored_sends_nothing_and_is_told(harness: RunHarness) -> None:
    """The run has to stop: it is no failure of the step, which the playbook might pass over."""
    bench = Bench(harness)

    async def full(_: Sequence[Any]) -> None:
        raise FULL

    bench.record = full  # type: ignore[method-assign]
    with pytest.raises(JournalUnavailable):
        await bench.isolate()
    assert harness.world.sent() == []


@pytest.mark.safety(19)
async def test_a_journal_that_fails_where_the_change_leaves_is_told(harness: RunHarness) -> None:
    """Nor is that a defect of the connector."""
    bench = Bench(harness)

    def lost() -> None:
        raise FULL

    bench.gate.check = lost
    with pytest.raises(JournalUnavailable):
        await bench.isolate()


@pytest.mark.safety(18)
async def test_what_may_no_longer_send_is_asked_where_each_change_leaves(harness: RunHarness) -> None:
    """Also where there are no rules, and not before the change is about to leave."""
    bench = Bench(harness)
    asked: list[str] = []
    bench.gate.check = lambda: asked.append("asked")

    assert isinstance((await bench.isolate())[-1], ev.ActionSucceeded)
    assert asked == ["asked"]


async def test_a_target_of_another_instance_is_refused(harness: RunHarness) -> None:
    """A step that may use one product does not reach into another by way of what it has found there."""
    bench = Bench(harness)
    harness.world.add_host("far", instance="branch")

    (refused,) = await bench.isolate("far")
    assert "'branch'" in refused.error.message
    assert harness.world.sent() == []

    done = await bench.isolate("far", at=("fake", "branch"))
    assert isinstance(done[-1], ev.ActionSucceeded)
    assert [call.instance for call in harness.world.sent()] == ["branch"]


@pytest.mark.safety(21)
async def test_what_another_hold_keeps_is_passed_on_and_nothing_is_sent(harness: RunHarness) -> None:
    """The step has reached what it can: it counts as done already."""
    bench = Bench(harness)
    bench.gate.ledger = Holds(keeper="h2")

    released, ended = await bench.perform(
        "edr.release_host",
        {"host": harness.world.hosts["fake"][0].model_dump(mode="json"), "reason": "r"},
        releases="h1",
    )

    assert (released.hold, released.outcome, released.to) == ("h1", "passed_on", "h2")
    assert (type(ended), ended.already) == (ev.ActionSucceeded, True)
    assert harness.world.sent() == []


@pytest.mark.safety(20)
@pytest.mark.parametrize(("left_s", "expires_in_s"), [(7200.0, 7200), (10.0, 60), (None, None)])
async def test_what_is_put_back_lasts_as_long_as_it_had_left(
    harness: RunHarness, left_s: float | None, expires_in_s: int | None
) -> None:
    """A block that was to end in two hours is no block for ever because somebody took it away and undid that."""
    bench = Bench(harness)
    end = None if left_s is None else (harness.clock.now() + timedelta(seconds=left_s)).isoformat()
    hold = hold_of(harness, "firewall.unblock_indicators", "ipv4:203.0.113.1", {"expires_at": end}, None)
    bench.gate.ledger = Holds(hold)

    for releases in ("h1", "unknown"):
        harness.world.blocked.clear()
        indicators = [{"kind": "ipv4", "value": "203.0.113.1"}]
        await bench.perform(
            "firewall.block_indicators", {"indicators": indicators, "reason": "r"}, releases=releases, hold_s=5.0
        )
    known, unknown = harness.world.sent("block_indicators")
    assert known.arguments["expires_in_s"] == expires_in_s
    assert unknown.arguments["expires_in_s"] is None


async def test_a_step_that_holds_lets_the_product_lift_it_by_itself(harness: RunHarness) -> None:
    """The twin: what is no release lasts as long as its step says."""
    bench = Bench(harness)
    bench.gate.ledger = Holds()
    indicators = [{"kind": "ipv4", "value": "203.0.113.1"}]

    await bench.perform("firewall.block_indicators", {"indicators": indicators, "reason": "r"}, hold_s=90.5)

    (call,) = harness.world.sent()
    assert call.arguments["expires_in_s"] == 91


@pytest.mark.safety(4)
async def test_in_a_plan_what_a_planned_change_alters_is_not_read(harness: RunHarness) -> None:
    """It would be as it is now, which is not as it will be; what nothing alters is read."""
    outcome = await harness.plan("""
id: t
steps:
  - {id: one, action: edr.get_host, with: {name: pc1}}
  - {id: two, action: edr.get_host, with: {name: pc2}}
  - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.one }}", reason: r}}
  - {id: same, action: edr.isolation_of, with: {host: "{{ steps.one }}"}}
  - {id: other, action: edr.isolation_of, with: {host: "{{ steps.two }}"}}
""")
    assert [call.arguments["host"].name for call in harness.world.called("isolation_of")] == ["pc1", "pc2"]
    assert "after a planned change" in outcome.node("same").output.why
    assert outcome.node("other").output["state"] == "normal"


async def test_what_a_person_says_has_happened_is_read_back_where_that_can_be(harness: RunHarness) -> None:
    """Of a change that has no state to read there is nothing to say."""
    bench = Bench(harness)
    harness.world.isolation["fake", "id-pc1"] = "isolated"
    host = harness.world.hosts["fake"][0].model_dump(mode="json")
    blocks = {"indicators": [{"kind": "ipv4", "value": "203.0.113.1"}], "reason": "r"}

    async def read(action: str, arguments: dict[str, Any]) -> Any:
        return await bench.gate.read_back(StartAction("p", 1, action, ("fake",), arguments, None, False))

    assert await read("fake.wipe", {"name": "disk1"}) is None
    assert (await read("edr.isolate_host", {"host": host, "reason": "r"}))["state"] == "isolated"
    assert [each["blocked"] for each in await read("firewall.block_indicators", blocks)] == [False]


@pytest.mark.safety(15, 16)
@pytest.mark.parametrize(
    ("action", "outcome"), [("fake.wipe", ev.ActionUnknown), ("edr.isolate_host", ev.ActionFailed)]
)
async def test_that_a_repeated_request_is_refused_says_nothing_of_the_first(
    harness: RunHarness, action: str, outcome: type
) -> None:
    """Only where the state can be read is it known that neither had an effect."""
    bench = Bench(harness)
    host = harness.world.hosts["fake"][0].model_dump(mode="json")
    arguments = {"name": "disk1"} if action == "fake.wipe" else {"host": host, "reason": "r"}
    prior = {"connector": "fake", "host_id": "id-pc1", "state": "normal"}
    intent = Intent(1, "k", "fake", (), [{"target": "fake:host:id-pc1", "state": prior}])
    verb = action.partition(".")[2]

    bench.world.script(verb, Fault("before", Forbidden("no longer allowed")))
    ended = await bench.perform(action, arguments, intent=intent)

    assert type(ended[-1]) is outcome
    assert [event.possibly_repeated for event in bench.stored if isinstance(event, ev.ActionIntended)] == [True]


@pytest.mark.safety(11)
async def test_a_change_that_no_limit_is_about_is_not_counted(harness: RunHarness) -> None:
    """Its twin is."""
    limit = Limit("y:1", Per.RUN, at_most=5, actions=("identity.*",))
    free = Bench(harness, rules=Guardrails(limits=[limit]))
    await free.isolate()
    assert free.kinds() == ["ActionIntended", "HoldsOpened"]

    everything = Guardrails(limits=[Limit("y:1", Per.RUN, at_most=5)])
    counted = Bench(harness, rules=everything)
    await counted.isolate("pc2")
    assert counted.kinds() == ["TargetsCounted", "ActionIntended", "HoldsOpened"]
    (use,) = counted.stored[0].uses
    assert (use["target"], use["most"], use["consented"]) == ("fake:host:id-pc2", 5, False)


@pytest.mark.safety(12)
async def test_the_kill_switch_is_looked_at_when_the_change_leaves(harness: RunHarness) -> None:
    """Engaged after the intent was stored it still holds the change back, and that had no effect."""
    bench = Bench(harness, stops=Stops())

    async def engage(_: Sequence[Any]) -> None:
        bench.stops = Stops.read(["everything"])

    bench.record = engage  # type: ignore[method-assign]
    ended = await bench.isolate()

    assert type(ended[-1]) is ev.ActionFailed
    assert ended[-1].error.kind == "refused"
    assert harness.world.isolation == {}


@pytest.mark.safety(10, 20)
async def test_undoing_is_held_back_by_no_rule(harness: RunHarness) -> None:
    """What is contained may always be let go; the same change that undoes nothing is refused."""
    rules = Guardrails([Protected("y:1", (Listed.of(Sense.HOSTS, ["pc1"]),))])
    bench = Bench(harness, rules=rules, stops=Stops.read(["everything"]))
    harness.world.isolation["fake", "id-pc1"] = "isolated"
    prior = {"connector": "fake", "host_id": "id-pc1", "state": "normal"}
    isolated = {**prior, "state": "isolated"}
    bench.gate.ledger = Holds(hold_of(harness, "edr.isolate_host", "fake:host:id-pc1", prior, isolated))
    arguments = {"host": harness.world.hosts["fake"][0].model_dump(mode="json"), "reason": "r"}

    (refused,) = await bench.perform("edr.release_host", arguments)
    assert (type(refused), refused.code) == (ev.ChangeRefused, "protected")
    done = await bench.perform("edr.release_host", arguments, releases="h1")
    assert [type(event) for event in done] == [ev.TargetsSettled, ev.HoldReleased, ev.ActionSucceeded]
    assert [(each.outcome, each.hold, each.state) for each in done[0].settled] == [("done", None, None)]
    assert harness.world.isolation["fake", "id-pc1"] == "normal"


@pytest.mark.safety(28)
async def test_a_required_approval_is_asked_for_with_what_its_rule_says(harness: RunHarness) -> None:
    """By whom, how many, how long and why: the question is exactly the rule."""
    rule = ApprovalRule("y:7", ("role:lead",), 2, 600, "hosts matter")
    bench = Bench(harness, rules=Guardrails(approvals=[rule]))

    (asked,) = await bench.isolate()

    assert (asked.rule, list(asked.by), asked.quorum, asked.within_s) == ("y:7", ["role:lead"], 2, 600)
    assert asked.question == "edr.isolate_host needs consent here: hosts matter"
    assert [each["target"] for each in asked.targets] == ["fake:host:id-pc1"]
    assert harness.world.sent() == []


@pytest.mark.parametrize(
    "error", [Timeout("no answer", applied=Applied.MAYBE), Unavailable("down", applied=Applied.MAYBE)]
)
@pytest.mark.safety(16)
async def test_that_nothing_was_sent_is_known_whatever_the_connector_says(harness: RunHarness, error: Any) -> None:
    """`maybe applied` of a connector whose request never left is not believed: it has failed, and nobody is asked."""
    bench = Bench(harness)
    bench.world.script("wipe", Fault("before", error))

    ended = await bench.perform("fake.wipe", {"name": "disk1"})

    assert type(ended[-1]) is ev.ActionFailed


NORMAL = {"connector": "fake", "host_id": "id-pc1", "state": "normal"}
PLANNED = """
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - {id: unknown, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: "{{ steps.iso }}"}}
"""
PLANNED_BLOCK = """
id: t
inputs: {found: {type: list, items: indicator}}
steps:
  - {id: block, action: firewall.block_indicators, with: {indicators: "{{ inputs.found }}", reason: r}}
"""


async def applying(harness: RunHarness, text: str = PLANNED, **inputs: Any) -> Bench:
    """Return a gate that applies a plan."""
    bench = Bench(harness)
    harness.bindings = {"firewall": ("fake",), "edr": ("fake",)}
    plan = await harness.plan(text, inputs=inputs)
    bench.gate.planned = Planned(lambda _: plan.state, "plan-1")
    return bench


@pytest.mark.safety(7)
async def test_what_a_plan_shows_is_sent(harness: RunHarness) -> None:
    """The twin of all that follow; what the plan could not know is no difference."""
    bench = await applying(harness)

    assert isinstance((await bench.isolate(path="iso"))[-1], ev.ActionSucceeded)
    harness.world.isolation.clear()
    assert isinstance((await bench.isolate(path="unknown"))[-1], ev.ActionSucceeded)
    assert len(harness.world.sent()) == 2


@pytest.mark.safety(7)
@pytest.mark.parametrize(
    ("path", "target", "more", "why"),
    [
        ("elsewhere", "pc1", "", "the plan shows no change at this place"),
        ("find", "pc1", "", "the plan shows no change at this place"),
        ("iso", "pc2", "", "the plan shows it for pc1, now it is for pc2"),
        ("iso", "pc1", "!", "it would send other requests than the plan shows"),
    ],
)
async def test_what_a_plan_does_not_show_stops_the_run(
    harness: RunHarness, path: str, target: str, more: str, why: str
) -> None:
    """Another place, another target, or another request to the product: nothing of it is sent."""
    bench = await applying(harness)
    bench.more = more

    (refused,) = await bench.isolate(target, path=path)

    assert (refused.code, refused.stops, refused.target) == ("not_planned", True, target)
    assert refused.why == f"{path}: {why}; nothing of it was sent"
    assert harness.world.sent() == []


@pytest.mark.safety(8)
async def test_a_target_that_has_changed_since_the_plan_stops_the_run(harness: RunHarness) -> None:
    """What the plan relied on is not so any more, and the change in it is named."""
    bench = await applying(harness)
    harness.world.isolation["fake", "id-pc1"] = "releasing"

    (refused,) = await bench.isolate(path="iso")

    assert refused.code == "stale"
    assert "state was 'normal', is 'releasing'" in refused.why
    assert harness.world.sent() == []


@pytest.mark.safety(7)
async def test_of_many_targets_that_differ_the_first_are_named(harness: RunHarness) -> None:
    """Three, and how many more there are."""
    addresses = [{"kind": "ipv4", "value": f"203.0.113.{at}"} for at in range(1, 6)]
    bench = await applying(harness, PLANNED_BLOCK, found=[each["value"] for each in addresses[:4]])

    (refused,) = await bench.perform(
        "firewall.block_indicators", {"indicators": addresses, "reason": "r"}, path="block[fake]"
    )

    assert refused.target == "203.0.113.1, 203.0.113.2, 203.0.113.3"
    assert "for 203.0.113.1, 203.0.113.2, 203.0.113.3 and 1 more, now it is for" in refused.why
    assert "now it is for 203.0.113.1, 203.0.113.2, 203.0.113.3 and 2 more;" in refused.why


@pytest.mark.safety(13)
async def test_a_state_for_each_target_or_nothing_is_sent(harness: RunHarness) -> None:
    """A product that answers for two of three has not said that the third is not blocked."""
    bench = Bench(harness)
    bench.answers = 2
    addresses = [{"kind": "ipv4", "value": f"203.0.113.{at}"} for at in (1, 2, 3)]

    (failed,) = await bench.perform("firewall.block_indicators", {"indicators": addresses, "reason": "r"})

    assert failed.error.message == "fake: firewall.blocks_of answered for 2 of 3 targets"
    assert harness.world.sent() == []


@pytest.mark.safety(21)
@pytest.mark.parametrize(
    ("state", "ledger", "sent"),
    [
        ("releasing", "hold", 0),
        ("isolated", "hold", 1),
        ("releasing", "overridden", 1),
        ("releasing", "other", 1),
        ("releasing", "none", 1),
    ],
)
async def test_an_inverse_is_not_sent_over_what_somebody_else_did_since(
    harness: RunHarness, state: Any, ledger: str, sent: int
) -> None:
    """Unless a person said so; where no hold is known, nobody knows what was left."""
    bench = Bench(harness)
    hold = hold_of(harness, "edr.isolate_host", "fake:host:id-pc1", NORMAL, {**NORMAL, "state": "isolated"})
    ledgers = {"hold": Holds(hold), "overridden": Holds(hold, overridden=True), "other": Holds(), "none": None}
    bench.gate.ledger = ledgers[ledger]
    harness.world.isolation["fake", "id-pc1"] = state
    arguments = {"host": harness.world.hosts["fake"][0].model_dump(mode="json"), "reason": "r"}

    ended = await bench.perform("edr.release_host", arguments, releases="h1")

    assert len(harness.world.sent()) == sent
    assert type(ended[-1]) is (ev.ActionSucceeded if sent else ev.ActionFailed)
    assert sent or ended[-1].error.kind == "changed"


async def test_what_is_so_already_has_no_hold(harness: RunHarness) -> None:
    """Unless another one keeps it so: then both have to end."""
    bench = Bench(harness)
    harness.world.isolation["fake", "id-pc1"] = "isolated"

    settled, ended = await bench.isolate()

    assert [(each.outcome, each.hold, each.state) for each in settled.settled] == [("already", None, None)]
    assert (ended.already, ended.output["state"]) == (True, "isolated")


@pytest.mark.safety(21)
@pytest.mark.parametrize(
    ("more", "ledger", "shares"),
    [({}, "hold", True), ({"keeps": True}, "hold", False), ({}, "none", False), ({}, "empty", False)],
)
async def test_what_another_hold_keeps_so_is_held_as_well(
    harness: RunHarness, more: dict[str, Any], ledger: str, shares: bool
) -> None:
    """With what was there before that one; a change that is to stay takes no part in it."""
    bench = Bench(harness)
    isolated = {**NORMAL, "state": "isolated"}
    hold = hold_of(harness, "edr.isolate_host", "fake:host:id-pc1", NORMAL, isolated)
    bench.gate.ledger = {"hold": Holds(hold), "none": None, "empty": Holds()}[ledger]
    harness.world.isolation["fake", "id-pc1"] = "isolated"

    *opened, settled, ended = await bench.isolate(**more)

    holds = [(each, event.undo["action"]) for event in opened for each in event.opened]
    assert [(each.prior, undo) for each, undo in holds] == ([(NORMAL, "edr.release_host")] if shares else [])
    assert [(each.outcome, each.hold, each.state) for each in settled.settled] == [
        ("already", holds[0][0].hold, isolated) if shares else ("already", None, None)
    ]
    assert ended.already is True
    assert harness.world.sent() == []


LOST = Timeout("no answer in time", applied=Applied.MAYBE)


@pytest.mark.safety(16)
async def test_a_refusal_is_believed_at_once(harness: RunHarness) -> None:
    """A product that says no has changed nothing, and is not asked again; what is so then is somebody else's doing."""
    bench = Bench(harness)
    bench.world.script("isolate_host", Fault("lost", Forbidden("not allowed")))

    ended = await bench.isolate()

    assert type(ended[-1]) is ev.ActionFailed
    assert ended[-1].error.message == "not allowed"
    assert len(harness.world.called("isolation_of")) == 1


@pytest.mark.safety(14, 16)
async def test_a_lost_answer_of_what_nobody_sends_twice_is_unknown_in_the_words_of_its_error(
    harness: RunHarness,
) -> None:
    """Its state is not read back: what it shows need not be what this request brought about."""
    bench = Bench(harness)
    bench.world.script("seal", Fault("lost", LOST))
    bench.world.script("wipe", Fault("lost", LOST))

    for ended in (await bench.seal(), await bench.perform("fake.wipe", {"name": "disk1"})):
        assert type(ended[-1]) is ev.ActionUnknown
        assert ended[-1].error.message == "no answer in time"
    assert len(harness.world.called("isolation_of")) == 1


@pytest.mark.safety(14, 16)
async def test_what_nobody_sends_twice_has_failed_where_nothing_was_sent(harness: RunHarness) -> None:
    """The twin: a conflict says that it was not done, and that is believed."""
    bench = Bench(harness)
    bench.world.script("seal", Fault("before", Conflict("sealed by somebody")))

    ended = await bench.seal()

    assert type(ended[-1]) is ev.ActionFailed
    assert len(harness.world.called("isolation_of")) == 1


@pytest.mark.safety(16)
@pytest.mark.parametrize("fault", [None, Fault("lost", LOST)])
async def test_a_defect_where_the_state_is_judged_leaves_a_sent_change_unknown(
    harness: RunHarness, fault: Fault | None
) -> None:
    """It was sent; that the connector cannot judge what it reads does not turn that into a failure."""
    bench = Bench(harness)
    bench.is_broken = True
    bench.world.script("seal", fault)

    assert type((await bench.seal())[-1]) is ev.ActionUnknown


async def test_a_hold_is_named_so_that_people_can_type_it(harness: RunHarness) -> None:
    """Sixteen hexadecimal digits, the same for each attempt, and others for another run, step or target."""
    bench = Bench(harness)
    holds = []
    for name, path in (("pc1", "cut"), ("pc1", "cut"), ("pc2", "cut"), ("pc1", "other")):
        harness.world.isolation.clear()
        bench.stored.clear()
        await bench.isolate(name, path=path)
        holds += [each.hold for each in bench.stored[-1].opened]

    assert len(holds) == 4
    assert all(re.fullmatch("[0-9a-f]{16}", hold) for hold in holds)
    assert holds[0] == holds[1]
    assert len(set(holds)) == 3


def addresses(count: int) -> list[dict[str, str]]:
    return [{"kind": "ipv4", "value": f"203.0.113.{at}"} for at in range(1, count + 1)]


@pytest.mark.safety(16)
@pytest.mark.parametrize(
    ("count", "refused", "says"),
    [
        (3, 1, "1 of 3 targets: 203.0.113.1: no 1"),
        (5, 5, "5 of 5 targets: " + "; ".join(f"203.0.113.{at}: no {at}" for at in range(1, 6))),
        (6, 6, "6 of 6 targets: " + "; ".join(f"203.0.113.{at}: no {at}" for at in range(1, 6)) + " ..."),
    ],
)
async def test_what_failed_of_a_batch_is_said_target_by_target(
    harness: RunHarness, count: int, refused: int, says: str
) -> None:
    """The first five with their reasons; what was done has no error."""
    bench = Bench(harness)
    failures = {f"203.0.113.{at}": Forbidden(f"no {at}") for at in range(1, refused + 1)}
    bench.world.script("block_indicators", Fault("lost", PartialFailure(failures)))

    settled, ended = await bench.perform("firewall.block_indicators", {"indicators": addresses(count), "reason": "r"})

    assert ended.error.message == says
    assert ended.error.kind == ("forbidden" if refused == 1 else "partial")
    assert [None if each.error is None else each.error.message for each in settled.settled] == [
        f"no {at}" if at <= refused else None for at in range(1, count + 1)
    ]


@pytest.mark.parametrize(("blocked", "says"), [(0, "not allowed"), (1, "2 of 3 targets: ")])
async def test_one_cause_for_a_whole_batch_is_said_once(harness: RunHarness, blocked: int, says: str) -> None:
    """If it is the cause of all of them; else people are told of which."""
    bench = Bench(harness)
    harness.world.blocked |= {("fake", each["value"]) for each in addresses(blocked)}
    bench.world.script("block_indicators", Fault("before", Forbidden("not allowed")))

    *_, ended = await bench.perform("firewall.block_indicators", {"indicators": addresses(3), "reason": "r"})

    assert ended.error.message.startswith(says)
    assert ended.error.kind == "forbidden"


@pytest.mark.safety(16)
async def test_a_change_that_does_not_get_there_says_what_was_last_seen(harness: RunHarness) -> None:
    """Its fields, without the names of what it is the state of; of a batch as it stands."""
    bench = Bench(harness)
    bench.world.script("isolate_host", Fault("ignored"))
    bench.world.script("block_indicators", Fault("ignored"))

    cut = (await bench.isolate())[-1]
    blocked = (await bench.perform("firewall.block_indicators", {"indicators": addresses(1), "reason": "r"}))[-1]

    settled = "fake accepted it, but did not get there in"
    assert cut.error.message.startswith(settled)
    assert cut.error.message.endswith("; it was last seen as state=normal")
    assert "blocked=False" in blocked.error.message
    assert "connector" not in blocked.error.message


@pytest.mark.safety(14)
async def test_what_was_never_read_back_was_not_seen(harness: RunHarness) -> None:
    """Of a manual change that was under way the text says no state."""
    bench = Bench(harness)
    intent = Intent(1, "k", "fake", (), [{"target": "fake:host:id-pc1", "state": NORMAL}])

    settled, ended = await bench.seal(intent=intent)

    assert ([each.outcome for each in settled.settled], type(ended)) == (["unknown"], ev.ActionUnknown)
    assert ended.error.message == "the engine stopped while this was under way, and its state cannot be read back"


@pytest.mark.safety(7)
async def test_the_same_change_by_another_action_or_connector_is_not_what_a_plan_shows(harness: RunHarness) -> None:
    """Both are named; where the plan could not know the connector, each is as good."""
    bench = await applying(harness, PLANNED_BLOCK, found=["203.0.113.1"])
    block = {"indicators": addresses(1), "reason": "r"}

    (other,) = await bench.perform("firewall.block_indicators", block, path="block[fake]", at=("branch",))
    assert "the plan shows firewall.block_indicators on fake here, this is on branch" in other.why
    (other,) = await bench.perform("firewall.unblock_indicators", block, path="block[fake]")
    assert "the plan shows firewall.block_indicators on fake here" in other.why
    assert harness.world.sent() == []
    (other,) = await bench.perform("firewall.block_indicators", {**block, "reason": "else"}, path="block[fake]")
    assert "its argument 'reason' differs from the one in the plan" in other.why
    assert isinstance(
        (await bench.perform("firewall.block_indicators", block, path="block[fake]"))[-1], ev.ActionSucceeded
    )


@pytest.mark.safety(10)
async def test_what_else_a_change_is_about_is_compared_as_well(harness: RunHarness) -> None:
    """Taking somebody out of a protected group is a change of that group."""
    harness.world.members.add(("fake", "id-mei@example.com", "id-vpn"))
    user, group = harness.world.users["fake"][0], harness.world.groups["fake"][0]
    arguments = {"user": user.model_dump(mode="json"), "group": group.model_dump(mode="json"), "reason": "r"}

    for sense, entry, code in ((Sense.GROUPS, "vpn", "protected"), (Sense.GROUPS, "other", None)):
        bench = Bench(harness, rules=Guardrails([Protected("y:1", (Listed.of(sense, [entry]),))]))
        *_, ended = await bench.perform("identity.remove_from_group", arguments)
        assert getattr(ended, "code", None) == code, entry


@pytest.mark.safety(2, 10)
async def test_an_action_that_names_no_target_is_compared_by_all_it_is_given(harness: RunHarness) -> None:
    """Nobody has said what it changes, so everything in it may be that, and the instance that it goes to."""
    for entry, text, code in (
        ("dc01", "shutdown dc01", None),
        ("dc01", "dc01", "protected"),
        ("fake", "anything", "protected"),
    ):
        bench = Bench(harness, rules=Guardrails([Protected("y:1", (Listed.of(Sense.HOSTS, [entry]),))]))
        (ended,) = await bench.perform("fake.run_script", {"host": text})
        assert getattr(ended, "code", None) == code, (entry, text)


@pytest.mark.safety(10, 13)
@pytest.mark.parametrize(
    ("member", "fault", "code"),
    [
        (True, None, "protected"),
        (False, None, None),
        (False, Fault("before", Unavailable("down")), "unknown"),
    ],
)
async def test_the_groups_of_an_account_are_read_where_a_rule_is_about_them(
    harness: RunHarness, member: bool, fault: Fault | None, code: str | None
) -> None:
    """Groups that cannot be read are not none."""
    if member:
        harness.world.members.add(("fake", "id-mei@example.com", "id-vpn"))
    harness.world.script("groups_of", fault)
    user = harness.world.users["fake"][0].model_dump(mode="json")
    rules = Guardrails([Protected("y:1", (Listed.of(Sense.GROUPS, ["id-vpn"]),), actions=("identity.*",))])
    bench = Bench(harness, rules=rules)

    *_, ended = await bench.perform("identity.disable_user", {"user": user, "reason": "r"})

    assert (getattr(ended, "code", None) is None) is (code is None)
    assert code != "protected" or ended.code == "protected"
    assert len(harness.world.called("groups_of")) == 1
    assert len(harness.world.sent()) == (1 if code is None else 0)
    await bench.isolate()
    assert len(harness.world.called("groups_of")) == 1


@pytest.mark.safety(28)
async def test_a_required_approval_for_some_targets_asks_about_those(harness: RunHarness) -> None:
    """By their groups, too; what people consented to is not asked about again."""
    harness.world.members.add(("fake", "id-mei@example.com", "id-vpn"))
    ken = harness.world.add_user("ken@example.com")
    rule = ApprovalRule("y:7", ("role:lead",), lists=(Listed.of(Sense.GROUPS, ["vpn"]),))
    bench = Bench(harness, rules=Guardrails(approvals=[rule]))
    mei = harness.world.users["fake"][0]

    async def disable(user: Any, **more: Any) -> Any:
        arguments = {"user": user.model_dump(mode="json"), "reason": "r"}
        return (await bench.perform("identity.disable_user", arguments, **more))[-1]

    assert type(await disable(ken)) is ev.ActionSucceeded
    asked = await disable(mei)
    assert [each["label"] for each in asked.targets] == ["mei@example.com"]
    assert asked.within_s == 3600.0
    assert asked.question == "identity.disable_user needs consent here"
    key = "y:7\0identity.disable_user\0fake:user:id-mei@example.com"
    assert type(await disable(mei, consents=frozenset({key}))) is ev.ActionSucceeded


@pytest.mark.safety(11)
async def test_all_items_of_a_loop_count_as_one_step(harness: RunHarness) -> None:
    """And each target of a batch by itself; one that people consented to is marked."""
    limits = [Limit("y:1", Per.STEP, at_most=2), Limit("y:2", Per.WINDOW, at_most=9, within_s=60)]
    bench = Bench(harness, rules=Guardrails(limits=limits))
    block = {"indicators": addresses(2), "reason": "r"}
    key = "y:1\0firewall.block_indicators\0ipv4:203.0.113.2"

    await bench.perform("firewall.block_indicators", block, path="loop[0].cut", consents=frozenset({key}))
    harness.world.blocked.clear()
    await bench.perform("firewall.block_indicators", block, path="loop[1].cut")
    await bench.perform(
        "edr.isolate_host", {"host": harness.world.hosts["fake"][0].model_dump(mode="json"), "reason": "r"}
    )

    first, second, other = (event.uses for event in bench.stored if isinstance(event, ev.TargetsCounted))
    assert [(use["rule"], use["target"], use["consented"]) for use in first] == [
        ("y:1", "ipv4:203.0.113.1", False),
        ("y:1", "ipv4:203.0.113.2", True),
        ("y:2", "ipv4:203.0.113.1", False),
        ("y:2", "ipv4:203.0.113.2", False),
    ]
    assert [use["key"] for use in first] == [use["key"] for use in second]
    assert [use["within_s"] for use in first] == [None, None, 60, 60]
    assert other[0]["key"] != first[0]["key"]
    assert other[1]["key"] == first[2]["key"]
