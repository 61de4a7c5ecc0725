"""The HTTP shapes of Cloudflare: what is sent for each action, and what an answer means."""

import json
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    PartialFailure,
    RateLimited,
    Secret,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.cloudflare import Cloudflare

TOKEN = "unit-test-token"
ACCOUNT = "0" * 31 + "a"
ZONE = "0" * 31 + "b"
GATEWAY = {
    name: f"f174e90a-fafe-4643-bbbc-4a0ed4fc841{n}" for n, name in enumerate(("domain", "url", "ip", "sinkhole"))
}
RULES = "2c0fc9fa937b11eaa1b71c4d701ab86e"
ITEMS = f"/client/v4/accounts/{ACCOUNT}/rules/lists/{RULES}/items"
ACCESS = f"/client/v4/accounts/{ACCOUNT}/firewall/access_rules/rules"
DOMAIN = Indicator(kind="domain", value="Evil.example")
URL = Indicator(kind="url", value="https://user@Evil.example:8443/a?b=c#d")
ADDRESS = Indicator(kind="ipv4", value="203.0.113.7")
NETWORK = Indicator(kind="cidr", value="2001:DB8:1::/48")


class Wire:
    """Answers with what a test has for a method and path, an empty success otherwise, and keeps what was asked."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[tuple[str, str], Any] = {}
        self.requests: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        assert request.headers["authorization"] == f"Bearer {TOKEN}"
        answer = self.answers.get((request.method, request.url.path))
        if isinstance(answer, list):
            answer = answer.pop(0)
        if isinstance(answer, httpx.Response):
            return answer
        result = {"result": [], "result_info": {"page": 1, "per_page": 100, "total_count": 0}}
        return httpx.Response(200, json={"success": True, "errors": [], "messages": [], **(answer or result)})

    @property
    def changes(self) -> list[tuple[str, str, Any]]:
        found = [each for each in self.requests if each.method != "GET"]
        return [(each.method, each.url.path, json.loads(each.content) if each.content else None) for each in found]


def cloudflare(wire: Wire, **settings: Any) -> Cloudflare:
    lists = {f"{name}_list": list_id for name, list_id in GATEWAY.items()}
    given = {"api_token": Secret.of_value(TOKEN), "account_id": ACCOUNT, "rules_list": RULES, **lists, **settings}
    connector = build(Cloudflare, "cf", given, Redactor(), transport=httpx.MockTransport(wire))
    assert isinstance(connector, Cloudflare)
    return connector


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="firewall.block_indicators", intended=True)


async def block(wire: Wire, *indicators: Indicator, **settings: Any) -> None:
    with through(live()):
        await cloudflare(wire, **settings).block_indicators(list(indicators), "c2 of case 7", 3600)


async def unblock(wire: Wire, *indicators: Indicator, **settings: Any) -> None:
    with through(live()):
        await cloudflare(wire, **settings).unblock_indicators(list(indicators), "false alarm")


def refusal(status: int, code: int, message: str = "what Cloudflare says", **headers: str) -> httpx.Response:
    body = {"success": False, "errors": [{"code": code, "message": message}], "messages": [], "result": None}
    return httpx.Response(status, json=body, headers=headers)


def gateway(name: str) -> str:
    return f"/client/v4/accounts/{ACCOUNT}/gateway/lists/{GATEWAY[name]}"


async def test_sites_and_addresses_go_to_their_gateway_lists():
    """One request for each list, with the reason as description."""
    wire = Wire()
    await block(wire, DOMAIN, URL, ADDRESS, NETWORK)

    def items(*values: str) -> dict[str, Any]:
        return {"append": [{"value": value, "description": "c2 of case 7"} for value in values]}

    assert wire.changes == [
        ("PATCH", gateway("domain"), items("evil.example")),
        ("PATCH", gateway("url"), items("https://evil.example:8443/a?b=c")),
        ("PATCH", gateway("ip"), items("203.0.113.7", "2001:db8:1::/48")),
    ]


async def test_values_are_taken_out_of_gateway_lists_by_value():
    """Two indicators that mean the same are one value."""
    wire = Wire()
    await unblock(wire, DOMAIN, Indicator(kind="domain", value="evil.example"))
    assert wire.changes == [("PATCH", gateway("domain"), {"remove": ["evil.example"]})]


async def test_sinkholes_have_a_list_of_their_own():
    """So that releasing a block never frees a name that is sinkholed, and the other way round."""
    wire = Wire()
    with through(live()):
        await cloudflare(wire).sinkhole_domains([DOMAIN], "c2")
        await cloudflare(wire).unsinkhole_domains([DOMAIN], "over")
    assert [change[:2] for change in wire.changes] == [("PATCH", gateway("sinkhole"))] * 2
    with pytest.raises(ValueError, match="each list is for one thing"):
        cloudflare(wire, sinkhole_list=GATEWAY["domain"])


async def test_the_accounts_list_is_changed_by_a_job_that_is_waited_for():
    """The change ends when the job has, so that the next one is not refused."""
    wire = Wire()
    wire.answers["POST", ITEMS] = {"result": {"operation_id": "4711ab"}}
    path = f"/client/v4/accounts/{ACCOUNT}/rules/lists/bulk_operations/4711ab"
    wire.answers["GET", path] = [{"result": {"status": status}} for status in ("pending", "running", "completed")]
    await block(wire, ADDRESS, addresses="rules_list")
    assert wire.changes == [("POST", ITEMS, [{"ip": "203.0.113.7", "comment": "c2 of case 7"}])]
    assert [request.url.path for request in wire.requests[1:]] == [path] * 3


async def test_a_failed_job_may_have_done_a_part():
    """Its words are told."""
    wire = Wire()
    wire.answers["POST", ITEMS] = {"result": {"operation_id": "1"}}
    path = f"/client/v4/accounts/{ACCOUNT}/rules/lists/bulk_operations/1"
    wire.answers["GET", path] = {"result": {"status": "failed", "error": "list is full"}}
    with pytest.raises(Invalid, match="list is full") as caught:
        await block(wire, ADDRESS, addresses="rules_list")
    assert caught.value.applied is Applied.MAYBE


async def test_losing_sight_of_a_job_is_not_a_failure_of_the_change():
    """The job was accepted, so whatever refuses the question after it leaves the outcome open."""
    wire = Wire()
    wire.answers["POST", ITEMS] = {"result": {"operation_id": "1"}}
    path = f"/client/v4/accounts/{ACCOUNT}/rules/lists/bulk_operations/1"
    wire.answers["GET", path] = refusal(429, 971)
    with pytest.raises(RateLimited) as caught:
        await block(wire, ADDRESS, addresses="rules_list")
    assert caught.value.applied is Applied.MAYBE


async def test_items_of_the_accounts_list_are_removed_by_id():
    """All pages are read for the IDs; without an item there is no request."""
    wire = Wire()
    pages = [
        {"result": [{"id": "i1", "ip": "192.0.2.1"}], "result_info": {"cursors": {"after": "next"}}},
        {"result": [{"id": "i2", "ip": "203.0.113.7"}], "result_info": {}},
    ]
    wire.answers["GET", ITEMS] = [*pages, pages[1]]
    wire.answers["DELETE", ITEMS] = {"result": {"operation_id": "1"}}
    path = f"/client/v4/accounts/{ACCOUNT}/rules/lists/bulk_operations/1"
    wire.answers["GET", path] = {"result": {"status": "completed"}}
    await unblock(wire, ADDRESS, addresses="rules_list")
    assert wire.changes == [("DELETE", ITEMS, {"items": [{"id": "i2"}]})]
    assert [request.url.params.get("cursor") for request in wire.requests[:2]] == [None, "next"]
    await unblock(wire, Indicator(kind="ipv4", value="192.0.2.200"), addresses="rules_list")
    assert len(wire.changes) == 1


async def test_access_rules_are_made_one_by_one_and_not_twice():
    """What a rule blocks already needs no second one, which Cloudflare would refuse."""
    wire = Wire()
    there = {"id": "r1", "mode": "block", "configuration": {"target": "ip", "value": "203.0.113.7"}}
    wire.answers["GET", ACCESS] = {"result": [there], "result_info": {"page": 1, "per_page": 100, "total_count": 1}}
    await block(wire, ADDRESS, NETWORK, Indicator(kind="ipv6", value="2001:db8::7"), addresses="access_rules")
    assert wire.changes == [
        (
            "POST",
            ACCESS,
            {"mode": "block", "configuration": {"target": target, "value": value}, "notes": "c2 of case 7"},
        )
        for target, value in (("ip_range", "2001:db8:1::/48"), ("ip6", "2001:db8::7"))
    ]
    await unblock(wire, ADDRESS, addresses="access_rules")
    assert wire.changes[-1] == ("DELETE", f"{ACCESS}/r1", None)


async def test_access_rules_can_be_those_of_a_zone():
    """With zone_id nothing of the account is touched."""
    wire = Wire()
    await block(wire, ADDRESS, addresses="access_rules", zone_id=ZONE)
    assert {request.url.path for request in wire.requests} == {f"/client/v4/zones/{ZONE}/firewall/access_rules/rules"}


def rule(number: str, **more: Any) -> dict[str, Any]:
    return {"id": number, "mode": "block", "configuration": {"target": "ip", "value": "203.0.113.7"}, **more}


@pytest.mark.parametrize("turn", [1, -1])
@pytest.mark.parametrize(("settings", "ours"), [({"zone_id": ZONE}, "zones"), ({}, "accounts")])
async def test_rules_of_another_scope_are_somebody_elses(settings: dict[str, str], ours: str, turn: int):
    """A zone's list shows the account's rules as well: they do not count, and are never deleted, in whatever order."""
    path = f"/client/v4/zones/{ZONE}/firewall/access_rules/rules" if settings else ACCESS
    rules = [rule("accounts", scope={"type": "organization"}), rule("zones", scope={"type": "zone", "id": ZONE})]
    page = {"result": rules[::turn], "result_info": {"page": 1, "per_page": 100, "total_count": 2}}
    wire = Wire()
    wire.answers["GET", path] = page
    await unblock(wire, ADDRESS, addresses="access_rules", **settings)
    assert wire.changes == [("DELETE", f"{path}/{ours}", None)]
    page["result"] = [each for each in rules if each["id"] != ours]
    (state,) = await cloudflare(wire, addresses="access_rules", **settings).blocks_of([ADDRESS])
    assert not state.blocked


async def test_a_rule_in_a_zone_that_does_not_say_whose_it_is_is_not_understood():
    """It could be the account's: neither blocked nor free is a safe answer."""
    wire = Wire()
    path = f"/client/v4/zones/{ZONE}/firewall/access_rules/rules"
    wire.answers["GET", path] = {"result": [rule("r")], "result_info": {"page": 1, "per_page": 100, "total_count": 1}}
    with pytest.raises(Invalid):
        await unblock(wire, ADDRESS, addresses="access_rules", zone_id=ZONE)
    assert wire.changes == []


async def test_a_refused_rule_is_named_and_a_lost_connection_stops_the_rest():
    """The others are told apart: made, refused, and not tried."""
    wire = Wire()
    wire.answers["POST", ACCESS] = [{"result": {"id": "r"}}, refusal(400, 10009), refusal(503, 1), {"result": {}}]
    addresses = [Indicator(kind="ipv4", value=f"192.0.2.{n}") for n in range(1, 5)]
    with pytest.raises(PartialFailure) as caught:
        await block(wire, *addresses, addresses="access_rules")
    assert [(value, type(error), error.applied.value) for value, error in caught.value.failures.items()] == [
        ("192.0.2.2", Conflict, "no"),
        ("192.0.2.3", Unavailable, "maybe"),
        ("192.0.2.4", Unavailable, "no"),
    ]
    assert len(wire.changes) == 3


@pytest.mark.parametrize(
    ("indicator", "settings", "kind"),
    [
        (DOMAIN, {"domain_list": None}, Unsupported),
        (Indicator(kind="cidr", value="10.0.0.0/7"), {}, Unsupported),
        (Indicator(kind="cidr", value="10.1.0.0/20"), {"addresses": "access_rules"}, Unsupported),
        (Indicator(kind="cidr", value="0.0.0.0/0"), {}, Invalid),
        (Indicator(kind="ipv4", value="1.2.3.4' or 'x"), {}, Invalid),
        (Indicator(kind="domain", value="*"), {}, Invalid),
        (Indicator(kind="domain", value="a.example/../x"), {}, Invalid),
        (Indicator(kind="url", value="ftp://a.example/"), {}, Unsupported),
        (Indicator(kind="url", value="https://[::1/"), {}, Invalid),
    ],
)
async def test_what_cannot_be_written_down_is_refused_alone(indicator: Indicator, settings: Any, kind: type):
    """The others of a batch go out all the same, and nothing of it counts as blocked."""
    wire = Wire()
    with pytest.raises(kind):
        await block(wire, indicator, **settings)
    assert wire.changes == []
    with pytest.raises(PartialFailure) as caught:
        await block(wire, indicator, URL, **settings)
    assert list(caught.value.failures) == [indicator.value]
    assert [change[1] for change in wire.changes] == [gateway("url")]
    assert not (await cloudflare(wire, **settings).blocks_of([indicator]))[0].blocked


@pytest.mark.parametrize("place", ["ip_list", "rules_list", "access_rules"])
async def test_an_address_is_found_however_cloudflare_writes_it(place: str):
    """Letter case, zeros of IPv6, a prefix of a single address and host bits of a network do not matter."""
    wire = Wire()
    listed = ["2001:DB8:0:0::7", "2001:0db8:0000::0008/128", "192.0.2.1/32", "198.51.100.9/24", "203.0.113.7"]
    entries = [
        {
            "id": f"i{n}",
            "ip": value,
            "value": value,
            "mode": "block",
            "configuration": {"target": "ip_range" if "/" in value else "ip", "value": value},
        }
        for n, value in enumerate(listed)
    ]
    info = {"page": 1, "per_page": 100, "total_count": len(entries)}
    for path in (f"{gateway('ip')}/items", ITEMS, ACCESS):
        wire.answers["GET", path] = {"result": entries, "result_info": info}
    asked = [
        Indicator(kind="ipv6", value="2001:db8::7"),
        Indicator(kind="ipv6", value="2001:DB8::0:8"),
        Indicator(kind="ipv4", value="192.0.2.1"),
        Indicator(kind="cidr", value="198.51.100.0/24"),
        Indicator(kind="cidr", value="203.0.113.7/32"),
        Indicator(kind="ipv4", value="198.51.100.9"),
        Indicator(kind="ipv6", value="2001:db8::70"),
    ]
    blocks = await cloudflare(wire, addresses=place).blocks_of(asked)
    assert [block.blocked for block in blocks] == [True] * 5 + [False] * 2


async def test_an_item_that_is_written_in_another_way_is_removed_by_its_id():
    """What people wrote into the list is the same address."""
    wire = Wire()
    items = [{"id": "i1", "ip": "2001:DB8:0:0::7"}, {"id": "i2", "ip": "2001:db8::8"}]
    wire.answers["GET", ITEMS] = {"result": items, "result_info": {}}
    wire.answers["DELETE", ITEMS] = {"result": {"operation_id": "1"}}
    path = f"/client/v4/accounts/{ACCOUNT}/rules/lists/bulk_operations/1"
    wire.answers["GET", path] = {"result": {"status": "completed"}}
    await unblock(wire, Indicator(kind="ipv6", value="2001:db8::7"), addresses="rules_list")
    assert wire.changes == [("DELETE", ITEMS, {"items": [{"id": "i1"}]})]


async def test_every_page_counts_by_cloudflares_own_size():
    """Fewer entries than were asked for do not mean that it was the last page."""
    wire = Wire()
    wire.answers["GET", f"{gateway('domain')}/items"] = [
        {"result": [{"value": value}], "result_info": {"page": n, "per_page": 1, "total_count": 2}}
        for n, value in enumerate(("a.example", "EVIL.example"), start=1)
    ]
    assert (await cloudflare(wire).blocks_of([DOMAIN]))[0].blocked
    assert [request.url.params["page"] for request in wire.requests] == ["1", "2"]


@pytest.mark.parametrize("answer", [{"result": [{"name": "x"}]}, {}, {"result": [], "result_info": {}}])
async def test_an_answer_without_entries_or_their_count_does_not_mean_not_blocked(answer: dict[str, Any]):
    """Could not read is never is absent."""
    wire = Wire()
    wire.answers["GET", f"{gateway('domain')}/items"] = httpx.Response(200, json={"success": True, **answer})
    with pytest.raises(Invalid):
        await cloudflare(wire).blocks_of([DOMAIN])


@pytest.mark.parametrize(
    ("response", "kind", "applied"),
    [
        (refusal(403, 9109), Unauthorized, "no"),
        (refusal(400, 6003), Unauthorized, "no"),
        (refusal(401, 10000), Unauthorized, "no"),
        (refusal(403, 10000), Forbidden, "no"),
        (refusal(403, 4711), Forbidden, "no"),
        (refusal(400, 7003), NotFound, "no"),
        (refusal(404, 2001), NotFound, "no"),
        (refusal(409, 4711), Conflict, "no"),
        (refusal(400, 10009), Conflict, "no"),
        (refusal(400, 4711), Invalid, "no"),
        (refusal(200, 4711), Invalid, "maybe"),
        (refusal(500, 4711), Unavailable, "maybe"),
        (httpx.Response(530, text="<html>origin is down</html>"), Unavailable, "maybe"),
        (httpx.Response(404, text="<html>nginx</html>"), Invalid, "no"),
        (httpx.Response(403, text="<html>attention required</html>"), Forbidden, "no"),
        (httpx.Response(200, text="<html>sign in</html>"), Invalid, "maybe"),
        (httpx.Response(200, json={"result": []}), Invalid, "maybe"),
    ],
)
async def test_every_error_has_its_class(response: httpx.Response, kind: type[ConnectorError], applied: str):
    """The envelope decides before the status; a web page of the edge is no answer."""
    wire = Wire()
    wire.answers["PATCH", gateway("domain")] = response
    with pytest.raises(ConnectorError) as caught:
        await block(wire, DOMAIN)
    assert type(caught.value) is kind
    assert caught.value.applied == applied
    assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "12", "ratelimit": '"default";r=0;t=30'}, 12.0),
        ({"ratelimit": '"burst";r=0;t=5, "default";r=0;t=30'}, 30.0),
        ({"ratelimit": '"burst";r=7;t=5'}, None),
        ({}, None),
    ],
)
async def test_the_delay_is_what_cloudflare_asks_for(headers: dict[str, str], wait_s: float | None):
    """By retry-after, else by the windows that are used up."""
    wire = Wire()
    wire.answers["PATCH", gateway("domain")] = refusal(429, 971, **headers)
    with pytest.raises(RateLimited) as caught:
        await block(wire, DOMAIN)
    assert caught.value.retry_after_s == wait_s


async def test_a_plan_shows_the_list_that_is_a_job_last_and_is_complete():
    """Only the answer to the very last request is looked at."""
    wire = Wire()
    door = Door(mode="plan", effect=Effect.CHANGE, action="firewall.block_indicators")
    with through(door), pytest.raises(CaptureEnded):
        await cloudflare(wire, addresses="rules_list").block_indicators([ADDRESS, DOMAIN, URL], "c2")
    assert [request.method for request in door.captured] == ["PATCH", "PATCH", "POST"]
    assert door.complete
    assert wire.changes == []
