"""The products outside: what they hold, how they fail, and what they were asked to do.

They know nothing of the engine but its calls, and they live on when it dies: a request that has left arrives, and what
it began goes on. They keep the one promise that the engine builds on: what they accept can be seen within a few
seconds of its arrival, if only as under way.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from dice import Dice

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    PartialFailure,
    PreviewedRequest,
    RateLimited,
    Timeout,
    Unauthorized,
    Unavailable,
)
from hikeshi.connector.door import current_door
from hikeshi.testing.fake_clock import VirtualClock

if TYPE_CHECKING:
    from rack import Product

__all__ = ["Change", "Habits", "Observer", "Outside", "Request"]

T = TypeVar("T")
_CLIENT_TIMEOUT_S = 30.0
_SHOWN_WITHIN_S = 3.5  # from arrival; with the way there it stays below the time that the engine allows
_WAY_S = 1.0

READ_FAULTS = {"rate limit": 4, "unavailable": 4, "timeout": 2, "unauthorized": 1, "defect": 1}
CHANGE_FAULTS = {
    "rate limit before": 3,
    "unavailable before": 3,
    "refused busy": 4,
    "dropped": 4,
    "lost": 5,
    "late": 4,
    "stuck": 2,
    "defect": 2,
    "partial": 3,
}
TELL_FAULTS = {"rate limit before": 3, "unavailable before": 3, "refused busy": 3, "dropped": 2, "lost": 4, "late": 2}


@dataclass
class Habits:
    """How the products behave in one world: how many of a hundred calls go wrong, and how."""

    fault_percent: float = 0.0
    slow: bool = False  # what they accept takes long, within the time that the action declares
    crashes: bool = False  # nobody may be there to have heard that they accepted
    conflicts: bool = False  # they answer "already so" instead of doing it again
    faults: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Change:
    """What a verb does: the kind of thing and state it is about, the state it leads to, and the one on the way.

    `goal` None counts up. `settle_s` is how long it may take; `dedupes` says that a key works once.
    """

    kind: str
    goal: Any
    moving: Any = None
    settle_s: float = 30.0
    dedupes: bool = False
    seen: bool = True  # it can be read back


@dataclass
class Request:
    """One request that has left the engine."""

    instance: str
    verb: str
    key: str
    targets: tuple[str, ...]
    at_s: float
    change: Change | None = None  # None: a message
    answer: ConnectorError | None = None
    keys: tuple[str, ...] = ()  # of changes that were sent together, in the order of the targets

    def key_of(self, target: str) -> str:
        """Return the key of the change of one target."""
        return self.keys[self.targets.index(target)] if self.keys else self.key


class Observer(Protocol):
    """What is told of everything that goes over the wire."""

    def trace(self, text: str) -> None:
        """Note what happens."""

    def asked(self, instance: str, verb: str, about: str) -> None:
        """Be told of a read."""

    def sent(self, request: Request) -> None:
        """Be told of a request that has left."""

    def took_effect(self, request: Request, target: str) -> None:
        """Be told of a change that a product has made, or of a message that people have got."""

    def broke_off(self, what: str, after_s: float) -> None:
        """Be told of a call that the engine ended before its answer was there."""


@dataclass
class Outside:
    """All products together."""

    clock: VirtualClock
    dice: Dice
    habits: Habits
    observer: Observer
    states: dict[tuple[str, str, str], Any] = field(default_factory=dict)  # instance, kind, name
    latest: dict[tuple[str, str, str], int] = field(default_factory=dict)
    keys: set[tuple[str, str]] = field(default_factory=set)
    faults: Counter[str] = field(default_factory=Counter)
    ready: dict[str, float] = field(default_factory=dict)
    _count: int = 0

    def state(self, instance: str, kind: str, name: str, normal: Any) -> Any:
        """Return what a product shows of a thing."""
        return self.states.get((instance, kind, name), normal)

    def ready_at_s(self, name: str) -> float:
        """Return when something that is looked at is ready: some time after the first look, or never."""
        if name not in self.ready:
            after_s = self.dice.pick([0.0, self.dice.seconds(1, 600), self.dice.seconds(1, 20_000)])
            self.ready[name] = self.clock.real_s + after_s
        return self.ready[name]

    def put_right(self, request: Request, target: str) -> None:
        """Let a person bring about by hand what a request was to bring about."""
        assert request.change is not None
        thing = (request.instance, request.change.kind, target)
        self.latest[thing] = self._number()
        self._reach_goal(thing, request.change)

    # --- reads ------------------------------------------------------------------------------------------------

    async def read(self, product: Product, verb: str, about: str, answer: Callable[[], T]) -> T:
        """Answer a read, or fail as products do."""
        where = f"{product.name}.{verb}"
        if not _is_looking_ahead():
            self.observer.asked(product.name, verb, about)
        fault = self._fault(READ_FAULTS)
        await self._wait(where, self.dice.seconds(0, 2))
        if fault is not None:
            self.observer.trace(f"   {where} {about}: {fault}")
            await self._fail(where, fault)
        return answer()

    async def _fail(self, where: str, fault: str) -> NoReturn:
        match fault:
            case "rate limit" | "rate limit before" | "refused busy":
                asked_s = self.dice.pick([None, 5.0, 90.0])
                raise RateLimited(f"{where}: too many requests", retry_after_s=asked_s)
            case "unavailable" | "unavailable before":
                raise Unavailable(f"{where}: out of order")
            case "timeout":
                await self._wait(where, _CLIENT_TIMEOUT_S)
                raise Timeout(f"{where}: no answer")
            case "unauthorized":
                raise Unauthorized(f"{where}: who are you?")
            case _:
                raise ValueError(f"{where}: the author of the connector did not think of this")

    # --- changes and messages ---------------------------------------------------------------------------------

    async def send(self, product: Product, verb: str, targets: Sequence[str], change: Change | None) -> None:
        """Take a request for a change, or a message to people if there is no change. Raises what products answer."""
        where = f"{product.name}.{verb}"
        fault = self._fault(TELL_FAULTS if change is None else CHANGE_FAULTS)
        await self._wait(where, self.dice.seconds(0, 1))
        if fault is not None and fault.endswith("before"):
            self.observer.trace(f"   {where} {', '.join(targets)}: {fault}")
            await self._fail(where, fault)
        await product.process.may_die("before a request leaves")
        door = current_door()
        assert door is not None
        request = Request(product.name, verb, door.key, tuple(targets), self.clock.real_s, change, keys=door.keys)

        async def leave() -> None:
            self.observer.sent(request)
            self.observer.trace(f"-> {where} {', '.join(targets)} key {request.key[:6]}{f', {fault}' * bool(fault)}")
            await self._under_way(product, request, fault)

        await product.commit(PreviewedRequest("POST", f"sim://{where}", list(targets)), leave)

    async def _under_way(self, product: Product, request: Request, fault: str | None) -> None:
        where = f"{request.instance}.{request.verb}"
        there_s = self.dice.seconds(0.001, _WAY_S)
        if fault not in ("dropped", "refused busy"):
            stuck = fault == "stuck"
            refused = self._refused(request, fault)
            self.clock.after(there_s, lambda: self._arrive(request, refused, stuck=stuck))
        await product.process.may_die("after a request has left")
        if fault == "late":
            raise Unavailable(f"{where}: connection lost", applied=Applied.MAYBE)
        await self._wait(where, there_s + self.dice.seconds(0, 1))
        if fault == "refused busy":
            await self._fail(where, fault)
        if fault in ("dropped", "lost"):
            await self._lose_answer(where)
        await product.process.may_die("when a request is answered")
        if fault == "defect":
            raise ValueError(f"{where}: the answer is not what the author expected")
        if request.answer is not None:
            raise request.answer

    async def _lose_answer(self, where: str) -> NoReturn:
        if self.dice.chance(50):
            raise Unavailable(f"{where}: connection lost", applied=Applied.MAYBE)
        await self._wait(where, _CLIENT_TIMEOUT_S)
        raise Timeout(f"{where}: no answer", applied=Applied.MAYBE)

    def _refused(self, request: Request, fault: str | None) -> dict[str, ConnectorError]:
        """Return the targets that a product refuses: those with "bad" in them, and some of a batch by chance."""
        refused: dict[str, ConnectorError] = {
            target: Forbidden(f"{request.instance}: not {target}")
            for target in request.targets
            if "bad" in target.partition(" ")[0]
        }
        if fault == "partial" and len(request.targets) > 1:
            for target in self.dice.some(request.targets, len(request.targets)):
                refused.setdefault(target, RateLimited(f"{request.instance}: {target} is one too many"))
        return refused

    def _arrive(self, request: Request, refused: dict[str, ConnectorError], *, stuck: bool) -> None:
        """Let a request reach its product, whatever has become of the one who sent it."""
        for target in request.targets:
            if target in refused:
                continue
            if request.change is None:
                self.observer.took_effect(request, target)
            else:
                self._begin(request, request.change, target, stuck=stuck)
        if refused and len(request.targets) == 1 and request.answer is None:
            request.answer = next(iter(refused.values()))
        elif refused:
            request.answer = PartialFailure(refused)

    def _begin(self, request: Request, change: Change, target: str, *, stuck: bool) -> None:
        thing = (request.instance, change.kind, target)
        shown = self.states.get(thing)
        is_so = change.goal is not None and shown is not None and shown in (change.goal, change.moving)
        if self.habits.conflicts and is_so:
            request.answer = Conflict(f"{request.instance}: {target} is so already")
            return
        if change.dedupes and (request.key_of(target), target) in self.keys:
            return
        self.keys.add((request.key_of(target), target))
        self.latest[thing] = number = self._number()
        if change.moving is not None:
            self.states[thing] = change.moving
            self.observer.took_effect(request, target)
        if not change.seen:
            self._done(request, change, target, thing, number)
        elif not stuck:
            self.clock.after(self._takes_s(change), lambda: self._done(request, change, target, thing, number))

    def _takes_s(self, change: Change) -> float:
        unheard = change.moving is None and (self.habits.crashes or self.habits.fault_percent > 0)
        if not self.habits.slow or unheard:
            return self.dice.seconds(0, _SHOWN_WITHIN_S)
        return self.dice.seconds(0, change.settle_s * 0.7)

    def _done(self, request: Request, change: Change, target: str, thing: tuple[str, str, str], number: int) -> None:
        """Reach the goal, unless something newer is under way with the same thing."""
        if change.moving is None:
            self.observer.took_effect(request, target)
        if self.latest[thing] == number:
            self._reach_goal(thing, change)
            self.observer.trace(f"   {request.instance}: {target} is now {self.states[thing]}")

    def _reach_goal(self, thing: tuple[str, str, str], change: Change) -> None:
        self.states[thing] = self.states.get(thing, 0) + 1 if change.goal is None else change.goal

    # --- small things -----------------------------------------------------------------------------------------

    def _number(self) -> int:
        self._count += 1
        return self._count

    def _fault(self, weights: dict[str, int]) -> str | None:
        allowed = {name: weight for name, weight in weights.items() if name in self.habits.faults}
        if not allowed or not self.dice.chance(self.habits.fault_percent):
            return None
        fault = self.dice.weighted(allowed)
        self.faults[fault] += 1
        return fault

    async def _wait(self, where: str, seconds: float) -> None:
        """Take time; whoever called may break off only at the end of its own patience."""
        began_s = self.clock.real_s
        try:
            await self.clock.until_outside(seconds)
        except asyncio.CancelledError:
            if not _is_looking_ahead():  # which is given up after two minutes
                self.observer.broke_off(where, self.clock.real_s - began_s)
            raise


def _is_looking_ahead() -> bool:
    door = current_door()
    return door is not None and door.mode != "live"
