"""A response policy zone on PowerDNS, used by a resolver: a name resolves, does not when sinkholed, and does again.

Needs the Debian packages pdns-server, pdns-backend-sqlite3 and bind9 and the Python package dnspython (to ask the
resolver); is skipped without, and says so.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine

pytest.importorskip("dns", reason="dnspython is not installed: pip install hikeshi[dns]")
from powerdns_server import ZONE, Servers, servers, why_not

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import ConnectorError, Invalid, NotFound, Secret, Unauthorized
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.powerdns import PowerDns

REASON = why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")
PLAYBOOK = """id: sinkhole
inputs:
  domains: {type: list, items: indicator, min_length: 1}
steps:
  - id: sink
    action: dns.sinkhole_domains
    with: {domains: "{{ inputs.domains }}", reason: phishing}
    hold: 1h
"""
Connect = Callable[..., PowerDns]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("powerdns")) as running_ones:
        yield running_ones


@pytest.fixture
async def connected(both: Servers) -> AsyncIterator[Connect]:
    """Gives instances with the right settings, or others, and closes them in the end."""
    made: list[PowerDns] = []

    def connect(**settings: Any) -> PowerDns:
        given = {"base_url": both.url, "api_key": Secret.of_value(both.api_key), "zone": ZONE, **settings}
        connector = build(PowerDns, "powerdns", given, Redactor())
        assert isinstance(connector, PowerDns)
        made.append(connector)
        return connector

    yield connect
    for each in made:
        await each.http.aclose()


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="dns.sinkhole_domains", intended=True)


def domain(value: str) -> Indicator:
    return Indicator(kind="domain", value=value)


@pytest.mark.parametrize("action", ["nxdomain", "nodata"])
async def test_a_name_and_those_below_it_do_not_resolve_until_that_is_undone(
    both: Servers, connected: Connect, action: str
):
    """Each change twice, which does no harm; names beside it resolve all the time."""
    powerdns, evil = connected(action=action), domain(f"Evil-{action}.example")
    assert both.resolves(f"www.evil-{action}.example")
    for _ in range(2):
        with through(live()):
            await powerdns.sinkhole_domains([evil], "phishing")
    assert (await powerdns.sinkholes_of([evil]))[0].blocked
    for name in ("", "www.", "a.b."):
        both.until(f"{name}evil-{action}.example", resolves=False)
    assert both.resolves("notevil.example")
    for _ in range(2):
        with through(live()):
            await powerdns.unsinkhole_domains([evil], "over")
    assert not (await powerdns.sinkholes_of([evil]))[0].blocked
    both.until(f"evil-{action}.example", resolves=True)
    both.until(f"www.evil-{action}.example", resolves=True)


async def test_thousands_take_a_few_requests(connected: Connect):
    """2,500 domains, entered, read, and deleted."""
    powerdns, many = connected(), [domain(f"name-{n}.a-rather-long-campaign-name.example") for n in range(2_500)]
    with through(live()):
        await powerdns.sinkhole_domains(many, "phishing")
    assert all(block.blocked for block in await powerdns.sinkholes_of(many))
    with through(live()):
        await powerdns.unsinkhole_domains(many, "over")
    assert not any(block.blocked for block in await powerdns.sinkholes_of(many))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"api_key": Secret.of_value("not-the-right-one")}, Unauthorized),
        ({"zone": "nowhere.test"}, NotFound),
        ({"server_id": "elsewhere"}, NotFound),
    ],
)
async def test_refusals_are_told_apart(connected: Connect, settings: Any, kind: type[ConnectorError]):
    """For reading and for changing."""
    with pytest.raises(kind):
        await connected(**settings).sinkholes_of([domain("evil.example")])
    with through(live()), pytest.raises(kind):
        await connected(**settings).sinkhole_domains([domain("evil.example")], "phishing")


async def test_a_wrong_request_is_refused_whole(connected: Connect):
    """One record set out of the zone, and the other is not entered either."""
    powerdns = connected()
    records = [{"content": ".", "disabled": False}]
    rest = {"type": "CNAME", "ttl": 60, "changetype": "REPLACE", "records": records}
    sets = [{"name": f"{name}.", **rest} for name in (f"half.example.{ZONE}", "elsewhere.test")]
    with through(live()), pytest.raises(Invalid, match="out of zone"):
        await powerdns.http.patch(f"/api/v1/servers/localhost/zones/{ZONE}.", json={"rrsets": sets})
    zone = await powerdns.http.get(f"/api/v1/servers/localhost/zones/{ZONE}.")
    assert "half.example" not in zone.text


def test_a_run_sinkholes_and_its_undo_lets_names_resolve_again(both: Servers, tmp_path: Path):
    """The whole engine, and taken back."""
    hikeshi = CommandLine(tmp_path)
    settings = {"base_url": both.url, "api_key": both.api_key, "zone": ZONE}
    hikeshi.configure({"powerdns": {"product": "powerdns", **settings}})
    hikeshi.add_playbook("sinkhole", PLAYBOOK)
    domains = json.dumps(["c2.example", "sync.phish.example"])
    done = hikeshi("run", "sinkhole", "-i", f"domains={domains}", "--json")
    assert done.code == 0, done.out + done.err
    both.until("x.c2.example", resolves=False)
    both.until("sync.phish.example", resolves=False)
    undone = hikeshi("undo", str(done.document["run"]), "--yes")
    assert undone.code == 0, undone.out + undone.err
    both.until("x.c2.example", resolves=True)
    both.until("sync.phish.example", resolves=True)
