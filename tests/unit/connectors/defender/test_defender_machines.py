"""Machines: how they are found, what their actions come to, and how they are isolated and released."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Host
from hikeshi.connector import Applied, Conflict, Forbidden, Invalid, NotFound, Unavailable, Unsupported

MACHINE_ID = "1e5bc9d7e413ddd7902c2932e418702b84d0cc07"
MACHINES, ACTIONS = "/api/machines", "/api/machineactions"
LATE = "2026-01-02T15:00:00Z"
MACHINE = f"{MACHINES}/{MACHINE_ID}"


def machine(name: str = "pc-7.corp.example", **more: Any) -> dict[str, Any]:
    return {"id": MACHINE_ID, "computerDnsName": name, "lastIpAddress": "10.0.0.7", **more}


def action(kind: str, status: str, minute: int = 0, one: str = "0001", **more: Any) -> dict[str, Any]:
    at = f"2026-01-02T14:{minute:02}:40.6596267Z"
    return {
        "id": one,
        "type": kind,
        "status": status,
        "machineId": MACHINE_ID,
        "creationDateTimeUtc": at,
        "lastUpdateDateTimeUtc": at,
        **more,
    }


def refusal(status: int, code: str = "") -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": "no", "target": "corr-1"}})


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("PC-7", "startswith(computerDnsName,'pc-7')"),
        ("pc-7.CORP.example", "startswith(computerDnsName,'pc-7.corp.example')"),
        ("10.0.0.7", "lastIpAddress eq '10.0.0.7'"),
        (MACHINE_ID.upper(), f"id eq '{MACHINE_ID}'"),
    ],
)
async def test_a_machine_is_found_by_each_of_its_names(fake, defender, name, asked):
    """The whole name, its first label, an address or the ID; longer names that only begin alike are dropped."""
    fake.lists(MACHINES, [machine(), {**machine("pc-77.corp.example"), "id": "f" * 40, "lastIpAddress": None}])
    assert [each.name for each in await defender.find_hosts(name)] == ["pc-7.corp.example"]
    (request,) = fake.asked("GET", MACHINES)
    assert dict(request.url.params) == {"$filter": asked, "$top": "10000"}
    assert request.headers["authorization"] == "Bearer an-invented-token"


@pytest.mark.parametrize(("unseen", "found"), [(timedelta(hours=47), True), (timedelta(hours=49), False)])
async def test_an_address_is_that_of_a_machine_that_reports(fake, defender, unseen, found):
    """After two missed reports another may have it; a name and an ID stay their machine's, however long it was away."""
    fake.lists(MACHINES, [machine(lastSeen=(datetime.now(UTC) - unseen).isoformat())])
    assert len(await defender.find_hosts("10.0.0.7")) == found
    for name in ("pc-7", MACHINE_ID):
        assert [each.id for each in await defender.find_hosts(name)] == [MACHINE_ID]


async def test_a_short_name_finds_the_machines_of_all_domains(fake, defender):
    """Two machines with the same first label are both returned, for a person to choose."""
    fake.lists(MACHINES, [machine("pc-7.corp.example"), {**machine("pc-7.lab.example"), "id": "a" * 40}])
    assert len(await defender.find_hosts("pc-7")) == 2


@pytest.mark.parametrize("name", ["", "*", "'", "a' or 'x'='x", "a)", "a,b", "a b", "</entry>", "火消し"])
async def test_what_can_be_no_name_is_refused(fake, defender, name):
    """Nothing that could leave its quotes is asked for."""
    with pytest.raises(Invalid, match="neither a host name"):
        await defender.find_hosts(name)
    assert fake.requests == []


async def test_links_are_followed_on_the_configured_host_only(fake, defender):
    """Defender's links may name its older host; the token goes nowhere else."""
    fake.lists(MACHINES, [machine()], [{**machine(), "id": "a" * 40}])
    assert len(await defender.find_hosts("pc-7")) == 2
    assert {each.url.host for each in fake.asked("GET", MACHINES)} == {"api.security.microsoft.com"}
    assert fake.requests[-1].url.params["$skip"] == "1"


async def test_no_recent_machines_is_an_answer_and_another_404_is_none(fake, defender):
    """Only Defender's own 404 says that nothing is there."""
    fake.on("GET", MACHINES, refusal(404, "ResourceNotFound"))
    assert await defender.find_hosts("pc-7") == []
    fake.on("GET", MACHINES, httpx.Response(404, text="no such page"))
    with pytest.raises(Invalid, match="base_url"):
        await defender.find_hosts("pc-7")


async def test_a_machine_becomes_a_host(fake, defender):
    """All local addresses, the first MAC address, tags and the group; never the external address."""
    cards = [
        {"ipAddress": "10.0.0.7", "macAddress": "8CEC4B897E73"},
        {"ipAddress": "2a01:110:0::1", "macAddress": None},
    ]
    more = {"osPlatform": "Windows11", "version": "24H2", "machineTags": ["tier-0"], "rbacGroupName": "Servers"}
    fake.lists(MACHINES, [machine(ipAddresses=cards, lastExternalIpAddress="203.0.113.1", **more)])
    (found,) = await defender.find_hosts("pc-7")
    assert (found.ips, found.mac) == (("10.0.0.7", "2a01:110::1"), "8c:ec:4b:89:7e:73")
    assert (found.os, found.tags, found.groups) == ("Windows11 24H2", ("tier-0",), ("Servers",))


@pytest.mark.parametrize(
    ("actions", "state"),
    [
        ([], "normal"),
        ([action("RunAntiVirusScan", "Pending")], "normal"),
        ([action("Isolate", "Pending")], "isolating"),
        ([action("Isolate", "InProgress")], "isolating"),
        ([action("Isolate", "Succeeded")], "isolated"),
        ([action("Isolate", "Failed")], "normal"),
        ([action("Isolate", "TimeOut")], "normal"),
        ([action("Isolate", "Cancelled")], "normal"),
        ([action("Isolate", "Succeeded", 1), action("Unisolate", "Pending", 2)], "releasing"),
        ([action("Unisolate", "Succeeded", 2), action("Isolate", "Succeeded", 1)], "normal"),
        ([action("Unisolate", "Failed", 2), action("Isolate", "Succeeded", 1)], "isolated"),
        # Asked for second, done last: reported of duplicate isolations.
        (
            [action("Unisolate", "Succeeded", 2), action("Isolate", "Succeeded", 1, lastUpdateDateTimeUtc=LATE)],
            "isolated",
        ),
        ([action("Isolate", "Pending", 1), action("Unisolate", "Succeeded", 2)], "isolating"),
        ([action("Isolate", "Succeeded", 1, lastUpdateDateTimeUtc=None, lastUpdateTimeUtc=None)], "isolated"),
    ],
)
async def test_only_what_succeeded_counts(fake, defender, host, actions, state):
    """A pending action is neither isolated nor released, and one that came to nothing changes nothing."""
    fake.on("GET", MACHINE, httpx.Response(200, json=machine()))
    fake.lists(ACTIONS, actions)
    assert (await defender.isolation_of(host)).state == state
    assert fake.asked("GET", ACTIONS)[0].url.params["$filter"] == f"machineId eq '{MACHINE_ID}'"


async def test_an_unknown_status_is_no_answer(fake, defender, host):
    """What Defender may say one day is not taken for "normal"."""
    fake.on("GET", MACHINE, httpx.Response(200, json=machine()))
    fake.lists(ACTIONS, [action("Isolate", "Paused")])
    with pytest.raises(Invalid, match="paused"):
        await defender.isolation_of(host)


async def test_a_machine_that_is_not_there_is_not_normal(fake, defender, host):
    """An unknown machine has no actions either; that is no state."""
    fake.on("GET", MACHINE, refusal(404, "ResourceNotFound"))
    with pytest.raises(NotFound):
        await defender.isolation_of(host)


async def test_a_machine_is_isolated(fake, defender, host, live):
    """The documented path and the documented names in the body, which regard case."""
    fake.lists(ACTIONS, [])
    fake.on("POST", f"{MACHINE}/isolate", httpx.Response(201, json=action("Isolate", "Pending")))
    await live(defender.isolate_host(host, "case 7"))
    assert fake.changes == [(f"{MACHINE}/isolate", {"Comment": "case 7", "IsolationType": "Full"})]


@pytest.mark.parametrize("actions", [[action("Isolate", "Succeeded")], [action("Isolate", "Pending")]])
async def test_a_second_isolation_is_never_sent(fake, defender, host, live, actions):
    """It could take effect after a release; so the state is read first."""
    fake.lists(ACTIONS, actions)
    with pytest.raises(Conflict, match="nothing was sent"):
        await live(defender.isolate_host(host, "r"))
    assert fake.changes == []


async def test_a_machine_is_released(fake, defender, host, live):
    """The documented path, with the required comment even if there is no reason."""
    fake.lists(ACTIONS, [action("Isolate", "Succeeded")])
    fake.on("POST", f"{MACHINE}/unisolate", httpx.Response(201, json=action("Unisolate", "Pending")))
    await live(defender.release_host(host, ""))
    assert fake.changes == [(f"{MACHINE}/unisolate", {"Comment": "released by Hikeshi"})]


async def test_an_isolation_that_has_not_happened_is_cancelled(fake, defender, host, live):
    """An offline machine would be isolated when it comes back; a release takes the request back."""
    fake.lists(ACTIONS, [action("Isolate", "Pending", one="00aa-1")])
    fake.on("POST", f"{ACTIONS}/00aa-1/cancel", httpx.Response(200, json=action("Isolate", "Cancelled")))
    await live(defender.release_host(host, "mistake"))
    assert fake.changes == [(f"{ACTIONS}/00aa-1/cancel", {"Comment": "mistake"})]


@pytest.mark.parametrize("actions", [[], [action("Isolate", "Succeeded", 1), action("Unisolate", "Pending", 2)]])
async def test_nothing_to_release_is_a_conflict(fake, defender, host, live, actions):
    """It is so already, or about to be."""
    fake.lists(ACTIONS, actions)
    with pytest.raises(Conflict):
        await live(defender.release_host(host, "r"))
    assert fake.changes == []


@pytest.mark.parametrize("hostile", ["../indicators", "a/b", "x?y", "", "a' or 1 eq 1"])
async def test_no_id_can_reach_past_its_place(fake, defender, live, hostile):
    """What is no ID enters neither a path nor a filter."""
    host = Host(connector="mde", id=hostile, name="x")
    for call in (defender.isolate_host(host, "r"), defender.release_host(host, "r")):
        with pytest.raises(Invalid, match="not the ID"):
            await live(call)
    with pytest.raises(Invalid):
        await defender.isolation_of(host)
    assert fake.requests == []


@pytest.mark.parametrize(
    ("answer", "kind", "applied"),
    [
        (refusal(400, "ActiveRequestAlreadyExists"), Conflict, Applied.NO),
        (refusal(400, "InvalidRequestBody"), Invalid, Applied.NO),
        (refusal(400, "OsPlatformNotSupported"), Unsupported, Applied.NO),
        (refusal(400), Invalid, Applied.NO),
        (refusal(403, "DisabledFeature"), Forbidden, Applied.NO),
        (refusal(404, "ResourceNotFound"), NotFound, Applied.NO),
        (refusal(500, "InternalServerError"), Unavailable, Applied.MAYBE),
        (httpx.Response(200, html="<html>Sign in</html>"), Invalid, Applied.MAYBE),
    ],
)
async def test_each_refusal_has_its_class(fake, defender, host, live, answer, kind, applied):
    """By status and code, never by message; with the ID that the vendor's support asks for."""
    fake.lists(ACTIONS, [])
    fake.on("POST", f"{MACHINE}/isolate", answer)
    with pytest.raises(kind) as caught:
        await live(defender.isolate_host(host, "r"))
    assert caught.value.applied is applied
    assert "corr-1" in caught.value.message or "Defender's" in caught.value.message
