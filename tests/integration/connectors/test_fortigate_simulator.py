"""FortiGate against its simulator, over real HTTP: what the contract kit does not ask."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import RateLimited, Secret, Unauthorized
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.fortigate import FortiGate
from hikeshi_connectors.fortigate.simulator import FortiGateSimulator

MANY = [Indicator(kind="ipv4", value=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") for n in range(100_000)]


@asynccontextmanager
async def firewall(estate: Estate, **settings: Any) -> AsyncIterator[FortiGate]:
    simulation = Simulation(estate, [FortiGateSimulator])
    with running(simulation) as base_url:
        given = {**FortiGateSimulator.connector_settings(base_url), **settings}
        del given["product"]
        given["token"] = Secret.of_value(given["token"])
        connector = build(FortiGate, "fortigate", given, Redactor())
        assert isinstance(connector, FortiGate)
        try:
            yield connector
        finally:
            await connector.http.aclose()


def fresh() -> Estate:
    return Estate(EstateState("small", datetime.now(UTC).replace(microsecond=0)))


def live(verb: str) -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action=f"firewall.{verb}", intended=True)


async def test_three_wrong_tokens_lock_the_caller_out():
    """Even the right token is refused then, until the time is over."""
    estate = fresh()
    async with firewall(estate, token="wrong") as connector:
        for _ in range(3):
            with pytest.raises(Unauthorized):
                await connector.blocks_of(MANY[:1])
        with pytest.raises(RateLimited) as caught:
            await connector.blocks_of(MANY[:1])
        assert caught.value.retry_after_s is not None
        estate.advance(caught.value.retry_after_s)
        with pytest.raises(Unauthorized):
            await connector.blocks_of(MANY[:1])


async def test_a_hundred_thousand_addresses_are_banned_and_read():
    """The list of bans is read once for a whole batch, whatever its length."""
    async with firewall(fresh()) as connector:
        began = time.monotonic()
        for n in range(0, len(MANY), 20_000):
            with through(live("block_indicators")):
                await connector.block_indicators(MANY[n : n + 20_000], "feed", 3600)
        states = await connector.blocks_of([*MANY[:500], Indicator(kind="ipv4", value="203.0.113.1")])
        assert [state.blocked for state in states] == [True] * 500 + [False]
        assert time.monotonic() - began < 20
