"""An event loop that never waits: when nothing is ready, it goes to the next time at which something is.

One loop stands for one process in the world of a `VirtualClock`. Its callbacks run one by one, in an order that the
caller may choose, and it can be killed between any two of them. Nothing here knows a real clock, a thread or a socket,
so the same choices give the same run, always.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
import itertools
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar
from weakref import WeakKeyDictionary

from hikeshi.testing.fake_clock import VirtualClock

__all__ = ["Deadlock", "VirtualLoop", "run_virtually"]

if TYPE_CHECKING:
    _Base = Any  # asyncio declares all that a loop can do as abstract, most of which needs a machine
else:
    _Base = asyncio.AbstractEventLoop

T = TypeVar("T")
_PROMPT_LOOKS = 3
_MOST_DOUBLED = 9  # times; a look is never later than that many doublings of a second
_DUE_S = 1e-6  # sums of floating-point times differ by less than this


class Deadlock(Exception):
    """Something waits, and nothing is left that could ever end its waiting. The message says what waits, and where."""


class VirtualLoop(_Base):  # type: ignore[misc]
    """One process in a world of virtual time.

    `order(n)` chooses which of `n` callbacks that are ready together runs next, from 0 to n - 1; without it they run
    first come, first served. `after_step` is called after each callback. Whoever looks at something every
    `look_every_s` or more often is made to look more and more rarely while nothing happens in the world: such timers
    then fire late, by up to nine minutes, as they do on a machine that is busy. What a real loop needs a machine for
    (sockets, threads, child processes) raises NotImplementedError.
    """

    def __init__(
        self,
        clock: VirtualClock | None = None,
        *,
        order: Callable[[int], int] | None = None,
        after_step: Callable[[], None] | None = None,
        look_every_s: float = 0.0,
    ) -> None:
        self.clock = clock or VirtualClock()
        self.steps = 0
        self._choose = order
        self._after_step = after_step
        self._arriving: deque[asyncio.Handle] = deque()  # in the next round
        self._round: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._look_every_s = look_every_s
        self._looks: list[tuple[float, int, asyncio.TimerHandle]] = []  # timers that may be late
        self._in_vain = 0
        self._seen = -1
        self._count = itertools.count()
        self._tasks: WeakKeyDictionary[asyncio.Task[Any], Context] = WeakKeyDictionary()
        self._running = self._stopping = self._closed = False
        self._handler: Callable[[asyncio.AbstractEventLoop, dict[str, Any]], object] | None = None

    # --- time and callbacks -----------------------------------------------------------------------------------

    def time(self) -> float:
        """Return the seconds that timers count."""
        return self.clock.awake_s

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        if not self._closed:
            self._arriving.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # there is only one thread

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        if not self._closed:
            timers = self._looks if when - self.time() <= self._look_every_s else self._timers
            heapq.heappush(timers, (when, next(self._count), handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Do nothing: a cancelled timer is dropped when it comes up, and moves no time."""

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self, coro: Any, *, name: str | None = None, context: Context | None = None, **_: Any
    ) -> asyncio.Task[Any]:
        if self._closed:
            coro.close()
            raise RuntimeError("the event loop was killed")
        context = copy_context() if context is None else context
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self._tasks[task] = context
        return task

    # --- running ----------------------------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Run until `stop`. Raises Deadlock when nothing can happen any more."""
        self._check_usable()
        self._running = True
        asyncio._set_running_loop(self)
        try:
            while not self._stopping:
                self._step()
        finally:
            asyncio._set_running_loop(None)
            self._running = self._stopping = False

    def run_until_complete(self, future: Any) -> Any:
        """Run until this is done and return what it gives. Raises what it raises, and Deadlock."""
        self._check_usable()
        task: asyncio.Future[Any] = asyncio.ensure_future(future, loop=self)
        task.add_done_callback(self._stop_for)
        try:
            self.run_forever()
        finally:
            task.remove_done_callback(self._stop_for)
        if not task.done():
            raise RuntimeError("the event loop was stopped before this was done")
        return task.result()

    def _stop_for(self, _: asyncio.Future[Any]) -> None:
        self.stop()

    def _step(self) -> None:
        """Run the next callback, and let time pass before it if none is ready."""
        handle = self._take()
        if handle is None or handle.cancelled():
            return
        self.steps += 1
        handle._run()
        if self._after_step is not None:
            self._after_step()

    def _take(self) -> asyncio.Handle | None:
        while not self._round:
            self._collect_due()
            if not self._arriving:
                self._let_time_pass()
                return None  # whoever lets time pass may have stopped this loop
            self._round = list(self._arriving)
            self._round.reverse()
            self._arriving.clear()
        if self._choose is None or len(self._round) == 1:
            return self._round.pop()
        return self._round.pop(self._choose(len(self._round)))

    def _collect_due(self) -> None:
        limit = self.time() + _DUE_S
        for timers in (self._timers, self._looks):
            while timers and (timers[0][0] <= limit or timers[0][2].cancelled()):
                handle = heapq.heappop(timers)[2]
                if not handle.cancelled():
                    self._arriving.append(handle)

    def _let_time_pass(self) -> None:
        """Go to the next timer, or to what happens in the world before it."""
        times = [self._timers[0][0] + self.clock.slept_s] if self._timers else []
        outside = self.clock.next_at()
        if outside is not None:
            times.append(outside)
        if self._looks:
            times.append(min([*times, self._next_look_at()]))
        if not times:
            raise Deadlock("nothing can happen any more, and this waits: " + ("; ".join(self.waiting()) or "nothing"))
        self.clock.pass_until(min(times))

    def _next_look_at(self) -> float:
        """Return when the next look is made: in good time, or later after many looks in vain."""
        if self.clock.happenings != self._seen:
            self._seen, self._in_vain = self.clock.happenings, 0
        self._in_vain += 1
        doubled = min(self._in_vain - _PROMPT_LOOKS, _MOST_DOUBLED)
        return self._looks[0][0] + self.clock.slept_s + (0.0 if doubled <= 0 else 2.0**doubled)

    def waiting(self) -> list[str]:
        """Return a line for each task that is not done: what it is, and where it waits."""
        return [_place_of(task) for task in self._living()]

    def _living(self) -> list[asyncio.Task[Any]]:
        return [task for task in list(self._tasks) if not task.done()]

    def stop(self) -> None:
        """Stop after the callback that runs now."""
        self._stopping = True

    def kill(self) -> None:
        """End as a process does that loses its power: no callback runs any more, and no task is told.

        Python unwinds what it throws away; whoever lends things to this process must not take anything from it now.
        """
        if self._running:
            raise RuntimeError("a running loop is killed by stopping it first")
        living = self._living()  # nothing but what is waited for keeps most of them
        self.close()
        asyncio._set_running_loop(self)
        try:
            for task in living:
                _bury(task, self._tasks[task])
        finally:
            asyncio._set_running_loop(None)

    def close(self) -> None:
        self._closed = True
        self._arriving.clear()
        self._round.clear()
        self._timers.clear()
        self._looks.clear()

    def _check_usable(self) -> None:
        if self._closed:
            raise RuntimeError("the event loop is closed")
        if self._running:
            raise RuntimeError("the event loop runs already")

    # --- what asyncio asks ------------------------------------------------------------------------------------

    def is_running(self) -> bool:
        return self._running

    def is_closed(self) -> bool:
        return self._closed

    def get_debug(self) -> bool:
        return False

    def set_exception_handler(self, handler: Any) -> None:
        self._handler = handler

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Tell the handler, or the log, about an error that nobody waits for; a killed loop tells nobody."""
        if self._closed:
            return
        if self._handler is not None:
            self._handler(self, context)
        else:
            logging.getLogger("asyncio").error(context.get("message"), exc_info=context.get("exception"))

    async def shutdown_asyncgens(self) -> None:
        """Do nothing: there is nothing to be shut down."""

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Do nothing: there are no threads."""

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> NoReturn:  # noqa: ARG002
        name = getattr(func, "__qualname__", repr(func))
        raise NotImplementedError(f"virtual time has no threads, and {name} asks for one; give it a fake")


def run_virtually(main: Coroutine[Any, Any, T], *, order: Callable[[int], int] | None = None) -> T:
    """Run a coroutine in a world of its own, as `asyncio.run` does in the real one; hours cost nothing.

    Raises what it raises, and Deadlock when it waits for what can't come.
    """
    loop = VirtualLoop(order=order)
    try:
        result: T = loop.run_until_complete(main)
        return result
    finally:
        loop.kill()


def _bury(task: asyncio.Task[Any], context: Context) -> None:
    """Close what a task was in the middle of, or Python would do it later, at a moment that nobody chose."""
    setattr(task, "_log_destroy_pending", False)  # noqa: B010 - asyncio's own way to say so
    coro: Any = task.get_coro()
    # Handlers on the way out may want to wait once more, which they can't; each attempt gets past one of them.
    for _ in range(100):
        if inspect.getcoroutinestate(coro) == inspect.CORO_CLOSED:
            return
        try:
            context.run(coro.close)
        except (Exception, asyncio.CancelledError) as exc:  # noqa: BLE001 - it is thrown away, whatever it raises
            logging.getLogger(__name__).debug("the end of a killed task raised %r", exc)


def _place_of(task: asyncio.Task[Any]) -> str:
    *_, frame = _frames(task.get_coro())
    return f"{task.get_name()} in {frame}"


def _frames(coro: Any) -> Iterator[str]:
    """Give where a coroutine stands, then what it waits for, inwards."""
    yield getattr(coro, "__qualname__", type(coro).__name__)
    while (frame := getattr(coro, "cr_frame", None)) is not None:
        yield f"{coro.__qualname__} ({frame.f_code.co_filename}:{frame.f_lineno})"
        coro = coro.cr_await
