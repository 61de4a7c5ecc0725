"""What a plan showed, held against a change: what it could not know is no difference, everything else is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from hikeshi.core import StartAction
from hikeshi.runtime.planned import Difference, Planned
from hikeshi.runtime.targets import Target
from hikeshi.testing.run_harness import RunHarness

pytestmark = pytest.mark.safety(7)

TEXT = """
id: t
inputs: {found: {type: list, items: indicator}}
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - {id: block, action: firewall.block_indicators, with: {indicators: "{{ inputs.found }}", reason: r}}
  - {id: users, action: edr.users_of_host, with: {host: "{{ steps.find }}"}}
  - id: unknown
    for_each: steps.users
    steps:
      - {id: any, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
      - id: inner
        for_each: "[1, 2]"
        steps:
          - {id: deep, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - id: known
    for_each: "[1, 2]"
    steps:
      - {id: each, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - {id: late, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: "{{ steps.cut.state }}"}}
"""
FOUND = ["203.0.113.1", "203.0.113.2", "203.0.113.3", "203.0.113.4"]
NORMAL = {"connector": "fake", "host_id": "id-pc1", "state": "normal"}
PC1 = Target(None, "fake:host:id-pc1", "pc1")
PC2 = Target(None, "fake:host:id-pc2", "pc2")


class Plan:
    """A plan, and the changes that are held against it."""

    def __init__(self, harness: RunHarness, state: Any) -> None:
        self.catalogue, self.state = harness.catalogue(), state
        self.read: list[str] = []
        self.planned = Planned(self.fold, "plan-1")

    def fold(self, plan: str) -> Any:
        self.read.append(plan)
        return self.state

    def arguments(self, path: str, **changes: Any) -> dict[str, Any]:
        return {**(self.state.nodes[path].arguments or {}), **changes}

    def difference(
        self,
        path: str,
        *,
        like: str = "",
        action: str = "edr.isolate_host",
        connector: str = "fake",
        targets: Sequence[Target] = (PC1,),
        states: Sequence[Any] = (NORMAL,),
        **changes: Any,
    ) -> Difference | None:
        command = StartAction(path, 1, action, (connector,), self.arguments(like or path, **changes), None, False)
        return self.planned.difference(self.catalogue.spec(action), command, connector, targets, states)

    def why(self, path: str, **more: Any) -> str:
        found = self.difference(path, **more)
        return "" if found is None else f"{found.code}: {found.why}"


@pytest.fixture
async def plan(harness: RunHarness) -> Plan:
    return Plan(harness, (await harness.plan(TEXT, inputs={"found": FOUND})).state)


async def test_what_a_plan_shows_is_no_difference(plan: Plan) -> None:
    """It is read once, when the first change asks."""
    assert plan.read == []
    assert plan.why("cut") == plan.why("cut") == ""
    assert plan.read == ["plan-1"]
    assert plan.planned.plan == "plan-1"


async def test_another_place_is_not_planned(plan: Plan) -> None:
    """Nor is a step that the plan shows as something else than a change."""
    for path in ("nowhere", "find", "cut[0]"):
        assert plan.why(path, like="cut") == "not_planned: the plan shows no change at this place"


async def test_another_action_or_connector_is_not_planned(plan: Plan) -> None:
    """Each alone is enough."""
    other = "not_planned: the plan shows edr.isolate_host on fake here, this is on"
    assert plan.why("cut", action="edr.release_host") == f"{other} fake"
    assert plan.why("cut", connector="branch") == f"{other} branch"


async def test_a_connector_that_the_plan_did_not_know_may_be_any(plan: Plan) -> None:
    """It was not decided then."""
    shown = plan.state.nodes["cut"].plan
    object.__setattr__(shown, "connector", None)

    assert plan.why("cut", connector="branch") == ""
    assert "on None here, this is on branch" in plan.why("cut", connector="branch", action="edr.release_host")


async def test_other_targets_are_not_planned(plan: Plan) -> None:
    """One that is new, and one that is gone."""
    assert plan.why("cut", targets=[PC2]) == "not_planned: the plan shows it for pc1, now it is for pc2"
    both = plan.why("cut", targets=[PC1, PC2], states=[NORMAL, NORMAL])
    assert both == "not_planned: the plan shows it for pc1, now it is for pc1, pc2"
    assert plan.why("cut", targets=[], states=[]) == "not_planned: the plan shows it for pc1, now it is for "


async def test_one_target_less_of_a_batch_is_not_planned_either(plan: Plan) -> None:
    """Somebody relies on all of them; the first three are named, and how many there are besides."""
    targets = [Target(None, f"ipv4:{value}", value) for value in FOUND]
    block_of = {"connector": "fake", "kind": "ipv4", "blocked": False, "expires_at": None}
    blocks = [{**block_of, "value": value} for value in FOUND]
    block = {"like": "block[fake]", "action": "firewall.block_indicators"}

    assert plan.why("block[fake]", targets=targets, states=blocks, **block) == ""
    why = plan.why("block[fake]", targets=targets[:3], states=blocks[:3], **block)
    first = "203.0.113.1, 203.0.113.2, 203.0.113.3"
    assert why == f"not_planned: the plan shows it for {first} and 1 more, now it is for {first}"


async def test_other_arguments_are_not_planned(plan: Plan) -> None:
    """One that is another, one that is new and one that is gone; the first of them by name is said."""
    assert plan.why("cut", reason="x") == "not_planned: its argument 'reason' differs from the one in the plan"
    assert plan.why("cut", more=1, reason="x") == "not_planned: its argument 'more' differs from the one in the plan"
    assert plan.why("cut", reason=None) == "not_planned: its argument 'reason' differs from the one in the plan"


async def test_what_a_plan_could_not_know_is_no_difference(plan: Plan) -> None:
    """Its targets, its arguments and its requests are known now, and were not then."""
    assert plan.why("late", reason="isolated", targets=[PC2]) == ""
    assert plan.planned.requests("late") is None


async def test_the_requests_of_a_plan_are_given_with_whether_they_are_all(plan: Plan) -> None:
    """Where it shows a change."""
    shown = plan.state.nodes["cut"].plan
    for complete in (True, False):
        object.__setattr__(shown, "complete", complete)
        requests, are_all = plan.planned.requests("cut") or ([], None)
        assert [request["method"] for request in requests] == ["POST"]
        assert are_all is complete
    assert plan.planned.requests("find") is None
    assert plan.planned.requests("nowhere") is None
    object.__setattr__(shown, "requests", [])
    assert plan.planned.requests("cut") == ([], False)
    object.__setattr__(shown, "target", None)
    assert plan.planned.requests("cut") is None


@pytest.mark.safety(8)
async def test_a_target_in_another_state_is_stale(plan: Plan) -> None:
    """What has changed is said; without a state there is nothing that could have."""
    assert plan.why("cut", states=[{**NORMAL, "state": "releasing"}]) == (
        "stale: pc1 has changed since the plan was made: state was 'normal', is 'releasing'"
    )
    assert plan.why("cut", states=[{**NORMAL, "state": "isolated", "by": "ken"}]) == (
        "stale: pc1 has changed since the plan was made: state was 'normal', is 'isolated', by was None, is 'ken'"
    )
    less = {"connector": "fake", "host_id": "id-pc1"}
    assert plan.why("cut", states=[less]).endswith("what it shows is less than it was")
    for state in (None, "normal"):
        assert plan.why("cut", states=[state]).endswith(f"{NORMAL!r} then, {state!r} now")
    object.__setattr__(plan.state.nodes["cut"].plan, "prior", None)
    assert plan.why("cut", states=["anything"]) == ""


async def test_of_a_loop_that_a_plan_could_not_know_each_item_is_as_the_one_it_shows(plan: Plan) -> None:
    """At any depth; the items of one that it knew are those that it shows."""
    for path in ("unknown[0].any", "unknown[7].any", "unknown[12].inner[1].deep"):
        assert plan.why(path, like="unknown[0].any", states=[None]) == "", path
    for path in ("known[2].each", "unknown[3].inner[2].deep", "unknown[3]", "unknown[x].any"):
        assert plan.why(path, like="cut") == "not_planned: the plan shows no change at this place", path
    assert plan.why("known[1].each", states=[None]) == ""
