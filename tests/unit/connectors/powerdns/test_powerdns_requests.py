"""The HTTP shapes of PowerDNS: what is sent for each action, and how answers are read."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import ValidationError

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Invalid,
    NotFound,
    PartialFailure,
    Secret,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.powerdns import PowerDns

KEY = "unit-api-key"
ZONE_URL = "http://ns1:8081/api/v1/servers/localhost/zones/rpz.test."
Answer = Callable[[httpx.Request], httpx.Response]


def domain(value: str) -> Indicator:
    return Indicator(kind="domain", value=value)


def entry(owner: str, content: str = ".", kind: str = "CNAME", *, disabled: bool = False) -> dict[str, Any]:
    record = {"content": content, "disabled": disabled}
    return {"name": f"{owner}.rpz.test.", "type": kind, "ttl": 60, "comments": [], "records": [record]}


def both(value: str) -> list[dict[str, Any]]:
    return [entry(value), entry(f"*.{value}")]


def usual(*entries: dict[str, Any]) -> Answer:
    soa = {"name": "rpz.test.", "type": "SOA", "ttl": 1, "records": [{"content": "a. b. 1 2 3 4 5", "disabled": False}]}
    zone = {"name": "rpz.test.", "rrsets": [*entries, soa]}
    return lambda request: httpx.Response(200, json=zone) if request.method == "GET" else httpx.Response(204)


def powerdns(answer: Answer, **settings: Any) -> tuple[PowerDns, list[httpx.Request]]:
    seen: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        assert request.headers["x-api-key"] == KEY
        return answer(request)

    given = {"base_url": "http://ns1:8081", "api_key": Secret.of_value(KEY), "zone": "rpz.test", **settings}
    connector = build(PowerDns, "pdns", given, Redactor(), transport=httpx.MockTransport(take))
    assert isinstance(connector, PowerDns)
    return connector, seen


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="dns.sinkhole_domains", intended=True)


def sent(seen: list[httpx.Request]) -> list[Any]:
    changes = [request for request in seen if request.method != "GET"]
    assert all((request.method, str(request.url)) == ("PATCH", ZONE_URL) for request in changes)
    return [json.loads(request.content) for request in changes]


async def test_what_is_not_there_is_entered_in_one_request():
    """A domain and all names below it; what is there already is left out."""
    connector, seen = powerdns(usual(*both("whole.example")), ttl_s=30)
    with through(live()):
        await connector.sinkhole_domains([domain("Evil.example."), domain("whole.example")], "r")
    assert str(seen[0].url) == ZONE_URL
    records = [{"content": ".", "disabled": False}]
    rest = {"type": "CNAME", "ttl": 30, "changetype": "REPLACE", "records": records}
    names = ("evil.example", "*.evil.example")
    assert sent(seen) == [{"rrsets": [{"name": f"{name}.rpz.test.", **rest} for name in names]}]


async def test_only_our_entries_are_deleted():
    """A record set is deleted whole, so one that says something else, or more, is left alone."""
    others = [
        entry("passes.example", "rpz-passthru."),
        entry("text.example", '"x"', "TXT"),
        entry("off.example", disabled=True),
    ]
    connector, seen = powerdns(usual(*both("evil.example"), *others))
    domains = [
        domain(value) for value in ("evil.example", "passes.example", "text.example", "off.example", "none.example")
    ]
    with through(live()):
        await connector.unsinkhole_domains(domains, "over")
    deleted = [
        {"name": f"{name}.rpz.test.", "type": "CNAME", "changetype": "DELETE"}
        for name in ("evil.example", "*.evil.example")
    ]
    assert sent(seen) == [{"rrsets": deleted}]


@pytest.mark.parametrize("owner", ["half.example", "*.half.example"])
async def test_half_an_entry_is_neither_made_whole_nor_deleted(owner: str):
    """Somebody else made it: an undo that deleted it would give free what they keep back."""
    connector, seen = powerdns(usual(entry(owner)))
    with through(live()), pytest.raises(Conflict, match="and none for"):
        await connector.sinkhole_domains([domain("half.example")], "r")
    with through(live()):
        await connector.unsinkhole_domains([domain("half.example")], "over")
    assert sent(seen) == []


async def test_an_entry_from_before_the_action_was_changed_is_found_and_deleted():
    """Otherwise an undo would find nothing to do, and the domain would stay as it is for ever."""
    dropped = [entry("evil.example", "rpz-drop."), entry("*.evil.example", "rpz-drop.")]
    connector, seen = powerdns(usual(*dropped), action="nodata")
    (block,) = await connector.sinkholes_of([domain("evil.example")])
    assert block.blocked
    with through(live()):
        await connector.unsinkhole_domains([domain("evil.example")], "over")
    assert [each["name"] for each in sent(seen)[0]["rrsets"]] == ["evil.example.rpz.test.", "*.evil.example.rpz.test."]


async def test_nothing_is_sent_where_nothing_is_to_do():
    """Neither for what is there, nor for what is not."""
    connector, seen = powerdns(usual(*both("evil.example")))
    with through(live()):
        await connector.sinkhole_domains([domain("evil.example")], "r")
    with through(live()):
        await connector.unsinkhole_domains([domain("other.example")], "r")
    assert sent(seen) == []


async def test_a_domain_counts_with_both_of_its_entries():
    """Half of it, a pair that does not say the same, or the wildcard above are something else."""
    connector, _ = powerdns(
        usual(
            *both("evil.example"),
            entry("half.example"),
            entry("drop.example", "rpz-drop."),
            entry("*.drop.example"),
        )
    )
    asked = [
        domain(value) for value in ("evil.example", "www.evil.example", "half.example", "drop.example", "no domain")
    ]
    assert [block.blocked for block in await connector.sinkholes_of(asked)] == [True, False, False, False, False]


async def test_somebody_elses_entry_is_a_conflict_and_the_rest_is_sent():
    """It is named, with what it says; so is what is no domain."""
    connector, seen = powerdns(usual(entry("*.passes.example", "rpz-passthru.")))
    domains = [
        domain("passes.example"),
        domain("no domain"),
        domain("evil.example"),
        Indicator(kind="url", value="http://x"),
    ]
    with through(live()), pytest.raises(PartialFailure) as partial:
        await connector.sinkhole_domains(domains, "r")
    kinds = {value: type(error) for value, error in partial.value.failures.items()}
    assert kinds == {"passes.example": Conflict, "no domain": Invalid, "http://x": Unsupported}
    assert "rpz-passthru." in partial.value.failures["passes.example"].message
    assert len(sent(seen)[0]["rrsets"]) == 2
    with through(live()), pytest.raises(Conflict):
        await connector.sinkhole_domains(domains[:1], "r")


async def test_a_large_batch_is_sent_in_lots_until_one_fails():
    """4,000 record sets a request; what was not sent is named as such."""
    usually = usual()

    def answer(request: httpx.Request) -> httpx.Response:
        failing = request.method == "PATCH" and b'"n2000.example' in request.content
        return httpx.Response(500, text="Internal Server Error") if failing else usually(request)

    connector, seen = powerdns(answer)
    many = [domain(f"n{n}.example") for n in range(4_001)]
    with through(live()), pytest.raises(PartialFailure) as partial:
        await connector.sinkhole_domains(many, "r")
    assert [len(each["rrsets"]) for each in sent(seen)] == [4_000, 4_000]
    failures = partial.value.failures
    assert len(failures) == 2_001
    assert (failures["n2000.example"].applied, failures["n4000.example"].applied) == (Applied.MAYBE, Applied.NO)


@pytest.mark.parametrize(
    ("answer", "kind", "applied"),
    [
        (httpx.Response(401, text="Unauthorized"), Unauthorized, Applied.NO),
        (httpx.Response(404, text="Not Found"), NotFound, Applied.NO),
        (httpx.Response(422, json={"error": "Name is out of zone"}), Invalid, Applied.NO),
        (httpx.Response(500, text="Internal Server Error"), Unavailable, Applied.MAYBE),
        (httpx.Response(200, json={}), Invalid, Applied.MAYBE),
    ],
)
async def test_a_refused_change_says_why(answer: httpx.Response, kind: type[ConnectorError], applied: Applied):
    """In PowerDNS's own words, which are JSON or text."""
    usually = usual()
    connector, _ = powerdns(lambda request: usually(request) if request.method == "GET" else answer)
    with through(live()), pytest.raises(kind) as refused:
        await connector.sinkhole_domains([domain("evil.example")], "r")
    assert refused.value.applied is applied
    if answer.status_code >= 400:
        assert answer.text.removeprefix('{"error":"').removesuffix('"}') in refused.value.message


@pytest.mark.parametrize("body", ["", "null", "{}", '{"rrsets": [1]}', '{"rrsets": [{"name": "x"}]}', "<html>"])
async def test_an_answer_without_the_zone_is_not_an_empty_zone(body: str):
    """What could not be read is not absent."""
    connector, _ = powerdns(lambda _: httpx.Response(200, text=body))
    with pytest.raises(Invalid):
        await connector.sinkholes_of([domain("evil.example")])


@pytest.mark.parametrize("setting", [{"zone": "a/b"}, {"zone": ""}, {"server_id": "../x"}, {"action": "redirect"}])
def test_settings_that_make_no_sense_are_refused(setting: dict[str, str]):
    """They would be another path."""
    with pytest.raises(ValidationError):
        powerdns(usual(), **setting)
