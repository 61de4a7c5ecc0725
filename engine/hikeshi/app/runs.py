"""Starting runs and going on with them."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from hikeshi import __version__
from hikeshi.app.errors import KeyHeld, NothingToRetry, PlaybookProblems, RunIsDriven, UnknownRun
from hikeshi.app.guarding import Guarding
from hikeshi.capabilities import UnknownAction
from hikeshi.core import Program, RunState, fold, key_of
from hikeshi.core import events as ev
from hikeshi.core.large import load_all, value_of
from hikeshi.core.program import pin_routes
from hikeshi.journal import LeaseLost, LeaseOver, SequenceConflict
from hikeshi.playbook.inputs import accept_inputs, inputs_from_text
from hikeshi.project import ProjectError
from hikeshi.runtime.alerts import AlertCounts
from hikeshi.runtime.driver import Driver, Watcher
from hikeshi.runtime.errors import RunHalted
from hikeshi.runtime.gate import Gate
from hikeshi.runtime.planned import Planned

if TYPE_CHECKING:
    from hikeshi.app.audit import Audit
    from hikeshi.project import Config
    from hikeshi.runtime.carry import Carry
    from hikeshi.runtime.errands import Errands

__all__ = ["Mode", "Runs"]

Mode = Literal["live", "plan"]


class Runs(Guarding):
    """The runs of a project.

    A run that is driven here is left in good order when nothing happens to it for `park_after_s`; with 0, which is for
    whoever looks on, only when people alone can bring it on. For `patience_s` a journal that can't be written is tried
    again; `trouble` is told why.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.park_after_s = 0.0
        self.patience_s = 30.0
        self.trouble: Callable[[str], None] | None = None
        self._begun_here: set[str] = set()

    @cached_property
    def errands(self) -> Errands:
        """What the runs that are driven here share."""
        from hikeshi.runtime.errands import Errands

        return Errands(
            self.journal,
            self.clock,
            self.catalogue,
            lambda run: self._gate(run, "plan"),
            may_decide=self.may_decide,
            same_person=self.same_person,
            lease=self.ownership,
        )

    @cached_property
    def audit(self) -> Audit:
        """The audit log: what runs write is signed, and sent elsewhere."""
        from hikeshi.app.audit import Audit

        return Audit(self)

    def may_decide(self, sender: str, by: Sequence[str]) -> bool:
        """Say whether somebody, by their login or ID, is among those whom a question asks."""
        from hikeshi.project.people import may_decide

        person = self.config.person_of(sender) or self.config.people.get(sender)
        return person is not None and may_decide(person, by)

    def same_person(self, one: str, other: str) -> bool:
        """Say whether two names are the same person's: of the operating system, or of the project."""
        return self._person_id(one) == self._person_id(other)

    def take_config(self, config: Config) -> None:
        """Use another configuration; runs that go on from here on use its connectors."""
        super().take_config(config)
        if "errands" in self.__dict__:
            self.errands.catalogue = self.catalogue

    # --- starting ---------------------------------------------------------------------------------------------

    async def start_run(
        self,
        playbook_id: str,
        inputs: Mapping[str, Any],
        *,
        actor: str,
        mode: Mode,
        from_text: bool = False,
        watchers: Sequence[Watcher] = (),
        detach: bool = False,
        run: str | None = None,
    ) -> RunState:
        """Run a playbook, or plan it, and return the state when it is over or waits.

        With `from_text` the inputs are texts of a command line. With `detach` the run is only begun; whoever works
        for the project goes on with it. `run` is the ID it gets: of several who begin the same one, one alone does,
        and the others get its state as it is. Where the playbook says so, the state is that of a run that was under
        way and that this one joined. Raises PlaybookProblems, WrongInputs, ProjectError, KeyHeld or JournalError
        before anything was started, RunHalted when the journal fails under way.
        """
        if run is not None and self.journal.query("SELECT 1 FROM runs WHERE run = ?", (run,)):
            return self.fold(run)
        program = self.program(playbook_id)
        typed = inputs_from_text(program.root, inputs) if from_text else inputs
        accepted = accept_inputs(program.root, typed)
        key = None if mode == "plan" else key_of(program.root, accepted)
        if key is not None:
            joined = await self._joined(program, key, accepted, actor)
            if joined is not None:
                return joined
        started = self._started(program, accepted, actor, mode, key)
        try:
            state = await self._begin(run or self._new_run_id(), program, started, watchers, detach=detach)
        except RunHalted as exc:
            if run is None or not isinstance(exc.__cause__, SequenceConflict):
                raise
            return self.fold(run)
        return state if state.joined is None else self.fold(state.joined)

    async def _joined(self, program: Program, key: str, inputs: Mapping[str, Any], actor: str) -> RunState | None:
        """Return the run that this one joins, or None if it is to be started. Raises KeyHeld."""
        concurrency = program.root.concurrency
        rows = self.journal.query("SELECT run FROM run_keys WHERE key = ?", (key,))
        if not rows or concurrency is None or concurrency.on_conflict == "queue":
            return None
        holder = str(rows[0]["run"])
        if concurrency.on_conflict == "reject":
            raise KeyHeld(f"run {holder} has the key {key!r} and is under way; {program.main} refuses a second one")
        state = self.fold(holder)
        if state.root is None or state.mode != "live" or state.root.inputs != inputs:
            return None  # not the same: it waits its turn
        await self.journal.post(holder, "join", {"reason": "started again"}, sender=actor, at=self.clock.now())
        return state

    def _started(
        self,
        program: Program,
        inputs: dict[str, Any],
        actor: str,
        mode: Mode,
        key: str | None = None,
        retry_of: str | None = None,
        retry_step: str | None = None,
        reason: str | None = None,
        plan: str | None = None,
    ) -> ev.RunStarted:
        try:
            routes = pin_routes(program, self.catalogue)
        except UnknownAction as exc:
            raise PlaybookProblems(program.main, [str(exc)]) from None
        names = {name for routing in routes.values() for name in routing.instances}
        wrong = self.wrong_settings(names, secrets=True)
        if wrong:
            raise ProjectError(wrong)
        return ev.RunStarted(
            "",
            playbook=program.main,
            sources={name: playbook.source for name, playbook in program.playbooks.items()},
            digests={name: playbook.digest for name, playbook in program.playbooks.items()},
            inputs=inputs,
            actor=actor,
            mode=mode,
            routes={action: routing.to_json() for action, routing in routes.items()},
            engine=__version__,
            owner=self.ownership.owner_id,
            key=key,
            retry_of=retry_of,
            retry_step=retry_step,
            reason=reason,
            plan=plan,
        )

    async def _begin(
        self,
        run: str,
        program: Program,
        started: ev.RunStarted,
        watchers: Sequence[Watcher],
        *,
        detach: bool = False,
        carry: Carry | None = None,
    ) -> RunState:
        state = RunState(run, program)
        driver = self._driver(state, started.mode, watchers, carry, started.plan)
        if detach:
            await driver.leave([started])
        else:
            self._begun_here.add(run)
            try:
                await driver.drive([started])
            finally:
                self._begun_here.discard(run)
        self.audit.left(state)
        return state

    def drives(self, run: str) -> bool:
        """Say whether this process drives a run; errands know of no dry run, since nobody sends one messages."""
        return run in self._begun_here or self.errands.drives(run)

    async def retry(
        self,
        run: str,
        step: str | None = None,
        *,
        actor: str,
        watchers: Sequence[Watcher] = (),
        detach: bool = False,
    ) -> RunState:
        """Run what failed in a run once more, or one step of it, as a new run that takes over everything confirmed.

        As with any start, it may wait for its key, or be the run that was under way. Raises UnknownRun, NothingToRetry,
        KeyHeld, RunHalted.
        """
        old = self.fold(run)
        _refuse_retry(old, step)
        program, inputs = old.program, self.load(old.waiting_inputs if old.root is None else old.root.inputs)
        key = key_of(program.root, inputs)
        joined = None if key is None else await self._joined(program, key, inputs, actor)
        if joined is not None:
            return joined
        started = self._started(program, inputs, actor, "live", key, retry_of=run, retry_step=step)
        state = await self._begin(
            self._new_run_id(), program, started, watchers, detach=detach, carry=self._carry(run, step)
        )
        return state if state.joined is None else self.fold(state.joined)

    # --- going on ---------------------------------------------------------------------------------------------

    async def go_on(self, run: str, watchers: Sequence[Watcher] = (), *first: ev.Event) -> RunState:
        """Go on with a run that nobody drives.

        Raises UnknownRun, RunIsDriven, RunHalted, and ProjectError if the run's connectors can't be used from here: it
        is left to a process that has their secrets.
        """
        state = self.fold(run)
        if state.finished is not None:
            return state
        taken = self._take_over(state)
        if state.mode == "live":
            self._check_connectors(state)
        driver = self._driver(state, state.mode, watchers, self._carry_of(state), state.applies)
        try:
            await driver.drive([taken, *first])
        except RunHalted as exc:
            if isinstance(exc.__cause__, SequenceConflict):
                raise RunIsDriven(f"run {run} was taken by another process at the same moment") from exc
            raise
        self.audit.left(state)
        return state

    def _check_connectors(self, state: RunState) -> None:
        wrong = self.wrong_settings({name for each in state.routes.values() for name in each.instances}, secrets=True)
        if wrong:
            raise ProjectError([f"run {state.run} cannot go on from here", *wrong])

    def _take_over(self, state: RunState) -> ev.RunTakenOver:
        """Return the first event of a new owner. Raises RunIsDriven while the present one lives."""
        own = self.ownership.owner_id
        free = state.parked or state.owner == own or self.ownership.may_take_over(state.owner)
        if not free or self.errands.drives(state.run):
            raise RunIsDriven(f"run {state.run} is under way in another process; wait until it has ended")
        return ev.RunTakenOver("", own)

    def fold(self, run: str) -> RunState:
        """Return the state of a run from its records. Raises UnknownRun, and UnknownEvent for a newer version's."""
        records = self.journal.read(run)
        first = next(iter(records), None)
        if first is None:
            raise UnknownRun(f"there is no run {run!r}; 'hikeshi runs' lists them")
        state = RunState(run, self.pinned_program(first))
        with _no_collection():
            for record in itertools.chain((first,), records):
                fold(state, record.seq, record.at, record.kind, record.path, record.data, record.encoded)
                state.fresh.clear()
        if state.has_stored:
            state.outputs = self.load(state.outputs)
        return state

    def load(self, value: Any) -> Any:
        """Return a value of a run with everything that is stored elsewhere, because it is large, in its place."""
        return load_all(value, lambda stored: value_of(self.journal.blob(stored.sha256)))

    def _carry_of(self, state: RunState) -> Carry | None:
        return None if state.retry_of is None else self._carry(state.retry_of, state.retry_step)

    def _carry(self, run: str, step: str | None) -> Carry:
        from hikeshi.runtime.carry import Carry

        return Carry(self.fold, self.load, run, step)

    def _driver(
        self,
        state: RunState,
        mode: Mode,
        watchers: Sequence[Watcher],
        carry: Carry | None = None,
        plan: str | None = None,
    ) -> Driver:
        return Driver(
            state,
            self._gate(state.run, mode, carry, plan, state.program.main),
            self.journal,
            self.clock,
            self.redactor,
            [self.audit.saw, *watchers],
            errands=self.errands if mode == "live" else None,
            park_after_s=self.park_after_s,
            patience_s=self.patience_s,
            trouble=self.trouble,
        )

    def _gate(
        self, run: str, mode: Mode, carry: Carry | None = None, plan: str | None = None, playbook: str = ""
    ) -> Gate:
        gate = Gate(run, mode, self.catalogue, self.instances, self.redactor, self.clock, carry=carry)
        gate.planned = None if plan is None else Planned(self.fold, plan)
        rules = self._rules(playbook)
        gate.rules = rules if mode == "plan" else replace(rules, alerts=AlertCounts(self.journal, self.clock).of)
        if mode == "live":
            gate.check = self._check_lease
            gate.ledger = self.errands.ledger
        return gate

    def _check_lease(self) -> None:
        """Raise LeaseLost unless this process may send a change now.

        One that stood still for longer than its lease may go on, if nobody has taken its runs: renewing decides that.
        """
        try:
            self.ownership.check()
        except LeaseLost:
            raise
        except LeaseOver:
            self.ownership.renew()

    def _new_run_id(self) -> str:
        return f"{self.clock.now():%Y%m%d-%H%M%S}-{os.urandom(5).hex()}"

    async def aclose(self) -> None:
        """Close what was opened."""
        if "errands" in self.__dict__:
            self.errands.close()
            await asyncio.sleep(0)
        if "audit" in self.__dict__:
            await self.audit.close()
        await super().aclose()


@contextmanager
def _no_collection() -> Iterator[None]:
    """Do without the cycle collector: folding makes hundreds of thousands of objects that live on, and no garbage."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _refuse_retry(state: RunState, step: str | None) -> None:
    """Raise NothingToRetry unless something of a run may be done once more."""
    if state.finished is None:
        raise NothingToRetry(f"run {state.run} is not over: {state.status}")
    if state.unknown:
        paths = ", ".join(sorted(state.unknown))
        raise NothingToRetry(f"the outcome of {paths} is unknown; say what became of it first: hikeshi resolve")
    if state.finished == "succeeded":
        raise NothingToRetry(f"run {state.run} succeeded; there is nothing to do again")
    if step is not None and step not in state.failures:
        failed = ", ".join(state.failures) or "none"
        raise NothingToRetry(f"the step {step!r} of run {state.run} has not failed (failed: {failed})")
