"""Domains as entries of a response policy zone, and the updates that make and delete them."""

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Conflict, ConnectorError, Invalid, PartialFailure, Secret, Unsupported
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.rpz import Rpz
from hikeshi_connectors.rpz.entries import Records, domain_of, missing, owners, target_of, whole

dns_tsig = pytest.importorskip("dns.tsig", reason="dnspython is not installed")

SECRET = "dW5pdC10ZXN0LWtleS1vZi0zMi1ieXRlcy1sb25nISE="


def domain(value: str) -> Indicator:
    return Indicator(kind="domain", value=value)


def entries(*domains: str, target: str = ".") -> dict[str, frozenset[tuple[str, str]]]:
    return {owner: frozenset({("CNAME", target)}) for each in domains for owner in owners(each)}


class Zone:
    """A name server whose zone is known."""

    def __init__(self, records: Records) -> None:
        self._records = records

    async def records(self, key: Any) -> Records:
        return self._records


class RpzOf(Rpz):
    """The connector, with such a server."""

    standing: Records

    @property
    def _server(self) -> Any:
        return Zone(self.standing)


def rpz(standing: Records | None = None, **settings: Any) -> Rpz:
    secret = Secret.of_value(SECRET)
    given = {"base_url": "dns://ns1.test", "zone": "rpz.test", "tsig_name": "hikeshi", "tsig_secret": secret}
    connector = build(RpzOf, "rpz", {**given, **settings}, Redactor())
    assert isinstance(connector, RpzOf)
    connector.standing = entries("evil.example") if standing is None else standing
    return connector


async def planned(connector: Rpz, *domains: Indicator, complete: bool = True, verb: str = "unsinkhole_domains") -> Any:
    door = Door(mode="plan", effect=Effect.CHANGE, action=f"dns.{verb}")
    with through(door), pytest.raises(CaptureEnded):
        await getattr(connector, verb)(list(domains), "over")
    (shown,) = door.captured
    assert door.complete is complete
    return shown


async def test_a_plan_shows_the_update_in_the_words_of_nsupdate():
    """Exactly the records with our target are deleted: what somebody else entered stays."""
    shown = await planned(rpz(), domain("Evil.example."))
    assert (shown.method, shown.url) == ("DNS UPDATE", "dns://ns1.test/rpz.test")
    assert shown.body == {
        "zone": "rpz.test.",
        "prerequisites": [],
        "updates": [
            "update delete evil.example.rpz.test. CNAME .",
            "update delete *.evil.example.rpz.test. CNAME .",
        ],
    }


@pytest.mark.parametrize(("action", "target"), [("nodata", "*."), ("drop", "rpz-drop.")])
async def test_the_action_is_the_target_of_the_entry(action: str, target: str):
    """Source: draft-vixie-dnsop-dns-rpz-00, section 3."""
    shown = await planned(rpz({}, action=action), domain("evil.example"), verb="sinkhole_domains")
    assert [line.split()[-1] for line in shown.body["updates"]] == [target, target]


@pytest.mark.parametrize("action", ["nxdomain", "nodata", "drop"])
async def test_an_entry_from_before_the_action_was_changed_is_found_and_deleted(action: str):
    """Otherwise an undo would find nothing to do, and the domain would stay as it is for ever."""
    evil = domain("evil.example")
    for target in (".", "*.", "rpz-drop."):
        connector = rpz(entries("evil.example", target=target), action=action)
        (block,) = await connector.sinkholes_of([evil])
        assert block.blocked
        shown = await planned(connector, evil)
        assert [line.split()[-1] for line in shown.body["updates"]] == [target, target]


@pytest.mark.parametrize("owner", ["evil.example", "*.evil.example"])
async def test_half_an_entry_is_neither_made_whole_nor_deleted(owner: str):
    """Somebody else made it: an undo that deleted it would give free what they keep back."""
    connector, evil = rpz({owner: frozenset({("CNAME", ".")})}), domain("evil.example")
    (block,) = await connector.sinkholes_of([evil])
    assert not block.blocked
    door = Door(mode="plan", effect=Effect.CHANGE, action="dns.sinkhole_domains")
    with through(door), pytest.raises(Conflict, match="and none for"):
        await connector.sinkhole_domains([evil], "phishing")
    with through(door):
        await connector.unsinkhole_domains([evil], "over")
    assert not door.captured


async def test_a_plan_of_several_updates_says_that_it_shows_the_first():
    """What comes after it cannot be shown."""
    names = [f"name-{n}.example" for n in range(1_000)]
    await planned(rpz(entries(*names)), *map(domain, names), complete=False)


def test_an_entry_is_made_only_where_nothing_stands():
    """The server checks that itself, at the moment of the update."""
    from hikeshi_connectors.rpz.updates import addition, lines_of

    assert lines_of(addition("rpz.test", owners("evil.example"), ".", 30)) == {
        "zone": "rpz.test.",
        "prerequisites": ["nxdomain evil.example.rpz.test.", "nxdomain *.evil.example.rpz.test."],
        "updates": [
            "update add evil.example.rpz.test. 30 CNAME .",
            "update add *.evil.example.rpz.test. 30 CNAME .",
        ],
    }


@pytest.mark.parametrize("length", [20, 100, 235])
def test_every_lot_fits_into_a_message(length: int):
    """Both entries of a domain are in the same one; a message over TCP holds 65,535 bytes, its signature included."""
    from hikeshi_connectors.rpz.connector import _lots
    from hikeshi_connectors.rpz.updates import addition

    key = dns_tsig.Key("hikeshi.", SECRET, "hmac-sha512.")
    names = [owner for n in range(2_000) for owner in owners(_long_name(n, length))]
    lots = _lots(names)
    assert [name for lot in lots for name in lot] == names
    assert all(len(lot) % 2 == 0 for lot in lots)
    for lot in (lots[0], lots[-1]):
        message = addition("rpz.test", lot, "rpz-drop.", 60)
        message.use_tsig({key.name: key}, keyname=key.name)
        assert len(message.to_wire()) <= 65_535


def _long_name(number: int, length: int) -> str:
    # Labels without a common end, which no compression makes shorter.
    text = f"{number:08d}" * 40
    return ".".join(text[start : start + 60] for start in range(0, length - 2, 61))[: length - 2].rstrip(".") + ".x"


def test_what_stands_in_the_zone_decides_what_is_missing():
    """A whole entry is left out, and what somebody else entered is refused by name: half an entry, too."""
    ours, passes = frozenset({("CNAME", ".")}), frozenset({("CNAME", "rpz-passthru.")})
    mixed = {"mixed.x": ours, "*.mixed.x": frozenset({("CNAME", "*.")})}
    records = {**entries("whole.x"), **mixed, "half.x": ours, "*.passes.x": passes, "off.x": frozenset()}
    wanted, refused = missing(["whole.x", "half.x", "passes.x", "mixed.x", "off.x", "new.x"], records)
    assert wanted == ["new.x", "*.new.x"]
    assert all(isinstance(error, Conflict) for error in refused.values())
    assert list(refused) == ["half.x", "passes.x", "mixed.x", "off.x"]
    assert "half.x: CNAME ., and none for *.half.x" in refused["half.x"].message
    assert "*.passes.x: CNAME rpz-passthru." in refused["passes.x"].message
    assert whole(["whole.x", "half.x", "mixed.x", "new.x"], records) == {"whole.x": ".", "*.whole.x": "."}
    assert target_of("passes.x", records) is None


@pytest.mark.parametrize(
    ("indicator", "kind"),
    [
        (domain(""), Invalid),
        (domain("example"), Invalid),
        (domain("*.example.org"), Invalid),
        (domain("a..example"), Invalid),
        (domain("evil.example\nupdate delete rpz.test"), Invalid),
        (domain(r"evil\.example"), Invalid),
        (domain("-evil.example"), Invalid),
        (domain("bücher.example"), Invalid),
        (domain(f"{'a' * 64}.example"), Invalid),
        (domain(".".join(["a" * 60] * 4)), Unsupported),
        (Indicator(kind="ipv4", value="192.0.2.1"), Unsupported),
    ],
)
async def test_what_is_no_domain_is_refused_and_the_rest_is_sent(indicator: Indicator, kind: type[ConnectorError]):
    """Alone, the refusal is the error itself; beside others it is named, after the rest was sent."""
    with pytest.raises(kind):
        domain_of(indicator, "rpz.test")
    with pytest.raises(kind), through(Door(mode="plan", effect=Effect.CHANGE, action="a")):
        await rpz().unsinkhole_domains([indicator], "over")
    shown = await planned(rpz(), indicator, domain("evil.example"))
    assert len(shown.body["updates"]) == 2


async def test_several_refusals_are_each_named():
    """Nothing is left to send then."""
    with pytest.raises(PartialFailure) as partial, through(Door(mode="plan", effect=Effect.CHANGE, action="a")):
        await rpz().unsinkhole_domains([domain("a"), domain("b")], "over")
    assert set(partial.value.failures) == {"a", "b"}


@pytest.mark.parametrize(
    "setting",
    [{"base_url": "https://ns1.test"}, {"base_url": "dns://"}, {"base_url": "dns://ns1.test/x"}, {"zone": "a b"},
     {"zone": ""}, {"tsig_name": "hikeshi."}, {"tsig_algorithm": "hmac-md5"}, {"action": "redirect"}],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(setting: dict[str, str]):
    """When the project is read, not when it is needed."""
    with pytest.raises(ValidationError):
        rpz(**setting)


def test_without_dnspython_the_message_names_what_to_install():
    """Everything else of Hikeshi works without it."""
    script = """
import asyncio, sys
sys.modules["dns"] = None
from hikeshi.capabilities import Indicator
from hikeshi.connector import Secret, Unsupported
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.rpz import Rpz
given = {"base_url": "dns://n", "zone": "z", "tsig_name": "k", "tsig_secret": Secret.of_value("aaaa")}
rpz = build(Rpz, "rpz", given, Redactor())
try:
    asyncio.run(rpz.sinkholes_of([Indicator(kind="domain", value="evil.example")]))
except Unsupported as exc:
    print(exc.message)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "install hikeshi[dns]" in done.stdout, done.stderr
