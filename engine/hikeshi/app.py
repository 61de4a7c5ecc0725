"""The composition root and the one application service. Faces call this and nothing below it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from hikeshi import __version__
from hikeshi.capabilities import UnknownAction
from hikeshi.core import Program, RunState, StartAction, decode_event, evolve
from hikeshi.core import events as ev
from hikeshi.core.program import pin_routes
from hikeshi.journal import JournalError, Ownership, Record, SqliteJournal
from hikeshi.playbook.inputs import accept_inputs, inputs_from_text
from hikeshi.playbook.model import Playbook, PlaybookStep
from hikeshi.playbook.parse import load_playbook
from hikeshi.project import Config, ProjectError, load_config
from hikeshi.runtime.clock import Clock, SystemClock
from hikeshi.runtime.driver import Driver, Watcher
from hikeshi.runtime.gate import Gate
from hikeshi.runtime.projections import HoldsProjection, RunsProjection
from hikeshi.secrets import Redactor

if TYPE_CHECKING:
    from hikeshi.capabilities import Catalogue
    from hikeshi.connector.registry import Registry
    from hikeshi.journal import Verification
    from hikeshi.playbook.library import Library
    from hikeshi.playbook.problem import Problem
    from hikeshi.runtime.instances import Instances

__all__ = ["Checked", "Hikeshi", "NothingToResolve", "PlaybookProblems", "RunIsDriven", "UnknownRun"]

Mode = Literal["live", "plan"]


class PlaybookProblems(Exception):
    """A playbook cannot run as it is written, or not in this project. Nothing was started."""

    def __init__(self, playbook: str, problems: Sequence[Problem | str]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.playbook = playbook
        self.problems = list(problems)


class NothingToResolve(Exception):
    """The step that somebody resolves is not of unknown outcome."""


class RunIsDriven(Exception):
    """Another process that is alive goes on with the run; two must not."""


class UnknownRun(LookupError):
    """The journal has no run of this ID."""


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` looked at, and everything that is wrong with it. A problem of the project is a text."""

    playbooks: int
    problems: list[Problem | str]


class Hikeshi:
    """One project, opened. Everything is built when it is first needed."""

    def __init__(self, config: Config, *, clock: Clock | None = None, registry: Registry | None = None) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.redactor = Redactor()
        self._registry = registry
        self._programs: dict[str, Program] = {}

    @classmethod
    def open(cls, folder: Path) -> Hikeshi:
        """Open the project in a folder. Raises ProjectError."""
        return cls(load_config(folder))

    # --- what the project has ---------------------------------------------------------------------------------

    @cached_property
    def registry(self) -> Registry:
        from hikeshi.connector.registry import Registry

        return self._registry or Registry()

    @cached_property
    def catalogue(self) -> Catalogue:
        """Every action there is and where it goes. Raises ProjectError if a connector does not load."""
        from hikeshi.connector.registry import ConnectorNotUsable, fill_catalogue

        try:
            catalogue = fill_catalogue(self.registry, self.config.products)
        except ConnectorNotUsable as exc:
            raise ProjectError([f"{self.config.folder / 'hikeshi.yaml'}: {exc}"]) from exc
        catalogue.bindings.update(self.config.bindings)
        return catalogue

    @cached_property
    def instances(self) -> Instances:
        from hikeshi.runtime.instances import Instances

        return Instances(self.registry, self.config.connectors, self.redactor)

    @cached_property
    def library(self) -> Library:
        from hikeshi.playbook.library import Library, shipped_folder

        shipped = shipped_folder()
        own = self.config.playbooks
        further = [] if shipped is None or shipped in [folder.resolve() for folder in own] else [shipped]
        return Library([*own, *further])

    @cached_property
    def journal(self) -> SqliteJournal:
        """Raises JournalError if it cannot be opened."""
        return SqliteJournal.open(self.journal_path, [RunsProjection(), HoldsProjection()])

    @cached_property
    def ownership(self) -> Ownership:
        return Ownership(self.config.state_folder / "owners")

    @property
    def journal_path(self) -> Path:
        return self.config.state_folder / "journal.db"

    # --- runs -------------------------------------------------------------------------------------------------

    async def start_run(
        self,
        playbook_id: str,
        inputs: Mapping[str, Any],
        *,
        actor: str,
        mode: Mode,
        from_text: bool = False,
        watchers: Sequence[Watcher] = (),
    ) -> RunState:
        """Run a playbook, or plan it, and return the state when it is over or waits for people.

        With `from_text` the inputs are texts of a command line. Raises PlaybookProblems, WrongInputs, ProjectError or
        JournalError before anything was started, RunHalted when the journal fails under way.
        """
        program = self.program(playbook_id)
        typed = inputs_from_text(program.root, inputs) if from_text else inputs
        accepted = accept_inputs(program.root, typed)
        try:
            routes = pin_routes(program, self.catalogue)
        except UnknownAction as exc:
            raise PlaybookProblems(playbook_id, [str(exc)]) from None
        wrong = self._wrong_settings({name for routing in routes.values() for name in routing.instances}, secrets=True)
        if wrong:
            raise ProjectError(wrong)
        started = ev.RunStarted(
            "",
            playbook=playbook_id,
            sources={name: playbook.source for name, playbook in program.playbooks.items()},
            digests={name: playbook.digest for name, playbook in program.playbooks.items()},
            inputs=accepted,
            actor=actor,
            mode=mode,
            routes={action: routing.to_json() for action, routing in routes.items()},
            engine=__version__,
            owner=self.ownership.owner_id,
        )
        state = RunState(self._new_run_id(), program)
        await self._driver(state, mode, watchers).drive([started])
        return state

    def program(self, playbook_id: str) -> Program:
        """Return a playbook with all it calls, checked against this project. Raises PlaybookProblems."""
        if playbook_id not in self._programs:
            self._programs[playbook_id] = self._checked_program(playbook_id)
        return self._programs[playbook_id]

    def _checked_program(self, playbook_id: str) -> Program:
        from hikeshi.playbook.check import check_bindings, check_playbook
        from hikeshi.playbook.library import NotLoadable, UnknownPlaybook

        found: dict[str, Playbook] = {}
        problems: list[Problem | str] = []
        wanted = [playbook_id]
        while wanted:
            name = wanted.pop()
            if name in found:
                continue
            try:
                playbook = found[name] = self.library.load(name)
            except UnknownPlaybook as exc:
                if name == playbook_id:  # who calls a playbook that does not exist is told so by its own checks
                    problems.append(str(exc))
                continue
            except NotLoadable as exc:
                problems += exc.problems
                continue
            problems += check_playbook(playbook, self.catalogue, self.library)
            problems += check_bindings(playbook, self.catalogue, self.library)
            wanted += [step.playbook for _, step in playbook.walk() if isinstance(step, PlaybookStep)]
        if problems:
            raise PlaybookProblems(playbook_id, sorted(set(problems), key=str))
        return Program(playbook_id, found)

    def check(self, paths: Sequence[Path] | None = None) -> Checked:
        """Find everything that is wrong with some files and folders of playbooks, or with the whole project.

        Whether its actions have a connector is asked where connectors are configured. Nothing is sent.
        """
        from hikeshi.connector.registry import fill_catalogue
        from hikeshi.playbook.check import check_bindings
        from hikeshi.playbook.library import Library, check_folder
        from hikeshi.playbook.problem import in_order

        wrong: list[Problem | str] = [] if paths else [*self._wrong_settings(self.config.connectors)]
        try:
            catalogue = self.catalogue
        except ProjectError as exc:
            wrong += [problem for problem in exc.problems if problem not in wrong]
            catalogue = fill_catalogue(self.registry, {})
        places = list(paths or [folder for folder in self.config.playbooks if folder.is_dir()])
        own = Library([place for place in places if place.is_dir()])
        library = Library([*own.folders, *(each for each in self.library.folders if each not in own.folders)])
        problems = check_folder(places, catalogue, library=library)
        if catalogue.instances:
            found = (own.playbook(name) for name in own.ids())
            problems += [each for one in found if one is not None for each in check_bindings(one, catalogue, library)]
        files = {str(place) for place in places if not place.is_dir()}
        files |= {str(path) for file in own.files.values() for path in (file.path, *file.twins)}
        files |= {problem.position.file for problem in problems}
        return Checked(len(files), [*wrong, *in_order(problems)])

    def _wrong_settings(self, names: Iterable[str], *, secrets: bool = False) -> list[str]:
        """Return what is wrong with the settings of these connectors, and if asked their secrets. Sends nothing."""
        from hikeshi.connector.registry import ConnectorNotUsable
        from hikeshi.secrets import SecretUnavailable

        wrong = []
        for name in sorted(names):
            try:
                connector = self.instances.get(name)
                if secrets:
                    connector.check_secrets()
            except (ConnectorNotUsable, SecretUnavailable) as exc:
                wrong.append(f"{self.config.folder / 'hikeshi.yaml'}: {name}: {exc}")
        return wrong

    async def go_on(self, run: str, watchers: Sequence[Watcher] = ()) -> RunState:
        """Go on with a run whose process is gone. Raises UnknownRun, RunIsDriven, RunHalted."""
        state = self.fold(run)
        if state.finished is not None:
            return state
        await self._driver(state, state.mode, watchers).drive([self._take_over(state)])
        return state

    def _take_over(self, state: RunState) -> ev.RunTakenOver:
        """Return the first event of a new owner. Raises RunIsDriven while the present one lives."""
        if self.ownership.is_alive(state.owner) and state.owner != self.ownership.owner_id:
            raise RunIsDriven(f"run {state.run} is under way in another process; wait until it has ended")
        return ev.RunTakenOver("", self.ownership.owner_id)

    async def resolve(
        self, run: str, path: str, *, happened: bool, actor: str, watchers: Sequence[Watcher] = ()
    ) -> RunState:
        """Record what a person found out about a change of unknown outcome, and go on with the run.

        If it happened, the state is read back and becomes the step's output. Raises UnknownRun, NothingToResolve,
        RunIsDriven, ConnectorError if reading back fails, RunHalted.
        """
        state = self.fold(run)
        if path not in state.unknown:
            waiting = ", ".join(sorted(state.unknown)) or "none"
            raise NothingToResolve(f"the outcome of {path!r} in run {run} is not unknown (unknown there: {waiting})")
        node = state.nodes[path]
        assert node.action is not None
        command = StartAction(path, node.attempts, node.action, node.at, node.arguments or {}, None, node.maybe)
        driver = self._driver(state, state.mode, watchers)
        taken = self._take_over(state)
        output = await driver.gate.read_back(command) if happened else None
        await driver.drive([taken, ev.StepResolved(path, happened, actor, output)])
        return state

    def unfinished(self) -> list[str]:
        """Return the runs that nobody drives any more, oldest first. Those that wait for people are not among them."""
        rows = self.journal.query(
            "SELECT run, owner FROM runs WHERE finished_at IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM run_unknown WHERE run_unknown.run = runs.run) ORDER BY started_at"
        )
        return [row["run"] for row in rows if not self.ownership.is_alive(row["owner"])]

    def fold(self, run: str) -> RunState:
        """Return the state of a run from its records. Raises UnknownRun, and UnknownEvent for a newer version's."""
        records = self.journal.read(run)
        first = next(iter(records), None)
        if first is None:
            raise UnknownRun(f"there is no run {run!r}; 'hikeshi runs' lists them")
        state = RunState(run, self._pinned_program(first))
        for record in (first, *records):
            evolve(state, decode_event(record.kind, record.path, record.data), record.seq, record.at)
        return state

    def _pinned_program(self, started: Record) -> Program:
        event = decode_event(started.kind, started.path, started.data)
        assert isinstance(event, ev.RunStarted)
        playbooks: dict[str, Playbook] = {}
        for name, source in event.sources.items():
            playbook, problems = load_playbook(source, f"{name} (as run {started.run} pinned it)")
            if playbook is None:
                raise PlaybookProblems(name, problems)
            playbooks[name] = playbook
        return Program(event.playbook, playbooks)

    def _driver(self, state: RunState, mode: Mode, watchers: Sequence[Watcher]) -> Driver:
        gate = Gate(state.run, mode, self.catalogue, self.instances, self.redactor, self.clock)
        return Driver(state, gate, self.journal, self.clock, self.redactor, watchers)

    def _new_run_id(self) -> str:
        return f"{self.clock.now():%Y%m%d-%H%M%S}-{os.urandom(5).hex()}"

    # --- what is recorded -------------------------------------------------------------------------------------

    def runs(self, limit: int = 50) -> list[dict[str, Any]]:
        """Return the newest runs: `{run, playbook, mode, status, actor, started_at, finished_at, failures}`."""
        rows = self.journal.query(
            "SELECT runs.*, EXISTS (SELECT 1 FROM run_unknown u WHERE u.run = runs.run) AS has_unknown"
            " FROM runs ORDER BY started_at DESC, run DESC LIMIT ?",
            (limit,),
        )
        return [self._run_row(row) for row in rows]

    def _run_row(self, row: Any) -> dict[str, Any]:
        status = row["status"]
        if row["finished_at"] is None:
            if row["has_unknown"]:
                status = "waiting"
            elif not self.ownership.is_alive(row["owner"]):
                status = "interrupted"
        return {
            "run": row["run"],
            "playbook": row["playbook"],
            "mode": row["mode"],
            "status": status,
            "actor": row["actor"],
            "started_at": row["started_at"],
            "finished_at": row["finished_at"],
        }

    def records(self, run: str) -> Iterator[Record]:
        """Give the records of a run in order. Raises UnknownRun."""
        records = self.journal.read(run)
        first = next(iter(records), None)
        if first is None:
            raise UnknownRun(f"there is no run {run!r}; 'hikeshi runs' lists them")
        yield first
        yield from records

    def verify(self) -> Verification:
        """Verify the journal. Raises JournalError if there is none, or it cannot be read."""
        from hikeshi.journal import verify

        if not self.journal_path.exists():
            raise JournalError("There is no journal", str(self.journal_path), "It is made by the first run")
        return verify(self.journal_path)

    async def aclose(self) -> None:
        """Close what was opened."""
        if "instances" in self.__dict__:
            await self.instances.aclose()
        if "journal" in self.__dict__:
            self.journal.close()
        if "ownership" in self.__dict__:
            self.ownership.close()
