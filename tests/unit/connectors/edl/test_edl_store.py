"""The file of external dynamic lists: what is in it, who has fetched it, and what can go wrong with it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Applied, ConnectorError, Invalid, PartialFailure, Secret, Unavailable, Unsupported
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.edl import Edl

ADDRESS = Indicator(kind="ipv4", value="203.0.113.7")
NETWORK = Indicator(kind="cidr", value="2001:DB8:1::/48")
DOMAIN = Indicator(kind="domain", value="Evil.example")
URL = Indicator(kind="url", value="https://user@Evil.example:443/ä?b=c#d")


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def edl(path: Path, **settings: Any) -> tuple[Edl, Clock]:
    given = {"folder": str(path), "pollers": ["10.0.0.1"], "polled_within_s": None, **settings}
    connector = build(Edl, "edges", given, Redactor())
    assert isinstance(connector, Edl)
    connector.store.clock = clock = Clock()
    return connector, clock


def door(mode: Any = "live") -> Door:
    return Door(mode=mode, effect=Effect.CHANGE, action="firewall.block_indicators", intended=mode == "live")


async def block(connector: Edl, *indicators: Indicator, expires_in_s: int | None = None) -> None:
    with through(door()):
        await connector.block_indicators(list(indicators), "c2 of case 7", expires_in_s)


async def unblock(connector: Edl, *indicators: Indicator) -> None:
    with through(door()):
        await connector.unblock_indicators(list(indicators), "false alarm")


async def blocked(connector: Edl, *indicators: Indicator) -> list[bool]:
    return [state.blocked for state in await connector.blocks_of(list(indicators))]


def text(connector: Edl, name: str) -> str:
    found = connector.published_lists().read(name)
    assert found is not None
    return found.content.decode()


def poll(connector: Edl, name: str = "ip", by: str = "10.0.0.1") -> None:
    found = connector.published_lists().read(name)
    assert found is not None
    connector.published_lists().polled(found, by)


async def test_each_kind_has_its_list_and_addresses_have_one_together(tmp_path: Path):
    """Lines are bare: canonical addresses, lower-case domains, URLs without scheme, user and fragment."""
    connector, _ = edl(tmp_path)
    await block(connector, ADDRESS, NETWORK, DOMAIN, URL)
    assert {name: text(connector, name) for name in ("ipv4", "ipv6", "cidr", "domain", "url", "ip")} == {
        "ipv4": "203.0.113.7\n",
        "ipv6": "",
        "cidr": "2001:db8:1::/48\n",
        "domain": "evil.example\n",
        "url": "evil.example/%C3%A4?b=c\n",
        "ip": "2001:db8:1::/48\n203.0.113.7\n",
    }
    assert connector.published_lists().read("hash") is None
    assert await blocked(connector, ADDRESS, NETWORK, DOMAIN, URL) == [True] * 4
    await unblock(connector, ADDRESS, DOMAIN, Indicator(kind="ipv4", value="192.0.2.1"))
    assert await blocked(connector, ADDRESS, NETWORK, DOMAIN, URL) == [False, True, False, True]
    assert text(connector, "ip") == "2001:db8:1::/48\n"


async def test_a_line_ends_to_the_second_and_nothing_has_to_run_for_it(tmp_path: Path):
    """The text is made anew when a line of it has ended, and says that it changed then."""
    connector, clock = edl(tmp_path)
    await block(connector, ADDRESS, expires_in_s=60)
    await block(connector, NETWORK)
    [state] = await connector.blocks_of([ADDRESS])
    assert state.expires_at is not None
    assert state.expires_at.timestamp() == clock.now + 60
    assert text(connector, "ipv4") == "203.0.113.7\n"
    first = connector.published_lists().read("ip")
    clock.now += 60
    assert await blocked(connector, ADDRESS, NETWORK) == [False, True]
    assert text(connector, "ipv4") == ""
    second = connector.published_lists().read("ip")
    assert first is not None
    assert second is not None
    assert (second.changed_at - first.changed_at).total_seconds() == 60
    assert second.etag != first.etag


async def test_listing_again_keeps_the_later_end(tmp_path: Path):
    """So that no shorter block cuts a longer one, and one without an end stays."""
    connector, clock = edl(tmp_path)
    await block(connector, ADDRESS, expires_in_s=60)
    await block(connector, ADDRESS, expires_in_s=3600)
    await block(connector, ADDRESS, expires_in_s=10)
    [state] = await connector.blocks_of([ADDRESS])
    assert state.expires_at is not None
    assert state.expires_at.timestamp() == clock.now + 3600
    await block(connector, ADDRESS)
    assert (await connector.blocks_of([ADDRESS]))[0].expires_at is None
    clock.now += 9999
    await block(connector, DOMAIN, expires_in_s=5)
    clock.now += 6
    await block(connector, DOMAIN, expires_in_s=5)
    assert await blocked(connector, DOMAIN) == [True]


async def test_nothing_is_listed_while_no_firewall_polls(tmp_path: Path):
    """The change fails before it has any effect, and says since when nobody came."""
    connector, clock = edl(tmp_path, polled_within_s=600, pollers=["10.0.0.1", "10.0.0.2"])
    with pytest.raises(Unavailable, match="the list ipv4 was never polled") as caught:
        await block(connector, ADDRESS)
    assert caught.value.applied is Applied.NO
    poll(connector, "ip", "10.0.0.1")
    poll(connector, "ipv4", "10.0.0.2")
    await block(connector, ADDRESS)
    clock.now += 601
    poll(connector, "ip", "10.0.0.1")
    with pytest.raises(Unavailable, match=r"not polled for 0 s \(last by 10\.0\.0\.1\)"):
        await block(connector, Indicator(kind="ipv4", value="192.0.2.1"))
    assert text(connector, "ipv4") == "203.0.113.7\n"
    await unblock(connector, ADDRESS)  # taking off needs nobody
    assert text(connector, "ipv4") == ""


async def test_one_list_that_is_polled_says_nothing_of_another(tmp_path: Path):
    """A firewall that reads addresses blocks no domains."""
    connector, _ = edl(tmp_path, polled_within_s=600)
    poll(connector, "ip")
    with pytest.raises(Unavailable, match="the list domain was never polled"):
        await block(connector, ADDRESS, DOMAIN)
    assert text(connector, "ip") == ""


async def test_with_fetched_first_a_new_line_counts_when_it_was_fetched(tmp_path: Path):
    """Until then there is no answer: "not blocked" would let an undo leave it listed."""
    connector, clock = edl(tmp_path, fetched_first=True)
    stale = connector.published_lists().read("ip")
    await block(connector, ADDRESS)
    with pytest.raises(Unavailable, match="listed, but not fetched since"):
        await blocked(connector, ADDRESS)
    assert stale is not None
    connector.published_lists().polled(stale, "10.0.0.1")
    with pytest.raises(Unavailable):
        await blocked(connector, ADDRESS)
    poll(connector, "ip", "10.0.0.9")  # somebody else
    with pytest.raises(Unavailable):
        await blocked(connector, ADDRESS)
    poll(connector)
    assert await blocked(connector, ADDRESS, DOMAIN) == [True, False]
    await block(connector, DOMAIN)
    clock.now += 601
    assert await blocked(connector, DOMAIN) == [True]


async def waits(connector: Edl, indicator: Indicator) -> bool:
    """Say whether its removal waits to be fetched; else it is not blocked."""
    told = ""
    try:
        assert await blocked(connector, indicator) == [False]
    except Unavailable as exc:
        told = exc.message
    assert not told or "blocks it still" in told
    return bool(told)


@pytest.mark.parametrize("ends_itself", [False, True])
async def test_with_fetched_first_a_removal_counts_when_it_was_fetched(tmp_path: Path, ends_itself: bool):
    """A firewall that stopped polling blocks it still, for however long: that is no success of an undo."""
    connector, clock = edl(tmp_path, fetched_first=True, pollers=["10.0.0.1", "10.0.0.2"])
    await block(connector, ADDRESS, expires_in_s=60)
    for by in ("10.0.0.1", "10.0.0.2"):
        poll(connector, by=by)
    assert await blocked(connector, ADDRESS) == [True]
    clock.now += 60 if ends_itself else 1
    if not ends_itself:
        await unblock(connector, ADDRESS)
    assert await waits(connector, ADDRESS)
    clock.now += 9_999
    poll(connector, by="10.0.0.1")
    assert await waits(connector, ADDRESS)
    await unblock(connector, DOMAIN, Indicator(kind="ipv4", value="192.0.2.1"))  # sweeps what has ended
    assert await waits(connector, ADDRESS)
    poll(connector, by="10.0.0.1")
    poll(connector, by="10.0.0.2")
    assert not await waits(connector, ADDRESS)
    await unblock(connector, ADDRESS)
    assert connector.store.gone({"ipv4": ["203.0.113.7"]}) == {}


async def test_what_no_firewall_has_fetched_needs_no_fetch_to_go(tmp_path: Path):
    """Neither was it blocked; and without named pollers one poll since is enough."""
    connector, clock = edl(tmp_path, fetched_first=True)
    poll(connector)
    await block(connector, ADDRESS)
    await unblock(connector, ADDRESS)
    assert not await waits(connector, ADDRESS)
    anybody, clock = edl(tmp_path / "other", fetched_first=True, pollers=[], password=Secret.of_value("x"))
    await block(anybody, ADDRESS)
    poll(anybody, by="10.0.0.8")
    await unblock(anybody, ADDRESS)
    assert await waits(anybody, ADDRESS)
    clock.now += 1
    poll(anybody, by="10.0.0.9")
    assert not await waits(anybody, ADDRESS)


async def test_a_line_that_comes_and_goes_unseen_is_still_held_from_before(tmp_path: Path):
    """The firewall has it from the first time, and has not asked since."""
    connector, _ = edl(tmp_path, fetched_first=True)
    await block(connector, ADDRESS)
    poll(connector)
    await unblock(connector, ADDRESS)
    await block(connector, ADDRESS)
    await unblock(connector, ADDRESS)
    assert await waits(connector, ADDRESS)
    poll(connector)
    assert not await waits(connector, ADDRESS)


async def test_a_file_of_an_earlier_version_is_brought_up_to_date(tmp_path: Path):
    """It has no table of lines that are gone; what is in it stays."""
    connector, _ = edl(tmp_path)
    await block(connector, ADDRESS)
    with closing(sqlite3.connect(tmp_path / "edges.sqlite")) as db:
        db.executescript("DROP TABLE gone; PRAGMA user_version = 1")
    connector, _ = edl(tmp_path, fetched_first=True)
    poll(connector)
    assert await blocked(connector, ADDRESS) == [True]
    await unblock(connector, ADDRESS)
    assert await waits(connector, ADDRESS)


async def test_without_fetched_first_what_is_taken_off_counts_at_once(tmp_path: Path):
    """And nothing is kept of it."""
    connector, _ = edl(tmp_path)
    await block(connector, ADDRESS)
    poll(connector)
    await unblock(connector, ADDRESS)
    assert await blocked(connector, ADDRESS) == [False]
    assert connector.store.gone({"ipv4": ["203.0.113.7"]}) == {}


async def test_people_see_when_each_list_was_polled(tmp_path: Path):
    """An action reads it, so that a playbook can ask as well."""
    connector, clock = edl(tmp_path)
    await block(connector, ADDRESS, DOMAIN)
    poll(connector, "domain", "10.0.0.2")
    clock.now += 840
    lists = {each.name: each for each in await connector.polled_lists()}
    assert (lists["domain"].entries, lists["domain"].polled_by, lists["domain"].seconds_ago) == (1, "10.0.0.2", 840)
    assert (lists["ip"].entries, lists["ip"].polled_at, lists["ip"].seconds_ago) == (1, None, None)


async def test_a_plan_shows_the_lines_and_lists_nothing(tmp_path: Path):
    """Every line is in one preview, in the form in which it would be served."""
    connector, _ = edl(tmp_path)
    opened = door("plan")
    with through(opened), pytest.raises(CaptureEnded):
        await connector.block_indicators([ADDRESS, DOMAIN, URL], "c2", 60)
    [shown] = opened.captured
    assert (shown.method, shown.url) == ("ADD", "http://127.0.0.1:8315/lists/edges")
    assert shown.body == {
        "ipv4": ["203.0.113.7"],
        "domain": ["evil.example"],
        "url": ["evil.example/%C3%A4?b=c"],
        "expires_in_s": 60,
        "reason": "c2",
    }
    assert await blocked(connector, ADDRESS) == [False]


@pytest.mark.parametrize(
    ("kind", "value", "error"),
    [
        ("ipv4", "0.0.0.0/0", Invalid),
        ("cidr", "::/0", Invalid),
        ("ipv4", "10.0.0.0/8", Invalid),
        ("ipv4", "1.2.3.4\n5.6.7.8", Invalid),
        ("ipv6", "fe80::1%eth0", Invalid),
        ("domain", "*", Invalid),
        ("domain", "a.example\nb.example", Invalid),
        ("domain", "a.example # b", Invalid),
        ("url", "https://a.example/*", Unsupported),
        ("url", "ftp://a.example/", Unsupported),
        ("url", "https://a.example/" + "x" * 300, Unsupported),
        ("url", "https://[::1", Invalid),
        ("email", "a@b.example", Unsupported),
    ],
)
async def test_what_would_be_read_as_something_else_is_refused_alone(
    tmp_path: Path, kind: Any, value: str, error: type
):
    """No value becomes a second line, a wildcard or a comment; the others of a batch are listed."""
    connector, _ = edl(tmp_path)
    hostile = Indicator(kind=kind, value=value)
    with pytest.raises(error):
        await block(connector, hostile)
    with pytest.raises(PartialFailure) as caught:
        await block(connector, hostile, ADDRESS)
    assert list(caught.value.failures) == [value]
    assert [text(connector, name) for name in ("ip", "domain", "url")] == ["203.0.113.7\n", "", ""]
    assert await blocked(connector, hostile, ADDRESS) == [False, True]


async def test_a_newline_in_a_url_becomes_no_second_line(tmp_path: Path):
    """What a browser would send is what is listed."""
    connector, _ = edl(tmp_path)
    await block(connector, Indicator(kind="url", value="https://a.example/x\r\nb.example/ y"))
    assert text(connector, "url") == "a.example/xb.example/%20y\n"


@pytest.mark.parametrize("settings", [{"folder": "lists"}, {"pollers": []}, {"pollers": ["fw.example"]}])
def test_settings_that_would_not_work_are_refused(tmp_path: Path, settings: dict[str, Any]):
    """A folder that depends on where one stands, lists that anybody may have, and names that no poll comes from."""
    with pytest.raises(ValueError, match=r"whole path|who may fetch|does not appear"):
        edl(tmp_path, **settings)


async def test_a_folder_that_cannot_be_used_is_no_empty_list(tmp_path: Path):
    """Neither reading nor listing pretends; nothing was listed, provably."""
    (tmp_path / "file").write_text("")
    connector, _ = edl(tmp_path / "file")
    for attempt in (block(connector, ADDRESS), blocked(connector, ADDRESS)):
        with pytest.raises(Unavailable, match="look at the folder") as caught:
            await attempt
        assert caught.value.applied is Applied.NO


async def test_a_file_that_is_broken_is_no_empty_list(tmp_path: Path):
    """It is said, and left for somebody to look at."""
    connector, _ = edl(tmp_path)
    (tmp_path / "edges.sqlite").write_bytes(b"this is no database" * 100)
    with pytest.raises(Unavailable, match="not a database"):
        await blocked(connector, ADDRESS)
    assert connector.published_lists().polled is not None
    with pytest.raises(ConnectorError):
        connector.published_lists().read("ip")


async def test_a_file_that_is_locked_for_long_refuses_the_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Somebody else's long transaction makes it fail, not hang or tear."""
    monkeypatch.setattr("hikeshi_connectors.edl.store._WAIT_S", 0.05)
    connector, _ = edl(tmp_path)
    await block(connector, DOMAIN)
    with closing(sqlite3.connect(tmp_path / "edges.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked") as caught:
            await block(connector, ADDRESS)
        assert caught.value.applied is Applied.NO
        assert await blocked(connector, DOMAIN) == [True]
    await block(connector, ADDRESS)
