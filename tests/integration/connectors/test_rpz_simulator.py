"""A response policy zone against its simulator, over real DNS: what the contract kit does not ask of it."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import (
    Applied,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    Secret,
    Timeout,
    Unauthorized,
    Unavailable,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.faults import Fault
from hikeshi.testing.simulation import Simulation, running

pytest.importorskip("dns", reason="dnspython is not installed")

from hikeshi_connectors.rpz import Rpz
from hikeshi_connectors.rpz.simulator import RpzSimulator

EVIL = Indicator(kind="domain", value="evil.example")


@pytest.fixture
def simulation() -> Simulation:
    return Simulation(Estate(EstateState("small", datetime.now(UTC))), [RpzSimulator])


@pytest.fixture
def url(simulation: Simulation) -> Iterator[str]:
    with running(simulation) as url:
        yield url


def connected(simulation: Simulation, url: str, **more: Any) -> Rpz:
    settings = {**simulation.simulators["rpz"].settings_at(url), **more}
    settings.pop("product")
    settings["tsig_secret"] = Secret.of_value(settings["tsig_secret"])
    connector = build(Rpz, "rpz", settings, Redactor())
    assert isinstance(connector, Rpz)
    return connector


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="dns.sinkhole_domains", intended=True)


async def test_a_zone_of_many_messages_is_read_whole(simulation: Simulation, url: str):
    """A transfer of 2,000 domains comes in nine messages, and every one counts."""
    rpz = connected(simulation, url)
    many = [Indicator(kind="domain", value=f"n{n}.example") for n in range(2_000)]
    with through(live()):
        await rpz.sinkhole_domains(many, "phishing")
    assert all(block.blocked for block in await rpz.sinkholes_of(many))
    assert len(simulation.changes) == 5
    with through(live()):
        await rpz.unsinkhole_domains(many, "over")
    assert simulation.summary()["rpz"] == {"entries": {}}


async def test_entries_are_shown(simulation: Simulation, url: str):
    """A person sees each entry with what it says."""
    with through(live()):
        await connected(simulation, url).sinkhole_domains([EVIL], "phishing")
    shown = {"evil.example": ["CNAME ."], "*.evil.example": ["CNAME ."]}
    assert simulation.summary()["rpz"] == {"entries": shown}


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"tsig_name": "stranger"}, Unauthorized),
        ({"tsig_secret": "c29tZSBvdGhlciBrZXkgdGhhdCBpcyBub25l"}, Unauthorized),
        ({"zone": "nowhere.example"}, NotFound),
    ],
)
async def test_wrong_keys_and_zones_are_refused_as_a_name_server_does(
    simulation: Simulation, url: str, settings: dict[str, str], kind: type[ConnectorError]
):
    """For reading and for changing."""
    rpz = connected(simulation, url, **settings)
    with pytest.raises(kind):
        await rpz.sinkholes_of([EVIL])
    with through(live()), pytest.raises(kind) as refused:
        await rpz.unsinkhole_domains([EVIL], "over")
    assert refused.value.applied is Applied.NO
    assert not any(change["applied"] for change in simulation.changes)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"status": 401}, Unauthorized),
        ({"status": 403}, Forbidden),
        ({"status": 404}, NotFound),
        ({"status": 503}, Unavailable),
        ({"drop": "before"}, Unavailable),
        ({"half": True}, Unavailable),
        ({"html": True}, Invalid),
        ({"delay_s": 1.0}, Timeout),
    ],
)
async def test_a_transfer_that_fails_is_an_error(
    simulation: Simulation, url: str, fault: dict[str, Any], kind: type[ConnectorError]
):
    """Nothing that goes wrong is "not sinkholed"."""
    simulation.faults.add(Fault(method="AXFR", **fault))
    with pytest.raises(kind):
        await connected(simulation, url, timeout_s=0.6).sinkholes_of([EVIL])
