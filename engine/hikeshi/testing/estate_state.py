"""What an estate consists of: hosts, people, a firewall, traffic, alerts, chat. Data only; `estate` makes it live.

Each part is written to JSON in a fixed order, and unknown fields are errors when it is read back.
"""

import json
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    AwareDatetime,
    ConfigDict,
    SerializerFunctionWrapHandler,
    TypeAdapter,
    ValidationError,
    WrapSerializer,
)

OsFamily = Literal["windows", "linux", "macos"]
IsolationState = Literal["normal", "containment_pending", "contained", "lift_containment_pending"]
Severity = Literal["informational", "low", "medium", "high", "critical"]
AlertStatus = Literal["new", "in_progress", "closed"]


class EstateError(ValueError):
    """The estate, or a file that describes one, does not make sense; the message says where and what to do."""


def _in_order(value: Any, dump: SerializerFunctionWrapHandler) -> Any:
    dumped = dump(value)
    return dict(sorted(dumped.items())) if isinstance(dumped, dict) else sorted(dumped)


# Sorted when written, so that taking something away and putting it back gives the same bytes again.
Names = Annotated[set[str], WrapSerializer(_in_order)]
_STRICT = ConfigDict(extra="forbid")


@dataclass(slots=True)
class Host:
    """A computer with an agent on it. `id` is what products call it; `name` is not unique.
    What is asked of a host that is not `online` stays pending until it is."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: str
    name: str
    os: OsFamily
    os_version: str
    site: str
    domain: str
    ips: list[str]
    mac: str
    last_seen: AwareDatetime
    agent_version: str = "7.18.0"
    kind: str = "workstation"
    online: bool = True
    owner_email: str | None = None
    tags: Names = field(default_factory=set)
    groups: Names = field(default_factory=set)
    users: Names = field(default_factory=set)
    isolation: IsolationState = "normal"
    isolation_due: AwareDatetime | None = None


@dataclass(slots=True)
class SignIn:
    """A sign-in session of a user; revoked when it began before the user's `sessions_valid_from`."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: str
    at: AwareDatetime
    ip: str
    app: str


@dataclass(slots=True)
class User:
    """An account. `upn` is unique, `display_name` is not. Memberships are kept by the groups."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: str
    upn: str
    sam: str
    display_name: str
    department: str
    job_title: str
    site: str
    sessions_valid_from: AwareDatetime
    mail: str | None = None
    enabled: bool = True
    guest: bool = False
    risk: Literal["none", "low", "medium", "high"] = "none"
    sign_ins: list[SignIn] = field(default_factory=list)


@dataclass(slots=True)
class Group:
    """A group or a directory role. Members of a dynamic group follow from a rule and cannot be changed by hand."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: str
    name: str
    description: str = ""
    privileged: bool = False
    role: bool = False
    dynamic: bool = False
    members: Names = field(default_factory=set)


@dataclass(slots=True)
class FirewallConfig:
    """The part of a firewall's configuration that needs a commit."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    url_categories: Annotated[dict[str, Names], WrapSerializer(_in_order)] = field(default_factory=dict)

    def copy(self) -> "FirewallConfig":
        return FirewallConfig({name: set(entries) for name, entries in self.url_categories.items()})


@dataclass(slots=True)
class CommitJob:
    """A commit under way or done; `result` is None until `done_at` has passed."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: int
    queued_at: AwareDatetime
    due_at: AwareDatetime
    config: FirewallConfig
    error: str | None = None
    done_at: AwareDatetime | None = None
    result: Literal["OK", "FAIL"] | None = None


RegisteredTags = Annotated[
    dict[str, Annotated[dict[str, AwareDatetime | None], WrapSerializer(_in_order)]], WrapSerializer(_in_order)
]


@dataclass(slots=True)
class Firewall:
    """The firewall: tags on addresses act at once, configuration acts when a commit has finished."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    registered_tags: RegisteredTags = field(default_factory=dict)
    candidate: FirewallConfig = field(default_factory=FirewallConfig)
    running: FirewallConfig = field(default_factory=FirewallConfig)
    jobs: dict[int, CommitJob] = field(default_factory=dict)


@dataclass(slots=True)
class Connection:
    """One line of the traffic log: a host of the organisation talked, or tried to talk, to an address."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    at: AwareDatetime
    host_id: str
    source_ip: str
    address: str
    port: int
    bytes_out: int
    bytes_in: int
    app: str
    action: Literal["allow", "deny"] = "allow"
    domain: str | None = None


@dataclass(slots=True)
class Sighting:
    """A file with this hash was seen on a host."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    at: AwareDatetime
    host_id: str
    sha256: str
    path: str


@dataclass(slots=True)
class Logon:
    """A user logged on to a host."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    at: AwareDatetime
    host_id: str
    user_id: str


@dataclass(slots=True)
class Alert:
    """A detection. `host_name` is what the sensor reported: text that an attacker may have chosen."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: str
    at: AwareDatetime
    severity: Severity
    title: str
    description: str = ""
    host_id: str | None = None
    host_name: str | None = None
    user_id: str | None = None
    sha256: str | None = None
    address: str | None = None
    technique: str | None = None
    status: AlertStatus = "new"
    assigned_to: str | None = None
    comments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Ioc:
    """An indicator that the EDR acts on. What only one vendor knows goes to `details`."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: str
    type: str
    value: str
    action: str
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None
    severity: str | None = None
    description: str = ""
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Channel:
    """A chat channel; `member` says whether the bot is in it."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: str
    name: str
    archived: bool = False
    member: bool = True
    private: bool = False


@dataclass(slots=True)
class Message:
    """A posted chat message; `channel` is the channel's id, `ts` identifies the message within it."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    at: AwareDatetime
    channel: str
    ts: str
    text: str
    thread_ts: str | None = None
    blocks: list[Any] = field(default_factory=list)
    edited_at: AwareDatetime | None = None


@dataclass(slots=True)
class Ticket:
    """A ticket in some system."""

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    id: str
    at: AwareDatetime
    title: str
    text: str = ""
    severity: str | None = None
    status: str = "open"
    details: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class EstateState:
    """The whole state of an estate, nothing else: this is what a snapshot holds.

    `base` is the moment the data was made for ("now" when the story begins). `product_state` is room for what
    only one product knows and should still survive a snapshot; use the product's name as the key.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _STRICT

    name: str
    base: AwareDatetime
    settle_s: float = 0.3
    hosts: Annotated[dict[str, Host], WrapSerializer(_in_order)] = field(default_factory=dict)
    users: Annotated[dict[str, User], WrapSerializer(_in_order)] = field(default_factory=dict)
    groups: Annotated[dict[str, Group], WrapSerializer(_in_order)] = field(default_factory=dict)
    firewall: Firewall = field(default_factory=Firewall)
    connections: list[Connection] = field(default_factory=list)
    sightings: list[Sighting] = field(default_factory=list)
    logons: list[Logon] = field(default_factory=list)
    alerts: Annotated[dict[str, Alert], WrapSerializer(_in_order)] = field(default_factory=dict)
    iocs: Annotated[dict[str, Ioc], WrapSerializer(_in_order)] = field(default_factory=dict)
    channels: Annotated[dict[str, Channel], WrapSerializer(_in_order)] = field(default_factory=dict)
    messages: list[Message] = field(default_factory=list)
    tickets: list[Ticket] = field(default_factory=list)
    product_state: Annotated[dict[str, dict[str, Any]], WrapSerializer(_in_order)] = field(default_factory=dict)


@cache
def estate_codec() -> TypeAdapter[EstateState]:
    """Return what reads and writes the state; built when first needed."""
    return TypeAdapter(EstateState)


def read_json(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file. Raises EstateError when there is none."""
    try:
        data = json.loads(path.read_bytes())
    except OSError as exc:
        raise EstateError(f"{path}: cannot be read: {exc.strerror}") from exc
    except ValueError as exc:
        raise EstateError(f"{path}: is not JSON: {exc}") from exc
    if not isinstance(data, dict):
        raise EstateError(f"{path}: must be a JSON object, is a {type(data).__name__}")
    return data


def parse_estate(data: dict[str, Any], source: str) -> EstateState:
    """Return the state that JSON values describe. Raises EstateError, naming the problems, when they do not."""
    try:
        return estate_codec().validate_python(data)
    except ValidationError as exc:
        shown = [_explain(each["loc"], each["type"], each["msg"]) for each in exc.errors()[:10]]
        more = exc.error_count() - len(shown)
        if more:
            shown.append(f"  and {more} more")
        raise EstateError("\n".join([f"{source} is not an estate:", *shown])) from exc


_PARTS: dict[str, type] = {
    "hosts": Host, "users": User, "groups": Group, "alerts": Alert, "iocs": Ioc, "channels": Channel,
    "connections": Connection, "sightings": Sighting, "logons": Logon, "messages": Message, "tickets": Ticket,
}  # fmt: skip


def _explain(where: tuple[int | str, ...], kind: str, message: str) -> str:
    place = ".".join(str(each) for each in where)
    if kind != "unexpected_keyword_argument":
        return f"  {place}: {message}"
    part: type | None = EstateState if len(where) == 1 else _PARTS.get(str(where[0])) if len(where) == 3 else None
    known = f"; known fields: {', '.join(each.name for each in fields(part))}" if part else ""
    return f"  {place}: unknown field{known}"
