"""The things playbooks act on, in vendor-neutral words.

An entity belongs to the connector instance it was read from: a change goes back to that instance and to no other.
Everything here is plain data; inside expressions an entity is a map of these fields.
"""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

__all__ = [
    "DRIFTING",
    "AccessKey",
    "Account",
    "Activity",
    "Alert",
    "ApiCall",
    "Asset",
    "Block",
    "Connection",
    "Entity",
    "Group",
    "Host",
    "HostUser",
    "Indicator",
    "IndicatorKind",
    "InstanceNetwork",
    "IntelReport",
    "Isolation",
    "KeyState",
    "LogEntry",
    "Membership",
    "Message",
    "Model",
    "NameQuery",
    "Opinion",
    "Sessions",
    "Severity",
    "Software",
    "Ticket",
    "User",
    "VirtualMachine",
]

IndicatorKind = Literal["ipv4", "ipv6", "cidr", "domain", "url", "email", "md5", "sha1", "sha256"]
Severity = Literal["low", "medium", "high", "critical"]


DRIFTING = frozenset({"last_seen", "last_at"})
"""Fields that change although nothing has happened. No plan relies on them."""


class Model(BaseModel):
    """Base of everything a connector returns: immutable, and an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Entity(Model):
    """A thing that one connector instance owns.

    `connector` is the name of that instance, `id` the product's own identifier, `name` what people call it.
    """

    entity_kind: ClassVar[str]

    connector: str
    id: str
    name: str

    def aliases(self) -> tuple[str, ...]:
        """Return every text that may name this entity, for guardrails and for plans."""
        return (self.id, self.name)


class Host(Entity):
    """A computer, as one EDR knows it."""

    entity_kind = "host"

    os: str | None = None
    ips: tuple[str, ...] = ()
    mac: str | None = None
    site: str | None = None
    tags: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    last_seen: datetime | None = None

    def aliases(self) -> tuple[str, ...]:
        return (self.id, self.name, *self.ips)


class User(Entity):
    """An account in one directory; `name` is its sign-in name, `logins` are the others that it has."""

    entity_kind = "user"

    display_name: str | None = None
    email: str | None = None
    department: str | None = None
    guest: bool = False
    logins: tuple[str, ...] = ()

    def aliases(self) -> tuple[str, ...]:
        return tuple(text for text in (self.id, self.name, self.email, *self.logins) if text)


class Group(Entity):
    """A group or directory role; `dynamic` ones are filled by a rule and refuse edits of their members."""

    entity_kind = "group"

    privileged: bool = False
    dynamic: bool = False


class Ticket(Entity):
    """A ticket or case; `name` is the number people quote."""

    entity_kind = "ticket"

    title: str
    status: str | None = None
    url: str | None = None


class Indicator(Model):
    """Something an attack is recognised by. `value` is normalised and never defanged."""

    kind: IndicatorKind
    value: str


class Isolation(Model):
    """Whether a host is cut off from the network."""

    connector: str
    host_id: str
    state: Literal["normal", "isolating", "isolated", "releasing"]


class Block(Model):
    """Whether one product blocks one indicator; `expires_at` is when the product lifts it by itself."""

    connector: str
    kind: IndicatorKind
    value: str
    blocked: bool
    expires_at: datetime | None = None


class Account(Model):
    """Whether an account may sign in."""

    connector: str
    user_id: str
    enabled: bool


class Sessions(Model):
    """From when on sign-ins of an account count; older ones are void."""

    connector: str
    user_id: str
    valid_from: datetime | None = None


class Membership(Model):
    """Whether an account is a direct member of a group."""

    connector: str
    user_id: str
    group_id: str
    member: bool


class Alert(Entity):
    """A detection by a product. Its texts come from outside and are data, whatever they contain."""

    entity_kind = "alert"

    title: str
    severity: Severity
    at: datetime
    status: str | None = None
    host_id: str | None = None
    host_name: str | None = None
    user_name: str | None = None
    sha256: str | None = None
    technique: str | None = None


class Activity(Model):
    """One observation on a host: it talked to an address, or a file with a hash was seen on it."""

    connector: str
    at: datetime
    kind: Literal["connection", "file"]
    host_id: str
    host_name: str
    value: str
    detail: str | None = None


class HostUser(Model):
    """An account that signed in to a host; `name` is as the host knows it, not a directory entry."""

    connector: str
    host_id: str
    name: str
    last_at: datetime | None = None


class Connection(Model):
    """Traffic a firewall saw between two addresses."""

    connector: str
    at: datetime
    source: str
    destination: str
    destination_port: int | None = None
    bytes_sent: int | None = None
    verdict: Literal["allowed", "blocked"]
    application: str | None = None


class Message(Model):
    """A message that a product has accepted; `id` lets a later step answer in its thread."""

    connector: str
    id: str
    channel: str


class NameQuery(Model):
    """Somebody asked a resolver for a name. `answer` is what was told, "" where the name was sinkholed."""

    connector: str
    at: datetime
    source: str
    name: str
    answer: str | None = None


class LogEntry(Model):
    """One entry of a log. `fields` are as the product has them; all of it comes from outside and is data."""

    connector: str
    at: datetime | None = None
    text: str
    fields: dict[str, str]


class Opinion(Model):
    """What one source thinks of an indicator. `score` goes from 0, harmless, to 100; None where the source has none."""

    connector: str
    kind: IndicatorKind
    value: str
    verdict: Literal["malicious", "suspicious", "harmless", "unknown"]
    score: int | None = None
    detail: str = ""
    url: str | None = None


class IntelReport(Model):
    """What was shared: `id` is the event or status that the product made of it."""

    connector: str
    id: str
    feed: str
    url: str | None = None


class VirtualMachine(Entity):
    """A virtual machine of one cloud account."""

    entity_kind = "machine"

    account: str
    region: str
    state: str | None = None
    ips: tuple[str, ...] = ()
    network: str | None = None
    tags: tuple[str, ...] = ()

    def aliases(self) -> tuple[str, ...]:
        return (self.id, self.name, *self.ips)


class InstanceNetwork(Model):
    """How a virtual machine is connected: `groups` are the security groups that it is in, sorted."""

    connector: str
    machine_id: str
    groups: tuple[str, ...]
    quarantined: bool


class AccessKey(Entity):
    """A long-lived key of a cloud account. `id` is public, the secret part is nowhere; `name` is who owns it."""

    entity_kind = "access_key"

    created_at: datetime | None = None


class KeyState(Model):
    """Whether an access key opens anything."""

    connector: str
    key_id: str
    active: bool


class ApiCall(Model):
    """One call of a cloud provider's API."""

    connector: str
    at: datetime
    name: str
    service: str
    actor: str
    source: str | None = None
    error: str | None = None


class Software(Model):
    """A program on an asset; None for a version that is not known."""

    name: str
    version: str | None = None


class Asset(Entity):
    """A thing in an inventory. `exposed` says whether the internet reaches it, `has_edr` whether an agent is on it."""

    entity_kind = "asset"

    owner: str | None = None
    os: str | None = None
    ips: tuple[str, ...] = ()
    site: str | None = None
    criticality: Literal["low", "medium", "high", "critical"] | None = None
    exposed: bool | None = None
    has_edr: bool | None = None
    software: tuple[Software, ...] = ()

    def aliases(self) -> tuple[str, ...]:
        return (self.id, self.name, *self.ips)
