"""Undoing many changes at once: each hold has its own attempt and its own records, and the product is asked once.

What is asked for in one turn of the loop goes out together, if it is the same call but for its targets. Where a product
refuses such a call as a whole and nothing of it was applied, each half of it is tried by itself: one target that it
does not take must not keep others contained.
"""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import accumulate
from typing import Any

from hikeshi.capabilities import ActionSpec
from hikeshi.connector import Connector
from hikeshi.connector.door import Door
from hikeshi.connector.errors import (
    Applied,
    ConnectorError,
    PartialFailure,
    RateLimited,
    Timeout,
    Unauthorized,
    Unavailable,
)
from hikeshi.runtime.arguments import plain_data
from hikeshi.runtime.call import call
from hikeshi.runtime.ledger import IN_ONE_CALL
from hikeshi.runtime.states import states_of
from hikeshi.runtime.targets import action_key

__all__ = ["Together"]

# They say nothing of a single target: each would meet the same.
_OF_ALL = (RateLimited, Timeout, Unauthorized, Unavailable)


@dataclass(frozen=True, slots=True, eq=False)
class _Wish:
    """What one attempt asks for."""

    targets: Sequence[Any]
    done: asyncio.Future[Any]
    door: Door | None = None


@dataclass(slots=True)
class _Call:
    """One call of a verb, but for its targets, and who asks for it."""

    spec: ActionSpec
    arguments: Mapping[str, Any]
    connector: Connector
    timeout_s: float | None
    wishes: list[_Wish] = field(default_factory=list)

    def take(self) -> list[_Wish]:
        """Return the wishes of the next call, and forget them and those that were given up; there may be none."""
        wanted = [wish for wish in self.wishes if not wish.done.done()]
        targets = list(accumulate(len(wish.targets) for wish in wanted))
        many = max(1, bisect_right(targets, IN_ONE_CALL))
        self.wishes = wanted[many:]
        return wanted[:many]


Work = Callable[[_Call, Sequence[_Wish]], Coroutine[Any, Any, list[Any]]]


class Together:
    """Puts the calls of one run together. What is asked for while such a call is under way goes out after it."""

    def __init__(self) -> None:
        self._calls: dict[str, _Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def states(
        self,
        spec: ActionSpec,
        arguments: Mapping[str, Any],
        targets: Sequence[Any],
        connector: Connector,
        timeout_s: float | None,
    ) -> list[Any]:
        """Return the present state of each target, as `states_of` does. Raises as it does."""
        made: list[Any] = await self._wish(_read, _Call(spec, arguments, connector, timeout_s), targets, None)
        return made

    async def send(
        self,
        spec: ActionSpec,
        arguments: Mapping[str, Any],
        targets: Sequence[Any],
        connector: Connector,
        timeout_s: float | None,
        door: Door,
    ) -> None:
        """Make the change of these targets, as `call` does. `door` tells afterwards whether anything was sent."""
        await self._wish(_send, _Call(spec, arguments, connector, timeout_s), targets, door)

    async def _wish(self, work: Work, wanted: _Call, targets: Sequence[Any], door: Door | None) -> Any:
        wish = _Wish(targets, asyncio.get_running_loop().create_future(), door)
        key = _key(work, wanted)
        if key not in self._calls:
            self._calls[key] = wanted
            task = asyncio.create_task(self._make(key, work))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._calls[key].wishes.append(wish)
        return await wish.done

    async def _make(self, key: str, work: Work) -> None:
        """Make the calls of a key, one after the other, until nobody asks for another one."""
        wanted = self._calls[key]
        try:
            while some := wanted.take():
                made = asyncio.create_task(_fulfil(work, wanted, some))
                for wish in some:
                    wish.done.add_done_callback(partial(_end_unwanted, made, some))
                await asyncio.wait([made])
        finally:
            del self._calls[key]


def _end_unwanted(made: asyncio.Task[None], wishes: Sequence[_Wish], _: asyncio.Future[Any]) -> None:
    """End a call that nobody waits for any more."""
    if all(wish.done.cancelled() for wish in wishes):
        made.cancel()


async def _fulfil(work: Work, wanted: _Call, wishes: Sequence[_Wish]) -> None:
    """Carry out one call, and tell each attempt what it came to."""
    try:
        answers = await work(wanted, wishes)
    except ConnectorError as exc:
        if len(wishes) == 1 or not _is_about_some(exc):
            _tell(wishes, exc)
            return
        half = len(wishes) // 2
        await _fulfil(work, wanted, wishes[:half])
        await _fulfil(work, wanted, wishes[half:])
    except Exception as exc:  # noqa: BLE001 - each attempt decides what it means
        _tell(wishes, exc)
    else:
        for wish, answer in zip(wishes, answers, strict=True):
            if not wish.done.done():
                wish.done.set_result(answer)


def _is_about_some(exc: ConnectorError) -> bool:
    """Say whether an error may be due to some of the targets, and nothing was applied for any."""
    return exc.applied is Applied.NO and not isinstance(exc, (PartialFailure, *_OF_ALL))


def _tell(wishes: Sequence[_Wish], exc: BaseException) -> None:
    for wish in wishes:
        if not wish.done.done():
            # One for each: raised in several tasks, one instance would collect all their tracebacks.
            again = exc.__class__.__new__(exc.__class__, *exc.args)
            again.__dict__.update(exc.__dict__)
            wish.done.set_exception(again)


async def _read(wanted: _Call, wishes: Sequence[_Wish]) -> list[Any]:
    targets = [target for wish in wishes for target in wish.targets]
    states = iter(await states_of(wanted.spec, wanted.arguments, targets, wanted.connector, wanted.timeout_s))
    return [[next(states) for _ in wish.targets] for wish in wishes]


async def _send(wanted: _Call, wishes: Sequence[_Wish]) -> list[Any]:
    doors = [wish.door for wish in wishes if wish.door is not None]
    spec = wanted.spec
    assert spec.target is not None
    key = doors[0].key if len(doors) == 1 else action_key("", "", "\n".join(door.key for door in doors))
    keys = tuple(wish.door.key for wish in wishes if wish.door is not None for _ in wish.targets)
    door = Door(mode="live", effect=spec.effect, action=spec.name, intended=True, key=key, keys=keys)
    door.check = lambda: _check(doors)
    try:
        arguments = {**wanted.arguments, spec.target: [target for wish in wishes for target in wish.targets]}
        await call(wanted.connector, spec.verb, arguments, door, wanted.timeout_s)
    finally:
        for each in doors:
            each.sent = each.sent or door.sent
    return [None] * len(wishes)


def _check(doors: Sequence[Door]) -> None:
    for door in doors:
        if door.check is not None:
            door.check()


def _key(work: Work, wanted: _Call) -> str:
    """Return what two calls have in common that differ in their targets alone."""
    others = {name: plain_data(value) for name, value in wanted.arguments.items() if name != wanted.spec.target}
    kind = [work.__name__, wanted.spec.name, wanted.connector.name, wanted.timeout_s, others]
    return json.dumps(kind, sort_keys=True, default=str)
