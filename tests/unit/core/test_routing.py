"""Where actions go: to the owner of the target, or to each instance that takes the indicator."""

from typing import Any

import pytest

from hikeshi.core import events as ev
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
