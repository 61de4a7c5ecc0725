"""Cloudflare against its simulator, over real HTTP: what the contract kit does not ask."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Conflict, PartialFailure, RateLimited, Secret
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.cloudflare import Cloudflare
from hikeshi_connectors.cloudflare.simulator import ACCOUNT, CloudflareSimulator

FIRST = Indicator(kind="ipv4", value="203.0.113.1")
SECOND = Indicator(kind="ipv6", value="2001:db8::2")
ZONE = "a" * 32


def fresh(settle_s: float = 0.05) -> Estate:
    return Estate(EstateState("small", datetime.now(UTC).replace(microsecond=0), settle_s=settle_s))


@asynccontextmanager
async def account(estate: Estate, **settings: Any) -> AsyncIterator[Cloudflare]:
    with running(Simulation(estate, [CloudflareSimulator])) as base_url:
        given = {**CloudflareSimulator.connector_settings(base_url), **settings}
        del given["product"]
        given["api_token"] = Secret.of_value(given["api_token"])
        connector = build(Cloudflare, "cloudflare", given, Redactor())
        assert isinstance(connector, Cloudflare)
        try:
            yield connector
        finally:
            await connector.http.aclose()


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="firewall.block_indicators", intended=True)


async def block(connector: Cloudflare, *indicators: Indicator) -> None:
    with through(live()):
        await connector.block_indicators(list(indicators), "c2")


async def blocked(connector: Cloudflare, *indicators: Indicator) -> list[bool]:
    return [state.blocked for state in await connector.blocks_of(list(indicators))]


@pytest.mark.parametrize("zone", [None, ZONE])
async def test_access_rules_block_release_and_page(zone: str | None):
    """With more rules than a page has, of the account or of a zone."""
    estate = fresh()
    many = [Indicator(kind="ipv4", value=f"192.0.2.{n}") for n in range(120)]
    async with account(estate, addresses="access_rules", zone_id=zone, requests_per_minute=100_000) as connector:
        await block(connector, *many, SECOND)
        assert all(await blocked(connector, *many, SECOND))
        await block(connector, *many[:2])
        with through(live()):
            await connector.unblock_indicators([*many[:60], SECOND], "over")
        assert await blocked(connector, many[0], many[60], SECOND) == [False, True, False]


async def test_an_undo_in_a_zone_leaves_the_rules_of_the_account():
    """Somebody blocks the address for the whole account: that is theirs, before our rule and after it."""
    estate = fresh()
    async with account(estate, addresses="access_rules") as whole:
        await block(whole, FIRST)
    async with account(estate, addresses="access_rules", zone_id=ZONE) as zone:
        assert await blocked(zone, FIRST) == [False]
        await block(zone, FIRST)
        assert await blocked(zone, FIRST) == [True]
        with through(live()):
            await zone.unblock_indicators([FIRST], "over")
        assert await blocked(zone, FIRST) == [False]
    async with account(estate, addresses="access_rules") as whole:
        assert await blocked(whole, FIRST) == [True]


async def test_a_rule_of_another_mode_is_a_conflict():
    """An address that somebody lets pass is not blocked behind their back."""
    estate = fresh()
    configuration = {"target": "ip", "value": FIRST.value}
    state = estate.product_state
    async with account(estate, addresses="access_rules") as connector:
        rule = {"id": "1", "mode": "whitelist", "configuration": configuration}
        state["cloudflare"]["access"][f"accounts/{ACCOUNT}"] = {FIRST.value: rule}
        with pytest.raises(Conflict):
            await block(connector, FIRST)
        assert await blocked(connector, FIRST) == [False]


async def test_jobs_of_one_instance_wait_for_each_other():
    """Cloudflare refuses a second job, so two batches at once go one after the other."""
    async with account(fresh()) as connector:
        await asyncio.gather(block(connector, FIRST), block(connector, SECOND))
        assert await blocked(connector, FIRST, SECOND) == [True, True]


async def test_somebody_elses_job_is_a_rate_limit():
    """It passes, so the engine comes back."""
    estate = fresh()
    async with account(estate) as connector:
        jobs = estate.product_state["cloudflare"]["jobs"]
        jobs["x"] = {"status": "pending", "due": estate.now().timestamp() + 60, "add": [], "remove": []}
        with pytest.raises(RateLimited):
            await block(connector, FIRST)
        estate.advance(61)
        await block(connector, FIRST)


async def test_a_full_gateway_list_refuses_its_part_only():
    """The places are told apart."""
    domains = [Indicator(kind="domain", value=f"n{n}.example") for n in range(5_001)]
    async with account(fresh()) as connector:
        with pytest.raises(PartialFailure, match="maximum number") as caught:
            await block(connector, *domains, FIRST)
        assert len(caught.value.failures) == len(domains)
        assert await blocked(connector, FIRST) == [True]


async def test_thousands_of_addresses_go_in_one_job_and_are_read():
    """The list of the account is made for so many."""
    many = [Indicator(kind="ipv4", value=f"10.0.{n >> 8}.{n & 255}") for n in range(10_000)]
    async with account(fresh(), requests_per_minute=100_000) as connector:
        await block(connector, *many)
        assert all(await blocked(connector, *many))
