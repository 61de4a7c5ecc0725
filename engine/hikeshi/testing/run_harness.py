"""Runs a playbook in memory, on virtual time, against fake connectors: "this YAML, these answers: what happened?"."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from hikeshi.capabilities import Catalogue
from hikeshi.capabilities.routing import RoutingRule
from hikeshi.connector import Connector
from hikeshi.connector.registry import Registry, fill_catalogue
from hikeshi.core import Node, Program, RunState, StepStatus, decode_event, fold
from hikeshi.core import events as ev
from hikeshi.core.events import Event
from hikeshi.core.program import pin_routes
from hikeshi.journal import Journal, Record
from hikeshi.playbook.inputs import accept_inputs
from hikeshi.playbook.parse import load_playbook
from hikeshi.runtime.clock import Clock
from hikeshi.runtime.driver import Driver, Watcher
from hikeshi.runtime.errands import Errands
from hikeshi.runtime.gate import Gate
from hikeshi.runtime.instances import Instances
from hikeshi.runtime.mail import MayDecide, nobody_may
from hikeshi.runtime.projections import standard_projections
from hikeshi.secrets import Redactor
from hikeshi.testing.fake_clock import FakeClock
from hikeshi.testing.fake_connector import FakeWorld, fake_connector
from hikeshi.testing.memory_journal import MemoryJournal

__all__ = ["Outcome", "RunHarness", "make_program"]

_LOOK_EVERY_S = 30.0  # of virtual time; `RunHarness.tell` looks at once


def make_program(text: str, *called: str) -> Program:
    """Return the program of a playbook's text and those of the playbooks it calls. Raises ValueError with problems."""
    playbooks = {}
    main = ""
    for at, source in enumerate((text, *called)):
        playbook, problems = load_playbook(source, f"playbook-{at}.yaml")
        if playbook is None:
            raise ValueError("\n".join(map(str, problems)))
        main = main or playbook.id
        playbooks[playbook.id] = playbook
    return Program(main, playbooks)


@dataclass(slots=True)
class Outcome:
    """What a run came to: its state in memory, and its records."""

    state: RunState
    events: list[Event]
    records: list[Record]

    @property
    def status(self) -> str:
        return self.state.status.value

    @property
    def outputs(self) -> dict[str, Any]:
        return self.state.outputs

    def steps(self) -> dict[str, str]:
        """Return the status of every step that was reached, by path."""
        return {path: node.status.value for path, node in self.state.nodes.items()}

    def status_of(self, path: str) -> StepStatus | None:
        """Return a step's status, or None if it was never reached."""
        node = self.state.nodes.get(path)
        return None if node is None else node.status

    def node(self, path: str) -> Node:
        return self.state.nodes[path]

    def of(self, kind: type[Event], path: str | None = None) -> list[Any]:
        """Return the events of one kind, of one path or of all, in order."""
        return [event for event in self.events if isinstance(event, kind) and path in (None, event.path)]


class _NothingInstalled(Registry):
    """A registry that looks for no entry points: a run in memory has only the connectors it is given."""

    def __init__(self) -> None:
        self._points = {}
        self._classes = {}


@dataclass(slots=True)
class RunHarness:
    """Everything a run needs, made of fakes; any of it can be replaced.

    `instances` maps the names of connector instances to connector classes; without, there is one called `fake`.
    """

    world: FakeWorld = field(default_factory=FakeWorld)
    instances: Mapping[str, type[Connector]] = field(default_factory=dict)
    journal: Journal = field(default_factory=lambda: MemoryJournal(standard_projections()))
    clock: Clock = field(default_factory=FakeClock)
    redactor: Redactor = field(default_factory=Redactor)
    bindings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    rules: Mapping[str, tuple[RoutingRule, ...]] = field(default_factory=dict)
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    watchers: Sequence[Watcher] = ()
    programs: dict[str, Program] = field(default_factory=dict)
    park_after_s: float | None = None
    may_decide: MayDecide = nobody_may
    _errands: Errands | None = None
    _fake: type[Connector] | None = None
    _built: tuple[Any, Catalogue] | None = None

    async def run(
        self,
        text: str,
        *called: str,
        inputs: Mapping[str, Any] | None = None,
        mode: Literal["live", "plan"] = "live",
        run: str = "run-1",
    ) -> Outcome:
        """Run a playbook, or plan it, until it is over or waits for people. Raises what the driver raises."""
        program = make_program(text, *called)
        self.programs[run] = program
        catalogue = self.catalogue()
        started = ev.RunStarted(
            "",
            playbook=program.main,
            sources={name: playbook.source for name, playbook in program.playbooks.items()},
            digests={name: playbook.digest for name, playbook in program.playbooks.items()},
            inputs=accept_inputs(program.root, inputs or {}),
            actor="tester",
            mode=mode,
            routes={action: routing.to_json() for action, routing in pin_routes(program, catalogue).items()},
            engine="test",
            owner="0" * 32,
        )
        state = RunState(run, program)
        await self._drive(state, mode, [started])
        return self._outcome(state)

    async def tell(self, kind: str, data: Mapping[str, Any], *, sender: str = "mei", run: str = "run-1") -> int:
        """Send a message to a run: at once if it is being driven, else it is there when somebody goes on with it."""
        message = await self.journal.post(run, kind, data, sender=sender, at=self.clock.now())
        if self._errands is not None:
            self._errands.look_now()
        return message

    async def signal(self, name: str, data: Mapping[str, Any]) -> int:
        """Let something happen outside."""
        return await self.journal.signal(name, data, source="test", at=self.clock.now())

    async def plan(self, text: str, *called: str, inputs: Mapping[str, Any] | None = None) -> Outcome:
        """Plan a playbook."""
        return await self.run(text, *called, inputs=inputs, mode="plan", run="plan-1")

    async def go_on(self, run: str = "run-1", *first: Event) -> Outcome:
        """Go on with a run as a new process would: from its records, with everything else forgotten."""
        state = self.fold(run)
        await self._drive(state, state.mode, [ev.RunTakenOver("", "1" * 32), *first])
        return self._outcome(state)

    def catalogue(self) -> Catalogue:
        """Return the actions there are and where they go."""
        classes = self._classes()
        products = {name: connector.product for name, connector in classes.items()}
        key = tuple(classes.items())
        if self._built is None or self._built[0] != key:
            self._built = (key, fill_catalogue(self._registry(), products))
        catalogue = self._built[1]
        catalogue.bindings = dict(self.bindings)
        catalogue.rules = dict(self.rules)
        catalogue.tags = dict(self.tags)
        return catalogue

    def questions(self, run: str = "run-1") -> dict[str, Any]:
        """Return what people are asked now, by path: `{digest, due_at, question, by, shows, not_known, fields}`."""
        rows = self.journal.query("SELECT * FROM questions WHERE run = ? ORDER BY path", (run,))
        return {
            row["path"]: {"digest": row["digest"], "due_at": row["due_at"], **json.loads(row["asked"])} for row in rows
        }

    def fold(self, run: str = "run-1", *, up_to: int | None = None) -> RunState:
        """Return the state of a run, folded from its records or from the first of them."""
        state = RunState(run, self.programs[run])
        for record in self.journal.read(run):
            if up_to is not None and record.seq > up_to:
                break
            fold(state, record.seq, record.at, record.kind, record.path, record.data, record.encoded)
        return state

    def records(self, run: str = "run-1") -> list[Record]:
        """Return what is stored of a run."""
        return list(self.journal.read(run))

    def events(self, run: str = "run-1") -> list[Event]:
        """Return the stored events of a run."""
        return [decode_event(record.kind, record.path, record.data) for record in self.records(run)]

    def holds(self) -> dict[str, str]:
        """Return the ledger: the status of each hold by the label of its target."""
        rows = self.journal.query("SELECT label, status FROM holds ORDER BY label")
        return {row["label"]: row["status"] for row in rows}

    async def _drive(self, state: RunState, mode: Literal["live", "plan"], first: Sequence[Event]) -> None:
        registry = self._registry()
        products = self._classes()
        instances = Instances(
            registry, {name: {"product": cls.product} for name, cls in products.items()}, self.redactor
        )

        def gate_for(run: str, as_mode: Literal["live", "plan"]) -> Gate:
            return Gate(run, as_mode, self.catalogue(), instances, self.redactor, self.clock)

        self._errands = errands = Errands(
            self.journal,
            self.clock,
            self.catalogue(),
            lambda run: gate_for(run, "plan"),
            may_decide=self.may_decide,
            look_every_s=_LOOK_EVERY_S,
        )
        gate = gate_for(state.run, mode)
        gate.ledger = errands.ledger if mode == "live" else None
        driver = Driver(
            state,
            gate,
            self.journal,
            self.clock,
            self.redactor,
            self.watchers,
            errands=errands if mode == "live" else None,
            park_after_s=self.park_after_s,
        )
        try:
            await driver.drive(first)
        finally:
            errands.close()
            self._errands = None
            await instances.aclose()

    def _classes(self) -> dict[str, type[Connector]]:
        if self.instances:
            return dict(self.instances)
        self._fake = self._fake or fake_connector(self.world)
        return {"fake": self._fake}

    def _registry(self) -> Registry:
        registry = _NothingInstalled()
        for connector in self._classes().values():
            registry.add(connector)
        return registry

    def _outcome(self, state: RunState) -> Outcome:
        return Outcome(state, self.events(state.run), self.records(state.run))
