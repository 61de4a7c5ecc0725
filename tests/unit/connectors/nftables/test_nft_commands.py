"""What is run for each action of nftables: the words, the transaction, and how an answer is read."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Conflict, ConnectorError, Invalid, PartialFailure, RouteRefused, Unsupported
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.nftables import Nftables

NOW = datetime(2026, 7, 1, 12, 0, 30, tzinfo=UTC)
# Notes its words and its input, and answers a `list` with the file named after the set.
FAKE = """
words="$*"; folder=${0%/*}
echo "$words" >> "$folder/words"
case "$words" in
  *" list "*) cat "$folder/${words##* }" ;;
  *) cat > "$folder/transaction" ;;
esac
"""
ADDRESS = Indicator(kind="ipv4", value="203.0.113.7")
ADDRESS6 = Indicator(kind="ipv6", value="2001:DB8::0:7")
NETWORK = Indicator(kind="cidr", value="198.51.100.0/24")
Made = Callable[..., Nftables]


@pytest.fixture
def made(tmp_path: Path) -> Made:
    def make(sets: dict[str, list[Any]] | None = None, **settings: Any) -> Nftables:
        script = tmp_path / "nft"
        script.write_text(FAKE)
        for name, elements in (sets or {}).items():
            found = {"set": {"family": "inet", "name": name, "table": "hikeshi", "elem": elements}}
            (tmp_path / name).write_text(json.dumps({"nftables": [{"metainfo": {"json_schema_version": 1}}, found]}))
        connector = build(Nftables, "edge", {"command": ["sh", str(script)], **settings}, Redactor())
        assert isinstance(connector, Nftables)
        connector.clock = lambda: NOW
        return connector

    return make


def words(folder: Path) -> list[str]:
    path = folder / "words"
    return path.read_text().splitlines() if path.exists() else []


def transaction(folder: Path) -> Any:
    return json.loads((folder / "transaction").read_text())["nftables"]


def door(mode: Any = "live", effect: Effect = Effect.CHANGE) -> Door:
    return Door(mode=mode, effect=effect, action="firewall.block_indicators", intended=mode == "live")


def elements(name: str, *elem: Any) -> dict[str, Any]:
    return {"element": {"family": "inet", "table": "hikeshi", "name": name, "elem": list(elem)}}


def prefix(address: str, length: int) -> dict[str, Any]:
    return {"prefix": {"addr": address, "len": length}}


def timed(value: Any, timeout_s: int, **more: int) -> dict[str, Any]:
    return {"elem": {"val": value, "timeout": timeout_s, **more}}


async def test_a_block_is_one_transaction_with_native_ends(made: Made, tmp_path: Path):
    """Addresses and networks of both kinds go to their sets, with the time-out in seconds, in one transaction."""
    same = Indicator(kind="cidr", value="203.0.113.7/32")
    with through(door()):
        await made({"networks4": []}).block_indicators([ADDRESS, ADDRESS6, NETWORK, same], "c2", 3600)
    assert words(tmp_path) == ["-j list set inet hikeshi networks4", "-j -f -"]
    assert transaction(tmp_path) == [
        {"add": elements("blocked4", timed("203.0.113.7", 3600))},
        {"add": elements("blocked6", timed("2001:db8::7", 3600))},
        {"add": elements("networks4", timed(prefix("198.51.100.0", 24), 3600))},
    ]


async def test_a_block_without_an_end_has_no_timeout(made: Made, tmp_path: Path):
    """Without an expiry the element stays; the kernel is not told 0, which would also mean that."""
    with through(door()):
        await made(table="soar", addresses4="bad").block_indicators([ADDRESS], "c2")
    wanted = {"family": "inet", "table": "soar", "name": "bad", "elem": ["203.0.113.7"]}
    assert transaction(tmp_path) == [{"add": {"element": wanted}}]


@pytest.mark.parametrize("expires_in_s", [0, -5])
async def test_an_expiry_of_nothing_is_refused(made: Made, tmp_path: Path, expires_in_s: int):
    """The kernel takes a time-out of 0 for never, so it is not sent."""
    with through(door()), pytest.raises(Invalid):
        await made().block_indicators([ADDRESS], "c2", expires_in_s)
    assert words(tmp_path) == []


async def test_what_is_unblocked_is_added_before_it_is_deleted(made: Made, tmp_path: Path):
    """So an element that has run out does not undo the transaction; a network that is not there is left out."""
    there = timed(prefix("198.51.100.0", 24), 60, expires=9)
    gone = Indicator(kind="cidr", value="192.0.2.0/24")
    with through(door()):
        await made({"networks4": [there]}).unblock_indicators([ADDRESS, NETWORK, gone], "false alarm")
    address, network = elements("blocked4", "203.0.113.7"), elements("networks4", prefix("198.51.100.0", 24))
    assert transaction(tmp_path) == [{"add": address}, {"delete": address}, {"add": network}, {"delete": network}]


async def test_nothing_is_run_where_nothing_is_left_to_unblock(made: Made, tmp_path: Path):
    """Networks that are not blocked need no transaction."""
    with through(door()):
        await made({"networks4": []}).unblock_indicators([NETWORK], "false alarm")
    assert words(tmp_path) == ["-j list set inet hikeshi networks4"]


async def test_a_plan_shows_the_transaction_and_runs_nothing(made: Made, tmp_path: Path):
    """The preview is the very command and its input."""
    firewall, plan = made(), door("plan")
    with through(plan), pytest.raises(CaptureEnded):
        await firewall.block_indicators([ADDRESS], "c2", 60)
    (shown,) = plan.captured
    assert plan.complete
    assert (shown.method, shown.url) == ("NFT", f"sh {tmp_path}/nft -j -f -")
    assert shown.body == {"nftables": [{"add": elements("blocked4", timed("203.0.113.7", 60))}]}
    assert words(tmp_path) == []


async def test_a_read_runs_nothing_but_list(made: Made, tmp_path: Path):
    """Each set that is needed is listed once, and a change through a read's door is refused."""
    firewall = made({"blocked4": [], "blocked6": [], "networks4": []})
    with through(door(effect=Effect.READ)):
        await firewall.blocks_of([ADDRESS, ADDRESS, ADDRESS6, NETWORK])
        with pytest.raises(RouteRefused):
            await firewall.block_indicators([ADDRESS], "c2", 60)
    assert words(tmp_path) == [f"-j list set inet hikeshi {name}" for name in ("blocked4", "blocked6", "networks4")]


async def test_only_the_very_element_is_blocked(made: Made):
    """Ends are rounded up to a minute; ranges, other networks and addresses inside of one are something else."""
    firewall = made(
        {
            "blocked4": ["203.0.113.7", timed("203.0.113.8", 60, expires=40)],
            "blocked6": ["::ffff:192.0.2.1"],
            "networks4": [{"range": ["192.0.2.1", "192.0.2.9"]}, timed(prefix("198.51.100.0", 24), 60, expires=9)],
        }
    )
    asked = ["203.0.113.7", "203.0.113.8", "198.51.100.7", "::ffff:192.0.2.1", "198.51.100.0/24", "198.51.100.0/25"]
    kinds = ["ipv4", "ipv4", "ipv4", "ipv6", "cidr", "cidr"]
    indicators = [Indicator(kind=kind, value=value) for kind, value in zip(kinds, asked, strict=True)]  # type: ignore[arg-type]
    blocks = await firewall.blocks_of(indicators)
    assert [block.value for block in blocks if block.blocked] == [asked[0], asked[1], asked[3], asked[4]]
    assert [block.value for block in blocks] == asked
    assert blocks[0].expires_at is None
    assert blocks[1].expires_at == datetime(2026, 7, 1, 12, 2, tzinfo=UTC)
    assert blocks[4].expires_at == datetime(2026, 7, 1, 12, 1, tzinfo=UTC)


async def test_an_address_is_found_however_the_indicator_is_written(made: Made):
    """nft has one spelling of its own: lower case, without zeros, and a network of one as an address or a prefix."""
    firewall = made(
        {
            "blocked4": ["203.0.113.7", prefix("203.0.113.8", 32)],
            "blocked6": ["2001:db8::7", timed("::ffff:192.0.2.1", 60, expires=9)],
            "networks6": [prefix("2001:db8:1::", 48)],
        }
    )
    asked = [
        Indicator(kind="cidr", value="203.0.113.7/32"),
        Indicator(kind="ipv4", value="203.0.113.8"),
        Indicator(kind="ipv6", value="2001:0DB8:0:0::0007"),
        Indicator(kind="cidr", value="2001:DB8::7/128"),
        Indicator(kind="ipv6", value="::FFFF:C000:0201"),
        Indicator(kind="cidr", value="2001:DB8:1:0::/48"),
        Indicator(kind="ipv6", value="2001:db8::70"),
    ]
    blocks = await firewall.blocks_of(asked)
    assert [block.blocked for block in blocks] == [True] * 6 + [False]
    assert [block.expires_at is not None for block in blocks] == [False] * 4 + [True] + [False] * 2


@pytest.mark.parametrize(
    "answer",
    ["", "null", "[]", "{}", '{"nftables": []}', '{"nftables": [{"set": {"name": "other"}}]}',
     '{"nftables": [{"set": {"name": "blocked4", "elem": [{"what": 1}]}}]}', "<html>"],
)  # fmt: skip
async def test_an_answer_without_the_set_is_not_an_empty_set(made: Made, tmp_path: Path, answer: str):
    """What could not be read is not absent."""
    firewall = made()
    (tmp_path / "blocked4").write_text(answer)
    with pytest.raises(Invalid):
        await firewall.blocks_of([ADDRESS])


async def test_networks_that_lie_across_others_are_refused_by_name(made: Made, tmp_path: Path):
    """The kernel would refuse the whole transaction; the rest is blocked, and what stands there already may stay."""
    standing = [prefix("10.0.0.0", 8), {"range": ["192.0.2.9", "192.0.2.12"]}, prefix("198.51.100.0", 24)]
    values = ["10.1.0.0/16", "192.0.2.0/24", "172.16.5.0/24", "172.16.0.0/12", "198.51.100.0/24", "9.0.0.0/8"]
    with through(door()), pytest.raises(PartialFailure) as refused:
        await made({"networks4": standing}).block_indicators(
            [Indicator(kind="cidr", value=value) for value in values], "c2", 60
        )
    assert {value: type(error) for value, error in refused.value.failures.items()} == {
        "10.1.0.0/16": Conflict,
        "192.0.2.0/24": Conflict,
        "172.16.5.0/24": Conflict,
    }
    (sent,) = transaction(tmp_path)
    networks = [each["elem"]["val"]["prefix"]["addr"] for each in sent["add"]["element"]["elem"]]
    assert networks == ["172.16.0.0", "198.51.100.0", "9.0.0.0"]


@pytest.mark.parametrize(
    ("indicator", "kind"),
    [
        (Indicator(kind="ipv4", value="localhost"), Invalid),
        (Indicator(kind="ipv6", value="fe80::1%eth0"), Invalid),
        (Indicator(kind="cidr", value="10.0.0.1/8"), Invalid),
        (Indicator(kind="ipv4", value='1.2.3.4"}]}},{"flush":{"ruleset":null}}'), Invalid),
        (Indicator(kind="domain", value="evil.example"), Unsupported),
        (ADDRESS6, Unsupported),
    ],
)
async def test_what_no_set_can_hold_is_refused_and_the_rest_is_sent(
    made: Made, tmp_path: Path, indicator: Indicator, kind: type[ConnectorError]
):
    """nft would look a name up, so only addresses go to it; alone, the refusal is the error itself."""
    firewall = made({"blocked4": []}, addresses6=None)
    with through(door()), pytest.raises(kind):
        await firewall.block_indicators([indicator], "c2", 60)
    assert words(tmp_path) == []
    with through(door()), pytest.raises(PartialFailure) as refused:
        await firewall.block_indicators([indicator, ADDRESS], "c2", 60)
    assert list(refused.value.failures) == [indicator.value]
    assert transaction(tmp_path) == [{"add": elements("blocked4", timed("203.0.113.7", 60))}]
    assert [block.blocked for block in await firewall.blocks_of([indicator])] == [False]


async def test_a_refusal_is_not_taken_for_that_of_what_needed_nothing(made: Made):
    """A network that was not blocked anyway is no failure beside one that is."""
    wrong = Indicator(kind="cidr", value="10.0.0.1/8")
    with through(door()), pytest.raises(PartialFailure) as refused:
        await made({"networks4": []}).unblock_indicators([NETWORK, wrong], "over")
    assert list(refused.value.failures) == [wrong.value]


@pytest.mark.parametrize("setting", ["table", "addresses4", "networks6"])
@pytest.mark.parametrize("name", ["a b", "a;reboot", "$(id)", "", "1a", "-f", "a" * 32])
def test_a_name_that_a_shell_could_understand_is_no_name(made: Made, setting: str, name: str):
    """Over ssh the words pass through a shell."""
    with pytest.raises(ValidationError):
        made(**{setting: name})
