"""nftables against its simulator: what the contract kit does not ask, because nft is a command and not HTTP."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Applied, ConnectorError, Forbidden, NotFound, Timeout, Unauthorized, Unavailable
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.faults import Fault
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.nftables import Nftables
from hikeshi_connectors.nftables.simulator import NftablesSimulator

ADDRESS = Indicator(kind="ipv4", value="203.0.113.66")
NETWORK = Indicator(kind="cidr", value="198.51.100.0/24")


@pytest.fixture
def simulation() -> Simulation:
    return Simulation(Estate(EstateState("small", datetime.now(UTC))), [NftablesSimulator])


@pytest.fixture
def url(simulation: Simulation) -> Iterator[str]:
    with running(simulation) as url:
        yield url


def firewall(url: str, timeout_s: float = 10) -> Nftables:
    settings = {**NftablesSimulator.connector_settings(url), "timeout_s": timeout_s}
    settings.pop("product")
    connector = build(Nftables, "edge", settings, Redactor())
    assert isinstance(connector, Nftables)
    return connector


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="firewall.block_indicators", intended=True)


async def test_blocked_elements_are_read_back_and_shown(simulation: Simulation, url: str):
    """What is blocked is in its set, for the connector, for who looks at the simulation, and in the list of changes."""
    edge = firewall(url)
    with through(live()):
        await edge.block_indicators([ADDRESS, NETWORK], "c2", 3600)
    assert [state.blocked for state in await edge.blocks_of([ADDRESS, NETWORK])] == [True, True]
    assert simulation.summary()["nftables"] == {
        "blocked": {"blocked4": ["203.0.113.66"], "networks4": ["198.51.100.0/24"]}
    }
    (change,) = simulation.changes
    assert (change["method"], change["applied"], change["url"].endswith(" -j -f -")) == ("NFT", True, True)
    simulation.estate.advance(3601)
    assert [state.blocked for state in await edge.blocks_of([ADDRESS, NETWORK])] == [False, False]


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 401}, Unauthorized),
        ({"status": 403}, Forbidden),
        ({"status": 404}, NotFound),
        ({"status": 503}, Unavailable),
        ({"drop": "before"}, Unavailable),
        ({"half": True}, Unavailable),
        ({"html": True}, Unavailable),
        ({"delay_s": 2.0}, Timeout),
    ],
)
async def test_a_read_that_fails_is_an_error(
    simulation: Simulation, url: str, fault: dict[str, Any], kind: type[ConnectorError]
):
    """Nothing that goes wrong is "not blocked"."""
    simulation.faults.add(Fault(**fault))
    with pytest.raises(kind):
        await firewall(url, timeout_s=1.2).blocks_of([ADDRESS])


async def test_a_firewall_that_is_gone_changed_nothing(simulation: Simulation):
    """No connection, no effect."""
    with running(simulation) as url:
        pass
    with through(live()), pytest.raises(Unavailable) as refused:
        await firewall(url).block_indicators([ADDRESS], "c2", 60)
    assert refused.value.applied is Applied.NO


async def test_a_set_of_a_hundred_thousand_is_still_quick(simulation: Simulation, url: str):
    """A transaction and a reading beside very many elements take about as long as beside few."""
    state = simulation.estate.product_state["nftables"]
    many = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(100_000)]
    state["elements"]["blocked4"] = dict.fromkeys(many, 3600)
    state["ends"]["blocked4"] = dict.fromkeys(many, simulation.estate.now().timestamp() + 3600)
    edge = firewall(url)
    begun = time.monotonic()
    with through(live()):
        await edge.block_indicators([ADDRESS], "c2", 60)
    (block,) = await edge.blocks_of([ADDRESS])
    assert block.blocked
    assert time.monotonic() - begun < 30


async def test_calls_at_the_same_time_do_not_mix(url: str):
    """Each is a process with a transaction of its own."""
    edge = firewall(url)

    async def block(number: int) -> None:
        with through(live()):
            await edge.block_indicators([Indicator(kind="ipv4", value=f"203.0.113.{number}")], "c2", 60)

    await asyncio.gather(*(block(number) for number in range(8)))
    blocks = await edge.blocks_of([Indicator(kind="ipv4", value=f"203.0.113.{number}") for number in range(9)])
    assert [block.blocked for block in blocks] == [True] * 8 + [False]


async def test_what_is_cut_short_changes_nothing(simulation: Simulation):
    """Half a transaction is no JSON; nft then ends with 0, as if all were well, so only reading tells."""
    simulator = simulation.simulators["nftables"]
    assert isinstance(simulator, NftablesSimulator)
    given = json.dumps({"nftables": [{"add": {"element": {"elem": ["203.0.113.66"]}}}]})[:-5]
    assert simulator.answer(["nft"], ["-j", "-f", "-"], given) == (0, "", "")
    assert simulation.summary().get("nftables") == {"blocked": {}}
