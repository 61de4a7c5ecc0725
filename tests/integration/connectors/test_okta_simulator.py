"""The Okta connector against the simulated Okta, where the contract kit does not look."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hikeshi.capabilities import Effect
from hikeshi.capabilities import Group as GroupEntity
from hikeshi.connector import Conflict, Forbidden, Secret, Unauthorized, Unsupported
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Estate, EstateState, Group, User
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.okta import Okta
from hikeshi_connectors.okta.simulator import OktaSimulator

BASE = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
MEI, KEN = (f"aaaaaaaa-0000-4000-8000-00000000000{n}" for n in (1, 2))
VPN, STAFF, ADMINS, SUPER, HELP = (f"bbbbbbbb-0000-4000-8000-00000000000{n}" for n in range(1, 6))


def make_estate() -> Estate:
    people = [
        User(each, upn, upn.partition("@")[0], "M K", "IT", "P", "tyo", BASE - timedelta(days=9), mail=upn)
        for each, upn in ((MEI, "mei@minato.example"), (KEN, 'ken"o@minato.example'))
    ]
    groups = [
        Group(VPN, "VPN", members={MEI}),
        Group(STAFF, "Staff", dynamic=True, members={MEI, KEN}),
        Group(ADMINS, "Domain Admins", privileged=True, members={MEI}),
        Group(SUPER, "A Super", privileged=True, role=True, members={MEI}),
        Group(HELP, "B Org", privileged=True, role=True, members={MEI}),
    ]
    state = EstateState("s", BASE, users={each.id: each for each in people}, groups={each.id: each for each in groups})
    state.product_state["okta"] = {"targets": {HELP: {"groups": [{"id": "00g1"}]}}}
    return Estate(state)


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[Simulation, str]]:
    simulation = Simulation(make_estate(), [OktaSimulator])
    with running(simulation) as url:
        yield simulation, url


@pytest.fixture
def simulation(server: tuple[Simulation, str]) -> Simulation:
    server[0].reset()
    return server[0]


@asynccontextmanager
async def connector(server: tuple[Simulation, str], **settings: Any) -> AsyncIterator[Okta]:
    given = {"api_token": Secret.of_value("simulated-okta-token"), **settings}
    built = build(Okta, "okta", {"base_url": f"{server[1]}/okta", **given}, Redactor())
    assert isinstance(built, Okta)
    try:
        yield built
    finally:
        await built.http.aclose()


async def live(change: Awaitable[None]) -> None:
    with through(Door(mode="live", effect=Effect.CHANGE, action="identity.change", intended=True)):
        await change


async def test_groups_and_roles_come_as_they_are(server: tuple[Simulation, str], simulation: Simulation) -> None:
    """A rule's group is dynamic, a group with a role privileged, a role with limits cannot be taken."""
    async with connector(server) as okta:
        (mei,) = await okta.find_users("mei")
        found = {each.name: (each.privileged, each.dynamic) for each in await okta.groups_of(mei)}
    assert found == {
        "VPN": (False, False),
        "Staff": (False, True),
        "Domain Admins": (True, False),
        "Super Organization Administrator": (True, False),
        "Organization Administrator": (True, True),
    }


async def test_a_role_is_taken_and_given_back(server: tuple[Simulation, str], simulation: Simulation) -> None:
    """The estate is as before, byte for byte; twice is a conflict."""
    before = simulation.estate.snapshot_bytes()
    role = GroupEntity(connector="okta", id="role:SUPER_ADMIN", name="Super", privileged=True)
    async with connector(server) as okta:
        (mei,) = await okta.find_users("mei")
        await live(okta.remove_from_group(mei, role, "r"))
        assert not (await okta.membership_of(mei, role)).member
        with pytest.raises(Conflict):
            await live(okta.remove_from_group(mei, role, "r"))
        await live(okta.add_to_group(mei, role, "r"))
        with pytest.raises(Conflict):
            await live(okta.add_to_group(mei, role, "r"))
    assert simulation.estate.snapshot_bytes() == before


async def test_a_search_with_quotes_means_what_it_says(server: tuple[Simulation, str], simulation: Simulation) -> None:
    """A quote belongs to the name; what would end the string finds nobody."""
    async with connector(server) as okta:
        assert [each.name for each in await okta.find_users('ken"o')] == ['ken"o@minato.example']
        for hostile in ('" or profile.login pr or profile.email eq "', 'ken\\"', "mei@"):
            assert await okta.find_users(hostile) == []


async def test_okta_itself_refuses_what_the_connector_would_not_send(
    server: tuple[Simulation, str], simulation: Simulation
) -> None:
    """Dynamic groups and accounts in other states are refused there, too."""
    simulation.estate.product_state["okta"]["statuses"] = {MEI: "LOCKED_OUT"}
    async with connector(server) as okta:
        (mei,) = await okta.find_users("mei")
        staff = next(each for each in await okta.groups_of(mei) if each.name == "Staff")
        with pytest.raises(Unsupported, match="LOCKED_OUT"):
            await live(okta.disable_user(mei, "r"))
        assert simulation.changes == []
        with pytest.raises(Forbidden):
            await live(okta.remove_from_group(mei, staff.model_copy(update={"dynamic": False}), "r"))
        with pytest.raises(Conflict):
            await live(okta.enable_user(mei, "r"))


async def test_a_service_app_gets_its_token(server: tuple[Simulation, str], simulation: Simulation) -> None:
    """The simulated token service checks the signature; another key gets nothing."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    keys = [rsa.generate_private_key(65537, 2048) for _ in range(2)]
    pems = [each.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode() for each in keys]
    simulator = simulation.simulators["okta"]
    before, simulator.credentials = simulator.credentials, {"client_id": "0oaApp", "private_key": pems[0]}
    try:
        mine: dict[str, Any] = {"api_token": None, "client_id": "0oaApp", "private_key": Secret.of_value(pems[0])}
        async with connector(server, **mine) as okta:
            assert len(await okta.find_users("mei")) == 1
        async with connector(server, **{**mine, "private_key": Secret.of_value(pems[1])}) as okta:
            with pytest.raises(Unauthorized):
                await okta.find_users("mei")
    finally:
        simulator.credentials = before


async def test_cleared_sessions_are_seen_when_the_log_has_them(
    server: tuple[Simulation, str], simulation: Simulation
) -> None:
    """The System Log lags behind; older events than a week are not looked at."""
    simulator = simulation.simulators["okta"]
    assert isinstance(simulator, OktaSimulator)
    async with connector(server) as okta:
        (mei,) = await okta.find_users("mei")
        await live(okta.revoke_sessions(mei, "r"))
        assert (await okta.sessions_of(mei)).valid_from is None
        simulation.estate.advance(1)
        assert (await okta.sessions_of(mei)).valid_from is not None
        (ken,) = await okta.find_users('ken"o')
        assert (await okta.sessions_of(ken)).valid_from is None
        simulation.estate.advance(8 * 86_400)
        assert (await okta.sessions_of(mei)).valid_from is None
    assert simulation.summary()["okta"] == {"sessions_cleared": ["mei@minato.example"]}
