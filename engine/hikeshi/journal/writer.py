"""The writer thread: writes from any event loop queue here, and those that meet are committed together."""

import threading
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple

from hikeshi.journal.batch import BatchWriter, Outcome, Work
from hikeshi.journal.errors import JournalError, JournalUnavailable
from hikeshi.journal.fairness import Fairness

if TYPE_CHECKING:  # asyncio costs 50 ms to import, and whoever appends has it already
    from asyncio import AbstractEventLoop, Future

_LARGEST_BATCH: Final = 5_000  # records; bounds how long one write waits for the others


class _Waiting(NamedTuple):
    work: Work
    loop: "AbstractEventLoop"
    done: "Future[int]"


class WriterThread:
    """Owns the thread. Each write is answered on its own loop; one batch wakes each loop once."""

    def __init__(self, batches: BatchWriter, where: str) -> None:
        self._batches = batches
        self._where = where
        self._queue: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._batches_ended = 0
        self._fairness = Fairness(lambda: self._batches_ended)
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
            self._queue.put(waiting)
        self._fairness.begin(loop)
        try:
            return await waiting.done
        finally:
            self._fairness.end(loop)

    def refill(self) -> int:
        """Fill the projections anew, between two batches."""
        with self._writing:
            if self._closing:
                raise self._closed()
            return self._batches.refill()

    def close(self) -> None:
        """Write what is queued, end the thread and close the connection. Does nothing the second time."""
        with self._accepting:
            if self._closing:
                return
            self._closing = True
            self._queue.put(None)
        self._thread.join()
        with self._writing:
            self._batches.close()

    def _run(self) -> None:
        closing = False
        while not closing:
            batch, closing = self._next_batch()
            if not batch:
                continue
            with self._writing:
                outcomes = self._batches.write([waiting.work for waiting in batch])
                self._batches_ended += 1
                _answer(batch, outcomes)
                self._batches.tidy()

    def _next_batch(self) -> tuple[list[_Waiting], bool]:
        batch: list[_Waiting] = []
        weight = 0
        item = self._queue.get()
        while item is not None:
            # Somebody who gave up before anything was written gets what a cancellation should mean: nothing.
            if not item.done.cancelled():
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
