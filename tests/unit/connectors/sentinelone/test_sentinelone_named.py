"""An action whose filter is anything but explicit IDs cannot be expressed: nothing leaves the process."""

import json
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Host
from hikeshi.connector import Invalid, RouteRefused
from hikeshi.connector.door import Door, through
from hikeshi_connectors.sentinelone import SentinelOne
from hikeshi_connectors.sentinelone.named import action_body, deletion_body

AGENT_ID, OTHER_ID = "225494730938493804", "225494730938493915"
ACTIONS = "/web/api/v2.1/agents/actions"
BLOCKLIST = "/web/api/v2.1/restrictions"
DONE = httpx.Response(200, json={"data": {"affected": 1}})
SHA = "a" * 64

NOT_AN_ID = ["", " ", "*", "0", "1", "all", f"{AGENT_ID},{OTHER_ID}", f" {AGENT_ID}", f"{AGENT_ID}\n", "-" + AGENT_ID]
WIDE = [
    {},
    {"filter": {}},
    {"filter": None},
    {"filter": {"ids": []}},
    {"filter": {"ids": None}},
    {"filter": {"ids": [""]}},
    {"filter": {"ids": ["*"]}},
    {"filter": {"ids": [None]}},
    {"filter": {"ids": [int(AGENT_ID)]}},
    {"filter": {"ids": AGENT_ID}},
    {"filter": {"ids": {"0": AGENT_ID}}},
    {"filter": {"ids": [[AGENT_ID]]}},
    {"filter": {"ids": [AGENT_ID, ""]}},
    {"filter": {"tenant": True}},
    {"filter": {"groupIds": [AGENT_ID]}},
    {"filter": {"siteIds": [AGENT_ID]}},
    {"filter": {"filterId": AGENT_ID}},
    {"filter": {"query": "ws"}},
    {"filter": {"computerName__contains": ["ws"]}},
    {"filter": {"idsNin": [AGENT_ID]}},
    {"filter": {"ids": [AGENT_ID], "query": ""}},
    {"filter": {"ids": [AGENT_ID], "tenant": True}},
    {"filter": {"ids": [AGENT_ID]}, "data": {}},
    {"Filter": {"ids": [AGENT_ID]}},
    {"data": {"ids": [AGENT_ID]}},
    [],
    [{"filter": {"ids": [AGENT_ID]}}],
    "text",
]


@pytest.mark.parametrize("verb", ["isolate_host", "release_host"])
@pytest.mark.parametrize("host_id", NOT_AN_ID)
async def test_a_host_without_an_agent_id_is_not_acted_on(
    fake: Any, console: SentinelOne, live: Door, verb: str, host_id: str
) -> None:
    """A host whose ID is empty, a wildcard or a list is refused before anything leaves."""
    fake.on("POST", f"{ACTIONS}/disconnect", DONE)
    fake.on("POST", f"{ACTIONS}/connect", DONE)
    with through(live), pytest.raises(Invalid, match="nothing was sent"):
        await getattr(console, verb)(Host(connector="s1", id=host_id, name="x"), "r")
    assert fake.requests == []
    assert not live.sent


@pytest.mark.parametrize("ids", [[], [""], ["*"], [AGENT_ID, ""], "", "*", [None], [int(AGENT_ID)]])
def test_no_body_is_made_without_ids(ids: Any) -> None:
    """Neither for an action nor for a deletion: no IDs, or what is no ID, makes no body."""
    for make in (action_body, deletion_body):
        with pytest.raises(Invalid):
            make(ids)


def test_a_body_names_each_agent_once() -> None:
    """Its filter is the IDs and nothing beside them."""
    assert action_body([AGENT_ID, OTHER_ID, AGENT_ID]) == {"filter": {"ids": [AGENT_ID, OTHER_ID]}}


@pytest.mark.parametrize("action", ["disconnect", "connect"])
@pytest.mark.parametrize("body", WIDE, ids=json.dumps)
async def test_a_wide_filter_does_not_leave(
    fake: Any, console: SentinelOne, live: Door, action: str, body: Any
) -> None:
    """Even connector code that writes such a request by hand does not get it out."""
    fake.on("POST", f"{ACTIONS}/{action}", DONE)
    with through(live), pytest.raises(RouteRefused, match="everything that it matches"):
        await console.http.post(f"{ACTIONS}/{action}", json=body)
    assert fake.requests == []
    assert not live.sent


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "\x00",
        f'{{"filter":{{"ids":["{AGENT_ID}"]}},"filter":{{}}}}',
        f'{{"filter":{{"ids":["{AGENT_ID}"],"ids":[]}}}}',
        f'{{"filter":{{"ids":["{AGENT_ID}"]}}}} {{"filter":{{}}}}',
    ],
)
async def test_a_body_that_could_be_read_in_two_ways_does_not_leave(
    fake: Any, console: SentinelOne, live: Door, text: str
) -> None:
    """A member that is there twice, half a body, two bodies, none."""
    fake.on("POST", f"{ACTIONS}/connect", DONE)
    with through(live), pytest.raises((RouteRefused, ValueError)):
        await console.http.post(f"{ACTIONS}/connect", text=text, headers={"content-type": "application/json"})
    assert fake.requests == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{ACTIONS}/uninstall"),
        ("POST", f"{ACTIONS}/shutdown"),
        ("POST", f"{ACTIONS}/decommission"),
        ("POST", f"{ACTIONS}/disconnect?ids={AGENT_ID}"),
        ("POST", f"{ACTIONS}/Disconnect"),
        ("PUT", f"{ACTIONS}/disconnect"),
        ("DELETE", "/web/api/v2.1/exclusions"),
        ("POST", "/web/api/v2.0/agents/actions/disconnect"),
        ("POST", "/web/api/v2.1/threats/mitigate/kill"),
    ],
)
async def test_other_changes_do_not_leave(fake: Any, console: SentinelOne, live: Door, method: str, path: str) -> None:
    """What the connector does not make is refused, however explicit its IDs are."""
    with through(live), pytest.raises(RouteRefused):
        await console.http.request(method, path, json={"filter": {"ids": [AGENT_ID]}})
    assert fake.requests == []


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("DELETE", {"data": {"ids": [], "type": "black_hash"}}),
        ("DELETE", {"data": {"type": "black_hash"}}),
        ("DELETE", {"data": {"ids": [AGENT_ID]}}),
        ("DELETE", {"data": {"ids": [AGENT_ID], "type": "white_hash"}}),
        ("DELETE", {"filter": {"ids": [AGENT_ID]}}),
        ("POST", {"data": {"type": "white_hash", "osType": "linux", "value": "b" * 40}, "filter": {"tenant": True}}),
        ("POST", {"data": {"type": "path", "osType": "linux", "value": "/"}, "filter": {"tenant": True}}),
        ("POST", {"data": {"type": "black_hash", "osType": "linux", "value": "x"}, "filter": {"tenant": True}}),
        ("POST", {"data": {"type": "black_hash", "osType": "linux"}, "filter": {"tenant": True}}),
        ("POST", {"data": {"type": "black_hash", "osType": "linux", "sha256Value": SHA}, "filter": {}}),
    ],
)
async def test_the_blocklist_is_changed_by_name_only(
    fake: Any, console: SentinelOne, live: Door, method: str, body: Any
) -> None:
    """A deletion names entries; a new entry is a hash that is blocked, never an exclusion."""
    with through(live), pytest.raises(RouteRefused):
        await console.http.request(method, BLOCKLIST, json=body)
    assert fake.requests == []


@pytest.mark.parametrize(("verb", "action"), [("isolate_host", "disconnect"), ("release_host", "connect")])
async def test_one_agent_is_one_request(
    fake: Any, console: SentinelOne, host: Host, live: Door, plan: Door, verb: str, action: str
) -> None:
    """The one ID stands in the filter, a plan shows exactly that, and nothing is returned."""
    fake.on("POST", f"{ACTIONS}/{action}", DONE)
    with through(plan):
        await getattr(console, verb)(host, "incident 7")
    assert fake.requests == []
    with through(live):
        assert await getattr(console, verb)(host, "incident 7") is None
    (asked,) = fake.requests
    assert str(asked.url) == f"https://acme.sentinelone.net{ACTIONS}/{action}"
    assert json.loads(asked.content) == {"filter": {"ids": [AGENT_ID]}} == plan.captured[0].body
    assert asked.headers["authorization"] == "ApiToken unit-test-api-token"
