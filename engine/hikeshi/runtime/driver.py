"""Driving a run: store, fold, decide, perform; and again, until nothing is owed.

One task owns the run's state and is the only one that appends. Actions run beside it and hand in their events; those
that arrive together are stored together, and a change waits until its intent is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from hikeshi.core import (
    RunState,
    StartAction,
    WaitUntil,
    decide,
    decode_event,
    encode_event,
    evolve,
    instead_of,
    outstanding,
)
from hikeshi.core import events as ev
from hikeshi.core.commands import Command
from hikeshi.core.events import Event
from hikeshi.journal import Journal, JournalError, decode_record, encode_record
from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.clock import Clock
from hikeshi.runtime.errors import RunHalted
from hikeshi.runtime.gate import Gate
from hikeshi.secrets import Redactor

__all__ = ["Driver", "Watcher"]

Watcher = Callable[[Event, RunState], None]


# What the engine wrote itself and reads back; everything else in an event may have come from outside.
_OWN = frozenset(
    {"playbook", "sources", "digests", "mode", "routes", "engine", "owner", "action", "effect", "connector", "instance"}
    | {"at", "key", "hold", "target", "outcome", "status", "due_at", "failures"}
)
_OWN_INSIDE = {
    "error": ("kind", "applied"),
    "prior": ("target",),
    "targets": ("identity",),
    "undo": ("action",),
}


def _without_secrets(redactor: Redactor, name: str, value: Any) -> Any:
    """Return a field of an event with secrets masked, such that it can still be read back."""
    if name in _OWN:
        return redactor.names(value)
    if isinstance(value, list) and name in _OWN_INSIDE:
        return [_without_secrets(redactor, name, entry) for entry in value]
    if isinstance(value, dict) and name in _OWN_INSIDE:
        own = _OWN_INSIDE[name]
        return {key: redactor.names(item) if key in own else redactor.data(item) for key, item in value.items()}
    return redactor.data(value)


@dataclass(slots=True)
class _Delivery:
    """Events that an action under way hands in."""

    events: Sequence[Event]
    stored: asyncio.Future[None] | None = None  # somebody waits until they are durable
    ended: str | None = None  # the command at this path is answered by them
    failure: BaseException | None = None

    def tell(self, failure: BaseException | None) -> None:
        if self.stored is None or self.stored.done():
            return
        if failure is None:
            self.stored.set_result(None)
        else:
            self.stored.set_exception(failure)


class Driver:
    """Drives one run in this process."""

    def __init__(
        self,
        state: RunState,
        gate: Gate,
        journal: Journal,
        clock: Clock,
        redactor: Redactor,
        watchers: Iterable[Watcher] = (),
    ) -> None:
        self.state = state
        self.gate = gate
        self._journal = journal
        self._clock = clock
        self._redactor = redactor
        self._watchers = tuple(watchers)
        self._arrived: asyncio.Queue[_Delivery] = asyncio.Queue()
        self._under_way: dict[str, tuple[Command, asyncio.Task[None]]] = {}

    async def drive(self, first: Sequence[Event] = ()) -> None:
        """Go on until the run is over, or only people can bring it on.

        Raises RunHalted if the journal cannot be written; actions under way are waited for first.
        """
        try:
            await self._store(first)
            self.state.take_fresh()
            self._perform(outstanding(self.state))
            while self._under_way:
                await self._store_arrivals()
                self._perform(self.state.take_fresh())
        except JournalError as exc:
            await self._wind_down()
            raise RunHalted(f"run {self.state.run} stops here: {exc}") from exc
        except BaseException:
            await self._cancel_all()
            raise

    async def record(self, events: Sequence[Event]) -> None:
        """Store events of an action under way; return when they are durable. Raises JournalError if they are not."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrived.put_nowait(_Delivery(events, stored))
        await stored

    async def _store_arrivals(self) -> None:
        deliveries = [await self._arrived.get()]
        while not self._arrived.empty():
            deliveries.append(self._arrived.get_nowait())
        try:
            for delivery in deliveries:
                if delivery.failure is not None:
                    raise delivery.failure
            await self._store([event for delivery in deliveries for event in delivery.events])
        except BaseException as exc:
            for delivery in deliveries:
                delivery.tell(exc)
            raise
        for delivery in deliveries:
            delivery.tell(None)
            if delivery.ended is not None:
                del self._under_way[delivery.ended]

    async def _store(self, events: Sequence[Event]) -> None:
        """Fold these events and every decision that follows from them, and store them all in one append.

        The state runs ahead of the journal for the time of the append. If that fails, the state is given up: nobody
        acts on it any more, and the run goes on later from what is stored.
        """
        expected = self.state.seq + 1
        batch: list[bytes] = []
        self._fold(events, batch)
        while decisions := decide(self.state):
            self._fold(decisions, batch, decided=True)
        if batch:
            await self._journal.append(self.state.run, expected, batch)

    def _fold(self, events: Sequence[Event], batch: list[bytes], *, decided: bool = False) -> None:
        for event in events:
            try:
                encoded = self._encode(event)
            except ValueError as exc:
                if not decided:
                    raise
                encoded = self._encode(instead_of(event, str(exc)))
            batch.append(encoded)
            # Folded from the bytes that are stored, so that a restart can't come to another state.
            record = decode_record(encoded)
            stored = decode_event(record.kind, record.path, record.data)
            evolve(self.state, stored, record.seq, record.at)
            for watch in self._watchers:
                watch(stored, self.state)

    def _encode(self, event: Event) -> bytes:
        data = encode_event(event)
        common: dict[str, Any] = {
            "run": self.state.run,
            "seq": self.state.seq + 1,
            "at": self._clock.now(),
            "kind": type(event).__name__,
        }
        encoded = encode_record(**common, path=event.path, data=data)
        if self._redactor.holds(encoded.decode()):
            masked = {name: _without_secrets(self._redactor, name, value) for name, value in data.items()}
            encoded = encode_record(**common, path=self._redactor.names(event.path), data=masked)
        return encoded

    def _perform(self, commands: Iterable[Command]) -> None:
        for command in commands:
            task = asyncio.create_task(self._deliver(command))
            self._under_way[command.path] = (command, task)

    async def _deliver(self, command: Command) -> None:
        """Perform a command and hand in how it ended; an error of our own ends the run's task, not just this one."""
        try:
            delivery = _Delivery(await self._events_of(command), ended=command.path)
        except JournalError:
            return  # whoever drives the run has got the same error
        except BaseException as exc:
            # Handed to the run's own task, which raises it: without it that would wait for ever.
            self._arrived.put_nowait(_Delivery((), failure=exc))
            raise
        self._arrived.put_nowait(delivery)

    async def _events_of(self, command: Command) -> Sequence[Event]:
        match command:
            case StartAction():
                return await self.gate.perform(command, self.record)
            case WaitUntil():
                wait_s = (command.due_at - self._clock.now()).total_seconds()
                await self._clock.sleep(max(0.0, wait_s))
                return [ev.TimerFired(command.path)]

    async def _wind_down(self) -> None:
        """Let actions under way come to their end. What they hand in can't be stored; recovery reads it back."""
        acting = []
        for command, task in self._under_way.values():
            if isinstance(command, StartAction):
                acting.append(task)
            else:
                task.cancel()
        while any(not task.done() for task in acting):
            while not self._arrived.empty():
                self._arrived.get_nowait().tell(JournalError("The run has stopped", self.state.run, "Go on later"))
            await asyncio.wait(acting, timeout=0.05)

    async def _cancel_all(self) -> None:
        tasks = [task for _, task in self._under_way.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
