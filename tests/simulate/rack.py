"""The connectors of the simulated project: thin, for what they do is done by `products`."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from products import Change, Outside

from hikeshi.capabilities import (
    Account,
    Alert,
    Block,
    Catalogue,
    Edr,
    Firewall,
    Host,
    Identity,
    Indicator,
    Isolation,
    Message,
    Messaging,
    Model,
    Recovery,
    Sessions,
    Severity,
    Ticket,
    Ticketing,
    User,
    change,
    read,
    supports,
)
from hikeshi.connector import Connector, ConnectorSettings
from hikeshi.connector.registry import Registry, fill_catalogue
from hikeshi.secrets import Redactor

__all__ = ["PRODUCTS", "Dying", "Product", "Rack", "catalogue_of_the_project"]


class Dying(Protocol):
    """The process that a connector lives in."""

    def may_die(self, where: str) -> Awaitable[None]:
        """Return, or never."""


class _Settings(ConnectorSettings):
    base_url: str = "sim://"


class Product(Connector):
    """What all of them share."""

    Settings = _Settings
    outside: Outside
    process: Dying

    async def _ask(self, verb: str, about: str, answer: Any) -> Any:
        return await self.outside.read(self, verb, about, answer)

    async def _change(self, verb: str, targets: list[str], change: Change) -> None:
        await self.outside.send(self, verb, targets, change)

    def _state(self, kind: str, name: str, normal: Any) -> Any:
        return self.outside.state(self.name, kind, name, normal)


def _ours(instance: str, name: str) -> bool:
    """Say whether it is this one of the two EDRs that knows a host."""
    return (sum(name.encode()) % 2 == 0) == (instance == "edr_a")


class SimEdr(Product, Edr, product="sim-edr"):
    """Two instances of it share the hosts."""

    async def find_hosts(self, name: str) -> list[Host]:
        known = "bad" not in name and _ours(self.name, name)
        found = [Host(connector=self.name, id=name, name=name)] if known else []
        return await self._ask("find_hosts", name, lambda: found)  # type: ignore[no-any-return]

    async def isolation_of(self, host: Host) -> Isolation:
        return await self._ask(  # type: ignore[no-any-return]
            "isolation_of",
            host.id,
            lambda: Isolation(connector=self.name, host_id=host.id, state=self._state("host", host.id, "normal")),
        )

    async def isolate_host(self, host: Host, reason: str) -> None:
        await self._change("isolate_host", [host.id], Change("host", "isolated", "isolating", 300))

    async def release_host(self, host: Host, reason: str) -> None:
        await self._change("release_host", [host.id], Change("host", "normal", "releasing", 300))

    async def list_alerts(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        return await self._ask("list_alerts", "", list)  # type: ignore[no-any-return]


class SimFirewall(Product, Firewall, product="sim-firewall"):
    """Takes indicators of all kinds."""

    async def blocks_of(self, indicators: list[Indicator]) -> list[Block]:
        return await self._ask(  # type: ignore[no-any-return]
            "blocks_of",
            ", ".join(each.value for each in indicators),
            lambda: [self._block(each) for each in indicators],
        )

    def _block(self, indicator: Indicator) -> Block:
        blocked = self._state("block", indicator.value, False)
        return Block(connector=self.name, kind=indicator.kind, value=indicator.value, blocked=blocked)

    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        targets = [each.value for each in indicators]
        await self._change("block_indicators", targets, Change("block", True, settle_s=120))

    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:
        targets = [each.value for each in indicators]
        await self._change("unblock_indicators", targets, Change("block", False, settle_s=120))


class SimResolver(SimFirewall, product="sim-resolver"):
    """Takes domains only."""

    @supports(kinds={"domain"})
    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        await SimFirewall.block_indicators(self, indicators, reason, expires_in_s)

    @supports(kinds={"domain"})
    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:
        await SimFirewall.unblock_indicators(self, indicators, reason)


class SimDirectory(Product, Identity, product="sim-directory"):
    """Accounts."""

    async def find_users(self, name: str) -> list[User]:
        found = [] if "bad" in name else [User(connector=self.name, id=name, name=name)]
        return await self._ask("find_users", name, lambda: found)  # type: ignore[no-any-return]

    async def account_of(self, user: User) -> Account:
        return await self._ask(  # type: ignore[no-any-return]
            "account_of",
            user.id,
            lambda: Account(connector=self.name, user_id=user.id, enabled=self._state("account", user.id, True)),
        )

    async def disable_user(self, user: User, reason: str) -> None:
        await self._change("disable_user", [user.id], Change("account", False, settle_s=60))

    async def enable_user(self, user: User, reason: str) -> None:
        await self._change("enable_user", [user.id], Change("account", True, settle_s=60))

    async def sessions_of(self, user: User) -> Sessions:
        def answer() -> Sessions:
            times = self._state("sessions", user.id, 0)
            since = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=times) if times else None
            return Sessions(connector=self.name, user_id=user.id, valid_from=since)

        return await self._ask("sessions_of", user.id, answer)  # type: ignore[no-any-return]

    async def revoke_sessions(self, user: User, reason: str) -> None:
        await self._change("revoke_sessions", [user.id], Change("sessions", None, settle_s=120))


class SimChat(Product, Messaging, product="sim-chat"):
    """Messages."""

    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        await self.outside.send(self, "post", [text], None)
        return Message(connector=self.name, id="m", channel=channel)


class SimDesk(Product, Ticketing, product="sim-desk"):
    """Tickets."""

    async def create(self, title: str, description: str = "", severity: Severity = "medium") -> Ticket:
        await self.outside.send(self, "create", [title], None)
        return Ticket(connector=self.name, id="t", name="T1", title=title)


class Tag(Model):
    """Whether a tag is there."""

    connector: str
    name: str
    there: bool


class Turns(Model):
    """How often a key was turned."""

    connector: str
    name: str
    times: int


class Probe(Model):
    """Whether something is ready."""

    connector: str
    name: str
    ready: bool


def is_there(state: Tag, _prior: Tag) -> bool:
    return state.there


def is_gone(state: Tag, _prior: Tag) -> bool:
    return not state.there


def is_turned(state: Turns, prior: Turns) -> bool:
    return state.times > prior.times


class SimVault(Product, product="vault"):
    """A product whose actions are all its own, one of each way to recover."""

    @read
    async def tag_of(self, name: str) -> Tag:
        """Read a tag."""
        return await self._ask(  # type: ignore[no-any-return]
            "tag_of", name, lambda: Tag(connector=self.name, name=name, there=self._state("tag", name, False))
        )

    @read
    async def probe_of(self, name: str) -> Probe:
        """Look whether something is ready: some things are after a while, others never."""
        ready_at_s = self.outside.ready_at_s(name)
        return await self._ask(  # type: ignore[no-any-return]
            "probe_of",
            name,
            lambda: Probe(connector=self.name, name=name, ready=self.outside.clock.real_s >= ready_at_s),
        )

    @change(target="name", undo="drop_tag", verify="tag_of", done=is_there, recovery=Recovery.VERIFIABLE)
    async def put_tag(self, name: str) -> None:
        """Put a tag."""
        await self._change("put_tag", [name], Change("tag", True))

    @change(target="name", undo="put_tag", verify="tag_of", done=is_gone, recovery=Recovery.VERIFIABLE)
    async def drop_tag(self, name: str) -> None:
        """Take a tag away."""
        await self._change("drop_tag", [name], Change("tag", False))

    @change(
        target="name", undo=None, because="of the test", verify="tag_of", done=is_there, recovery=Recovery.IDEMPOTENT
    )
    async def label(self, name: str) -> None:
        """Put a tag; the product knows a request that it has had already by its key."""
        await self._change("label", [name], Change("tag", True, dedupes=True))

    @change(target="name", undo=None, because="it cannot be taken back", recovery=Recovery.MANUAL)
    async def wipe(self, name: str) -> None:
        """Wipe something; nothing tells whether it has happened."""
        await self._change("wipe", [name], Change("wiped", True, seen=False))

    @read
    async def turns_of(self, name: str) -> Turns:
        """Read how often a key was turned."""
        return await self._ask(  # type: ignore[no-any-return]
            "turns_of", name, lambda: Turns(connector=self.name, name=name, times=self._state("turns", name, 0))
        )

    @change(
        target="name",
        undo=None,
        because="it cannot be turned back",
        verify="turns_of",
        done=is_turned,
        recovery=Recovery.VERIFIABLE,
    )
    async def rotate(self, name: str) -> None:
        """Turn a key: once more each time that it is asked for."""
        await self._change("rotate", [name], Change("turns", None))


PRODUCTS: dict[str, type[Product]] = {
    "edr_a": SimEdr,
    "edr_b": SimEdr,
    "fw_eu": SimFirewall,
    "fw_us": SimResolver,
    "idp": SimDirectory,
    "chat": SimChat,
    "desk": SimDesk,
    "vault": SimVault,
}


def catalogue_of_the_project() -> Catalogue:
    """Return the actions that the simulated project has, and where they go."""
    registry = Registry()
    for connector in PRODUCTS.values():
        registry.add(connector)
    return fill_catalogue(registry, {name: connector.product for name, connector in PRODUCTS.items()})


class Rack:
    """The connectors of one process."""

    def __init__(self, outside: Outside, process: Dying, redactor: Redactor) -> None:
        self._outside = outside
        self._process = process
        self._redactor = redactor
        self._built: dict[str, Product] = {}

    def get(self, name: str) -> Product:
        """Return an instance, built once."""
        if name not in self._built:
            made = PRODUCTS[name](name, _Settings(), None, self._redactor)  # type: ignore[arg-type]  # no HTTP here
            made.outside, made.process = self._outside, self._process
            self._built[name] = made
        return self._built[name]

    async def aclose(self) -> None:
        """Do nothing: nothing is open."""
