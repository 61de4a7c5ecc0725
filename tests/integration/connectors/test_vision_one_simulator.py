"""Vision One's connector against its simulator, where the contract kit does not look."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from hikeshi.capabilities import Effect, Host, Indicator
from hikeshi.connector import Conflict, Forbidden, OutcomeUnknown
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor, Secret
from hikeshi.testing.estate import Estate
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.vision_one import VisionOne
from hikeshi_connectors.vision_one.simulator import VisionOneSimulator


@pytest.fixture
def estate() -> Estate:
    return make_estate(hosts=60, users=20, connections=50, base=datetime.now(UTC), settle_s=0.01)


@pytest.fixture
def simulation(estate: Estate) -> Simulation:
    return Simulation(estate, [VisionOneSimulator])


@pytest.fixture
async def vision_one(simulation: Simulation) -> AsyncIterator[VisionOne]:
    with running(simulation) as url:
        settings = {**VisionOneSimulator.connector_settings(url), "requests_per_minute": 100_000, "task_wait_s": 0}
        settings.pop("product")
        settings["api_key"] = Secret.of_value(str(settings["api_key"]))
        connector = build(VisionOne, "vision_one", settings, Redactor())
        assert isinstance(connector, VisionOne)
        yield connector
        await connector.http.aclose()


def of(simulation: Simulation) -> VisionOneSimulator:
    found = simulation.simulators["vision_one"]
    assert isinstance(found, VisionOneSimulator)
    return found


async def first_host(vision_one: VisionOne, estate: Estate) -> Host:
    (host,) = await vision_one.find_hosts(next(iter(estate.hosts.values())).name)
    return host


def live() -> Door:
    return Door(mode="live", effect=Effect.CHANGE, action="edr.change", intended=True)


@pytest.mark.parametrize("approved", [True, False])
async def test_a_task_that_waits_for_approval_has_done_nothing(
    vision_one: VisionOne, simulation: Simulation, estate: Estate, approved: bool
) -> None:
    """It is told as what it is; only what a person at the vendor decides has an effect."""
    of(simulation).tasks.needs_approval = True
    host = await first_host(vision_one, estate)
    with through(live()), pytest.raises(OutcomeUnknown, match="pendingApproval"):
        await vision_one.isolate_host(host, "r")
    estate.advance(600)
    with pytest.raises(Conflict, match="pendingApproval"):
        await vision_one.isolation_of(host)
    of(simulation).tasks.decide("00000001", approved=approved)
    estate.advance(600)
    assert (await vision_one.isolation_of(host)).state == ("isolated" if approved else "normal")


async def test_a_release_follows_an_isolation_that_waits(vision_one: VisionOne, estate: Estate) -> None:
    """An offline endpoint does both when it comes back, one after the other."""
    own = next(iter(estate.hosts.values()))
    estate.set_online(own.id, False)
    host = await first_host(vision_one, estate)
    seen = []
    with through(live()):
        await vision_one.isolate_host(host, "r")
    seen.append((await vision_one.isolation_of(host)).state)
    with through(live()):
        await vision_one.release_host(host, "mistake")
    seen.append((await vision_one.isolation_of(host)).state)
    estate.set_online(own.id, True)
    for _ in range(3):
        estate.advance(600)
        seen.append((await vision_one.isolation_of(host)).state)
    assert seen == ["isolating", "releasing", "releasing", "normal", "normal"]
    assert own.isolation == "normal"


async def test_a_block_says_when_vision_one_lifts_it(vision_one: VisionOne, estate: Estate) -> None:
    """Asked for an hour, it keeps the hash for a day, and that is what is read back."""
    hashes = [Indicator(kind="sha256", value="ab" * 32)]
    with through(live()):
        await vision_one.block_hashes(hashes, "r", 3600)
    (block,) = await vision_one.hash_blocks_of(hashes)
    assert block.expires_at is not None
    assert timedelta(hours=23) < block.expires_at - datetime.now(UTC) <= timedelta(hours=24, minutes=1)
    estate.advance(25 * 3600)
    assert [each.blocked for each in await vision_one.hash_blocks_of(hashes)] == [False]


async def test_an_old_address_names_nobody(vision_one: VisionOne, estate: Estate) -> None:
    """A host that was away for weeks is found by its name, and not by the address that it once had."""
    known = next(iter(estate.hosts.values()))
    assert await vision_one.find_hosts(known.ips[0])
    known.last_seen -= timedelta(days=20)
    assert await vision_one.find_hosts(known.ips[0]) == []
    assert (await first_host(vision_one, estate)).name == known.name


async def test_a_role_without_a_permission_is_told(vision_one: VisionOne, simulation: Simulation) -> None:
    """The error says that it is the role of the key."""
    of(simulation).denied = {"/threatintel/suspiciousObjects"}
    with pytest.raises(Forbidden, match="role of the API key"):
        await vision_one.hash_blocks_of([Indicator(kind="sha256", value="a" * 64)])
