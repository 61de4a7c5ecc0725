"""A connector for every built-in capability whose product is a few dicts, and which fails when it is told to.

`FakeWorld` is the product: its state, what was asked of it, and what is to go wrong. `fake_connector` gives a connector
class that works on it. Changes pass the same guard as real ones, so a plan changes nothing here either.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal, TypeVar

from hikeshi.capabilities import (
    Account,
    Activity,
    Alert,
    Block,
    Connection,
    Edr,
    Firewall,
    Group,
    Host,
    HostUser,
    Identity,
    Indicator,
    Isolation,
    Membership,
    Message,
    Messaging,
    Sessions,
    Severity,
    Ticket,
    Ticketing,
    User,
    supports,
)
from hikeshi.connector import Connector, ConnectorError, ConnectorSettings, PartialFailure, PreviewedRequest
from hikeshi.connector.door import current_door

__all__ = ["Call", "FakeWorld", "Fault", "fake_connector"]

T = TypeVar("T")
IsolationState = Literal["normal", "isolating", "isolated", "releasing"]


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a verb of an instance. `sent` says that it was to change something and was not held back."""

    instance: str
    verb: str
    arguments: Mapping[str, Any]
    sent: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong in one call.

    `before`: the error comes before anything is sent. `lost`: it is sent and takes effect, and then the error comes.
    `dropped`: it is sent, has no effect, and the error comes. `ignored`: it is accepted and never takes effect.
    `slow`: it is accepted, and is under way for so many `looks`. `hang`: it is sent, and no answer ever comes.
    """

    how: Literal["before", "lost", "dropped", "ignored", "slow", "hang", "hang before"]
    error: BaseException | None = None
    looks: int = 0


@dataclass(slots=True)
class FakeWorld:
    """The product behind the fake connectors: one state for each instance, and a list of all calls.

    Put what is there into `hosts`, `users`, `groups`, `tickets` by the name of the instance. Whatever else is asked
    for is normal: not isolated, not blocked, enabled, no member.
    """

    hosts: dict[str, list[Host]] = field(default_factory=lambda: defaultdict(list))
    users: dict[str, list[User]] = field(default_factory=lambda: defaultdict(list))
    groups: dict[str, list[Group]] = field(default_factory=lambda: defaultdict(list))
    tickets: dict[str, list[Ticket]] = field(default_factory=lambda: defaultdict(list))
    alerts: dict[str, list[Alert]] = field(default_factory=lambda: defaultdict(list))
    isolation: dict[tuple[str, str], IsolationState] = field(default_factory=dict)
    blocked: set[tuple[str, str]] = field(default_factory=set)
    ends: dict[tuple[str, str], datetime] = field(default_factory=dict)  # when the product says that it lifts a block
    disabled: set[tuple[str, str]] = field(default_factory=set)
    members: set[tuple[str, str, str]] = field(default_factory=set)
    revoked: dict[tuple[str, str], datetime] = field(default_factory=dict)
    messages: list[tuple[str, str, str]] = field(default_factory=list)  # instance, channel or person, text
    calls: list[Call] = field(default_factory=list)
    on_call: Callable[[Call], Awaitable[None]] | None = None
    faults: dict[str, deque[Fault | None]] = field(default_factory=lambda: defaultdict(deque))
    pending: list[tuple[int, Callable[[], None]]] = field(default_factory=list)

    def add_host(self, name: str, *, instance: str = "fake", id_: str | None = None, **more: Any) -> Host:
        """Put a host there and return it."""
        host = Host(connector=instance, id=id_ or f"id-{name}", name=name, **more)
        self.hosts[instance].append(host)
        return host

    def add_user(self, name: str, *, instance: str = "fake", **more: Any) -> User:
        """Put an account there and return it."""
        user = User(connector=instance, id=f"id-{name}", name=name, **more)
        self.users[instance].append(user)
        return user

    def add_group(self, name: str, *, instance: str = "fake", **more: Any) -> Group:
        """Put a group there and return it."""
        group = Group(connector=instance, id=f"id-{name}", name=name, **more)
        self.groups[instance].append(group)
        return group

    def script(self, verb: str, *faults: Fault | ConnectorError | None, instance: str = "") -> None:
        """Order what happens at the next calls of a verb: a fault each, or None for a call that works.

        A bare error comes before anything is sent. With `instance` only calls of that one count.
        """
        for fault in faults:
            ordered = Fault("before", fault) if isinstance(fault, ConnectorError) else fault
            self.faults[f"{instance}.{verb}" if instance else verb].append(ordered)

    def called(self, verb: str) -> list[Call]:
        """Return the calls of a verb, in order."""
        return [call for call in self.calls if call.verb == verb]

    def sent(self, verb: str | None = None) -> list[Call]:
        """Return the calls that changed something or told somebody, in order."""
        return [call for call in self.calls if call.sent and verb in (None, call.verb)]

    def take_fault(self, instance: str, verb: str) -> Fault | None:
        for key in (f"{instance}.{verb}", verb):
            if self.faults[key]:
                return self.faults[key].popleft()
        return None

    def looked(self) -> None:
        """Let what is under way come one look nearer to its end."""
        due = [take for left, take in self.pending if left <= 1]
        self.pending[:] = [(left - 1, take) for left, take in self.pending if left > 1]
        for take in due:
            take()


class _Fake(Connector):
    """What all fake connectors share."""

    world: ClassVar[FakeWorld]

    class Settings(ConnectorSettings):
        base_url: str = "http://fake.invalid"

    async def _read(self, verb: str, arguments: Mapping[str, Any], answer: Callable[[], T]) -> T:
        call = Call(self.name, verb, arguments)
        await self._note(call)
        self.world.looked()
        fault = self.world.take_fault(self.name, verb)
        if fault is not None and fault.how.startswith("hang"):
            await asyncio.Event().wait()
        if fault is not None and fault.error is not None:
            raise fault.error
        return answer()

    async def _send(
        self,
        verb: str,
        arguments: Mapping[str, Any],
        effect: Callable[[], None],
        begin: Callable[[], None] | None = None,
    ) -> None:
        """Send a change or a message: `begin` is what shows at once if the effect takes its time."""
        fault = self.world.take_fault(self.name, verb)
        if fault is not None and fault.how in ("before", "hang before"):
            await self._note(Call(self.name, verb, arguments))
            if fault.how == "hang before":
                await asyncio.Event().wait()
            assert fault.error is not None
            raise fault.error

        async def do() -> None:
            await self._note(Call(self.name, verb, arguments, sent=True))
            if fault is None or fault.how == "lost":
                effect()
            elif fault.how == "slow":
                if begin is not None:
                    begin()
                self.world.pending.append((fault.looks, effect))
            elif fault.how == "hang":
                await asyncio.Event().wait()
            if fault is not None and fault.error is not None:
                raise fault.error

        door = current_door()
        if door is not None and door.mode == "plan":
            await self._note(Call(self.name, verb, arguments))
        await self.commit(PreviewedRequest("POST", f"{self.settings.base_url}/{verb}", _plain(arguments)), do)

    async def _note(self, call: Call) -> None:
        self.world.calls.append(call)
        if self.world.on_call is not None:
            await self.world.on_call(call)


class _Everything(_Fake, Edr, Firewall, Identity, Messaging, Ticketing):
    """All built-in capabilities."""

    async def find_hosts(self, name: str) -> list[Host]:
        found = [host for host in self.world.hosts[self.name] if name.lower() in map(str.lower, host.aliases())]
        return await self._read("find_hosts", {"name": name}, lambda: found)

    async def isolation_of(self, host: Host) -> Isolation:
        return await self._read(
            "isolation_of",
            {"host": host},
            lambda: Isolation(
                connector=self.name,
                host_id=host.id,
                state=self.world.isolation.get((self.name, host.id), "normal"),
            ),
        )

    async def isolate_host(self, host: Host, reason: str) -> None:
        await self._isolate(host, "isolate_host", reason, "isolating", "isolated")

    async def release_host(self, host: Host, reason: str) -> None:
        await self._isolate(host, "release_host", reason, "releasing", "normal")

    async def _isolate(self, host: Host, verb: str, reason: str, first: IsolationState, then: IsolationState) -> None:
        key = (self.name, host.id)

        def begin() -> None:
            self.world.isolation[key] = first

        def effect() -> None:
            self.world.isolation[key] = then

        await self._send(verb, {"host": host, "reason": reason}, effect, begin)

    async def list_alerts(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        arguments = {"since_s": since_s, "severity": severity}
        return await self._read("list_alerts", arguments, lambda: list(self.world.alerts[self.name]))

    async def search_connections(self, address: str, since_s: int = 86400) -> list[Activity]:
        return await self._read("search_connections", {"address": address, "since_s": since_s}, list)

    async def search_hash(self, sha256: str, since_s: int = 86400) -> list[Activity]:
        return await self._read("search_hash", {"sha256": sha256, "since_s": since_s}, list)

    async def users_of_host(self, host: Host, since_s: int = 604800) -> list[HostUser]:
        return await self._read("users_of_host", {"host": host, "since_s": since_s}, list)

    async def hash_blocks_of(self, hashes: list[Indicator]) -> list[Block]:
        return await self._read("hash_blocks_of", {"hashes": hashes}, lambda: self._blocks(hashes))

    async def block_hashes(self, hashes: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        more = {"reason": reason, "expires_in_s": expires_in_s}
        await self._block("block_hashes", "hashes", hashes, more, blocked=True)

    async def unblock_hashes(self, hashes: list[Indicator], reason: str) -> None:
        await self._block("unblock_hashes", "hashes", hashes, {"reason": reason}, blocked=False)

    async def blocks_of(self, indicators: list[Indicator]) -> list[Block]:
        return await self._read("blocks_of", {"indicators": indicators}, lambda: self._blocks(indicators))

    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        more = {"reason": reason, "expires_in_s": expires_in_s}
        await self._block("block_indicators", "indicators", indicators, more, blocked=True)

    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:
        await self._block("unblock_indicators", "indicators", indicators, {"reason": reason}, blocked=False)

    def _blocks(self, wanted: list[Indicator]) -> list[Block]:
        return [
            Block(
                connector=self.name,
                kind=entry.kind,
                value=entry.value,
                blocked=(self.name, entry.value) in self.world.blocked,
                expires_at=self.world.ends.get((self.name, entry.value)),
            )
            for entry in wanted
        ]

    async def _block(
        self, verb: str, name: str, wanted: list[Indicator], more: Mapping[str, Any], *, blocked: bool
    ) -> None:
        refused: Mapping[str, ConnectorError] = {}
        waiting = self.world.faults[verb]
        if waiting and waiting[0] is not None and isinstance(waiting[0].error, PartialFailure):
            refused = waiting[0].error.failures

        def effect() -> None:
            keys = {(self.name, entry.value) for entry in wanted if entry.value not in refused}
            self.world.blocked = self.world.blocked | keys if blocked else self.world.blocked - keys

        await self._send(verb, {name: wanted, **more}, effect)

    async def search_traffic(self, address: str, since_s: int = 86400) -> list[Connection]:
        return await self._read("search_traffic", {"address": address, "since_s": since_s}, list)

    async def find_users(self, name: str) -> list[User]:
        found = [user for user in self.world.users[self.name] if name in user.aliases()]
        return await self._read("find_users", {"name": name}, lambda: found)

    async def account_of(self, user: User) -> Account:
        return await self._read(
            "account_of",
            {"user": user},
            lambda: Account(
                connector=self.name, user_id=user.id, enabled=(self.name, user.id) not in self.world.disabled
            ),
        )

    async def disable_user(self, user: User, reason: str) -> None:
        key = (self.name, user.id)
        await self._send("disable_user", {"user": user, "reason": reason}, lambda: self.world.disabled.add(key))

    async def enable_user(self, user: User, reason: str) -> None:
        key = (self.name, user.id)
        await self._send("enable_user", {"user": user, "reason": reason}, lambda: self.world.disabled.discard(key))

    async def sessions_of(self, user: User) -> Sessions:
        return await self._read(
            "sessions_of",
            {"user": user},
            lambda: Sessions(
                connector=self.name, user_id=user.id, valid_from=self.world.revoked.get((self.name, user.id))
            ),
        )

    async def revoke_sessions(self, user: User, reason: str) -> None:
        key = (self.name, user.id)

        def effect() -> None:
            last = self.world.revoked.get(key, datetime(2026, 1, 1, tzinfo=UTC))
            self.world.revoked[key] = last + timedelta(seconds=1)

        await self._send("revoke_sessions", {"user": user, "reason": reason}, effect)

    async def groups_of(self, user: User) -> list[Group]:
        def found() -> list[Group]:
            return [
                group for group in self.world.groups[self.name] if (self.name, user.id, group.id) in self.world.members
            ]

        return await self._read("groups_of", {"user": user}, found)

    async def membership_of(self, user: User, group: Group) -> Membership:
        key = (self.name, user.id, group.id)
        return await self._read(
            "membership_of",
            {"user": user, "group": group},
            lambda: Membership(
                connector=self.name, user_id=user.id, group_id=group.id, member=key in self.world.members
            ),
        )

    async def remove_from_group(self, user: User, group: Group, reason: str) -> None:
        key = (self.name, user.id, group.id)
        arguments = {"user": user, "group": group, "reason": reason}
        await self._send("remove_from_group", arguments, lambda: self.world.members.discard(key))

    async def add_to_group(self, user: User, group: Group, reason: str) -> None:
        key = (self.name, user.id, group.id)
        arguments = {"user": user, "group": group, "reason": reason}
        await self._send("add_to_group", arguments, lambda: self.world.members.add(key))

    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        return await self._tell("post", channel, text, severity=severity, thread=thread)

    async def page(self, to: str, text: str, severity: Severity = "high") -> Message:
        return await self._tell("page", to, text, severity=severity)

    async def message_person(self, email: str, text: str) -> Message:
        return await self._tell("message_person", email, text)

    async def _tell(self, verb: str, whom: str, text: str, **more: Any) -> Message:
        def effect() -> None:
            self.world.messages.append((self.name, whom, text))

        await self._send(verb, {"to": whom, "text": text, **more}, effect)
        return Message(connector=self.name, id=f"m{len(self.world.messages)}", channel=whom)

    async def create(self, title: str, description: str = "", severity: Severity = "medium") -> Ticket:
        ticket = Ticket(connector=self.name, id=f"t{len(self.world.tickets[self.name]) + 1}", name=title, title=title)
        arguments = {"title": title, "description": description, "severity": severity}
        await self._send("create", arguments, lambda: self.world.tickets[self.name].append(ticket))
        return ticket

    async def comment(self, ticket: Ticket, text: str) -> Ticket:
        await self._send("comment", {"ticket": ticket, "text": text}, lambda: None)
        return ticket

    async def find_tickets(self, number: str) -> list[Ticket]:
        found = [ticket for ticket in self.world.tickets[self.name] if number in ticket.aliases()]
        return await self._read("find_tickets", {"number": number}, lambda: found)


def fake_connector(
    world: FakeWorld,
    product: str = "fake",
    *,
    kinds: set[str] | None = None,
    without: tuple[str, ...] = (),
) -> type[Connector]:
    """Return a connector class on this world.

    `kinds` limits the indicators its firewall takes, `without` names verbs that it does not support. Derive from it to
    add actions of its own.
    """
    body: dict[str, Any] = {"world": world}
    if kinds is not None:

        @supports(kinds=kinds)
        async def block_indicators(
            self: Any, indicators: list[Indicator], reason: str, expires_in_s: int | None = None
        ) -> None:
            await _Everything.block_indicators(self, indicators, reason, expires_in_s)

        body["block_indicators"] = block_indicators
    for verb in without:
        body[verb] = next(
            getattr(base, verb) for base in (Edr, Firewall, Identity, Messaging, Ticketing) if hasattr(base, verb)
        )
    made = type(f"Fake{product.title()}", (_Everything,), body, product=product)
    assert issubclass(made, Connector)
    return made


def _plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain_value(value) for name, value in arguments.items()}


def _plain_value(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain_value(entry) for entry in value]
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
