"""The AWS connectors against the simulated account, over real HTTP: what the contract kit does not try."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from datetime import UTC, datetime
from typing import Any, TypeVar

import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import Conflict, Connector, Forbidden, Invalid, Secret, Unauthorized, Unavailable
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.aws.simulator import AwsSimulator
from hikeshi_connectors.aws_iam import AwsIam
from hikeshi_connectors.aws_iam.simulator import AwsIamSimulator
from hikeshi_connectors.aws_logs import AwsLogs
from hikeshi_connectors.aws_logs.simulator import AwsLogsSimulator
from hikeshi_connectors.aws_network import AwsNetwork
from hikeshi_connectors.aws_network.simulated_state import IP_SET_V4, NETWORK_ACL
from hikeshi_connectors.aws_network.simulator import AwsNetworkSimulator

C = TypeVar("C", bound=Connector)
S = TypeVar("S", bound=AwsSimulator)
BLOCKED = Indicator(kind="ipv4", value="203.0.113.9")


class Account:
    """The simulation, and connectors to it."""

    def __init__(self, simulation: Simulation, url: str) -> None:
        self.simulation, self.url = simulation, url
        self.made: list[Connector] = []

    def simulator(self, kind: type[S]) -> S:
        found = self.simulation.simulators[kind.product]
        assert isinstance(found, kind)
        return found

    def state(self, product: str) -> Any:
        return self.simulation.estate.product_state[product]

    def connector(self, kind: type[C], **more: Any) -> C:
        given = {**self.simulation.project_settings(self.url)[kind.product], "requests_per_minute": 60_000, **more}
        assert given.pop("product") == kind.product
        for name in ("access_key_id", "secret_access_key"):
            given[name] = Secret.of_value(given[name])
        built = build(kind, kind.product, given, Redactor())
        assert isinstance(built, kind)
        self.made.append(built)
        return built


@pytest.fixture(scope="module")
def served() -> Iterator[Account]:
    """An account in which an estate's people are users, its servers machines, and its alerts findings."""
    base = datetime.now(UTC).replace(microsecond=0)
    estate = make_estate(7, hosts=60, users=20, connections=80, base=base, settle_s=0.02)
    simulation = Simulation(estate, [AwsIamSimulator, AwsNetworkSimulator, AwsLogsSimulator])
    with running(simulation) as url:
        yield Account(simulation, url)


@pytest.fixture
async def account(served: Account) -> AsyncIterator[Account]:
    served.simulation.reset()
    for each in served.simulation.simulators.values():
        assert isinstance(each, AwsSimulator)
        each.denied = set()
    fresh = Account(served.simulation, served.url)
    yield fresh
    for connector in fresh.made:
        await connector.http.aclose()


async def live(change: Awaitable[None]) -> None:
    with through(Door(mode="live", effect=Effect.CHANGE, action="aws.change", intended=True)):
        assert await change is None


async def test_an_estates_people_are_users_and_its_administrators_privileged(account: Account) -> None:
    """Everybody is there with one active key; whose groups are privileged in the estate, are so in the account."""
    iam = account.connector(AwsIam)
    privileged = {
        each.name.replace(" ", "-"): each for each in account.simulation.estate.groups.values() if each.privileged
    }
    group = next(each for each in privileged.values() if each.members)
    member = account.simulation.estate.users[min(group.members)]
    (user,) = await iam.find_users(member.upn)
    assert group.name.replace(" ", "-") in {each.name for each in await iam.groups_of(user) if each.privileged}
    assert [(await iam.key_state_of(key)).active for key in await iam.find_access_keys(user.name)] == [True]


async def test_a_missing_permission_is_told_apart_from_wrong_keys(account: Account) -> None:
    """The first is Forbidden and says what is lacking, the second Unauthorized and does not."""
    account.simulator(AwsIamSimulator).denied = {"iam:ListUsers"}
    with pytest.raises(Forbidden, match="iam:ListUsers"):
        await account.connector(AwsIam).find_users("mei")
    wrong = {"access_key_id": "AKIAOTHERKEY00000001"}, {"secret_access_key": "another"}
    connectors = [account.connector(AwsIam, **each) for each in wrong]
    for each in connectors:
        with pytest.raises(Unauthorized):
            await each.find_users("mei")
    elsewhere = account.connector(AwsNetwork, region="eu-west-1", ip_set_v4=None, ip_set_v6=None)
    with pytest.raises(Unauthorized):
        await elsewhere.find_machines("web")


async def test_a_role_whose_keys_ended_is_assumed_again(account: Account) -> None:
    """Nobody notices."""
    iam = account.connector(AwsIam, role_arn="arn:aws:iam::123456789012:role/hikeshi")
    assert await iam.find_users("nobody") == []
    account.simulator(AwsIamSimulator).tokens.revoke_all()
    assert await iam.find_users("nobody") == []


async def test_a_user_without_room_for_a_policy_is_not_half_disabled(account: Account) -> None:
    """IAM refuses; the user is as before."""
    iam = account.connector(AwsIam)
    name = min(account.state("aws_iam")["users"])
    account.state("aws_iam")["users"][name]["policies"]["long"] = "x" * 2000
    (user,) = await iam.find_users(name)
    with pytest.raises(Conflict, match="LimitExceeded"):
        await live(iam.disable_user(user, "r"))
    assert (await iam.account_of(user)).enabled


async def test_updates_of_others_are_kept(account: Account) -> None:
    """Somebody else writes three times in a row; every entry is there afterwards."""
    account.simulator(AwsNetworkSimulator).somebody_else = 3
    await live(account.connector(AwsNetwork).block_indicators([BLOCKED], "r"))
    entries = account.state("aws_network")["ip_sets"][IP_SET_V4]["addresses"]
    assert len(entries) == 4
    assert account.simulator(AwsNetworkSimulator).shows()["blocked"] == sorted(entries)


async def test_a_full_ip_set_says_so_and_is_edited_in_no_time(account: Account) -> None:
    """Ten thousand entries are the most; taking one out and putting one in makes room and uses it."""
    entries = [f"10.{n // 65536}.{n // 256 % 256}.{n % 256}/32" for n in range(10_000)]
    account.state("aws_network")["ip_sets"][IP_SET_V4]["addresses"] = list(entries)
    net = account.connector(AwsNetwork)
    with pytest.raises(Invalid, match="WAFLimitsExceededException"):
        await live(net.block_indicators([BLOCKED], "r"))
    began = time.perf_counter()
    await live(net.unblock_indicators([Indicator(kind="ipv4", value="10.0.0.7")], "r"))
    await live(net.block_indicators([BLOCKED], "r"))
    assert time.perf_counter() - began < 3
    there = account.state("aws_network")["ip_sets"][IP_SET_V4]["addresses"]
    assert (len(there), there[-1]) == (10_000, "203.0.113.9/32")


async def test_a_network_acl_has_room_for_a_few(account: Account) -> None:
    """Twenty rules for each direction, one of which was there; what is refused then may have been begun."""
    net = account.connector(AwsNetwork, ip_set_v4=None, ip_set_v6=None, network_acls=[NETWORK_ACL])
    before = [dict(each) for each in account.state("aws_network")["acls"][NETWORK_ACL]]
    blocked = [Indicator(kind="ipv4", value=f"198.51.100.{n}") for n in range(19)]
    await live(net.block_indicators(blocked, "r"))
    assert all(each.blocked for each in await net.blocks_of(blocked))
    with pytest.raises(Invalid, match="NetworkAclEntryLimitExceeded"):
        await live(net.block_indicators([BLOCKED], "r"))
    assert len(account.simulator(AwsNetworkSimulator).shows()["denied"]) == 19
    await live(net.unblock_indicators(blocked, "r"))
    assert account.state("aws_network")["acls"][NETWORK_ACL] == before


async def test_a_machine_that_is_cut_off_is_shown(account: Account) -> None:
    """What a person looks for after a run."""
    machine = next(iter(account.state("aws_network")["machines"].values()))
    net = account.connector(AwsNetwork)
    (found,) = await net.find_machines(machine["id"])
    await live(net.quarantine_machine(found, "r"))
    assert account.simulator(AwsNetworkSimulator).shows()["quarantined"] == [machine["tags"]["Name"]]


async def test_searches_that_end_badly_are_errors(account: Account) -> None:
    """Half a result is none, and what the language does not know is refused."""
    logs = account.connector(AwsLogs)
    assert await logs.search_logs("fields @message | sort @timestamp desc", since_s=10**6)
    with pytest.raises(Invalid, match="MalformedQueryException"):
        await logs.search_logs("drop table")
    account.simulator(AwsLogsSimulator).bad_end = "Failed"
    with pytest.raises(Unavailable, match="Failed"):
        await logs.search_logs("fields @message")
    account.simulator(AwsLogsSimulator).bad_end = ""


async def test_an_estates_alerts_are_findings(account: Account) -> None:
    """All of them, for a long enough time; Security Hub that is not enabled is an error."""
    logs = account.connector(AwsLogs)
    alerts = await logs.list_detections(since_s=10**8)
    assert len(alerts) == len(account.simulation.estate.alerts) > 0
    account.state("aws_logs")["hub_enabled"] = False
    with pytest.raises(Forbidden, match="not subscribed"):
        await logs.list_detections()
