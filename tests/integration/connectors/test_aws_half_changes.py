"""Changes at AWS that need several requests, of which some are refused: what the engine then says of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from hikeshi.capabilities import Capability, Cloud, Firewall, Identity, Indicator, User, build_spec
from hikeshi.connector import Connector, NotFound, Secret
from hikeshi.connector.registry import build
from hikeshi.core import StartAction
from hikeshi.core import events as ev
from hikeshi.core.events import Event
from hikeshi.runtime.change import ChangeCall
from hikeshi.secrets import Redactor
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.aws_iam import AwsIam
from hikeshi_connectors.aws_iam.simulator import AwsIamSimulator
from hikeshi_connectors.aws_network import AwsNetwork
from hikeshi_connectors.aws_network.simulated_state import NETWORK_ACL, QUARANTINE
from hikeshi_connectors.aws_network.simulator import AwsNetworkSimulator

ADDRESS = Indicator(kind="ipv4", value="203.0.113.9")
DENIED = [{"number": 1, "action": "deny", "protocol": "-1", "cidr": "203.0.113.9/32", "egress": way} for way in (0, 1)]
CAPABILITIES: dict[str, type[Capability]] = {"cloud": Cloud, "firewall": Firewall, "identity": Identity}
CREATE, DELETE = "CreateNetworkAclEntry", "DeleteNetworkAclEntry"


class Hurried:
    """A clock that never waits."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        pass

    async def sleep_until(self, at: datetime) -> None:
        pass


class Account:
    """The simulated account, and what the engine makes of changes there."""

    def __init__(self, simulation: Simulation, url: str) -> None:
        self._simulation, self._url = simulation, url
        self.made: list[Connector] = []

    @property
    def refused_after(self) -> dict[str, int]:
        simulator = self._simulation.simulators["aws_network"]
        assert isinstance(simulator, AwsNetworkSimulator)
        return simulator.ec2.refused_after

    def state(self, product: str) -> Any:
        return self._simulation.estate.product_state[product]

    def denied(self) -> list[dict[str, Any]]:
        return [each for each in self.state("aws_network")["acls"][NETWORK_ACL] if each["action"] == "deny"]

    def connector(self, kind: type[Connector], **more: Any) -> Any:
        given = {**self._simulation.project_settings(self._url)[kind.product], "requests_per_minute": 60_000, **more}
        del given["product"]
        for name in ("access_key_id", "secret_access_key"):
            given[name] = Secret.of_value(given[name])
        self.made.append(build(kind, kind.product, given, Redactor()))
        return self.made[-1]

    @staticmethod
    async def outcome(connector: Connector, action: str, **arguments: Any) -> list[str]:
        """Make a change as the engine does; return its targets' outcomes, and whether it succeeded."""
        capability, _, verb = action.partition(".")
        spec = build_spec(capability, CAPABILITIES[capability], verb)
        command = StartAction("step", 1, action, (connector.name,), {}, None, maybe=False)
        call = ChangeCall("run", spec, command, {**arguments, "reason": "r"}, connector, Hurried(), Redactor())
        recorded: list[Event] = []

        async def record(events: Sequence[Event]) -> None:
            recorded.extend(events)

        recorded += await call.make(record)
        ends = [type(each).__name__ for each in recorded if isinstance(each, ENDS)]
        settled = [each for event in recorded if isinstance(event, ev.TargetsSettled) for each in event.settled]
        return [*(each.outcome for each in settled), *ends]


ENDS = (ev.ActionSucceeded, ev.ActionFailed, ev.ActionUnknown)
FAILED, UNKNOWN, DONE = ["failed", "ActionFailed"], ["unknown", "ActionUnknown"], ["done", "ActionSucceeded"]


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[Simulation, str]]:
    base = datetime.now(UTC).replace(microsecond=0)
    estate = make_estate(7, hosts=60, users=20, connections=20, base=base, settle_s=0.02)
    simulation = Simulation(estate, [AwsIamSimulator, AwsNetworkSimulator])
    with running(simulation) as url:
        yield simulation, url


@pytest.fixture
async def account(served: tuple[Simulation, str]) -> AsyncIterator[Account]:
    served[0].reset()
    fresh = Account(*served)
    fresh.refused_after.clear()
    yield fresh
    for connector in fresh.made:
        await connector.http.aclose()


def acls(account: Account) -> Any:
    return account.connector(AwsNetwork, ip_set_v4=None, ip_set_v6=None, network_acls=[NETWORK_ACL])


async def test_a_block_whose_second_entry_is_refused_leaves_no_entry(account: Account) -> None:
    """It failed, its hold is void, and there is nothing that would have to be lifted."""
    account.refused_after[CREATE] = 1
    assert await account.outcome(acls(account), "firewall.block_indicators", indicators=[ADDRESS]) == FAILED
    assert account.denied() == []


async def test_a_block_that_stands_in_part_is_unknown(account: Account) -> None:
    """It could not be taken back, so its hold stays, and with it somebody who has to lift it."""
    account.refused_after.update({CREATE: 1, DELETE: 0})
    assert await account.outcome(acls(account), "firewall.block_indicators", indicators=[ADDRESS]) == UNKNOWN
    assert account.denied() == DENIED[:1]


async def test_an_unblock_whose_second_deletion_is_refused_is_not_done(account: Account) -> None:
    """The address is blocked as before; where not even that could be restored, it is unknown."""
    net = acls(account)
    assert await account.outcome(net, "firewall.block_indicators", indicators=[ADDRESS]) == DONE
    account.refused_after[DELETE] = 1
    assert await account.outcome(net, "firewall.unblock_indicators", indicators=[ADDRESS]) == FAILED
    assert account.denied() == DENIED
    account.refused_after.update({CREATE: 0, DELETE: 1})
    assert await account.outcome(net, "firewall.unblock_indicators", indicators=[ADDRESS]) == UNKNOWN


async def test_a_block_that_a_rule_of_others_makes_void_is_not_done(account: Account) -> None:
    """A person's allow has a lower number than Hikeshi's range."""
    entries = account.state("aws_network")["acls"][NETWORK_ACL]
    entries.insert(0, {**entries[0], "number": 10})
    net = account.connector(
        AwsNetwork, ip_set_v4=None, ip_set_v6=None, network_acls=[NETWORK_ACL], acl_rule_numbers=[50, 90]
    )
    assert await account.outcome(net, "firewall.block_indicators", indicators=[ADDRESS]) == FAILED
    assert account.denied() == []


async def test_a_refused_quarantine_leaves_no_tags_for_a_later_one_by_hand(account: Account) -> None:
    """Whoever hardened the machine and cut it off by hand since does not get the old groups by a reconnect."""
    net = account.connector(AwsNetwork)
    machine = next(iter(account.state("aws_network")["machines"].values()))
    (found,) = await net.find_machines(machine["id"])
    account.refused_after["ModifyNetworkInterfaceAttribute"] = 0
    assert await account.outcome(net, "cloud.quarantine_machine", machine=found) == FAILED
    assert [key for key in machine["tags"] if key.startswith("hikeshi")] == []
    account.refused_after.clear()
    for each in machine["interfaces"].values():
        each["groups"] = [QUARANTINE]
    assert await account.outcome(net, "cloud.reconnect_machine", machine=found) == FAILED
    assert {group for each in machine["interfaces"].values() for group in each["groups"]} == {QUARANTINE}


async def test_a_user_of_another_account_is_not_disabled_here(account: Account) -> None:
    """The user of ours who has the same name keeps what they had."""
    iam = account.connector(AwsIam)
    name = min(account.state("aws_iam")["users"])
    other = User(connector=iam.name, id=f"arn:aws:iam::999999999999:user/{name}", name=name)
    with pytest.raises(NotFound, match="999999999999"):
        await account.outcome(iam, "identity.disable_user", user=other)
    assert account.state("aws_iam")["users"][name]["policies"] == {}
