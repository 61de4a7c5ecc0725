"""Where actions go: to the owner of the target, or to each instance that takes the indicator."""

from typing import Any

import pytest

from hikeshi.capabilities.routing import RoutingRule
from hikeshi.core import events as ev
from hikeshi.core.program import Routing
from hikeshi.testing.fake_connector import FakeWorld, fake_connector
from hikeshi.testing.run_harness import RunHarness

BLOCK = """
id: t
inputs: {found: {type: list, items: indicator}}
steps:
  - id: block
    action: firewall.block_indicators
    with: {indicators: "{{ inputs.found }}", reason: r}
outputs: {block: "{{ steps.block }}"}
"""


@pytest.fixture
def two() -> RunHarness:
    """Two firewalls: one takes addresses, the other domains and addresses."""
    world = FakeWorld()
    return RunHarness(
        world,
        {
            "fw_ip": fake_connector(world, "ipwall", kinds={"ipv4"}),
            "fw_all": fake_connector(world, "allwall", kinds={"ipv4", "domain"}),
        },
    )


def sent_to(harness: RunHarness) -> dict[str, list[str]]:
    return {
        call.instance: [entry.value for entry in call.arguments["indicators"]]
        for call in harness.world.sent("block_indicators")
    }


async def test_indicators_go_to_each_instance_that_takes_their_kind(two: RunHarness) -> None:
    """Each instance gets its own part of the list, as a child path of its own."""
    outcome = await two.run(BLOCK, inputs={"found": ["203.0.113.7", "bad.example"]})
    assert sent_to(two) == {"fw_ip": ["203.0.113.7"], "fw_all": ["203.0.113.7", "bad.example"]}
    assert outcome.steps() == {"block": "succeeded", "block[fw_ip]": "succeeded", "block[fw_all]": "succeeded"}
    assert [(entry["item"], entry["status"]) for entry in outcome.outputs["block"]] == [
        ("fw_ip", "succeeded"),
        ("fw_all", "succeeded"),
    ]
    assert outcome.outputs["block"][0]["output"][0]["blocked"] is True


async def test_an_instance_that_takes_none_of_the_indicators_is_not_asked(two: RunHarness) -> None:
    """No empty call is made."""
    outcome = await two.run(BLOCK, inputs={"found": ["bad.example"]})
    assert sent_to(two) == {"fw_all": ["bad.example"]}
    assert "block[fw_ip]" not in outcome.steps()


async def test_an_indicator_that_nobody_takes_is_an_error_before_anything_is_sent(two: RunHarness) -> None:
    """All or nothing: the others are not blocked either, and the error names it."""
    outcome = await two.run(BLOCK, inputs={"found": ["203.0.113.7", "https://bad.example/x"]})
    assert two.world.calls == []
    error = outcome.node("block").error
    assert error is not None
    assert error.kind == "unsupported"
    assert "https://bad.example/x (url)" in error.message
    assert outcome.steps() == {"block": "failed"}


async def test_an_empty_target_never_means_everything(two: RunHarness) -> None:
    """An empty list of indicators is refused."""
    outcome = await two.run(BLOCK, inputs={"found": []})
    assert two.world.calls == []
    assert "never means everything" in str(outcome.node("block").error)


async def test_the_output_over_instances_is_a_list_even_for_one(harness: RunHarness) -> None:
    """A playbook need not know how many instances there are."""
    outcome = await harness.run(BLOCK, inputs={"found": ["203.0.113.7"]})
    assert [entry["item"] for entry in outcome.outputs["block"]] == ["fake"]


async def test_one_instance_that_fails_fails_the_step_and_the_other_is_done(two: RunHarness) -> None:
    """Each instance has its own outcome."""
    from hikeshi.connector import Forbidden

    two.world.script("block_indicators", Forbidden("no"), instance="fw_ip")
    outcome = await two.run(BLOCK, inputs={"found": ["203.0.113.7"]})
    assert outcome.steps() == {"block": "failed", "block[fw_ip]": "failed", "block[fw_all]": "succeeded"}
    assert outcome.state.failures == ["block[fw_ip]"]


@pytest.mark.parametrize(("at", "asked"), [("'fw_all'", ["fw_all"]), ("['fw_ip', 'fw_all']", ["fw_ip", "fw_all"])])
async def test_at_limits_an_action_to_named_instances(two: RunHarness, at: str, asked: list[str]) -> None:
    """`at` takes one name or a list."""
    text = BLOCK.replace("    with:", f'    at: "{at}"\n    with:', 1)
    await two.run(text, inputs={"found": ["203.0.113.7"]})
    assert list(sent_to(two)) == asked


@pytest.mark.parametrize(
    ("at", "kind", "words"),
    [
        ("'fw_al'", "not_found", "known here: fw_ip, fw_all"),
        ("[]", "expression", "needs the name of a connector"),
        ("3", "expression", "needs the name of a connector"),
        ("['fw_all', 1]", "expression", "needs the name of a connector"),
    ],
)
async def test_at_that_names_no_instance_is_an_error(two: RunHarness, at: str, kind: str, words: str) -> None:
    """An empty or wrong `at` is never everything."""
    text = BLOCK.replace("    with:", f'    at: "{at}"\n    with:', 1)
    outcome = await two.run(text, inputs={"found": ["203.0.113.7"]})
    error = outcome.node("block").error
    assert error is not None
    assert error.kind == kind
    assert words in error.message
    assert two.world.calls == []


async def test_at_narrower_than_the_kinds_is_refused_whole(two: RunHarness) -> None:
    """An indicator that the named instances do not take is homeless there, though another would take it."""
    text = BLOCK.replace("    with:", "    at: \"'fw_ip'\"\n    with:", 1)
    outcome = await two.run(text, inputs={"found": ["203.0.113.7", "bad.example"]})
    assert outcome.steps() == {"block": "failed"}
    assert two.world.calls == []


def two_edrs() -> RunHarness:
    world = FakeWorld()
    harness = RunHarness(world, {"edr_a": fake_connector(world, "edra"), "edr_b": fake_connector(world, "edrb")})
    world.add_host("pc1", instance="edr_a")
    world.add_host("pc2", instance="edr_b")
    return harness


ISOLATE = """
id: t
inputs: {name: {type: string}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.name }}"}}
  - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
"""


async def test_a_change_goes_to_the_instance_that_owns_its_target() -> None:
    """The host knows where it came from."""
    harness = two_edrs()
    await harness.run(ISOLATE, inputs={"name": "pc2"})
    assert [call.instance for call in harness.world.sent()] == ["edr_b"]
    assert {call.instance for call in harness.world.called("find_hosts")} == {"edr_a", "edr_b"}


async def test_two_matches_where_one_is_meant_are_an_error_with_both() -> None:
    """Never the first match."""
    harness = two_edrs()
    harness.world.add_host("pc1", instance="edr_b")
    outcome = await harness.run(ISOLATE, inputs={"name": "pc1"})
    error = outcome.node("find").error
    assert error is not None
    assert error.kind == "ambiguous"
    assert [entry["connector"] for entry in error.candidates] == ["edr_a", "edr_b"]
    assert harness.world.sent() == []


async def test_a_lookup_fails_if_one_of_the_instances_cannot_be_asked() -> None:
    """Could not read is never "is absent" (rule 13)."""
    from hikeshi.connector import Forbidden

    harness = two_edrs()
    harness.world.script("find_hosts", Forbidden("no"), instance="edr_b")
    outcome = await harness.run(ISOLATE, inputs={"name": "pc1"})
    assert outcome.node("find").error is not None
    assert outcome.node("find").error.kind == "forbidden"  # type: ignore[union-attr]
    assert harness.world.sent() == []


async def test_a_host_from_elsewhere_than_at_allows_is_refused() -> None:
    """`at` is a limit for owned targets too."""
    harness = two_edrs()
    outcome = await harness.run(ISOLATE.replace("reason: r}}", "reason: r}, at: \"'edr_a'\"}"), inputs={"name": "pc2"})
    assert "belongs to 'edr_b'" in str(outcome.node("iso").error)
    assert harness.world.sent() == []


async def test_a_list_read_of_several_instances_is_merged() -> None:
    """A read that gives lists gives one list of all."""
    harness = two_edrs()
    harness.world.add_host("both", instance="edr_a")
    harness.world.add_host("both", instance="edr_b")
    outcome = await harness.run("""
id: t
steps: [{id: find, action: edr.find_hosts, with: {name: both}}]
outputs: {owners: "{{ steps.find | map(attribute='connector') }}"}
""")
    assert outcome.outputs == {"owners": ["edr_a", "edr_b"]}


@pytest.mark.parametrize(
    "host", ["pc1", {"connector": "edr_c", "id": "1", "name": "x"}, {"connector": "edr_a"}, None, "", []]
)
async def test_a_target_that_no_instance_gave_is_refused(host: Any) -> None:
    """What comes from outside does not become a host without a read."""
    harness = two_edrs()
    outcome = await harness.run(
        """
id: t
inputs: {host: {type: dict, default: {}}, text: {type: string, default: ""}}
steps: [{id: iso, action: edr.isolate_host, with: {host: "{{ inputs.host or inputs.text }}", reason: r}}]
""",
        inputs={"host": host} if isinstance(host, dict) else {"text": host} if isinstance(host, str) else {},
    )
    assert outcome.status == "failed"
    assert harness.world.calls == []
    assert outcome.of(ev.ActionIntended) == []


# --- rules of the project


PLANT = RoutingRule(("10.1.0.0/16", "2001:db8:1::/48"), ("*.plant.example",), ("fw_plant",))
GUESTS = RoutingRule(("10.9.0.0/16",), (), ("fw_guests", "fw_plant"))


@pytest.fixture
def ruled() -> RunHarness:
    """Three firewalls; what lies in the plant's network concerns its own alone."""
    world = FakeWorld()
    instances = {name: fake_connector(world, "wall") for name in ("fw_hq", "fw_plant", "fw_guests")}
    return RunHarness(world, instances, rules={"firewall": (PLANT, GUESTS)})


@pytest.mark.parametrize(
    ("value", "walls"),
    [
        ("10.1.2.3", ["fw_plant"]),
        ("10.1.0.0/20", ["fw_plant"]),
        ("10.0.0.0/8", ["fw_guests", "fw_hq", "fw_plant"]),
        ("2001:db8:1::7", ["fw_plant"]),
        ("plc7.PLANT.example", ["fw_plant"]),
        ("https://hmi.plant.example/login", ["fw_plant"]),
        ("http://10.1.7.7:8080/x", ["fw_plant"]),
        ("plant.example", ["fw_guests", "fw_hq", "fw_plant"]),
        ("10.9.1.1", ["fw_guests", "fw_plant"]),
        ("203.0.113.7", ["fw_guests", "fw_hq", "fw_plant"]),
    ],
)
async def test_a_rule_says_which_firewalls_an_indicator_goes_to(
    ruled: RunHarness, value: str, walls: list[str]
) -> None:
    """The first rule that it falls under decides; a network that is larger than the rule's falls under none."""
    outcome = await ruled.run(BLOCK, inputs={"found": [value]})

    assert outcome.status == "succeeded"
    assert sorted(sent_to(ruled)) == walls


async def test_each_indicator_of_a_batch_follows_its_own_rule(ruled: RunHarness) -> None:
    """Every firewall gets its part of the list."""
    await ruled.run(BLOCK, inputs={"found": ["10.1.2.3", "203.0.113.7", "10.9.1.1"]})

    assert sent_to(ruled) == {
        "fw_hq": ["203.0.113.7"],
        "fw_plant": ["10.1.2.3", "203.0.113.7", "10.9.1.1"],
        "fw_guests": ["203.0.113.7", "10.9.1.1"],
    }


async def test_a_rule_that_leaves_nobody_refuses_the_step(ruled: RunHarness) -> None:
    """`at` and the rule have no firewall in common: nothing is sent anywhere, and the error names both."""
    text = BLOCK.replace("    with:", "    at: \"['fw_hq']\"\n    with:")
    outcome = await ruled.run(text, inputs={"found": ["203.0.113.7", "10.1.2.3"]})

    assert outcome.status == "failed"
    assert "10.1.2.3 to fw_plant" in str(outcome.node("block").error)
    assert sent_to(ruled) == {}


LOOKUP = """
id: t
inputs: {name: {type: host}}
steps: [{id: find, action: edr.get_host, with: {name: "{{ inputs.name }}"}}]
"""


@pytest.mark.parametrize(
    ("name", "found_in"), [("10.1.2.3", "falcon_plant"), ("plc7.plant.example", "falcon_plant"), ("pc9", "falcon_hq")]
)
async def test_a_lookup_asks_whom_the_rule_names(name: str, found_in: str) -> None:
    """Two subsidiaries use the same private addresses: the rule says whose is meant, and nothing is ambiguous."""
    harness = RunHarness(rules={"edr": (RoutingRule(PLANT.networks, PLANT.names, ("falcon_plant",)),)})
    harness.instances = {each: fake_connector(harness.world, "falcon") for each in ("falcon_hq", "falcon_plant")}
    for each in harness.instances:
        if name != "pc9" or each == "falcon_hq":
            harness.world.add_host(name, instance=each, id_=f"id-{each}")
    outcome = await harness.run(LOOKUP, inputs={"name": name})

    assert outcome.status == "succeeded"
    assert outcome.node("find").output["connector"] == found_in


async def test_rules_are_pinned_when_the_run_starts(ruled: RunHarness) -> None:
    """The journal holds them, so that a run that is taken over under other rules goes where it began to go."""
    outcome = await ruled.run(BLOCK, inputs={"found": ["203.0.113.7"]})
    route = outcome.of(ev.RunStarted)[0].routes["firewall.block_indicators"]

    assert route["rules"] == [PLANT.to_json(), GUESTS.to_json()]
    assert Routing.from_json(route).rules == (PLANT, GUESTS)
