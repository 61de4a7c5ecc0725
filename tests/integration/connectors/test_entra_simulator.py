"""The Entra connector against the simulated Graph, over real HTTP."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect
from hikeshi.capabilities import Group as GroupEntity
from hikeshi.capabilities import User as UserEntity
from hikeshi.connector import (
    Applied,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Secret,
    Timeout,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Estate, EstateState, Group, User
from hikeshi.testing.faults import Fault
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.entra import Entra
from hikeshi_connectors.entra.simulator import EntraSimulator

BASE = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
MEI, ADA, KEN = (f"aaaaaaaa-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
VPN, ALL, ADMINS, ROLE, SYNCED, LIST = (f"bbbbbbbb-0000-4000-8000-00000000000{n}" for n in range(1, 7))


def user(user_id: str, upn: str, sam: str, **fields: Any) -> User:
    return User(user_id, upn, sam, sam.title(), "IT", "Planner", "tyo", BASE - timedelta(days=30), mail=upn, **fields)


def make_estate() -> Estate:
    people = [
        user(MEI, "mei@minato.example", "mei"),
        user(ADA, "ada_audit.example#EXT#@minato.example", "ada", guest=True),
        user(KEN, "ken.o'hara@minato.example", "ken"),
    ]
    groups = [
        Group(VPN, "VPN Users", members={MEI, KEN}),
        Group(ALL, "All Employees", dynamic=True, members={MEI, KEN}),
        Group(ADMINS, "Domain Admins", privileged=True, members={MEI}),
        Group(ROLE, "Global Administrator", privileged=True, role=True, members={MEI}),
        Group(SYNCED, "On-premises Staff", members={KEN}),
        Group(LIST, "Newsletter", members={KEN}),
    ]
    details = {"groups": {SYNCED: {"onPremisesSyncEnabled": True}, LIST: {"mailEnabled": True}}}
    state = EstateState(
        "small",
        BASE,
        users={each.id: each for each in people},
        groups={each.id: each for each in groups},
        product_state={"entra": details},
    )
    return Estate(state)


class World:
    """The simulation, its address, and how to reach it."""

    def __init__(self, simulation: Simulation, url: str) -> None:
        self.simulation, self.url = simulation, url
        self.estate = simulation.estate
        simulator = simulation.simulators["entra"]
        assert isinstance(simulator, EntraSimulator)
        self.entra = simulator
        self.entra.replication_lag_s = 0.0

    def settings(self) -> dict[str, Any]:
        given = self.simulation.project_settings(self.url)["entra"]
        secret = Secret.of_value(given.pop("client_secret"))
        assert given.pop("product") == "entra"
        return {**given, "client_secret": secret}

    @asynccontextmanager
    async def connector(self, **settings: Any) -> AsyncIterator[Entra]:
        built = build(Entra, "entra", {**self.settings(), **settings}, Redactor())
        assert isinstance(built, Entra)
        try:
            yield built
        finally:
            await built.http.aclose()

    def changes(self) -> list[tuple[str, str, bool]]:
        changes = self.simulation.changes
        return [(each["method"], each["url"].partition("/v1.0")[2], each["applied"]) for each in changes]


@pytest.fixture(scope="module")
def server() -> Iterator[World]:
    simulation = Simulation(make_estate(), [EntraSimulator])
    with running(simulation) as url:
        yield World(simulation, url)


@pytest.fixture
def world(server: World) -> World:
    server.simulation.reset()
    fresh = World(server.simulation, server.url)
    fresh.entra.granted = set(Entra.least_privileges)
    fresh.entra.most_on_a_page = 999
    return fresh


async def live(change: Awaitable[None]) -> None:
    with through(Door(mode="live", effect=Effect.CHANGE, action="identity.change", intended=True)):
        await change


async def one(entra: Entra, name: str) -> UserEntity:
    (found,) = await entra.find_users(name)
    return found


async def group(entra: Entra, of: UserEntity, name: str) -> GroupEntity:
    return next(each for each in await entra.groups_of(of) if each.name == name)


@pytest.mark.parametrize("name", ["mei@minato.example", "MEI", MEI, MEI.upper()])
async def test_an_account_is_found_by_each_name(world: World, name: str) -> None:
    """Sign-in name, mail address, on-premises name and object id lead to the same account."""
    async with world.connector() as entra:
        assert (await one(entra, name)).id == MEI


async def test_a_name_with_a_quote_is_found_and_an_injection_finds_nobody(world: World) -> None:
    """The vendor's own reading of the filter: a quote belongs to the name, and never ends it."""
    async with world.connector() as entra:
        assert (await one(entra, "ken.o'hara@minato.example")).id == KEN
        for hostile in ("a' or 'x' eq 'x", "' or mail ne null or mail eq '", "*", '"', "</entry>", "me", "nobody"):
            assert await entra.find_users(hostile) == []
        assert await entra.find_users("cccccccc-0000-4000-8000-000000000009") == []


async def test_every_page_is_read(world: World) -> None:
    """Pages of one item: all groups are there, and so are all accounts of one name."""
    world.entra.most_on_a_page = 1
    world.estate.users[KEN].sam = "mei"
    async with world.connector() as entra:
        assert {each.id for each in await entra.find_users("mei")} == {MEI, KEN}
        mei = await one(entra, MEI)
        assert {each.name: (each.privileged, each.dynamic) for each in await entra.groups_of(mei)} == {
            "VPN Users": (False, False),
            "All Employees": (False, True),
            "Domain Admins": (True, False),
            "Global Administrator": (True, False),
        }


async def test_an_account_is_disabled_and_enabled_again(world: World) -> None:
    """Undo restores the state, and verify sees both."""
    async with world.connector() as entra:
        mei = await one(entra, "mei")
        await live(entra.disable_user(mei, "x"))
        assert not (await entra.account_of(mei)).enabled
        assert not world.estate.users[MEI].enabled
        await live(entra.disable_user(mei, "x"))
        await live(entra.enable_user(mei, "x"))
        assert (await entra.account_of(mei)).enabled
    assert [applied for *_, applied in world.changes()] == [True, True, True]


async def test_sessions_end(world: World) -> None:
    """After a revocation sign-ins count from later on."""
    async with world.connector() as entra:
        mei = await one(entra, "mei")
        before = (await entra.sessions_of(mei)).valid_from
        await live(entra.revoke_sessions(mei, "x"))
        after = (await entra.sessions_of(mei)).valid_from
        assert before is not None
        assert after is not None
        assert after > before
        with pytest.raises(Unsupported):
            await live(entra.revoke_sessions(await one(entra, ADA), "x"))


@pytest.mark.parametrize("name", ["VPN Users", "Domain Admins", "Global Administrator"])
async def test_a_membership_is_taken_and_given_back(world: World, name: str) -> None:
    """Groups and roles alike: removed, seen, added, seen; nothing else in the estate differs."""
    before = world.estate.snapshot_bytes()
    async with world.connector() as entra:
        mei = await one(entra, "mei")
        found = await group(entra, mei, name)
        await live(entra.remove_from_group(mei, found, "x"))
        assert not (await entra.membership_of(mei, found)).member
        with pytest.raises(Conflict):
            await live(entra.remove_from_group(mei, found, "x"))
        await live(entra.add_to_group(mei, found, "x"))
        assert (await entra.membership_of(mei, found)).member
        with pytest.raises(Conflict):
            await live(entra.add_to_group(mei, found, "x"))
    assert world.estate.snapshot_bytes() == before
    assert [(method, applied) for method, _, applied in world.changes()] == [
        ("DELETE", True),
        ("DELETE", False),
        ("POST", True),
        ("POST", False),
    ]


async def test_a_missing_account_or_group_is_not_a_missing_membership(world: World) -> None:
    """Graph's one answer for all of them is taken apart."""
    async with world.connector() as entra:
        mei = await one(entra, "mei")
        vpn, role = await group(entra, mei, "VPN Users"), await group(entra, mei, "Global Administrator")
        nobody = UserEntity(connector="entra", id="cccccccc-0000-4000-8000-000000000009", name="nobody")
        for change in (entra.remove_from_group, entra.add_to_group):
            with pytest.raises(NotFound, match="account nobody"):
                await live(change(nobody, vpn, "x"))
        del world.estate.groups[VPN], world.estate.groups[ROLE]
        for gone in (vpn, role):
            with pytest.raises(NotFound):
                await live(entra.remove_from_group(mei, gone, "x"))


@pytest.mark.parametrize("name", ["All Employees", "On-premises Staff", "Newsletter"])
async def test_groups_that_cannot_be_edited_are_refused_unsent(world: World, name: str) -> None:
    """Dynamic, on-premises and Exchange groups never see a request for a change."""
    async with world.connector() as entra:
        ken = await one(entra, "ken")
        found = await group(entra, ken, name)
        with pytest.raises(Unsupported):
            await live(entra.remove_from_group(ken, found, "x"))
    assert world.changes() == []


async def test_the_account_itself_cannot_be_deleted(world: World) -> None:
    """The simulation deletes accounts where `/$ref` is missing, as the vendor does; the connector cannot get there."""
    world.entra.granted.add("User.ReadWrite.All")
    async with world.connector() as entra:
        mei = await one(entra, "mei")
        vpn, role = await group(entra, mei, "VPN Users"), await group(entra, mei, "Global Administrator")
        for user_id in ("", "..", f"{MEI}?x=", f"{MEI}#", f"{MEI}/.", f"{MEI}/", f"{MEI}/$ref/..", f"{MEI}%2f"):
            strange = mei.model_copy(update={"id": user_id})
            for target in (vpn, role, vpn.model_copy(update={"id": f"{VPN}/members/{MEI}#"})):
                with pytest.raises(Invalid):
                    await live(entra.remove_from_group(strange, target, "x"))
        assert world.changes() == []
        await live(entra.remove_from_group(mei, vpn, "x"))
        assert MEI in world.estate.users
        token = (await entra.http.authorize())["authorization"] if entra.http.authorize else ""
    async with httpx.AsyncClient() as client:
        url = f"{world.url}/entra/v1.0/groups/{ADMINS}/members/{MEI}"
        assert (await client.delete(url, headers={"authorization": token})).status_code == 204
    assert MEI not in world.estate.users


async def test_reads_lag_behind_writes(world: World) -> None:
    """For a while after a change its verification still sees the old state, then the new one."""
    world.entra.replication_lag_s = 60.0
    async with world.connector() as entra:
        mei = await one(entra, "mei")
        vpn = await group(entra, mei, "VPN Users")
        began = (await entra.sessions_of(mei)).valid_from
        await live(entra.disable_user(mei, "x"))
        await live(entra.revoke_sessions(mei, "x"))
        await live(entra.remove_from_group(mei, vpn, "x"))
        assert (await entra.account_of(mei)).enabled
        assert (await entra.sessions_of(mei)).valid_from == began
        assert (await entra.membership_of(mei, vpn)).member
        world.estate.advance(61)
        assert not (await entra.account_of(mei)).enabled
        assert (await entra.sessions_of(mei)).valid_from != began
        assert not (await entra.membership_of(mei, vpn)).member


async def test_the_lag_is_the_estates_own_unless_told(world: World) -> None:
    """Without a setting, reads lag as long as anything else in the estate takes to settle."""
    world.entra.replication_lag_s = None
    async with world.connector() as entra:
        mei = await one(entra, "mei")
        await live(entra.disable_user(mei, "x"))
        world.estate.advance(world.estate.settle_s)
        assert not (await entra.account_of(mei)).enabled


async def test_a_plan_changes_nothing(world: World) -> None:
    """Every change previews as one request, and none arrives."""
    async with world.connector() as entra:
        mei = await one(entra, "mei")
        vpn = await group(entra, mei, "VPN Users")
        previews = []
        for change in (
            entra.disable_user(mei, "x"),
            entra.enable_user(mei, "x"),
            entra.revoke_sessions(mei, "x"),
            entra.remove_from_group(mei, vpn, "x"),
            entra.add_to_group(mei, vpn, "x"),
        ):
            with through(Door(mode="plan", effect=Effect.CHANGE, action="identity.change")) as door:
                await change
            (previewed,) = door.captured
            previews.append((previewed.method, previewed.url.partition("/v1.0")[2]))
    assert previews == [
        ("PATCH", f"/users/{MEI}"),
        ("PATCH", f"/users/{MEI}"),
        ("POST", f"/users/{MEI}/revokeSignInSessions"),
        ("DELETE", f"/groups/{VPN}/members/{MEI}/$ref"),
        ("POST", f"/groups/{VPN}/members/$ref"),
    ]
    assert world.changes() == []


@pytest.mark.parametrize("lacking", Entra.least_privileges)
async def test_each_permission_is_needed(world: World, lacking: str) -> None:
    """With all documented permissions everything works; without any one of them something is forbidden."""
    async with world.connector() as entra:
        mei = await one(entra, "mei")
        vpn, role = await group(entra, mei, "VPN Users"), await group(entra, mei, "Global Administrator")
        attempts = {
            "User.Read.All": lambda: entra.find_users("mei"),
            "User.EnableDisableAccount.All": lambda: live(entra.disable_user(mei, "x")),
            "User.RevokeSessions.All": lambda: live(entra.revoke_sessions(mei, "x")),
            "GroupMember.ReadWrite.All": lambda: live(entra.remove_from_group(mei, vpn, "x")),
            "RoleManagement.ReadWrite.Directory": lambda: live(entra.remove_from_group(mei, role, "x")),
        }
        world.entra.granted.discard(lacking)
        with pytest.raises(Forbidden):
            await attempts.pop(lacking)()
        world.entra.granted.add(lacking)
        for attempt in attempts.values():
            await attempt()


async def test_groups_without_names_are_an_error(world: World) -> None:
    """An app that may not read roles is told so, instead of being shown an account without any."""
    world.entra.granted = {"User.Read.All", "GroupMember.Read.All"}
    async with world.connector() as entra:
        with pytest.raises(Forbidden, match=r"RoleManagement\.Read\.Directory"):
            await entra.groups_of(await one(entra, "mei"))


async def test_tokens_end_and_are_renewed(world: World) -> None:
    """A token that is no longer accepted is replaced, and the change is sent once more."""
    async with world.connector() as entra:
        mei = await one(entra, "mei")
        world.estate.advance(4000)
        await live(entra.disable_user(mei, "x"))
    assert [applied for *_, applied in world.changes()] == [False, True]
    assert not world.estate.users[MEI].enabled


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_secret": Secret.of_value("wrong-secret")},
        {"client_id": "other"},
        {"tenant_id": "elsewhere"},
        {"scope": "x"},
    ],
)
async def test_wrong_credentials_are_unauthorized(world: World, wrong: dict[str, Any]) -> None:
    """Tenant, app, secret and scope each have to be right; the secret is not in the message."""
    async with world.connector(**wrong) as entra:
        with pytest.raises(Unauthorized, match="AADSTS") as caught:
            await entra.find_users("mei")
    assert "wrong-secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "error", "applied"),
    [
        (Fault(method="PATCH", too_many_requests_s=7), RateLimited, Applied.NO),
        (Fault(method="PATCH", status=503, headers={"Retry-After": "9"}), Unavailable, Applied.MAYBE),
        (Fault(method="PATCH", status=504, when="after"), Timeout, Applied.MAYBE),
        (Fault(method="PATCH", drop="before"), Unavailable, Applied.MAYBE),
        (Fault(method="PATCH", drop="after"), Unavailable, Applied.MAYBE),
        (Fault(method="PATCH", delay_s=1.0), Timeout, Applied.MAYBE),
        (Fault(method="PATCH", html=True), Invalid, Applied.MAYBE),
        (Fault(method="POST", path="/login/*", drop="before"), Unavailable, Applied.NO),
    ],
)
async def test_faults_tell_whether_the_change_can_have_happened(
    world: World, fault: Fault, error: type[Exception], applied: Applied
) -> None:
    """Each kind of trouble has its class; what provably was not sent says so."""
    mei = UserEntity(connector="entra", id=MEI, name="mei@minato.example")
    async with world.connector(timeout_s=0.4) as entra:
        world.simulation.faults.add(fault)
        with pytest.raises(error) as caught:
            await live(entra.disable_user(mei, "x"))
        assert caught.value.applied is applied  # type: ignore[attr-defined]
        if fault.too_many_requests_s:
            assert caught.value.retry_after_s == 7  # type: ignore[attr-defined]
        await live(entra.disable_user(mei, "x"))
        assert not (await entra.account_of(mei)).enabled


async def test_the_rate_limit_of_a_small_tenant_is_kept(world: World) -> None:
    """Beyond the documented quota Graph answers 429 with Retry-After."""
    assert world.entra.rate_limit == (3500, 10.0)
    world.entra.rate_limit = (2, 3600.0)
    async with world.connector() as entra:
        await entra.find_users("mei")
        with pytest.raises(RateLimited) as caught:
            await entra.find_users("mei")
    world.entra.rate_limit = (3500, 10.0)
    assert caught.value.retry_after_s


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "code"),
    [
        ("GET", "/users?$filter=onPremisesSamAccountName eq 'mei'", {}, 400, "Request_UnsupportedQuery"),
        ("GET", "/users?$filter=mail eq 'o'x'", {}, 400, "BadRequest"),
        ("GET", "/users?$filter=colour eq 'red'", {}, 400, "BadRequest"),
        ("GET", "/users?$top=1000", {}, 400, "Request_UnsupportedQuery"),
        ("GET", "/users?$select=colour", {}, 400, "BadRequest"),
        ("GET", "/users?$skiptoken=!", {}, 400, "Directory_ExpiredPageToken"),
        ("GET", f"/groups/{ROLE}", {}, 404, "Request_ResourceNotFound"),
        ("GET", "/groups/x", {}, 400, "Request_BadRequest"),
        ("GET", "/planets/x", {}, 400, "BadRequest"),
        ("GET", "/nowhere", {}, 400, "BadRequest"),
        ("PUT", f"/users/{MEI}", {}, 405, "Request_BadRequest"),
        ("PATCH", f"/users/{MEI}", {"json": {"accountEnabled": "false"}}, 400, "Request_BadRequest"),
        ("PATCH", f"/users/{MEI}", {"content": b"{}"}, 400, "Request_BadRequest"),
        ("PATCH", f"/users/{MEI}", {"json": []}, 400, "BadRequest"),
        ("POST", f"/groups/{VPN}/members/$ref", {"json": {"@odata.id": ADA}}, 400, "Request_BadRequest"),
        ("DELETE", f"/groups/{ALL}/members/{MEI}/$ref", {}, 403, "Authorization_RequestDenied"),
        ("DELETE", f"/groups/{SYNCED}/members/{KEN}/$ref", {}, 400, "Request_BadRequest"),
        ("DELETE", f"/groups/{LIST}/members/{KEN}/$ref", {}, 400, "Request_BadRequest"),
        ("DELETE", f"/groups/{VPN}/members/{MEI}", {}, 403, "Authorization_RequestDenied"),
    ],
)
async def test_a_wrong_request_fails_as_at_the_vendor(
    world: World, method: str, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    """The simulation refuses what Graph refuses, with its codes."""
    token = world.entra.tokens.issue(60)
    headers = {"authorization": f"Bearer {token}"}
    async with httpx.AsyncClient() as client:
        answer = await client.request(method, f"{world.url}/entra/v1.0{path}", headers=headers, **options)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert MEI in world.estate.users


async def test_a_large_directory_stays_quick(world: World) -> None:
    """A lookup among 5,000 accounts takes a fraction of a second."""
    for n in range(5000):
        user_id = f"dddddddd-0000-4000-8000-{n:012d}"
        world.estate.users[user_id] = user(user_id, f"p{n}@minato.example", f"p{n}")
    async with world.connector() as entra:
        await one(entra, "p1")
        began = time.monotonic()
        for n in (0, 2500, 4999):
            assert (await one(entra, f"p{n}")).name == f"p{n}@minato.example"
        assert time.monotonic() - began < 1.5
