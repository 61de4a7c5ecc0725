"""Endpoints: how they are found, and how isolations, their tasks and their refusals are taken."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect, Host
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    OutcomeUnknown,
    Unavailable,
)
from hikeshi.connector.door import CaptureEnded, Door, through

GUID = "72436165-b5a5-471a-9389-0bdc3647bc33"
SEARCH, DETAILS = "/eiqs/endpoints", f"/endpointSecurity/endpoints/{GUID}"
ISOLATE, RESTORE, TASK = "/response/endpoints/isolate", "/response/endpoints/restore", "/response/tasks/00000004"
ACCEPTED = {
    "status": 202,
    "headers": [{"name": "Operation-Location", "value": f"https://api.xdr.trendmicro.com/v3.0{TASK}"}],
}


def endpoint(name: str = "PC-7", guid: str = GUID, ip: str = "10.0.0.7", **more: Any) -> dict[str, Any]:
    at = datetime.now(UTC).isoformat()
    return {
        "agentGuid": guid,
        "endpointName": {"value": name, "updatedDateTime": at},
        "ip": {"value": [ip], "updatedDateTime": at},
        "macAddress": {"value": ["00-50-56-B6-3E-A1"], "updatedDateTime": at},
        **more,
    }


@pytest.mark.parametrize(("unseen", "found"), [(timedelta(hours=23), True), (timedelta(hours=25), False)])
async def test_an_address_is_that_of_an_endpoint_seen_today(fake, vision_one, unseen, found):
    """After that another host may have it; a name and a GUID stay their host's, however long it was away."""
    old, seen = "2026-01-02T10:00:00Z", (datetime.now(UTC) - unseen).isoformat()
    name, mac = {"value": "PC-7", "updatedDateTime": old}, {"value": []}
    ips = {"value": ["10.0.0.7"], "updatedDateTime": seen}
    fake.lists(SEARCH, [{**endpoint(), "endpointName": name, "macAddress": mac, "ip": ips}])
    assert len(await vision_one.find_hosts("10.0.0.7")) == found
    for called in ("pc-7", GUID):
        assert [each.id for each in await vision_one.find_hosts(called)] == [GUID]


def details(status: str) -> dict[str, Any]:
    return {"agentGuid": GUID, "endpointName": "PC-7", "isolationStatus": status}


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("Pc-7", "endpointName eq 'Pc-7' or endpointName eq 'PC-7' or endpointName eq 'pc-7'"),
        ("10.0.0.7", "ip eq '10.0.0.7'"),
    ],
)
async def test_an_endpoint_is_found_by_its_names(fake, vision_one, name, asked):
    """The query is a header; only the very name counts, in any case."""
    fake.lists(SEARCH, [endpoint(), endpoint("PC-77", "f" * 32, "10.0.0.77")])
    (found,) = await vision_one.find_hosts(name)
    assert (found.id, found.ips, found.mac) == (GUID, ("10.0.0.7",), "00:50:56:b6:3e:a1")
    (request,) = fake.asked("GET", SEARCH)
    assert request.headers["tmv1-query"] == asked
    assert request.headers["authorization"] == "Bearer an-invented-api-key"


async def test_a_guid_is_asked_for_as_such(fake, vision_one):
    """An agent's GUID is a name as well."""
    fake.lists(SEARCH, [endpoint()])
    assert len(await vision_one.find_hosts(GUID)) == 1
    assert f"agentGuid eq '{GUID}'" in fake.requests[0].headers["tmv1-query"]


@pytest.mark.parametrize("name", ["", "*", "a' or 'x' eq 'x", 'a"', "a b", "a\nX-Evil: 1", "</entry>", "火"])
async def test_what_can_be_no_name_is_refused(fake, vision_one, name):
    """Nothing that could leave its quotes, or the header, is asked for."""
    with pytest.raises(Invalid, match="neither a host name"):
        await vision_one.find_hosts(name)
    assert fake.requests == []


async def test_each_page_is_asked_for_with_the_query(fake, vision_one):
    """The link carries the position, the header the question."""
    fake.lists(SEARCH, [endpoint()], [endpoint(guid="a" * 32)])
    assert len(await vision_one.find_hosts("PC-7")) == 2
    first, second = fake.asked("GET", SEARCH)
    assert second.url.params["skipToken"] == "1"
    assert first.headers["tmv1-query"] == second.headers["tmv1-query"]


def task(action: str, status: str = "queued", minute: int = 0, guid: str = GUID) -> dict[str, Any]:
    at = f"2026-01-02T10:{minute:02}:00Z"
    return {"id": f"{minute:08}", "action": action, "status": status, "agentGuid": guid, "createdDateTime": at}


@pytest.mark.parametrize(
    ("status", "tasks", "state"),
    [
        ("on", [], "isolated"),
        ("off", [], "normal"),
        ("off", [task("isolate")], "isolating"),
        ("off", [task("isolate", "running")], "isolating"),
        ("on", [task("isolate")], "isolated"),
        ("on", [task("restoreIsolate")], "releasing"),
        ("off", [task("restoreIsolate")], "normal"),
        ("off", [task("restoreIsolate", minute=2), task("isolate", minute=1)], "releasing"),
        ("on", [task("restoreIsolate", minute=1), task("isolate", minute=2)], "isolating"),
        ("off", [task("isolate", guid="another-endpoint")], "normal"),
    ],
)
async def test_a_task_that_waits_has_done_nothing_yet(fake, vision_one, host, status, tasks, state):
    """The inventory says what is, unfinished tasks say where it goes."""
    fake.gets(DETAILS, details(status))
    fake.lists("/response/tasks", tasks)
    assert (await vision_one.isolation_of(host)).state == state
    params = fake.asked("GET", "/response/tasks")[0].url.params
    assert params["filter"] == (
        "(status eq 'queued' or status eq 'running' or status eq 'pendingApproval')"
        " and (action eq 'isolate' or action eq 'restoreIsolate')"
    )
    assert set(params) == {"filter", "startDateTime", "top"}


async def test_a_task_that_waits_for_approval_is_told_as_such(fake, vision_one, host, live):
    """No request takes it back, so nobody can say what becomes of the endpoint until a person decides there."""
    fake.gets(DETAILS, details("off"))
    fake.lists("/response/tasks", [task("isolate", "pendingApproval", minute=7)])
    with pytest.raises(Conflict, match=r"task 00000007 \(isolate\).* waits for a person's approval in Vision One"):
        await vision_one.isolation_of(host)
    with pytest.raises(Conflict, match="pendingApproval"):
        await live(vision_one.isolate_host(host, "again"))
    assert fake.changes == []


@pytest.mark.parametrize("body", [details("unknown"), {"agentGuid": GUID}, {**details("off"), "agentGuid": "other"}])
async def test_what_is_not_known_is_not_normal(fake, vision_one, host, body):
    """An unknown status, or an answer about another endpoint, is an error."""
    fake.gets(DETAILS, body)
    with pytest.raises(Invalid):
        await vision_one.isolation_of(host)


async def test_an_endpoint_is_isolated(fake, vision_one, host, live):
    """A list of one, by GUID; the task that it became is looked at."""
    fake.gets(DETAILS, details("off"))
    fake.multi(ISOLATE, ACCEPTED)
    fake.gets(TASK, {"id": "00000004", "status": "succeeded"})
    await live(vision_one.isolate_host(host, "case 7"))
    assert fake.changes == [(ISOLATE, [{"agentGuid": GUID, "description": "case 7"}])]
    assert len(fake.asked("GET", TASK)) == 1


@pytest.mark.parametrize(("status", "tasks"), [("on", []), ("off", [task("isolate")])])
async def test_an_isolated_endpoint_is_not_isolated_again(fake, vision_one, host, live, status, tasks):
    """It is so already, or about to be."""
    fake.gets(DETAILS, details(status))
    fake.lists("/response/tasks", tasks)
    with pytest.raises(Conflict):
        await live(vision_one.isolate_host(host, "r"))
    assert fake.changes == []


async def test_an_endpoint_is_restored_whatever_its_status(fake, vision_one, host, live):
    """An isolation that still waits would otherwise come after the release."""
    fake.multi(RESTORE, ACCEPTED)
    fake.gets(TASK, {"status": "queued"})
    await live(vision_one.release_host(host, ""))
    assert fake.changes == [(RESTORE, [{"agentGuid": GUID, "description": "restore by Hikeshi"}])]


async def test_a_task_is_asked_about_until_it_ends(fake, make, host, live):
    """For as long as the settings say; afterwards the endpoint's state decides."""
    fake.gets(DETAILS, details("off"))
    fake.multi(ISOLATE, ACCEPTED)
    fake.gets(TASK, {"status": "queued"}, {"status": "succeeded"})
    await live(make(task_wait_s=1.0).isolate_host(host, "r"))
    assert len(fake.asked("GET", TASK)) == 2


@pytest.mark.parametrize(
    ("came_to", "kind", "applied", "text"),
    [
        ({"status": "pendingApproval"}, OutcomeUnknown, Applied.MAYBE, "waits for a person's approval in Vision One"),
        ({"status": "rejected"}, Forbidden, Applied.NO, "refused it in Vision One"),
        ({"status": "canceled"}, Forbidden, Applied.NO, "refused it"),
        (
            {"status": "failed", "error": {"code": "TaskError", "message": "agent says no"}},
            Unavailable,
            Applied.MAYBE,
            "TaskError: agent says no",
        ),
        ({"status": "dreaming"}, OutcomeUnknown, Applied.MAYBE, "dreaming"),
    ],
)
async def test_what_a_task_came_to_is_told(fake, vision_one, host, live, came_to, kind, applied, text):
    """Accepted is not done; above all one that a person at the vendor has to approve."""
    fake.gets(DETAILS, details("off"))
    fake.multi(ISOLATE, ACCEPTED)
    fake.gets(TASK, came_to)
    with pytest.raises(kind, match=text) as caught:
        await live(vision_one.isolate_host(host, "r"))
    assert type(caught.value) is kind
    assert caught.value.applied is applied


async def test_a_task_that_cannot_be_read_leaves_the_outcome_open(fake, vision_one, host, live):
    """The request was accepted; that its task is not shown does not undo it."""
    fake.gets(DETAILS, details("off"))
    fake.multi(ISOLATE, ACCEPTED)
    fake.on("GET", TASK, httpx.Response(403, json={"error": {"code": "AccessDenied", "message": "no"}}))
    with pytest.raises(OutcomeUnknown, match="task 00000004"):
        await live(vision_one.isolate_host(host, "r"))


@pytest.mark.parametrize(
    ("entries", "kind", "applied"),
    [
        ([{"status": 404, "body": {"error": {"code": "NotFound", "message": "no such"}}}], NotFound, Applied.NO),
        ([{"status": 403, "body": {"error": {"code": "AccessDenied"}}}], Forbidden, Applied.NO),
        ([{"status": 400, "body": {"error": {"code": "BadRequest"}}}], Invalid, Applied.NO),
        ([{"status": 500}], Unavailable, Applied.MAYBE),
        ([{"status": 202}], Invalid, Applied.MAYBE),
        (
            [{"status": 202, "headers": [{"name": "Operation-Location", "value": "https://x/../.."}]}],
            Invalid,
            Applied.MAYBE,
        ),
        ([], Invalid, Applied.MAYBE),
        ([ACCEPTED, ACCEPTED], Invalid, Applied.MAYBE),
        (["queued"], Invalid, Applied.MAYBE),
    ],
)
async def test_a_207_is_judged_by_its_entry(fake, vision_one, host, live, entries, kind, applied):
    """The status of the whole says nothing; neither does an entry without a task."""
    fake.gets(DETAILS, details("off"))
    fake.on("POST", ISOLATE, httpx.Response(207, json=entries))
    with pytest.raises(kind) as caught:
        await live(vision_one.isolate_host(host, "r"))
    assert type(caught.value) is kind
    assert caught.value.applied is applied


async def test_a_plan_shows_the_request_and_is_complete(fake, vision_one, host):
    """Only the answer is looked at afterwards."""
    fake.gets(DETAILS, details("off"))
    door = Door(mode="plan", effect=Effect.CHANGE, action="edr.isolate_host")
    with through(door), pytest.raises(CaptureEnded):
        await vision_one.isolate_host(host, "r")
    assert (len(door.captured), door.complete) == (1, True)


@pytest.mark.parametrize("hostile", ["../tasks", "a/b/cccccccc", "", "x' or agentGuid eq 'y"])
async def test_no_id_can_reach_past_its_place(fake, vision_one, live, hostile):
    """What is no GUID enters neither a path nor a body nor a query."""
    host = Host(connector="v1", id=hostile, name="x")
    for call in (vision_one.isolation_of(host), vision_one.users_of_host(host)):
        with pytest.raises(Invalid, match="not the GUID"):
            await call
    for change in (vision_one.isolate_host(host, "r"), vision_one.release_host(host, "r")):
        with pytest.raises(Invalid, match="not the GUID"):
            await live(change)
    assert fake.requests == []


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (httpx.Response(404, json={"error": {"code": "NotFound", "message": "gone"}}), NotFound, "gone"),
        (httpx.Response(404, text="no page"), Invalid, "check the region"),
        (
            httpx.Response(403, json={"error": {"code": "AccessDenied", "message": "no"}}),
            Forbidden,
            "role of the API key",
        ),
        (httpx.Response(200, html="<html>Sign in</html>"), Invalid, "not Vision One's"),
        (httpx.Response(413, text="too large"), Invalid, "413"),
    ],
)
async def test_each_refusal_has_its_class(fake, vision_one, host, answer, kind, text):
    """A read applied nothing, whatever went wrong; and no error shows the key."""
    fake.on("GET", DETAILS, answer)
    with pytest.raises(kind, match=text) as caught:
        await vision_one.isolation_of(host)
    assert caught.value.applied is Applied.NO
    assert "an-invented-api-key" not in str(caught.value)


async def test_too_many_requests_means_to_wait_for_the_window(fake, vision_one, host):
    """No header says how long; the documented window is a minute."""
    fake.on("GET", DETAILS, httpx.Response(429, json={"error": {"code": "TooManyRequests"}}))
    with pytest.raises(ConnectorError) as caught:
        await vision_one.isolation_of(host)
    assert caught.value.retry_after_s == 60


@pytest.mark.parametrize(
    ("region", "address"),
    [
        ("us", "https://api.xdr.trendmicro.com/v3.0"),
        ("jp", "https://api.xdr.trendmicro.co.jp/v3.0"),
        ("eu", "https://api.eu.xdr.trendmicro.com/v3.0"),
    ],
)
def test_the_region_says_the_address(make, region, address):
    """Each region has a host of its own, and Japan another one again."""
    connector = make(region=region)
    assert connector.bases(connector.settings) == {"": address}


async def test_users_are_those_of_the_inventory(fake, vision_one, host):
    """All carry the time of their list; an old list says nothing about lately."""
    accounts = {"value": ["CORP\\jo", "CORP\\jo", ""], "updatedDateTime": "2999-01-01T00:00:00Z"}
    fake.lists(SEARCH, [endpoint(loginAccount=accounts)])
    assert [each.name for each in await vision_one.users_of_host(host)] == ["CORP\\jo"]
    fake.lists(SEARCH, [endpoint(loginAccount={**accounts, "updatedDateTime": "2001-01-01T00:00:00Z"})])
    assert await vision_one.users_of_host(host) == []
    fake.lists(SEARCH, [])
    with pytest.raises(NotFound):
        await vision_one.users_of_host(host)


async def test_the_key_is_masked_wherever_it_goes(fake, vision_one, host):
    """It is in a header of each request, and nowhere else."""
    fake.gets(DETAILS, details("off"))
    await vision_one.isolation_of(host)
    assert vision_one.redactor.text("an-invented-api-key") == "[secret]"
    assert not any("an-invented-api-key" in str(each.url) for each in fake.requests)
    shown = repr(vision_one.settings) + vision_one.settings.model_dump_json() + repr(vision_one.http)
    assert "an-invented-api-key" not in shown
