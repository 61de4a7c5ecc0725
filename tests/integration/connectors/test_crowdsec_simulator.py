"""CrowdSec against its simulator: what the contract kit does not ask."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Secret
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.crowdsec import CrowdSec
from hikeshi_connectors.crowdsec.simulator import CrowdSecSimulator

ADDRESS = Indicator(kind="ipv4", value="203.0.113.66")


@pytest.fixture
def simulation() -> Simulation:
    return Simulation(Estate(EstateState("small", datetime.now(UTC))), [CrowdSecSimulator])


@pytest.fixture
async def crowdsec(simulation: Simulation) -> AsyncIterator[CrowdSec]:
    with running(simulation) as url:
        settings = CrowdSecSimulator.connector_settings(url)
        secrets = {name: Secret.of_value(settings[name]) for name in ("password", "bouncer_key")}
        given = {"base_url": settings["base_url"], "machine_id": settings["machine_id"], **secrets}
        connector = build(CrowdSec, "crowdsec", given, Redactor())
        assert isinstance(connector, CrowdSec)
        yield connector
        await connector.http.aclose()


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="firewall.block_indicators", intended=True)


async def test_what_is_decided_is_shown_by_whom(simulation: Simulation, crowdsec: CrowdSec):
    """A person sees the decisions of each origin, until they end."""
    with through(live()):
        await crowdsec.block_indicators([ADDRESS], "beacon", 60)
    assert simulation.summary()["crowdsec"] == {"decisions": {"hikeshi": ["203.0.113.66"]}}
    simulation.estate.advance(61)
    assert simulation.summary()["crowdsec"] == {"decisions": {}}


@pytest.mark.parametrize("fast_s", [3600, -3600])
async def test_a_block_ends_in_time_whatever_our_clock_says(simulation: Simulation, crowdsec: CrowdSec, fast_s: int):
    """A decision runs by the clock of the Local API, which every answer tells."""
    crowdsec.clock = lambda: datetime.now(UTC) + timedelta(seconds=fast_s)
    with through(live()):
        await crowdsec.block_indicators([ADDRESS], "beacon", 300)
    assert (await crowdsec.blocks_of([ADDRESS]))[0].blocked
    simulation.estate.advance(301)
    assert not (await crowdsec.blocks_of([ADDRESS]))[0].blocked


async def test_a_token_ends_and_is_fetched_anew(simulation: Simulation, crowdsec: CrowdSec):
    """A machine's token is good for an hour."""
    with through(live()):
        await crowdsec.block_indicators([ADDRESS], "beacon")
    simulation.estate.advance(7200)
    with through(live()):
        await crowdsec.unblock_indicators([ADDRESS], "over")
    assert not (await crowdsec.blocks_of([ADDRESS]))[0].blocked


async def test_a_hundred_thousand_decisions_are_still_quick(simulation: Simulation, crowdsec: CrowdSec):
    """Adding one, reading it, and deleting it beside very many."""
    state = simulation.estate.product_state["crowdsec"]
    ends = simulation.estate.now().timestamp() + 3600
    for n in range(100_000):
        value = f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}"
        decision = {"origin": "hikeshi", "type": "ban", "scope": "Ip", "value": value, "scenario": "hikeshi/block"}
        state["decisions"][f"Ip {value}"], state["marks"][f"Ip {value}"] = [decision], [[n, ends]]
    begun = time.monotonic()
    with through(live()):
        await crowdsec.block_indicators([ADDRESS], "beacon", 60)
    assert (await crowdsec.blocks_of([ADDRESS]))[0].blocked
    with through(live()):
        await crowdsec.unblock_indicators([ADDRESS], "over")
    assert time.monotonic() - begun < 30
