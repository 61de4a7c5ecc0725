"""One process of the engine: an event loop, an opened project, a worker, and what it was doing when it died.

This is the only place that knows how the engine is started and spoken to.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Coroutine, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from failing_disk import ProcessJournal
from rack import PRODUCTS, Rack

from hikeshi.app import Hikeshi, KeyHeld, MessageNotTaken, MessageNotWanted, NothingToResolve, NothingToRetry
from hikeshi.connector import ConnectorError
from hikeshi.core import RunState
from hikeshi.core.events import Event
from hikeshi.guardrails import Guardrails
from hikeshi.journal import JournalUnavailable
from hikeshi.playbook.model import Playbook
from hikeshi.project import Config
from hikeshi.project.people import Person
from hikeshi.runtime.driver import Driver
from hikeshi.runtime.errors import RunHalted
from hikeshi.runtime.worker import Worker
from hikeshi.testing.virtual_loop import VirtualLoop

if TYPE_CHECKING:
    from people import Letter
    from world import World

__all__ = ["PERSONS", "Process"]

PERSONS = {
    "kei": Person("kei", "kei", "Kei", ("lead",)),
    "mei": Person("mei", "mei", "Mei", ("lead", "analyst")),
    "ren": Person("ren", "ren", "Ren", ("analyst",)),
    "sho": Person("sho", "sho", "Sho", ("boss",)),
    "rin": Person("rin", "rin", "Rin", ("lead",)),  # who asks for the runs
}
_EXPECTED = (
    RunHalted,
    JournalUnavailable,
    MessageNotTaken,
    MessageNotWanted,
    NothingToResolve,
    NothingToRetry,
    KeyHeld,
    ConnectorError,
)
_LOOK_EVERY_S = 1.0


class _Shelf:
    """The library of the simulated project: playbooks that were read once."""

    def __init__(self, playbooks: dict[str, Playbook]) -> None:
        self._playbooks = playbooks

    def load(self, playbook_id: str) -> Playbook:
        return self._playbooks[playbook_id]

    def playbook(self, playbook_id: str) -> Playbook | None:
        return self._playbooks.get(playbook_id)

    def ids(self) -> Iterable[str]:
        return list(self._playbooks)


class _Lock:
    """Who drives a run, as the kernel would know it."""

    lease_s = 30.0

    def __init__(self, process: Process) -> None:
        self.owner_id = process.name
        self._process = process

    def is_alive(self, owner: str) -> bool:
        alive = self._process.world.process
        return alive is not None and alive.name == owner

    def may_take_over(self, owner: str) -> bool:
        return not self.is_alive(owner)

    def renew(self) -> None:
        """Do nothing: there is only one process at a time."""

    def check(self) -> None:
        """Do nothing: it may send."""

    def close(self) -> None:
        """Do nothing."""


class _Project(Hikeshi):
    """The application over the simulated world. Runs are named in order, for nothing may be left to chance."""

    def __init__(self, process: Process) -> None:
        world = process.world
        connectors = {name: {"product": connector.product} for name, connector in PRODUCTS.items()}
        super().__init__(Config(Path("simulated"), connectors, people=PERSONS), clock=world.clock)
        self._process = process
        self.park_after_s, self.patience_s = world.schedule.park_after_s, world.schedule.patience_s
        self.trouble = process.say
        vars(self).update(
            catalogue=world.catalogue,
            instances=Rack(world.outside, process, self.redactor),
            journal=ProcessJournal(world.disk, process),
            library=_Shelf(world.playbooks),
            ownership=_Lock(process),
        )

    def _read_guardrails(self) -> Guardrails:
        return Guardrails()  # there is no file to read, and what can't be read refuses everything

    def _new_run_id(self) -> str:
        return self._process.world.next_run_id()

    def _driver(self, state: RunState, mode: Any, watchers: Sequence[Any], *args: Any) -> Driver:
        return super()._driver(state, mode, [*watchers, self._process.watch], *args)


class Process:
    """The engine, from its start to its end or death."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.name = f"process-{number}"
        self.alive = True
        order = world.dice.fork(f"order {number}").below if world.schedule.shuffled else None
        self.loop = VirtualLoop(world.clock, order=order, after_step=self._after_step, look_every_s=_LOOK_EVERY_S)
        self.loop.set_exception_handler(lambda _, context: world.unhandled(context))
        self.app = _Project(self)
        self.states: dict[str, RunState] = {}
        self.starting: set[str] = set()
        self._letters: list[Letter] = []
        self._tasks: list[Any] = []
        self._woken = self.loop.create_future()
        self._deadly_step = world.next_deadly_step()

    # --- life and death ---------------------------------------------------------------------------------------

    def run(self) -> bool:
        """Run until everything is done; False if the process died before that. Raises Deadlock."""
        main = self.loop.create_task(self._main(), name="main")
        main.add_done_callback(lambda _: self.loop.stop())
        try:
            self.loop.run_forever()
            if main.done():
                main.result()
            return self.alive
        finally:
            self.alive = False
            self.loop.kill()

    def die(self, where: str) -> None:
        """Lose power here."""
        if self.alive:
            self.world.trace(f"## {self.name} dies {where}")
            self.alive = False
            self.loop.stop()

    async def may_die(self, where: str) -> None:
        """Die here if this is where the schedule wants it."""
        if self.alive and self.world.is_deadly(where):
            self.die(where)
            await self.loop.create_future()

    def _after_step(self) -> None:
        if self.loop.steps == self._deadly_step:
            self.die(f"after {self.loop.steps} steps")
        self.world.check.patience(self.loop.steps)
        if self.world.broken:
            self.loop.stop()

    # --- what it does -----------------------------------------------------------------------------------------

    def take(self, letter: Letter) -> None:
        """Take what a person has sent."""
        if letter.kind == "start":
            self.starting.add(letter.tag)
        self._letters.append(letter)
        self.world.clock.happenings += 1
        self.wake()

    def wake(self) -> None:
        """Let the main task look again what there is to do."""
        if not self._woken.done():
            self._woken.set_result(None)

    async def _main(self) -> None:
        worker = Worker(self.app, self.world.clock, ended=lambda _: self.wake(), trouble=self._trouble)
        self._begin(lambda: worker.run(stay=True), "worker")
        while not self.world.is_over():
            while self._letters:
                self._open(self._letters.pop(0))
            await self._woken
            self._woken = self.loop.create_future()

    def _open(self, letter: Letter) -> None:
        works: dict[str, Callable[[Letter], Coroutine[Any, Any, Any]]] = {
            "start": self._start,
            "resolve": self._resolve,
            "signal": self._signal,
        }
        work = works.get(letter.kind, self._tell)
        self._begin(lambda: work(letter), f"{letter.kind} {letter.run}{letter.tag}")

    def _begin(self, work: Callable[[], Coroutine[Any, Any, Any]], name: str) -> None:
        async def guarded() -> None:
            try:
                await work()
            except _EXPECTED as exc:
                self.say(f"{name}: {exc}")
            except Exception as exc:  # noqa: BLE001 - whatever it is, nobody above would see it
                self._escaped(name, exc)
            self.wake()

        self._tasks.append(self.loop.create_task(guarded(), name=name))

    def _trouble(self, name: str, exc: Exception) -> None:
        if isinstance(exc, _EXPECTED):
            self.say(f"{name}: {exc}")
        else:
            self._escaped(name, exc)

    def _escaped(self, name: str, exc: Exception) -> None:
        if self.alive:
            shown = "".join(traceback.format_exception(exc))
            self.world.break_("no-error-escapes", f"{name}: {type(exc).__name__}: {exc}\n{shown}")

    async def _start(self, letter: Letter) -> None:
        try:
            await self.app.start_run("main", {"tag": letter.tag}, actor="rin", mode="live", detach=letter.detach)
        finally:
            self.starting.discard(letter.tag)

    async def _tell(self, letter: Letter) -> None:
        await self.app.tell(letter.run, letter.kind, letter.data, actor=letter.sender)

    async def _resolve(self, letter: Letter) -> None:
        await self.app.resolve(letter.run, letter.data["path"], happened=letter.data["happened"], actor=letter.sender)

    async def _signal(self, letter: Letter) -> None:
        await self.app.signal(letter.tag, letter.data, source=letter.sender)

    def say(self, text: str) -> None:
        """Note what the engine says to its operator."""
        if self.alive:  # what Python unwinds of a dead process has nothing to say
            self.world.trace(f"   {text}")

    def watch(self, event: Event, state: RunState) -> None:
        self.states[state.run] = state
