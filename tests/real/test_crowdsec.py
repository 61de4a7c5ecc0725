"""CrowdSec's own Local API: decisions are made, read, ended by it, and deleted; nobody else's are touched.

Needs the Debian package crowdsec; is skipped without, and says so.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_line import CommandLine
from crowdsec_lapi import MACHINE, Lapi, lapi, why_not

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Secret, Unauthorized, Unavailable
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.crowdsec import CrowdSec
from hikeshi_connectors.crowdstrike.simulator import CrowdStrikeSimulator

REASON = why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lapi]:
    with lapi(tmp_path_factory.mktemp("lapi")) as running_one:
        yield running_one


Connect = Callable[..., CrowdSec]


@pytest.fixture
async def connected(api: Lapi) -> AsyncIterator[Connect]:
    """Gives instances with the right credentials, or others, and closes them in the end."""
    made: list[CrowdSec] = []

    def connect(**settings: Any) -> CrowdSec:
        secrets = {"password": Secret.of_value(api.password), "bouncer_key": Secret.of_value(api.bouncer_key)}
        given = {"base_url": api.url, "machine_id": MACHINE, **secrets, **settings}
        connector = build(CrowdSec, "crowdsec", given, Redactor())
        assert isinstance(connector, CrowdSec)
        made.append(connector)
        return connector

    yield connect
    for each in made:
        await each.http.aclose()


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="firewall.block_indicators", intended=True)


def decided(api: Lapi, value: str) -> list[tuple[str, str]]:
    """Return whose decisions there are on a value, and what they are, as any bouncer would be told."""
    found = httpx.get(f"{api.url}/v1/decisions", params={"value": value}, headers={"x-api-key": api.bouncer_key}).json()
    return sorted((each["origin"], each["type"]) for each in found or [])


@pytest.mark.parametrize(
    "indicator",
    [
        Indicator(kind="ipv4", value="203.0.113.7"),
        Indicator(kind="ipv6", value="2001:db8::7"),
        Indicator(kind="cidr", value="198.51.100.0/24"),
        Indicator(kind="cidr", value="2001:db8:1::/48"),
    ],
    ids=lambda indicator: indicator.value,
)
async def test_a_decision_is_made_once_read_back_and_deleted(api: Lapi, connected: Connect, indicator: Indicator):
    """Each twice, which does no harm; a bouncer is told the same."""
    crowdsec = connected()
    for _ in range(2):
        with through(live()):
            await crowdsec.block_indicators([indicator], "beacon", 3600)
    assert decided(api, indicator.value) == [("hikeshi", "ban")]
    (block,) = await crowdsec.blocks_of([indicator])
    assert block.blocked
    assert block.expires_at is not None
    assert abs(block.expires_at - datetime.now(UTC) - timedelta(hours=1)) < timedelta(seconds=70)
    for _ in range(2):
        with through(live()):
            await crowdsec.unblock_indicators([indicator], "over")
    assert decided(api, indicator.value) == []
    assert not (await crowdsec.blocks_of([indicator]))[0].blocked


async def test_other_peoples_decisions_stay(api: Lapi, connected: Connect):
    """A person has banned the same address, and the network around it: neither counts, and neither is deleted."""
    api.cscli("decisions", "add", "--ip", "192.0.2.7", "--duration", "1h")
    api.cscli("decisions", "add", "--range", "192.0.2.0/24", "--duration", "1h")
    address = Indicator(kind="ipv4", value="192.0.2.7")
    crowdsec, other = connected(), connected(scenario="hikeshi/other")
    assert not (await crowdsec.blocks_of([address]))[0].blocked
    with through(live()):
        await crowdsec.block_indicators([address], "beacon", 3600)
    with through(live()):
        await other.block_indicators([address], "beacon", 3600)
    assert decided(api, "192.0.2.7") == [("cscli", "ban"), ("hikeshi", "ban"), ("hikeshi", "ban")]
    with through(live()):
        await crowdsec.unblock_indicators([address], "over")
    assert decided(api, "192.0.2.7") == [("cscli", "ban"), ("hikeshi", "ban")]
    assert decided(api, "192.0.2.0/24") == [("cscli", "ban")]
    assert (await other.blocks_of([address]))[0].blocked


async def test_crowdsec_ends_a_decision_by_itself(connected: Connect):
    """After its time it is not there any more, and nobody deleted it."""
    address = Indicator(kind="ipv4", value="203.0.113.99")
    crowdsec = connected()
    with through(live()):
        await crowdsec.block_indicators([address], "beacon", 2)
    assert (await crowdsec.blocks_of([address]))[0].blocked
    await asyncio.sleep(2.5)
    assert not (await crowdsec.blocks_of([address]))[0].blocked


async def test_hundreds_are_decided_in_one_request(connected: Connect):
    """And deleted one after another."""
    many = [Indicator(kind="ipv4", value=f"198.18.{n >> 8}.{n & 255}") for n in range(600)]
    crowdsec = connected()
    with through(live()):
        await crowdsec.block_indicators(many, "beacon")
    assert all(block.blocked for block in await crowdsec.blocks_of(many))
    with through(live()):
        await crowdsec.unblock_indicators(many, "over")
    assert not any(block.blocked for block in await crowdsec.blocks_of(many))


async def test_wrong_credentials_are_told_apart_from_failures(connected: Connect):
    """The machine's and the bouncer's; and what the API refuses, it refuses with 500."""
    address = Indicator(kind="ipv4", value="203.0.113.50")
    wrong = Secret.of_value("not-the-right-one")
    with pytest.raises(Unauthorized, match="bouncer's key"):
        await connected(bouncer_key=wrong).blocks_of([address])
    with through(live()), pytest.raises(Unauthorized, match="incorrect Username or Password"):
        await connected(password=wrong).block_indicators([address], "beacon", 60)
    with pytest.raises(Unavailable, match="nonsense"), through(live()):
        await connected().http.delete("/v1/decisions", params={"value": "203.0.113.50", "nonsense": "x"})


def test_a_run_decides_and_its_undo_takes_it_back(api: Lapi, tmp_path: Path):
    """The whole engine: the playbook that ships, against the Local API, and taken back."""
    hikeshi = CommandLine(tmp_path)
    simulation = Simulation(Estate(EstateState("small", datetime.now(UTC))), [CrowdStrikeSimulator])
    settings = {"machine_id": MACHINE, "password": api.password, "bouncer_key": api.bouncer_key}
    crowdsec = {"product": "crowdsec", "base_url": api.url, **settings}
    with running(simulation) as url:  # the playbook also wants an EDR
        hikeshi.configure({**simulation.project_settings(url), "crowdsec": crowdsec})
        indicators = json.dumps(["203.0.113.200", "203.0.114.0/24"])
        done = hikeshi("run", "block-indicators", "-i", f"indicators={indicators}", "--json")
        assert done.code == 0, done.out + done.err
        assert decided(api, "203.0.113.200") == decided(api, "203.0.114.0/24") == [("hikeshi", "ban")]

        undone = hikeshi("undo", str(done.document["run"]), "--yes")
        assert undone.code == 0, undone.out + undone.err
        assert decided(api, "203.0.113.200") == decided(api, "203.0.114.0/24") == []
