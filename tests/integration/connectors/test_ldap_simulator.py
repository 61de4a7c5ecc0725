"""The directory connector against the simulated domain controller: what has no HTTP, and so no check of the kit."""

from __future__ import annotations

import asyncio
import gc
import socket
from collections.abc import Awaitable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hikeshi.capabilities import Effect
from hikeshi.capabilities import Group as GroupEntity
from hikeshi.capabilities import User as UserEntity
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    RouteRefused,
    Secret,
    Timeout,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.contract_reads import HOSTILE_NAMES
from hikeshi.testing.estate import Estate, EstateState, Group, User
from hikeshi.testing.faults import Fault
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.ldap import Ldap
from hikeshi_connectors.ldap.entry import Modification
from hikeshi_connectors.ldap.session import open_session
from hikeshi_connectors.ldap.simulated_tls import make_certificate
from hikeshi_connectors.ldap.simulator import USER_PASSWORD, LdapSimulator

BASE = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
MEI, KEN, ADA = (f"aaaaaaaa-0000-4000-8000-00000000000{n}" for n in (1, 2, 3))
VPN, ADMINS, OTHER, RULED = (f"bbbbbbbb-0000-4000-8000-00000000000{n}" for n in range(1, 5))
MEI_DN = "CN=mei,OU=People,DC=minato,DC=example"


def make_estate() -> Estate:
    people = [
        User(key, f"{sam}@minato.example", sam, sam.title(), "IT", "P", "tyo", BASE, mail=f"{sam}.k@minato.example")
        for key, sam in ((MEI, "mei"), (KEN, "ken,o(*)"), (ADA, "ada"))
    ]
    groups = [
        Group(VPN, "VPN Users", members={MEI, KEN}),
        Group(ADMINS, "Domain Admins", privileged=True, members={MEI}),
        Group(OTHER, "Others", members={KEN}),
        Group(RULED, "All", dynamic=True, members={MEI, KEN}),
    ]
    state = EstateState("s", BASE, users={each.id: each for each in people}, groups={each.id: each for each in groups})
    return Estate(state)


class World:
    """The simulation, and connectors that talk to it."""

    def __init__(self, simulation: Simulation, url: str) -> None:
        self.simulation, self.estate = simulation, simulation.estate
        self._url = url

    def connector(self, **more: Any) -> Ldap:
        given = self.simulation.project_settings(self._url)["directory"]
        assert given.pop("product") == "ldap"
        built = build(Ldap, "directory", {**given, "password": self.secret(given["password"]), **more}, Redactor())
        assert isinstance(built, Ldap)
        return built

    @staticmethod
    def secret(value: str) -> Secret:
        return Secret.of_value(value)

    def order(self, **fault: Any) -> None:
        self.simulation.faults.add(Fault(product="ldap", **fault))

    def changes(self) -> list[tuple[Any, bool]]:
        return [(each["body"], each["applied"]) for each in self.simulation.changes]


@pytest.fixture(scope="module")
def server() -> Iterator[World]:
    simulation = Simulation(make_estate(), [LdapSimulator])
    with running(simulation) as url:
        yield World(simulation, url)


@pytest.fixture
def world(server: World) -> World:
    server.simulation.reset()
    return server


@pytest.fixture
def ldap(world: World) -> Ldap:
    return world.connector()


async def live(change: Awaitable[None]) -> None:
    with through(Door(mode="live", effect=Effect.CHANGE, action="identity.change", intended=True)):
        await change


async def one(ldap: Ldap, name: str = "mei") -> UserEntity:
    (found,) = await ldap.find_users(name)
    return found


@pytest.mark.parametrize("name", ["MEI", "mei@minato.EXAMPLE", "mei.k@minato.example", MEI, MEI.upper()])
async def test_an_account_is_found_by_each_name(ldap: Ldap, name: str) -> None:
    """Account name, sign-in name, mail address and id, whole and in any case."""
    assert (await one(ldap, name)).id == MEI


async def test_a_name_with_signs_of_the_filter_is_a_name(ldap: Ldap) -> None:
    """It is found as it is, in filters and in the names of entries."""
    ken = await one(ldap, "ken,o(*)")
    assert ken.id == KEN
    assert {each.name for each in await ldap.groups_of(ken)} == {"VPN Users", "Others", "Domain Users"}


@pytest.mark.parametrize("hostile", HOSTILE_NAMES)
async def test_hostile_names_find_nothing(world: World, ldap: Ldap, hostile: str) -> None:
    """Each is nobody, or refused before it is asked for; nothing is changed."""
    with suppress(Invalid):
        assert await ldap.find_users(hostile) == []
    assert world.changes() == []


async def test_every_page_is_read(world: World) -> None:
    """With one entry on a page, everything is there, once."""
    for number in range(30):
        world.estate.users[f"more-{number}"] = User(
            f"more-{number}", f"u{number}@x.example", f"u{number}", "U", "IT", "P", "t", BASE, mail="all@x.example"
        )
        world.estate.groups[f"more-{number}"] = Group(f"more-{number}", f"G {number}", members={MEI})
    ldap = world.connector(page_size=7)
    found = await ldap.find_users("all@x.example")
    assert len({each.id for each in found}) == len(found) == 30
    groups = await ldap.groups_of(await one(ldap))
    assert len({each.id for each in groups}) == len(groups) == 33


async def test_groups_are_direct_and_say_what_they_are(ldap: Ldap) -> None:
    """The primary group is there and cannot be left; privileged ones are known by their SID."""
    found = {each.name: (each.privileged, each.dynamic) for each in await ldap.groups_of(await one(ldap))}
    assert found == {"VPN Users": (False, False), "Domain Admins": (True, False), "Domain Users": (False, True)}


async def test_the_primary_group_cannot_be_left(world: World, ldap: Ldap) -> None:
    """Even if the entity does not say that it is one; membership counts."""
    mei = await one(ldap)
    primary = next(each for each in await ldap.groups_of(mei) if each.name == "Domain Users")
    assert (await ldap.membership_of(mei, primary)).member
    for group in (primary, primary.model_copy(update={"dynamic": False})):
        with pytest.raises(Unsupported, match="primary group"):
            await live(ldap.remove_from_group(mei, group, "r"))
    assert world.changes() == []


async def test_changes_are_seen_and_undone_to_the_byte(world: World, ldap: Ldap) -> None:
    """Disabled and taken out, then as before; with the modifications that were sent."""
    before = world.estate.snapshot_bytes()
    mei = await one(ldap)
    vpn = next(each for each in await ldap.groups_of(mei) if each.name == "VPN Users")
    await live(ldap.disable_user(mei, "r"))
    await live(ldap.remove_from_group(mei, vpn, "r"))
    assert not (await ldap.account_of(mei)).enabled
    assert not (await ldap.membership_of(mei, vpn)).member
    for again in (ldap.disable_user(mei, "r"), ldap.remove_from_group(mei, vpn, "r")):
        with pytest.raises(Conflict):
            await live(again)
    await live(ldap.add_to_group(mei, vpn, "r"))
    await live(ldap.enable_user(mei, "r"))
    assert world.estate.snapshot_bytes() == before
    assert [applied for _, applied in world.changes()] == [True, True, False, True, True]
    assert world.changes()[0][0] == (
        f"dn: {MEI_DN}\nchangetype: modify\ndelete: userAccountControl\nuserAccountControl: 512\n-\n"
        "add: userAccountControl\nuserAccountControl: 514\n-\n"
    )


async def test_a_plan_shows_the_modification_and_sends_none(world: World, ldap: Ldap) -> None:
    """What a person approves is the modification itself, with the entry in the address."""
    mei = await one(ldap)
    door = Door(mode="plan", effect=Effect.CHANGE, action="identity.disable_user")
    with pytest.raises(CaptureEnded), through(door):
        await ldap.disable_user(mei, "r")
    (shown,) = door.captured
    assert shown.method == "MODIFY"
    assert shown.url.endswith(f"/{MEI_DN}")
    assert shown.body.splitlines()[2:4] == ["delete: userAccountControl", "userAccountControl: 512"]
    assert world.changes() == []
    with pytest.raises(RouteRefused):
        await ldap.disable_user(mei, "r")
    assert world.changes() == []


async def test_a_value_that_changed_meanwhile_refuses_the_change(world: World, ldap: Ldap) -> None:
    """The modification names the value that it replaces; with another one nothing happens at all."""
    password = str(world.simulation.simulators["ldap"].credentials["password"])
    parts = [
        Modification("delete", "userAccountControl", ("512",)),
        Modification("add", "userAccountControl", ("514",)),
    ]
    world.estate.product_state["ldap"] = {"control": {MEI: 0x10000}}
    async with open_session("directory", ldap.settings, password) as session:
        with pytest.raises(Conflict, match="no matching attribute value"):
            await session.modify(MEI_DN, parts)
    assert world.estate.users[MEI].enabled


async def test_what_is_gone_is_not_found(world: World, ldap: Ldap) -> None:
    """An account or group that was deleted is an error, not one without members."""
    mei = await one(ldap)
    vpn = GroupEntity(connector="directory", id=VPN, name="VPN Users")
    nobody = mei.model_copy(update={"id": "cccccccc-0000-4000-8000-000000000001"})
    del world.estate.groups[VPN]
    for read in (ldap.account_of(nobody), ldap.groups_of(nobody), ldap.membership_of(mei, vpn)):
        with pytest.raises(NotFound):
            await read
    with pytest.raises(NotFound):
        await live(ldap.remove_from_group(mei, vpn, "r"))


async def test_a_base_that_hides_something_is_an_error(world: World, ldap: Ldap) -> None:
    """One that does not exist, and one that leaves groups out: neither is an empty answer."""
    mei = await one(ldap)
    with pytest.raises(Invalid, match="base_dn"):
        await world.connector(base_dn="DC=other,DC=example").find_users("mei")
    with pytest.raises(Invalid, match="whole domain"):
        await world.connector(base_dn="OU=People,DC=minato,DC=example").groups_of(mei)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, Unauthorized), (403, Forbidden), (404, Invalid), (409, Conflict), (500, Unavailable), (503, Unavailable)],
)
@pytest.mark.parametrize("method", ["SEARCH", "BIND"])
async def test_a_refused_read_or_sign_in_is_an_error(
    world: World, ldap: Ldap, method: str, status: int, kind: type[ConnectorError]
) -> None:
    """Never an empty answer; and of a change nothing was applied."""
    mei = await one(ldap)
    for work in (ldap.find_users("mei"), live(ldap.disable_user(mei, "r"))):
        world.order(method=method, status=status)
        with pytest.raises(kind) as caught:
            await work
        assert caught.value.applied is Applied.NO
    assert world.changes() == []


@pytest.mark.parametrize("fault", [{"drop": "before"}, {"html": True}, {"half": True}, {"status": 200}])
@pytest.mark.parametrize("method", ["SEARCH", "BIND"])
async def test_a_broken_read_or_sign_in_is_an_error(
    world: World, ldap: Ldap, method: str, fault: dict[str, Any]
) -> None:
    """A lost connection, a web page, half an answer, and one to something else."""
    mei = await one(ldap)
    for work in (ldap.account_of(mei), live(ldap.disable_user(mei, "r"))):
        world.order(method=method, **fault)
        with pytest.raises((Unavailable, Invalid)) as caught:
            await work
        assert caught.value.applied is Applied.NO
    assert world.changes() == []


@pytest.mark.parametrize("method", ["SEARCH", "BIND", "MODIFY"])
async def test_an_answer_that_does_not_come_is_a_timeout(world: World, method: str) -> None:
    """Only a modification may have been applied: it was."""
    mei = await one(world.connector())
    world.order(method=method, delay_s=0.8, when="after")
    with pytest.raises(Timeout) as caught:
        await live(world.connector(timeout_s=0.5).disable_user(mei, "r"))
    assert caught.value.applied is (Applied.MAYBE if method == "MODIFY" else Applied.NO)


async def test_a_large_answer_is_read_like_any_other(world: World, ldap: Ldap) -> None:
    """Of 10 MB."""
    world.order(method="SEARCH", body_bytes=10 * 1024 * 1024)
    assert (await one(ldap)).id == MEI


async def test_a_busy_directory_is_a_limit(world: World, ldap: Ldap) -> None:
    """It does not say when to come back."""
    mei = await one(ldap)
    world.order(method="MODIFY", too_many_requests_s=3)
    with pytest.raises(RateLimited) as caught:
        await live(ldap.disable_user(mei, "r"))
    assert caught.value.retry_after_s is None


async def test_nobody_there_is_unavailable(world: World) -> None:
    """A refused connection has changed nothing."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(Unavailable) as caught:
        await world.connector(base_url=f"ldaps://127.0.0.1:{port}").find_users("mei")
    assert caught.value.applied is Applied.NO


async def test_a_server_that_is_not_the_one_gets_no_password(world: World, tmp_path: Path) -> None:
    """A certificate of another authority, or for another name, ends the connection before the sign-in."""
    other = make_certificate(tmp_path, "127.0.0.1")
    seen: list[str] = []
    world.simulation.simulators["ldap"].faults.add(_Spy(seen))
    with pytest.raises(Unavailable, match="certificate"):
        await world.connector(ca_file=str(other.file)).find_users("mei")
    address = world.connector().settings.base_url.replace("127.0.0.1", "localhost")
    with pytest.raises(Unavailable, match="certificate"):
        await world.connector(base_url=address).find_users("mei")
    assert seen == []


class _Spy(Fault):
    """Notes who signs in, and strikes nobody."""

    def __init__(self, seen: list[str]) -> None:
        super().__init__(method="BIND", delay_s=0)
        self._seen = seen

    def fits(self, product: str, method: str, path: str) -> bool:
        self._seen.append(path)
        return False


async def test_a_disabled_account_does_not_sign_in(world: World) -> None:
    """As at a domain controller: the number in the refusal says why."""
    settings = {"bind_user": "ada@minato.example", "password": Secret.of_value(USER_PASSWORD)}
    assert await world.connector(**settings).find_users("mei")
    world.estate.users[ADA].enabled = False
    with pytest.raises(Unauthorized, match=r"disabled \(data 533\)"):
        await world.connector(**settings).find_users("mei")
    with pytest.raises(Unauthorized, match="data 52e"):
        await world.connector(**{**settings, "password": Secret.of_value("wrong")}).find_users("mei")


@pytest.mark.parametrize("tells_sids", [True, False])
@pytest.mark.parametrize(
    "own",
    [
        "ada@minato.example",
        "MINATO\\ADA",
        "cn=ada,ou=people,dc=minato,dc=example",
        "CN=Ada, OU=People, DC=minato, DC=example",
    ],
)
async def test_the_account_that_signs_in_is_left_alone(world: World, own: str, tells_sids: bool) -> None:
    """However it is called, without a userPrincipalName, and if nobody says who signed in."""
    world.estate.users[ADA].upn = ""
    signing_in = world.simulation.simulators["ldap"]
    assert isinstance(signing_in, LdapSimulator)
    signing_in.tells_sids = tells_sids
    signing_in.credentials = {**signing_in.credentials, "bind_user": own, "password": "p"}
    try:
        ldap = world.connector(bind_user=own, password=Secret.of_value("p"))
        ada = await one(ldap, "ada")
        with pytest.raises(Unsupported, match="signs in"):
            await live(ldap.disable_user(ada, "r"))
        world.estate.groups[VPN].members.add(ADA)
        vpn = GroupEntity(connector="directory", id=VPN, name="VPN Users")
        with pytest.raises(Unsupported, match="signs in"):
            await live(ldap.remove_from_group(ada, vpn, "r"))
    finally:
        signing_in.credentials = dict(LdapSimulator.demo_settings)
        signing_in.tells_sids = True
    assert world.changes() == []


async def test_many_at_once_wait_for_their_turn(world: World) -> None:
    """No more connections than the settings say, and everybody gets an answer."""
    ldap = world.connector(requests_at_once=3)
    found = await asyncio.gather(*(ldap.find_users(name) for name in ["mei", "ada"] * 20))
    assert [each.name for (each,) in found] == ["mei@minato.example", "ada@minato.example"] * 20


async def test_who_stops_waiting_ends_the_connection(world: World, ldap: Ldap) -> None:
    """A cancelled read is over at once; the next one works."""
    world.order(method="SEARCH", delay_s=0.3)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(ldap.find_users("mei"), 0.1)
    assert await ldap.find_users("mei")


def test_settings_are_known_before_it_is_served() -> None:
    """Whoever serves it says where first; and nothing is left over if it is never served."""
    simulation = Simulation(make_estate(), [LdapSimulator])
    before = simulation.project_settings("http://127.0.0.1:1")["directory"]
    assert Path(before["ca_file"]).exists()
    with running(simulation) as url:
        assert simulation.project_settings(url)["directory"] == before
    again = simulation.project_settings("http://127.0.0.1:1")["directory"]
    assert not Path(before["ca_file"]).exists()
    del simulation
    gc.collect()
    assert not Path(again["ca_file"]).exists()


def test_the_summary_says_who_is_disabled(world: World) -> None:
    """Beside what the simulation says of everybody."""
    world.estate.users[ADA].enabled = False
    assert world.simulation.summary()["ldap"] == {"disabled_accounts": ["ada"]}
