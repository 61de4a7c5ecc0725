"""Driving a run: store, fold, decide, perform; and again, until nothing is owed.

One task owns the run's state and is the only one that appends. Actions run beside it and hand in their events; those
that arrive together are stored together, and a change waits until its intent is durable.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hikeshi.core import (
    AwaitSignal,
    FindHolds,
    PlanCovered,
    RunState,
    StartAction,
    TakeKey,
    WaitUntil,
    decide,
    encode_event,
    fold,
    instead_of,
    is_only_noted,
    note,
    outstanding,
)
from hikeshi.core import events as ev
from hikeshi.core.commands import Command
from hikeshi.core.events import Event
from hikeshi.core.large import LARGEST_INLINE_BYTES, load_all, looks_large, move_out, value_of
from hikeshi.journal import (
    Journal,
    JournalError,
    JournalLocked,
    JournalUnavailable,
    LeaseOver,
    Message,
    ProjectionFailed,
    Record,
    SequenceConflict,
    decode_record,
    encode_record,
)
from hikeshi.playbook.unknown import from_json
from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.clock import Clock
from hikeshi.runtime.errors import RunCancelled, RunHalted
from hikeshi.runtime.gate import Gate
from hikeshi.runtime.limits import LimitPassed
from hikeshi.runtime.log_context import WORKS_FOR
from hikeshi.runtime.masking import without_secrets
from hikeshi.secrets import Redactor

if TYPE_CHECKING:
    from hikeshi.runtime.errands import Errands

__all__ = ["Driver", "Watcher"]

Watcher = Callable[[Event, RunState], None]

_TRY_AGAIN_S = 1.0
_LOOKS_BEFORE_PARKING, _LOOK_BEFORE_PARKING_S = 3, 0.1
_PASSIVE = (WaitUntil, AwaitSignal, TakeKey)
_ENDS_WAITS = (
    ev.VoteCast,
    ev.FormAnswered,
    ev.CancelRequested,
    ev.TimerFired,
    ev.RunFinished,
)  # the waits of others, that is


@dataclass(slots=True)
class _Delivery:
    """Events that an action under way hands in, or messages from outside."""

    events: Sequence[Event] = ()
    stored: asyncio.Future[None] | None = None  # somebody waits until they are durable
    ended: str | None = None  # the command at this path is answered by them
    failure: BaseException | None = None
    messages: Sequence[Message] = ()
    key: TakeKey | None = None

    def tell(self, failure: BaseException | None) -> None:
        if self.stored is None or self.stored.done():
            return
        if failure is None:
            self.stored.set_result(None)
        else:
            self.stored.set_exception(failure)


@dataclass(slots=True)
class _Batch:
    """What is going to be appended together."""

    records: list[Record] = field(default_factory=list)
    taken: list[int] = field(default_factory=list)
    blobs: dict[str, bytes] = field(default_factory=dict)
    ends_waits: bool = False


class Driver:
    """Drives one run in this process.

    `errands` does what a run needs of the rest of the project: messages, signals, holds, looking ahead; without it a
    run that needs them waits for ever. With `park_after_s` a run is given up in good order when nothing is going to
    happen for so long; 0 gives it up only when it waits for people alone. For `patience_s` a journal that cannot be
    written is tried again; nothing starts meanwhile, and `trouble` is told why.
    """

    def __init__(
        self,
        state: RunState,
        gate: Gate,
        journal: Journal,
        clock: Clock,
        redactor: Redactor,
        watchers: Iterable[Watcher] = (),
        *,
        errands: Errands | None = None,
        park_after_s: float | None = None,
        patience_s: float = 0.0,
        trouble: Callable[[str], None] | None = None,
    ) -> None:
        self.state = state
        self.gate = gate
        self._journal = journal
        self._clock = clock
        self._redactor = redactor
        self._watchers = tuple(watchers)
        self._errands = errands
        self._park_after_s = park_after_s
        self._patience_s = patience_s
        self._trouble = trouble
        self._arrived: asyncio.Queue[_Delivery] = asyncio.Queue()
        self._under_way: dict[str, tuple[Command, asyncio.Task[None]]] = {}
        self._acting = 0  # commands under way that go on by themselves
        self._last_message = 0
        self._waits_for_key: set[str] = set()

    async def drive(self, first: Sequence[Event] = ()) -> None:
        """Go on until the run is over, only people can bring it on, or nothing happens for as long as it may take.

        Raises RunHalted if the journal cannot be written; actions under way are waited for first.
        """
        if self._errands is not None:  # before anything is stored: from then on it is known who drives the run
            self._errands.subscribe(self.state.run, self._receive, self._stop_for)
        try:
            await self._store(first)
            await self._drain()
            self.state.take_fresh()
            self._perform(outstanding(self.state))
            while self._under_way or self._has_mail():
                if await self._may_park():
                    await self._park()
                    return
                await self._store_arrivals()
                self._perform(self.state.take_fresh())
            await self._give_up_in_order()
            if self.state.has_stored:
                self.state.outputs = self._loaded(self.state.outputs)
        except JournalError as exc:
            await self._wind_down()
            raise RunHalted(f"run {self.state.run} stops here: {exc}") from exc
        except BaseException:
            await self._cancel_all()
            raise
        finally:
            if self._errands is not None:
                self._errands.unsubscribe(self.state.run)

    async def leave(self, first: Sequence[Event]) -> None:
        """Begin a run and leave it to whoever works for the project. Raises RunHalted if it can't be stored."""
        try:
            await self._store([*first, ev.RunParked("", self._clock.now())])
        except JournalError as exc:
            raise RunHalted(f"run {self.state.run} was not begun: {exc}") from exc

    async def store(self, events: Sequence[Event]) -> None:
        """Store what somebody found out about a run that is over. Raises RunHalted."""
        try:
            await self._store(events)
        except JournalError as exc:
            raise RunHalted(f"run {self.state.run}: this could not be stored: {exc}") from exc

    async def record(self, events: Sequence[Event]) -> None:
        """Store events of an action under way; return when they are durable.

        Raises JournalError if they are not, RunCancelled if they intend a change and the run was cancelled before.
        """
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._arrived.put_nowait(_Delivery(events, stored))
        await stored

    # --- storing ----------------------------------------------------------------------------------------------

    async def _store_arrivals(self) -> None:
        deliveries = [await self._arrived.get()]
        while not self._arrived.empty():
            deliveries.append(self._arrived.get_nowait())
        try:
            for delivery in deliveries:
                if delivery.failure is not None:
                    raise delivery.failure
            await self._store_deliveries(deliveries)
        except BaseException as exc:
            for delivery in deliveries:
                delivery.tell(exc)
            raise
        for delivery in deliveries:
            delivery.tell(None)

    def _refuse_cancelled(self, delivery: _Delivery) -> bool:
        """Keep a change from starting whose run was cancelled between its request and its intent."""
        if self.state.cancelling is None or not any(isinstance(each, ev.ActionIntended) for each in delivery.events):
            return False
        node = self.state.nodes[delivery.events[0].path]
        if node.intent is not None or not self.state.is_cancelled(node):
            return False
        delivery.tell(RunCancelled(f"{node.path}: the run was cancelled before this change was sent"))
        return True

    async def _store_deliveries(self, deliveries: Sequence[_Delivery]) -> None:
        if any(isinstance(event, ev.TimerFired) for each in deliveries for event in each.events):
            await self._drain()  # who answered in time was in time, even if the timer is quicker
        for delivery in deliveries:
            if delivery.ended is not None:
                self._ended(delivery.ended)
        messages = [message for each in deliveries for message in each.messages]
        if messages:
            await self._store([], messages)
        deliveries = [each for each in deliveries if not self._refuse_cancelled(each)]
        deliveries = [each for each in deliveries if not await self._is_counted(each)]
        # The time of the run ends waits, so whatever ended at the same moment is looked at after it.
        of_run = [each for each in deliveries if each.ended == ""]
        for part in (of_run, [each for each in deliveries if each.ended != ""]):
            events = [event for each in part for event in each.events if self._still_fits(each, event)]
            if events:
                await self._store(events)
        for delivery in deliveries:
            if delivery.key is not None:
                await self._take_key(delivery.key)

    def _still_fits(self, delivery: _Delivery, event: Event) -> bool:
        """Say whether an event belongs to a command that is still owed: what ends waits may have come before it."""
        return delivery.ended is None or delivery.ended in self.state.owed or event.path != delivery.ended

    def _ended(self, path: str) -> None:
        found = self._under_way.pop(path, None)
        if found is not None and not isinstance(found[0], _PASSIVE):
            self._acting -= 1

    async def _store(self, events: Sequence[Event], messages: Sequence[Message] = ()) -> None:
        """Fold these events and every decision that follows from them, and store them all in one append.

        The state runs ahead of the journal for the time of the append. If that fails, the state is given up: nobody
        acts on it any more, and the run goes on later from what is stored.
        """
        expected = self.state.seq + 1
        batch = _Batch()
        self._fold(events, batch)
        for message in messages:
            await self._fold_message(message, batch)
        while True:
            decisions = decide(self.state)
            self._fold(decisions, batch, decided=True)
            if self.state.wanted:
                self._bring(batch)
            elif not decisions:
                break
        self.state.loaded.clear()
        if batch.records:
            await self._append(expected, batch)
        if batch.ends_waits:
            self._drop_answered()

    async def _append(self, expected: int, batch: _Batch) -> None:
        begun = self._clock.now()
        while True:
            try:
                if batch.taken or batch.blobs:
                    await self._journal.append(
                        self.state.run, expected, batch.records, takes=batch.taken, blobs=batch.blobs
                    )
                else:
                    await self._journal.append(self.state.run, expected, batch.records)
                return
            except (JournalUnavailable, JournalLocked) as exc:
                if isinstance(exc, LeaseOver) or (self._clock.now() - begun).total_seconds() >= self._patience_s:
                    raise
                if self._trouble is not None:
                    self._trouble(f"run {self.state.run} waits, and starts nothing: {exc}")
                await self._clock.sleep(_TRY_AGAIN_S)
            except SequenceConflict:
                if not self._is_stored(expected, batch.records):
                    raise
                return

    def _is_stored(self, expected: int, records: Sequence[Record]) -> bool:
        """Say whether an append that seemed to fail has happened after all."""
        stored = [record.encoded for record in self._journal.read(self.state.run, after=expected - 1)]
        return stored == [record.encoded for record in records]

    def _fold(self, events: Sequence[Event], batch: _Batch, *, decided: bool = False) -> None:
        at = self._clock.now()  # what comes together is of one time
        for event in events:
            try:
                encoded, data = self._encoded(event, batch.blobs, at)
            except ValueError as exc:
                if not decided:
                    raise
                encoded, data = self._encoded(instead_of(event, str(exc)), batch.blobs, at)
            if data is not None and is_only_noted(event):
                self._note(event, at, data, encoded, batch)
            else:
                self._fold_encoded(encoded, batch)

    def _note(self, event: Event, at: datetime, data: dict[str, Any], encoded: bytes, batch: _Batch) -> None:
        record = Record(self.state.run, self.state.seq + 1, at, type(event).__name__, event.path, data, encoded)
        batch.records.append(record)
        note(self.state, record.seq, at, encoded)
        for watch in self._watchers:
            watch(event, self.state)

    def _fold_encoded(self, encoded: bytes, batch: _Batch) -> None:
        # Folded from the bytes that are stored, so that a restart can't come to another state.
        record = decode_record(encoded)
        batch.records.append(record)
        stored = fold(self.state, record.seq, record.at, record.kind, record.path, record.data, encoded)
        batch.ends_waits = batch.ends_waits or isinstance(stored, _ENDS_WAITS)
        for watch in self._watchers:
            watch(stored, self.state)

    def _encode(self, event: Event, blobs: dict[str, bytes]) -> bytes:
        return self._encoded(event, blobs, self._clock.now())[0]

    def _encoded(self, event: Event, blobs: dict[str, bytes], at: datetime) -> tuple[bytes, dict[str, Any] | None]:
        """Return an event's bytes; and its data, unless something in it was masked."""
        data = encode_event(event)
        encoded, small, moved = self._stored_form(event, event.path, data, at)
        is_masked = any(self._redactor.holds(content.decode()) for content in (encoded, *moved.values()))
        if is_masked:
            data = {name: without_secrets(self._redactor, name, value) for name, value in data.items()}
            encoded, small, moved = self._stored_form(event, self._redactor.names(event.path), data, at)
        blobs.update(moved)
        return encoded, None if is_masked else small

    def _stored_form(
        self, event: Event, path: str, data: dict[str, Any], at: datetime
    ) -> tuple[bytes, dict[str, Any], dict[str, bytes]]:
        """Return the bytes of a record, its data without what is large in it, and what is, by hash."""
        moved: dict[str, bytes] = {}
        if looks_large(data):  # to encode it only to find that it is too large takes its time, too
            data, moved = move_out(data)
        run, seq, kind = self.state.run, self.state.seq + 1, type(event).__name__
        encoded = encode_record(run=run, seq=seq, at=at, kind=kind, path=path, data=data, plain=True)
        if len(encoded) > LARGEST_INLINE_BYTES and not moved:
            data, moved = move_out(data)
            if moved:
                encoded = encode_record(run=run, seq=seq, at=at, kind=kind, path=path, data=data, plain=True)
        return encoded, data, moved

    def _bring(self, batch: _Batch) -> None:
        """Load the values that decisions wait for. They are forgotten when the decisions are made."""
        for name in self.state.wanted:
            self.state.loaded[name] = value_of(batch.blobs.get(name) or self._journal.blob(name))
        self.state.wanted.clear()

    def _loaded(self, value: Any) -> Any:
        """Return a value with everything that is stored elsewhere in its place."""
        return load_all(value, lambda stored: value_of(self._journal.blob(stored.sha256)))

    # --- what comes from outside ------------------------------------------------------------------------------

    def _receive(self, messages: Sequence[Message]) -> None:
        """Take messages that have come; called from the event loop of the run."""
        new = [message for message in messages if message.id > self._last_message]
        if new:
            self._last_message = new[-1].id
            self._arrived.put_nowait(_Delivery(messages=new))

    def _has_mail(self) -> bool:
        """Say whether something has come that a run without anything under way has to look at."""
        return self.state.finished is None and not self._arrived.empty()

    def _stop_for(self, exc: JournalError) -> None:
        self._arrived.put_nowait(_Delivery(failure=exc))

    async def _drain(self) -> None:
        """Take what was sent to the run while nobody drove it."""
        if self._errands is None:
            return
        new = [message for message in self._errands.messages(self.state.run) if message.id > self._last_message]
        if new:
            self._last_message = new[-1].id
            await self._store([], new)

    async def _fold_message(self, message: Message, batch: _Batch) -> None:
        assert self._errands is not None
        self._fold(await self._errands.judge(self.state, message, self.gate), batch)
        batch.taken.append(message.id)

    def _drop_answered(self) -> None:
        """End the waits that something else has ended."""
        for path, (command, task) in list(self._under_way.items()):
            if isinstance(command, _PASSIVE) and self.state.owed.get(path) is not command:
                task.cancel()
                del self._under_way[path]

    async def _is_counted(self, delivery: _Delivery) -> bool:
        """Store a count alone, if that is what was handed in: the journal refuses one too many, in one transaction.

        Whoever handed it in is told then, with LimitPassed.
        """
        if not delivery.events or not isinstance(delivery.events[0], ev.TargetsCounted):
            return False
        encoded = self._encode(delivery.events[0], {})
        try:
            await self._journal.append(self.state.run, self.state.seq + 1, [encoded])
        except ProjectionFailed as exc:
            if not isinstance(exc.__cause__, LimitPassed):
                raise
            delivery.tell(exc.__cause__)
            return True
        self._fold_encoded(encoded, _Batch())
        return True

    async def _take_key(self, command: TakeKey) -> None:
        """Try to take a key: the journal stores the event only if no other run has it."""
        if self.state.owed.get(command.path) is not command:
            return
        encoded = self._encode(ev.KeyAcquired(command.path, command.key), {})
        try:
            await self._journal.append(self.state.run, self.state.seq + 1, [encoded])
        except ProjectionFailed as exc:
            holder = getattr(exc.__cause__, "holder", None)
            if holder is None:
                raise
            joins = command.on_conflict == "join" and self._is_the_same_as(holder)
            if joins or command.on_conflict == "reject":
                await self._store([ev.KeyRefused(command.path, command.key, holder, joins)])
            else:
                self._waits_for_key.add(command.path)
                self._perform([command])
            return
        self._fold_encoded(encoded, _Batch())
        await self._store([])

    def _is_the_same_as(self, run: str) -> bool:
        """Say whether another run was started for the same."""
        first = next(iter(self._journal.read(run)), None)
        if first is None or first.data["mode"] != self.state.mode:
            return False
        return bool(from_json(first.data["inputs"]) == self.state.waiting_inputs)

    # --- performing -------------------------------------------------------------------------------------------

    def _perform(self, commands: Iterable[Command]) -> None:
        for command in commands:
            if self.state.owed.get(command.path) is not command:
                continue  # something that came with it has ended it
            if self._is_paused(command) or self._under_way.get(command.path, (None,))[0] is command:
                continue
            task = asyncio.create_task(self._deliver(command))
            self._under_way[command.path] = (command, task)
            if not isinstance(command, _PASSIVE):
                self._acting += 1

    def _is_paused(self, command: Command) -> bool:
        """Say whether a command has to wait until the run is resumed, which makes it fresh again."""
        return self.state.paused and isinstance(command, StartAction) and command.intent is None

    async def _deliver(self, command: Command) -> None:
        """Perform a command and hand in how it ended; an error of our own ends the run's task, not just this one."""
        WORKS_FOR.set((self.state.run, command.path))
        try:
            if isinstance(command, TakeKey):
                delivery = await self._want_key(command)
            else:
                delivery = _Delivery(await self._events_of(command), ended=command.path)
        except JournalError as exc:
            self._arrived.put_nowait(_Delivery((), failure=exc))
            return
        except BaseException as exc:
            if isinstance(exc, asyncio.CancelledError) and isinstance(command, _PASSIVE):
                raise  # the wait was ended by the run's own task
            # Handed to the run's own task, which raises it: without it that would wait for ever.
            self._arrived.put_nowait(_Delivery((), failure=exc))
            raise
        self._arrived.put_nowait(delivery)

    async def _want_key(self, command: TakeKey) -> _Delivery:
        if command.path in self._waits_for_key:
            if self._errands is None:
                await self._clock.sleep(_TRY_AGAIN_S)
            else:
                await self._errands.until_free(command.key)
        return _Delivery(ended=command.path, key=command)

    async def _events_of(self, command: Command) -> Sequence[Event]:
        match command:
            case StartAction():
                if command.intent is None and self.state.is_cancelled(self.state.nodes[command.path]):
                    return [ev.StepCancelled(command.path)]
                if self.state.has_stored:
                    command = replace(command, arguments=self._loaded(command.arguments))
                return await self.gate.perform(command, self.record)
            case WaitUntil():
                await self._clock.sleep_until(command.due_at)
                return [ev.TimerFired(command.path)]
            case AwaitSignal() | FindHolds() | PlanCovered():
                if self._errands is None:
                    await asyncio.get_running_loop().create_future()  # for ever: there is nobody to do it
                assert self._errands is not None
                return await self._errands.perform(command, self.state)
            case TakeKey():
                raise AssertionError("a key is taken by the run's own task")

    # --- ending -----------------------------------------------------------------------------------------------

    async def _may_park(self) -> bool:
        """Say whether nothing goes on by itself for a while."""
        if not self._nothing_soon():
            return False
        for _ in range(_LOOKS_BEFORE_PARKING):  # what waits may find at once that it need not
            await self._clock.sleep(_LOOK_BEFORE_PARKING_S)
            if not self._nothing_soon():
                return False
        return True

    def _nothing_soon(self) -> bool:
        if not self._park_after_s or self._acting or not self._arrived.empty():
            return False
        soon = self._clock.now() + timedelta(seconds=self._park_after_s)
        for command in self.state.owed.values():
            if isinstance(command, TakeKey):
                if command.path not in self._waits_for_key:
                    return False
            elif getattr(command, "due_at", soon) < soon:
                return False
        return True

    async def _park(self) -> None:
        """Leave the run to whoever goes on with it when its time comes."""
        due = [command.due_at for command in self.state.owed.values() if isinstance(command, WaitUntil | AwaitSignal)]
        waits = [command for command in self.state.owed.values() if isinstance(command, AwaitSignal)]
        queued = any(isinstance(command, TakeKey) for command in self.state.owed.values())
        await self._cancel_all()
        self._under_way.clear()
        signals = [[wait.name, wait.after] for wait in waits]
        await self._store([ev.RunParked("", min(due, default=None), signals, queued)])

    async def _give_up_in_order(self) -> None:
        """Say that nobody drives the run any more, if it is not over."""
        if self._park_after_s is not None and self.state.finished is None and self.state.mode == "live":
            await self._park()

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
