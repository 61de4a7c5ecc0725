"""A response policy zone on BIND: a name resolves, does not when it is sinkholed, and does again when that is undone.

Needs the Debian package bind9 and the Python package dnspython; is skipped without, and says so.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import CommandLine

pytest.importorskip("dns", reason="dnspython is not installed: pip install hikeshi[dns]")
from bind_server import KEY, ZONE, Bind, bind, why_not

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    NotFound,
    PartialFailure,
    Secret,
    Unauthorized,
    Unavailable,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.rpz import Rpz

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
Connect = Callable[..., Rpz]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bind]:
    with bind(tmp_path_factory.mktemp("bind")) as running_one:
        yield running_one


@pytest.fixture
async def connected(server: Bind) -> AsyncIterator[Connect]:
    """Gives instances with the right settings, or others, and closes them in the end."""
    made: list[Rpz] = []

    def connect(**settings: Any) -> Rpz:
        secret = Secret.of_value(settings.pop("secret", server.secret))
        given = {"base_url": f"dns://localhost:{server.port}", "zone": ZONE, "tsig_name": KEY, "tsig_secret": secret}
        connector = build(Rpz, "rpz", {**given, **settings}, Redactor())
        assert isinstance(connector, Rpz)
        made.append(connector)
        return connector

    yield connect
    for each in made:
        await each.http.aclose()


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="dns.sinkhole_domains", intended=True)


def domain(value: str) -> Indicator:
    return Indicator(kind="domain", value=value)


async def sunk(connector: Rpz, *domains: Indicator) -> list[bool]:
    return [block.blocked for block in await connector.sinkholes_of(list(domains))]


async def test_a_name_and_those_below_it_do_not_resolve_until_that_is_undone(server: Bind, connected: Connect):
    """Each change twice, which does no harm; names beside it resolve all the time."""
    rpz, evil = connected(), domain("Evil.example")
    names = ("evil.example", "www.evil.example", "a.b.evil.example")
    assert all(map(server.resolves, names))
    for _ in range(2):
        with through(live()):
            await rpz.sinkhole_domains([evil], "phishing")
    assert await sunk(rpz, evil) == [True]
    assert not any(map(server.resolves, names))
    assert server.resolves("notevil.example")
    for _ in range(2):
        with through(live()):
            await rpz.unsinkhole_domains([evil], "over")
    assert await sunk(rpz, evil) == [False]
    assert all(map(server.resolves, names))


async def test_a_domain_below_another_has_entries_of_its_own(server: Bind, connected: Connect):
    """The wildcard of the one above does not count for it, so that it stays sinkholed without it."""
    rpz, above, below = connected(), domain("above.example"), domain("below.above.example")
    with through(live()):
        await rpz.sinkhole_domains([above], "phishing")
    assert await sunk(rpz, above, below) == [True, False]
    with through(live()):
        await rpz.sinkhole_domains([below], "phishing")
    with through(live()):
        await rpz.unsinkhole_domains([above], "over")
    assert await sunk(rpz, above, below) == [False, True]
    assert server.resolves("above.example")
    assert not server.resolves("below.above.example")
    with through(live()):
        await rpz.unsinkhole_domains([below], "over")


async def test_somebody_elses_entry_is_left_as_it_is(server: Bind, connected: Connect):
    """A name that an administrator lets pass goes on passing; the rest is sinkholed."""
    rpz, good, bad = connected(), domain("good.example"), domain("bad.example")
    with through(live()), pytest.raises(PartialFailure) as partial:
        await rpz.sinkhole_domains([good, bad], "phishing")
    assert {value: type(error) for value, error in partial.value.failures.items()} == {"good.example": Conflict}
    with through(live()):
        await rpz.unsinkhole_domains([good, bad], "over")
    with through(live()), pytest.raises(Conflict, match="rpz-passthru"):
        await rpz.sinkhole_domains([good], "phishing")
    assert server.resolves("good.example")


async def test_thousands_take_a_few_messages(connected: Connect):
    """3,000 domains, entered, read, and deleted."""
    rpz, many = connected(), [domain(f"name-{n}.a-rather-long-campaign-name.example") for n in range(3_000)]
    with through(live()):
        await rpz.sinkhole_domains(many, "phishing")
    assert all(await sunk(rpz, *many))
    with through(live()):
        await rpz.unsinkhole_domains(many, "over")
    assert not any(await sunk(rpz, *many))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ({"secret": "c29tZSBvdGhlciBrZXkgdGhhdCBpcyBub25l"}, Unauthorized),
        ({"secret": "no base64"}, Unauthorized),
        ({"tsig_name": "nobody"}, Unauthorized),
        ({"tsig_algorithm": "hmac-sha512"}, Unauthorized),
        ({"zone": "nowhere.test"}, NotFound),
        ({"zone": "example"}, Forbidden),
        ({"base_url": "dns://127.0.0.1:1"}, Unavailable),
        ({"base_url": "dns://nowhere.invalid"}, Unavailable),
    ],
)
async def test_refusals_are_told_apart(connected: Connect, settings: Any, kind: type[ConnectorError]):
    """For reading and for changing; nothing was changed."""
    rpz = connected(**settings)
    with pytest.raises(kind):
        await rpz.sinkholes_of([domain("evil.example")])
    with through(live()), pytest.raises(kind) as refused:
        await rpz.unsinkhole_domains([domain("evil.example")], "over")
    assert refused.value.applied is Applied.NO


async def test_a_key_without_privileges_is_forbidden(server: Bind, connected: Connect):
    """It is known to the server, and may neither transfer the zone nor update it."""
    rpz = connected(tsig_name="stranger", secret=server.stranger)
    with pytest.raises(Forbidden):
        await rpz.sinkholes_of([domain("evil.example")])
    with through(live()), pytest.raises(Forbidden):
        await rpz.unsinkhole_domains([domain("evil.example")], "over")


def test_a_run_sinkholes_and_its_undo_lets_names_resolve_again(server: Bind, tmp_path: Path):
    """The whole engine: planned, run, and taken back."""
    hikeshi = CommandLine(tmp_path)
    settings = {"base_url": f"dns://127.0.0.1:{server.port}", "zone": ZONE, "tsig_name": KEY}
    hikeshi.configure({"rpz": {"product": "rpz", **settings, "tsig_secret": server.secret}})
    hikeshi.add_playbook("sinkhole", PLAYBOOK)
    domains = json.dumps(["c2.example", "sync.phish.example"])
    names = ("c2.example", "x.c2.example", "sync.phish.example")

    planned = hikeshi("plan", "sinkhole", "-i", f"domains={domains}")
    assert planned.code == 0, planned.out + planned.err
    assert "update add c2.example.rpz.test. 60 CNAME ." in planned.out + planned.err
    assert all(map(server.resolves, names))

    done = hikeshi("run", "sinkhole", "-i", f"domains={domains}", "--json")
    assert done.code == 0, done.out + done.err
    assert not any(map(server.resolves, names))
    assert server.resolves("phish.example")

    undone = hikeshi("undo", str(done.document["run"]), "--yes")
    assert undone.code == 0, undone.out + undone.err
    assert all(map(server.resolves, names))
