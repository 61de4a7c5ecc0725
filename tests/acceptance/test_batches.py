"""Five thousand indicators at once: few requests, each indicator sent once and held by itself."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

from drill import Drill, Place

ADDRESSES, SITES, HASHES, AGAIN = 1800, 1600, 1100, 500
LOTS_OF_FALCON = 200  # Falcon's own limit for one request


def _addresses() -> Iterator[str]:
    yield from (f"198.18.{n // 250}.{n % 250 + 1}" for n in range(1600))
    yield from (f"2001:db8:{n:x}::66" for n in range(150))
    yield from (f"10.77.{n}.0/24" for n in range(50))


def _sites() -> Iterator[str]:
    yield from (f"c2-{n}.evil.example" for n in range(900))
    yield from (f"https://drop-{n}.evil.example/stage/{n}?k=v&n={n}" for n in range(700))


def _hashes() -> Iterator[str]:
    yield from (hashlib.sha256(str(n).encode()).hexdigest() for n in range(900))
    yield from (hashlib.md5(str(n).encode()).hexdigest() for n in range(200))


def _defanged(value: str) -> str:
    return value.replace("http", "hxxp").replace(".", "[.]") if "." in value else value.upper()


def five_thousand() -> list[str]:
    """Return the indicators of a bad day, as people paste them: mixed, a third defanged, five hundred twice."""
    rng = random.Random(7)
    different = [*_addresses(), *_sites(), *_hashes()]
    assert len(different) == len(set(different)) == ADDRESSES + SITES + HASHES
    listed = [*different, *rng.sample(different, AGAIN)]
    rng.shuffle(listed)
    return [_defanged(value) if rng.random() < 1 / 3 else value for value in listed]


def _calls(entries: int, most: int = 500) -> int:
    return -(-entries // most)


def _kind(change: dict[str, Any]) -> str:
    return change["body"]["type"] if change["product"] == "panos" else change["product"]


def _sent(change: dict[str, Any]) -> list[str]:
    """Return the indicators in the body of a change."""
    body = change["body"]
    if change["product"] == "crowdstrike":
        return [entry["value"] for entry in body["indicators"]]
    if body["type"] == "user-id":
        return [entry.get("ip", "") for entry in ET.fromstring(body["cmd"]).iter("entry")]
    return [member.text or "" for member in ET.fromstring(f"<list>{body.get('element', '')}</list>")]


def _falcon_requests() -> int:
    whole, rest = divmod(HASHES, 500)
    return whole * _calls(500, LOTS_OF_FALCON) + _calls(rest, LOTS_OF_FALCON)


EXPECTED = Counter(
    {
        "user-id": _calls(ADDRESSES),
        "config": _calls(SITES),
        "commit": _calls(SITES),
        "crowdstrike": _falcon_requests(),
    }
)


async def test_five_thousand_indicators_need_few_requests_and_none_is_sent_twice(drill: Drill, place: Place) -> None:
    """One call to the firewall for each 500 of a kind, each indicator in exactly one, all of them blocked and held."""
    outcome = await drill.run("block-indicators", {"indicators": five_thousand()})

    assert outcome.status == "succeeded"
    assert outcome.report["outputs"] == {"addresses": ADDRESSES, "sites": SITES, "hashes": HASHES}
    changes = place.changes()
    assert Counter(map(_kind, changes)) == EXPECTED
    sent = Counter(value for change in changes for value in _sent(change))
    assert len(sent) == ADDRESSES + SITES + HASHES
    assert set(sent.values()) == {1}
    assert (len(place.tagged()), len(place.listed()), len(place.prevented())) == (ADDRESSES, SITES, HASHES)

    holds = Counter(hold["target"] for hold in outcome.holds)
    assert len(holds) == ADDRESSES + SITES + HASHES
    assert set(holds.values()) == {1}
    assert {hold["status"] for hold in outcome.holds} == {"active"}


async def test_each_hold_of_a_batch_undoes_its_own_indicator_only(drill: Drill, place: Place) -> None:
    """The inverse that is kept with a hold names the one indicator of the hold."""
    outcome = await drill.run("block-indicators", {"indicators": [*_addresses()][:600]})

    undo = {hold.label: hold.undo for hold in outcome.hikeshi.holds() if hold.run == outcome.state.run}
    assert len(undo) == len(outcome.holds) == 600
    assert {call["action"] for call in undo.values()} == {"firewall.unblock_indicators"}
    assert all([i["value"] for i in call["arguments"]["indicators"]] == [value] for value, call in undo.items())


async def test_the_plan_of_five_thousand_indicators_shows_every_one_and_sends_none(drill: Drill, place: Place) -> None:
    """The dry run shows the same few requests, complete, with every indicator in exactly one of them."""
    plan = await drill.plan("block-indicators", {"indicators": five_thousand()})

    assert place.changes() == []
    assert all(action["complete"] for action in plan.actions.values())
    targets = [target["identity"] for action in plan.actions.values() for target in action["target"]]
    assert len(targets) == len(set(targets)) == ADDRESSES + SITES + HASHES
    products = {"fw_hq": "panos", "falcon": "crowdstrike"}
    previewed = [
        {"product": products[action["connector"]], "body": request["body"]}
        for action in plan.actions.values()
        for request in action["requests"]
    ]
    assert Counter(map(_kind, previewed)) == EXPECTED


async def test_what_is_blocked_already_is_left_out_of_a_batch(drill: Drill, place: Place) -> None:
    """A batch of which a part is blocked already sends the rest, and shares the holds of what another run keeps."""
    addresses = [*_addresses()]
    await drill.run("block-indicators", {"indicators": addresses[:300]})
    place.forget_changes()

    outcome = await drill.run("block-indicators", {"indicators": addresses[:450]})

    assert outcome.status == "succeeded"
    assert [len(_sent(change)) for change in place.changes()] == [150]
    assert {hold["label"] for hold in outcome.holds} == set(addresses[:450])
