"""nftables on a real kernel: what is blocked does not get through, and gets through again when it is to.

Needs root and the Debian packages nftables and iproute2; is skipped without, and says so.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine
from nft_fence import LEFT, LEFT6, RIGHT, RIGHT6, Fence, fence, why_not

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Applied, Conflict, ConnectorError, Invalid, NotFound, PartialFailure, Unavailable
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.crowdstrike.simulator import CrowdStrikeSimulator
from hikeshi_connectors.nftables import Nftables
from hikeshi_connectors.nftables.simulator import NftablesSimulator

REASON = why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")
ADDRESS = Indicator(kind="ipv4", value=LEFT)
ADDRESS6 = Indicator(kind="ipv6", value=LEFT6)
NETWORK = Indicator(kind="cidr", value="10.99.0.0/31")


@pytest.fixture
def wire() -> Iterator[Fence]:
    with fence() as made:
        yield made


@pytest.fixture(scope="module")
def kernel() -> Iterator[Fence]:
    """A fence whose sets are emptied between uses."""
    with fence() as made:
        yield made


def firewall(wire: Fence, **settings: Any) -> Nftables:
    connector = build(Nftables, "edge", {"command": wire.command, **settings}, Redactor())
    assert isinstance(connector, Nftables)
    return connector


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="firewall.block_indicators", intended=True)


async def block(connector: Nftables, *indicators: Indicator, expires_in_s: int | None = None) -> None:
    with through(live()):
        await connector.block_indicators(list(indicators), "c2", expires_in_s)


async def unblock(connector: Nftables, *indicators: Indicator) -> None:
    with through(live()):
        await connector.unblock_indicators(list(indicators), "over")


@pytest.mark.parametrize(
    ("indicator", "there", "from_here"),
    [(ADDRESS, RIGHT, LEFT), (ADDRESS6, RIGHT6, LEFT6), (NETWORK, RIGHT, LEFT)],
    ids=["address", "address6", "network"],
)
async def test_a_block_stops_packets_in_both_directions_until_it_is_lifted(
    wire: Fence, indicator: Indicator, there: str, from_here: str
):
    """What passed is dropped, on arrival and on leaving, and passes again; each twice, which does no harm."""
    edge = firewall(wire)
    assert wire.gets_through(there)
    assert wire.gets_through(from_here, of_right=True)
    for _ in range(2):
        await block(edge, indicator, expires_in_s=600)
    assert not wire.gets_through(there)
    assert not wire.gets_through(from_here, of_right=True)
    (state,) = await edge.blocks_of([indicator])
    assert state.blocked
    assert state.expires_at is not None
    assert abs(state.expires_at - datetime.now(UTC) - timedelta(seconds=600)) < timedelta(seconds=70)
    for _ in range(2):
        await unblock(edge, indicator)
    assert wire.gets_through(there)
    assert wire.gets_through(from_here, of_right=True)
    assert not (await edge.blocks_of([indicator]))[0].blocked


async def test_the_kernel_lifts_a_block_by_itself(wire: Fence):
    """Nobody unblocks it; after its time packets pass, and reading says so."""
    edge = firewall(wire)
    await block(edge, ADDRESS, NETWORK, expires_in_s=2)
    assert not wire.gets_through()
    assert wire.until_it_gets_through() < 5
    assert [state.blocked for state in await edge.blocks_of([ADDRESS, NETWORK])] == [False, False]


async def test_addresses_live_beside_networks_that_contain_them(wire: Fence):
    """Each is an element of its own: lifting one leaves the other, and the packets that it stops."""
    edge = firewall(wire)
    await block(edge, ADDRESS, NETWORK)
    await unblock(edge, ADDRESS)
    assert [state.blocked for state in await edge.blocks_of([ADDRESS, NETWORK])] == [False, True]
    assert not wire.gets_through()
    await unblock(edge, NETWORK, ADDRESS)
    assert wire.gets_through()


async def test_a_network_inside_another_is_refused_and_the_rest_is_blocked(wire: Fence):
    """The kernel would refuse everything; and the connector knows before it asks."""
    edge = firewall(wire)
    wider = Indicator(kind="cidr", value="10.99.0.0/24")
    await block(edge, NETWORK)
    with pytest.raises(PartialFailure) as refused:
        await block(edge, wider, ADDRESS6)
    assert {value: type(error) for value, error in refused.value.failures.items()} == {wider.value: Conflict}
    assert not wire.gets_through(RIGHT6)


async def test_thousands_are_one_transaction(wire: Fence):
    """5,000 addresses and 500 networks, blocked, read, and unblocked."""
    edge = firewall(wire)
    many = [Indicator(kind="ipv4", value=f"198.18.{n >> 8}.{n & 255}") for n in range(5_000)]
    many += [Indicator(kind="cidr", value=f"198.19.{n >> 3}.{(n & 7) << 5}/27") for n in range(500)]
    await block(edge, *many, expires_in_s=600)
    assert all(state.blocked for state in await edge.blocks_of(many))
    await unblock(edge, *many)
    assert not any(state.blocked for state in await edge.blocks_of(many))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"table": "nope"}, NotFound),
        ({"networks4": "nope"}, NotFound),
        ({"networks4": "blocked4"}, Invalid),
        ({"command": ["ip", "netns", "exec", "nowhere", "nft"]}, Unavailable),
    ],
)
async def test_what_is_not_on_the_firewall_is_named(wire: Fence, settings: Any, kind: type[ConnectorError]):
    """A table, set or namespace that does not exist, or a set of the wrong form: nothing was changed."""
    with pytest.raises(kind) as refused:
        await block(firewall(wire, **settings), NETWORK)
    assert refused.value.applied is Applied.NO


PLACE = {"family": "inet", "table": "hikeshi"}
SETS = ("blocked4", "blocked6", "networks4")
NET = {"prefix": {"addr": "192.0.2.0", "len": 24}}


def told(verb: str, name: str, *elements: Any) -> dict[str, Any]:
    return {verb: {"element": {**PLACE, "name": name, "elem": list(elements)}}}


@pytest.mark.parametrize(
    "commands",
    [
        [told("add", "blocked4", "192.0.2.1", {"elem": {"val": "192.0.2.2", "timeout": 60}})],
        [told("add", "blocked4", "192.0.2.1"), told("add", "blocked4", {"elem": {"val": "192.0.2.1", "timeout": 60}})],
        [told("create", "blocked4", "192.0.2.1"), told("create", "blocked4", "192.0.2.1")],
        [told("add", "blocked4", "192.0.2.1"), told("delete", "blocked4", "192.0.2.1")],
        [told("add", "blocked4", "192.0.2.1"), told("delete", "blocked4", "192.0.2.3")],
        [told("delete", "networks4", NET)],
        [told("add", "networks4", NET), told("add", "networks4", NET)],
        [told("add", "networks4", NET), told("add", "networks4", {"prefix": {"addr": "192.0.2.128", "len": 25}})],
        [told("add", "networks4", {"prefix": {"addr": "192.0.2.128", "len": 25}}), told("add", "networks4", NET)],
        [told("add", "networks4", NET), told("delete", "networks4", NET)],
        [told("add", "blocked4", NET)],
        [told("add", "blocked6", "2001:DB8::1", "::ffff:192.0.2.1")],
        [told("add", "blocked6", "192.0.2.1")],
        [told("add", "blocked4", "no such name")],
        [told("add", "blocked4")],
        [told("add", "nowhere", "192.0.2.1")],
        [{"nonsense": {}}],
        [],
    ],
    ids=str,
)
def test_the_simulator_answers_as_nft_does(kernel: Fence, commands: Any):
    """The same transactions end alike, and leave the same elements."""
    for name in SETS:
        kernel.nft("flush", "set", "inet", "hikeshi", name)
    simulation = Simulation(Estate(EstateState("small", datetime.now(UTC))), [NftablesSimulator])
    with running(simulation) as url:
        simulated = NftablesSimulator.connector_settings(url)["command"]
        ours, theirs = (answers(command, {"nftables": commands}) for command in (simulated, kernel.command))
    assert ours == theirs


def answers(command: list[str], transaction: Any) -> list[Any]:
    """Return how a transaction ended, its first complaint, and what is in the sets afterwards."""
    done = subprocess.run(
        [*command, "-j", "-f", "-"], input=json.dumps(transaction), capture_output=True, text=True, check=False
    )
    sets = []
    for name in SETS:
        words = [*command, "-j", "list", "set", "inet", "hikeshi", name]
        listed = json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
        found = listed["nftables"][1]["set"]
        sets.append((found["type"], found["flags"], sorted(map(without_rest, found.get("elem", [])))))
    return [done.returncode, done.stderr.strip().partition("\n")[0], *sets]


def without_rest(element: Any) -> str:
    """Return an element without the time that it still has, which goes on."""
    if isinstance(element, dict) and "elem" in element:
        element["elem"].pop("expires")
    return json.dumps(element, sort_keys=True)


def test_a_run_blocks_and_its_undo_lets_packets_pass_again(wire: Fence, tmp_path: Path):
    """The whole engine: the playbook that ships, against the kernel, and taken back."""
    hikeshi = CommandLine(tmp_path)
    simulation = Simulation(Estate(EstateState("small", datetime.now(UTC))), [CrowdStrikeSimulator])
    edge = {"product": "nftables", "command": wire.command}
    with running(simulation) as url:  # the playbook also wants an EDR
        hikeshi.configure({**simulation.project_settings(url), "edge": edge})
        indicators = json.dumps([LEFT, "198.51.100.0/24", "2001:db8::7"])

        planned = hikeshi("plan", "block-indicators", "-i", f"indicators={indicators}")
        assert planned.code == 0, planned.err
        assert wire.gets_through()

        done = hikeshi("run", "block-indicators", "-i", f"indicators={indicators}", "--json")
        assert done.code == 0, done.out + done.err
        assert not wire.gets_through()
        assert not wire.gets_through(LEFT, of_right=True)
        assert '"timeout": 28800' in wire.nft("-j", "list", "set", "inet", "hikeshi", "networks4")

        undone = hikeshi("undo", str(done.document["run"]), "--yes")
        assert undone.code == 0, undone.out + undone.err
        assert wire.gets_through()
        assert "elem" not in wire.nft("-j", "list", "table", "inet", "hikeshi")
