"""The bench on which a connector meets its simulator: instances of it, calls through doors, what went over the wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import httpx

from hikeshi.capabilities import ActionSpec, Effect
from hikeshi.connector import Connector, ConnectorError, PreviewedRequest, Secret
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.pool import ConnectionStack
from hikeshi.connector.registry import build
from hikeshi.connector.route import SeenRequest
from hikeshi.secrets import Redactor
from hikeshi.testing.change_log import Change, parse_body
from hikeshi.testing.contract_case import Case, Contract, One
from hikeshi.testing.simulation import Simulation

__all__ = ["Bench", "CannotGoOn", "Outcome", "Preview", "Sent", "Stand"]

_ROUNDS = 40
_TIMEOUT_S = 10.0


class CannotGoOn(Exception):
    """An action failed that a check needs to succeed; what the check would have found out stays unknown."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a call: a value or an error, and the requests that it made.

    `recovered` says that a read met a fault, asked again and got its answer.
    """

    value: Any
    error: Exception | None
    requests: tuple[SeenRequest, ...]
    recovered: bool = False

    @property
    def refusal(self) -> ConnectorError | None:
        return self.error if isinstance(self.error, ConnectorError) else None


@dataclass(frozen=True, slots=True)
class Sent:
    """A request for a change, in a form in which a previewed and a received one can be compared."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    body: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a plan of an action captured, and whether that is all that would be sent."""

    requests: tuple[PreviewedRequest, ...]
    complete: bool


class _Wire(httpx.AsyncBaseTransport):
    """A transport that notes what goes over it."""

    def __init__(self) -> None:
        self.requests: list[SeenRequest] = []
        self._stack = ConnectionStack()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append(SeenRequest(request.method, str(request.url), headers, request.content))
        return await self._stack.handle_async_request(request)

    async def aclose(self) -> None:
        await self._stack.aclose()


@dataclass(slots=True)
class Stand:
    """One connector instance in front of the simulator."""

    bench: Bench
    connector: Connector
    wire: _Wire
    arguments: dict[str, Any] = field(default_factory=dict)

    async def prepare(self, case: Case) -> None:
        """Put the estate back to its beginning, read the case's entities, and arrange the estate for the case."""
        self.bench.simulation.reset()
        if case.arrange is not None:
            case.arrange(self.bench.simulation.estate)
        self.arguments = await self._resolved(case.arguments)
        if case.after is not None:
            await self.do(case.after)
            spec = self.bench.specs[case.after]
            if spec.marks.verify is not None:
                await self.reached(spec, await self.states(spec))
            self.bench.simulation.log.clear()

    async def _resolved(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        return {name: await self._one(value) if isinstance(value, One) else value for name, value in arguments.items()}

    async def _one(self, wanted: One) -> Any:
        outcome = await self.call(wanted.action, await self._resolved(wanted.arguments))
        if outcome.error is not None:
            raise CannotGoOn(f"{wanted.action}, needed for an argument, failed: {outcome.error!r}")
        if len(outcome.value) != 1:
            raise CannotGoOn(f"{wanted.action}, needed for an argument, found {len(outcome.value)}, not one")
        return outcome.value[0]

    async def call(self, action: str, arguments: Mapping[str, Any], *, door: Door | None = None) -> Outcome:
        """Call an action as in a live run, or through another door."""
        spec = self.bench.specs[action]
        opened = door or Door(mode="live", effect=spec.effect, action=action, intended=True, key="contract-kit")
        before = len(self.wire.requests)
        value, error = None, None
        with through(opened):
            try:
                value = await getattr(self.connector, spec.verb)(**arguments)
            except Exception as exc:  # noqa: BLE001 - whatever a connector raises is what the checks judge
                error = exc
        return Outcome(value, error, tuple(self.wire.requests[before:]))

    async def do(self, action: str) -> Outcome:
        """Call an action with those of the prepared arguments that it takes. Raises CannotGoOn if it fails."""
        outcome = await self.call(action, self.fitting(action))
        if outcome.error is not None:
            raise CannotGoOn(f"{action} failed: {outcome.error!r}") from outcome.error
        return outcome

    async def plan(self, action: str) -> Preview:
        """Return what a plan of the action captures. Raises CannotGoOn if it fails."""
        door = Door(mode="plan", effect=self.bench.specs[action].effect, action=action)
        ended = False
        try:
            outcome = await self.call(action, self.fitting(action), door=door)
        except CaptureEnded:
            ended = True
        else:
            if outcome.error is not None:
                raise CannotGoOn(f"a plan of {action} failed: {outcome.error!r}") from outcome.error
        return Preview(tuple(door.captured), complete=door.finished or not ended)

    def fitting(self, action: str) -> dict[str, Any]:
        """Return the prepared arguments that an action has parameters for."""
        known = self.bench.specs[action].by_name
        return {name: value for name, value in self.arguments.items() if name in known}

    async def states(self, spec: ActionSpec) -> list[Any]:
        """Return what the change's `verify` reads, one state for each target."""
        value = (await self.do(f"{spec.capability}.{spec.marks.verify}")).value
        return list(value) if spec.batched else [value]

    async def reached(self, spec: ActionSpec, prior: Sequence[Any]) -> bool:
        """Say whether `verify` sees the change, moving the estate's time on while it does not."""
        assert spec.marks.done is not None
        estate = self.bench.simulation.estate
        left_s = spec.marks.settle_s
        for _ in range(_ROUNDS):
            states = await self.states(spec)
            if all(spec.marks.done(state, before) for state, before in zip(states, prior, strict=True)):
                return True
            if left_s <= 0:
                return False
            step_s = min(left_s, max(estate.settle_s, spec.marks.settle_s / (_ROUNDS - 2)))
            left_s -= step_s
            estate.advance(step_s)
        return False


class Bench:
    """One contract's simulation, served; and the connector's actions, by name."""

    def __init__(self, contract: Contract, simulation: Simulation, base_url: str) -> None:
        self.contract = contract
        self.simulation = simulation
        self._base_url = base_url
        connector = contract.connector
        found = [spec for capability in connector.capabilities() for spec in capability.specs()]
        supported = connector.supported()
        self.specs = {spec.name: spec for spec in (*found, *connector.own_actions()) if spec.name in supported}

    @asynccontextmanager
    async def stand(
        self, *, timeout_s: float = _TIMEOUT_S, secret: str | None = None, wrong: bool = False
    ) -> AsyncIterator[Stand]:
        """Open an instance of the connector with the settings that the simulator proposes.

        `secret` is added to the value of each secret; in the simulator as well, unless they are to be `wrong`.
        """
        wire = _Wire()
        settings = {**self.settings(secret), "timeout_s": timeout_s}
        if secret is not None and not wrong:
            simulator = self.simulation.simulators[self.contract.connector.product]
            simulator.credentials = {**simulator.credentials, **self._secrets(secret)}
        connector = build(self.contract.connector, self.instance_name, settings, Redactor(), transport=wire)
        try:
            yield Stand(self, connector, wire)
        finally:
            await connector.http.aclose()

    @property
    def instance_name(self) -> str:
        return self.contract.simulator.instance_name

    def settings(self, secret: str | None = None) -> dict[str, Any]:
        """Return the settings of an instance, secrets in their place."""
        simulator = self.simulation.simulators[self.contract.connector.product]
        given = {**simulator.settings_at(self._base_url), **self.contract.settings}
        given.pop("product", None)
        secrets = {name: Secret.of_value(value) for name, value in self._secrets(secret).items()}
        return {**given, **secrets}

    def _secrets(self, more: str | None) -> dict[str, str]:
        given = {**self.contract.simulator.demo_settings, **self.contract.settings}
        fields = self.contract.connector.Settings.model_fields
        names = [name for name, each in fields.items() if each.annotation in (Secret, Secret | None) and name in given]
        return {name: str(given[name]) + (more or "") for name in names}

    def cases(self, *effects: Effect) -> Iterator[tuple[Case, ActionSpec]]:
        """Yield the cases of actions with one of these effects."""
        for case in self.contract.cases:
            spec = self.specs.get(case.action)
            if spec is not None and spec.effect in effects:
                yield case, spec

    def sample(self, *effects: Effect) -> list[tuple[Case, ActionSpec]]:
        """Return one case for each of these effects that there is: enough where the connector's code has no part."""
        return [found for effect in effects for found in list(self.cases(effect))[:1]]

    @property
    def changes(self) -> list[Change]:
        """The changes that the simulator was asked for since the estate was put back."""
        return self.simulation.log.changes

    def snapshot(self) -> str:
        """Return the estate's state without its volatile parts."""
        state = self.simulation.estate.snapshot()
        for path in ("messages", *self.contract.volatile):
            _without(state, path.split("."))
        return json.dumps(state, sort_keys=True)

    def is_read(self, request: SeenRequest) -> bool:
        """Say whether a request matches a declared read route."""
        connector = self.contract.connector
        settings = connector.Settings.model_validate(self.settings())
        bases = connector.bases(settings)
        return any(route.matches(request, bases[route.base]) for route in connector.routes_of(settings))

    def sent(self, change: Change) -> Sent:
        """Return a received change as it can be compared."""
        return self._sent(change.method, change.url, parse_body(change.raw_body, change.content_type))

    def previewed(self, request: PreviewedRequest) -> Sent:
        """Return a captured request as it can be compared."""
        return self._sent(request.method, request.url, request.body)

    def _sent(self, method: str, url: str, body: Any) -> Sent:
        parts = urlsplit(url)
        stable = _stable(body, frozenset(self.contract.connector.volatile))
        return Sent(method, unquote(parts.path), tuple(parse_qsl(parts.query)), json.dumps(stable, sort_keys=True))


def _without(state: Any, path: Sequence[str]) -> None:
    if not isinstance(state, dict) or path[0] not in state:
        return
    if len(path) == 1:
        del state[path[0]]
    else:
        _without(state[path[0]], path[1:])


def _stable(value: Any, volatile: frozenset[str]) -> Any:
    if isinstance(value, dict):
        return {key: _stable(item, volatile) for key, item in value.items() if key not in volatile}
    return [_stable(item, volatile) for item in value] if isinstance(value, list) else value
