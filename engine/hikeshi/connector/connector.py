"""The base class of connectors: one class for each product, one instance for each configured account of it."""

from __future__ import annotations

import base64
import hashlib
import inspect
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from hikeshi.capabilities import ActionSpec, Capability, build_spec, kinds_of
from hikeshi.connector.door import PreviewedRequest, current_door
from hikeshi.connector.errors import RouteRefused
from hikeshi.connector.pace import Pace
from hikeshi.connector.route import Route
from hikeshi.secrets import Redactor, Secret

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient
    from hikeshi.connector.published import PublishedLists
    from hikeshi.connector.response import Response

__all__ = ["Connector", "ConnectorSettings", "secrets_in"]

T = TypeVar("T")


class ConnectorSettings(BaseModel):
    """What hikeshi.yaml says of one instance. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    base_url: str
    timeout_s: float = Field(default=30.0, gt=0, le=600)
    ca_file: str | None = None
    requests_per_minute: int | None = Field(default=None, ge=1)
    requests_at_once: int | None = Field(default=None, ge=1)


class Connector:
    """An adapter for one product.

    A subclass names its `product`, its `Settings` and its `read_routes`, and overrides the verbs it supports. A change
    method sends and returns nothing: the engine reads the state back with the capability's `verify` verb. Everything
    travels through `self.http`.
    """

    product: ClassVar[str]
    Settings: ClassVar[type[ConnectorSettings]] = ConnectorSettings
    read_routes: ClassVar[tuple[Route, ...]] = ()
    # Requests that are never sent, not even in an intended change: one slip away from another, and far worse than it.
    never: ClassVar[tuple[Route, ...]] = ()
    # Fields of request bodies that differ each time they are sent, such as a time of expiry.
    volatile: ClassVar[tuple[str, ...]] = ()
    # How quickly one instance may call, a little below what the product documents; an operator may say otherwise.
    pace: ClassVar[Pace | None] = None
    # Harmless arguments of reads, by verb, where 'hikeshi connectors test' could not guess them; None: do not try it.
    probes: ClassVar[Mapping[str, Mapping[str, Any] | None]] = {}
    # What the product's administrator has to grant, for people.
    least_privileges: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, product: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if product is not None:
            cls.product = product
        if not isinstance(cls.read_routes, (tuple, list)):
            raise TypeError(f"{cls.__name__}.read_routes is a tuple: one route is written as (Route(...),)")

    def __init__(self, name: str, settings: ConnectorSettings, http: HttpClient, redactor: Redactor) -> None:
        self.name = name
        self.settings = settings
        self.http = http
        self.redactor = redactor
        self.set_up()

    def set_up(self) -> None:
        """Prepare credentials and the like. Called once, without I/O."""

    @classmethod
    def bases(cls, settings: ConnectorSettings) -> Mapping[str, str]:
        """Return the base addresses by name; the one named "" is the default."""
        return {"": settings.base_url}

    @classmethod
    def routes_of(cls, settings: ConnectorSettings) -> tuple[Route, ...]:  # noqa: ARG003 - for those that need it
        """Return the read routes of an instance: those of the class, unless its settings have a say in them."""
        return cls.read_routes

    @classmethod
    def public_only(cls, settings: ConnectorSettings) -> bool:  # noqa: ARG003
        """Say whether an instance may reach no address of a private network. Products usually live in one."""
        return False

    @classmethod
    def pace_of(cls, settings: ConnectorSettings) -> Pace | None:
        """Return how quickly an instance may call: what its settings say, else what the product allows."""
        usual = cls.pace or Pace()
        per_minute, at_once = settings.requests_per_minute, settings.requests_at_once
        requests, per_s = (usual.requests, usual.per_s) if per_minute is None else (per_minute, 60.0)
        found = Pace(requests, per_s, usual.at_once if at_once is None else at_once)
        return None if found == Pace() else found

    def check(self, response: Response) -> None:
        """Judge an answer: raise a ConnectorError for anything that is no success, whatever the status says."""
        from hikeshi.connector.response import default_check

        default_check(response)

    def reveal(self, secret: Secret) -> str:
        """Return a secret's value, masked from now on in everything that is written. Raises SecretUnavailable."""
        value = secret.reveal()
        self.redactor.add(value)
        return value

    def check_secrets(self) -> None:
        """Raise SecretUnavailable if a secret of this instance is not there, before anything depends on it."""
        for value in secrets_in(self.settings):
            self.reveal(value)

    def published_lists(self) -> PublishedLists | None:
        """Return the lists that the service serves for this instance, for products that poll them, or None."""
        return None

    @property
    def key(self) -> str:
        """The idempotency key of the change or notification under way, the same when it is sent again; "" outside."""
        door = current_door()
        return "" if door is None else door.key

    def own_id(self, length: int = 40) -> str:
        """Return an ID of hexadecimal digits for what is sent now: the same when that is sent again, up to 64 long.

        Outside of an action, each call gives another one.
        """
        return hashlib.sha256(self.key.encode()).hexdigest()[:length] if self.key else uuid.uuid4().hex

    def basic_authorization(self, name: str | None, secret: Secret) -> Mapping[str, str]:
        """Return the header of HTTP's basic authentication, masked in that form as well. Raises SecretUnavailable."""
        encoded = base64.b64encode(f"{name}:{self.reveal(secret)}".encode()).decode()
        self.redactor.add(encoded)
        return {"authorization": f"Basic {encoded}"}

    async def commit(self, preview: PreviewedRequest, do: Callable[[], Awaitable[T]], *, last: bool = False) -> T:
        """Make a change over a protocol that is not HTTP, under the same rule: previewed in a plan, sent when live.

        `last` promises that the action makes no further change, so that a plan is known to show all of it. Raises
        RouteRefused where a change is not allowed; a plan ends the preview here.
        """
        door = current_door()
        if door is None:
            raise RouteRefused(f"{self.name}: {preview.method} {preview.url} outside of an action")
        if not door.admit(preview, last=last):
            door.look("commit")
        door.leave()
        return await do()

    @classmethod
    def capabilities(cls) -> tuple[type[Capability], ...]:
        """Return the capabilities this connector implements."""
        return tuple(base for base in cls.__mro__ if issubclass(base, Capability) and "capability_name" in vars(base))

    @classmethod
    def supported(cls) -> dict[str, frozenset[str] | None]:
        """Return the actions this connector carries out, each with the indicator kinds it takes (None: no limit)."""
        found: dict[str, frozenset[str] | None] = {}
        for capability in cls.capabilities():
            for verb in capability.verbs():
                if getattr(cls, verb) is not getattr(capability, verb):
                    found[f"{capability.capability_name}.{verb}"] = kinds_of(getattr(cls, verb))
        for spec in cls.own_actions():
            found[spec.name] = spec.kinds
        return found

    @classmethod
    def own_actions(cls) -> tuple[ActionSpec, ...]:
        """Return the actions only this product has, `product.verb`. One without a declared effect is a change."""
        known = {verb for capability in cls.capabilities() for verb in capability.verbs()} | set(vars(Connector))
        own = [
            name
            for name in dir(cls)
            if not name.startswith("_") and name not in known and inspect.iscoroutinefunction(getattr(cls, name))
        ]
        return tuple(build_spec(cls.product, cls, name) for name in own)


def secrets_in(settings: Any) -> Iterator[Secret]:
    """Give every secret of settings, in maps, lists and models inside of them too."""
    if isinstance(settings, Secret):
        yield settings
    elif isinstance(settings, Mapping):
        for value in settings.values():
            yield from secrets_in(value)
    elif isinstance(settings, (list, tuple)):
        for value in settings:
            yield from secrets_in(value)
    elif isinstance(settings, BaseModel):
        for name in type(settings).model_fields:
            yield from secrets_in(getattr(settings, name))
