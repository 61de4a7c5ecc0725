"""The writer: writes from any event loop, and those of one turn of a loop are committed together.

While commits are quick, a loop commits its own writes at the end of each turn. Otherwise, and while somebody else
writes, they queue for a thread, and those that meet there are committed together.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final

from hikeshi.journal.batch import BatchWriter, Outcome, Work
from hikeshi.journal.errors import JournalError, JournalUnavailable
from hikeshi.journal.fairness import Fairness
from hikeshi.journal.pace import Pace

if TYPE_CHECKING:  # asyncio costs 50 ms to import, and whoever appends has it already
    from asyncio import AbstractEventLoop, Future

_LARGEST_TURN: Final = 500  # records; more hold up a loop for too long, whatever the disk
_LARGEST_BATCH: Final = 5_000  # records; bounds how long one write waits for the others


@dataclass(slots=True, eq=False)
class _Waiting:
    work: Work
    loop: "AbstractEventLoop"
    done: "Future[int]"
    queues: bool = False


class _Tidy:
    """Queues for the thread when there is only something to tidy."""


class Writer:
    """Owns the thread. Each write is answered on its own loop; one batch wakes each loop once."""

    def __init__(self, batches: BatchWriter, where: str) -> None:
        self._batches = batches
        self._where = where
        self._turns: dict[AbstractEventLoop, list[_Waiting]] = {}
        self._queue: SimpleQueue[_Waiting | _Tidy | None] = SimpleQueue()
        self._batches_ended = 0
        self._fairness = Fairness(lambda: self._batches_ended)
        self._pace = Pace()
        self._closing = False
        self._accepting = threading.Lock()
        self._writing = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="journal-writer", daemon=True)
        self._thread.start()

    async def write(self, work: Work) -> int:
        """Return the work's number once it is durable. Raises JournalError if it was not written."""
        from asyncio import get_running_loop

        loop = get_running_loop()
        waiting = _Waiting(work, loop, loop.create_future())
        with self._accepting:
            if self._closing:
                raise self._closed()
            turn = self._turns.setdefault(loop, [])
            turn.append(waiting)
        if len(turn) == 1:
            loop.call_soon(self._end_turn, loop)
        try:
            return await waiting.done
        finally:
            if waiting.queues:
                self._fairness.end(loop)

    def refill(self) -> int:
        """Fill the projections anew, between two batches."""
        with self._writing:
            if self._closing:
                raise self._closed()
            return self._batches.refill()

    def close(self) -> None:
        """Write what was let in, end the thread and close the connection. Does nothing the second time."""
        with self._accepting:
            if self._closing:
                return
            self._closing = True
            for turn in self._turns.values():
                for waiting in turn:
                    self._queue.put(waiting)
            self._turns.clear()
            self._queue.put(None)
        self._thread.join()
        with self._writing:
            self._batches.close()

    def _end_turn(self, loop: "AbstractEventLoop") -> None:
        with self._accepting:
            turn = self._turns.pop(loop, [])
            if not turn or self._written_here(turn):
                return
            for waiting in turn:
                # Somebody who has given up already will not end what begins here.
                if not waiting.done.done():
                    waiting.queues = True
                    self._fairness.begin(loop)
                    self._queue.put(waiting)

    def _written_here(self, turn: Sequence[_Waiting]) -> bool:
        """Commit a turn's writes while the loop waits, if that is likely to be quick. Return whether it was done."""
        batch = [waiting for waiting in turn if not waiting.done.cancelled()]
        if not self._may_write_here(batch) or not self._writing.acquire(blocking=False):
            return False
        try:
            outcomes = self._batches.write([waiting.work for waiting in batch], may_wait=False)
        finally:
            self._writing.release()
        if outcomes is None:
            return False
        self._pace.took(self._batches.commit_s)
        self._batches_ended += 1
        _settle([(waiting.done, outcome) for waiting, outcome in zip(batch, outcomes, strict=True)])
        if self._batches.is_untidy():
            self._queue.put(_Tidy())
        return True

    def _may_write_here(self, batch: Sequence[_Waiting]) -> bool:
        # A first commit opens files, and is never quick.
        weight = sum(waiting.work.weight for waiting in batch)
        return 0 < weight <= _LARGEST_TURN and self._batches_ended > 0 and self._pace.allows()

    def _run(self) -> None:
        closing = False
        while not closing:
            batch, closing = self._next_batch()
            if batch:
                with self._writing:
                    outcomes = self._batches.write([waiting.work for waiting in batch])
                    self._batches_ended += 1
                assert outcomes is not None
                _answer(batch, outcomes)
            if self._batches.is_untidy():
                with self._writing:
                    self._batches.tidy()

    def _next_batch(self) -> tuple[list[_Waiting], bool]:
        batch: list[_Waiting] = []
        weight = 0
        item = self._queue.get()
        while item is not None:
            # Somebody who gave up before anything was written gets what a cancellation should mean: nothing.
            if isinstance(item, _Waiting) and not item.done.cancelled():
                batch.append(item)
                weight += item.work.weight
            if weight >= _LARGEST_BATCH:
                return batch, False
            try:
                item = self._queue.get_nowait()
            except Empty:
                return batch, False
        return batch, True

    def _closed(self) -> JournalUnavailable:
        return closed_error(self._where)


def closed_error(where: str) -> JournalUnavailable:
    return JournalUnavailable("The journal is closed", where, "Open it again")


def _answer(batch: Sequence[_Waiting], outcomes: Sequence[Outcome]) -> None:
    by_loop: dict[AbstractEventLoop, list[tuple[Future[int], Outcome]]] = {}
    for waiting, outcome in zip(batch, outcomes, strict=True):
        by_loop.setdefault(waiting.loop, []).append((waiting.done, outcome))
    for loop, answers in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle, answers)
        except RuntimeError:
            continue  # the loop is closed: nobody waits there any more


def _settle(answers: Sequence[tuple["Future[int]", Outcome]]) -> None:
    for done, outcome in answers:
        if done.done():
            continue  # cancelled while it was written
        if isinstance(outcome, JournalError):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)
