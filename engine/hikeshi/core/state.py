"""The state of a run: a tree of nodes that grows as the run goes on, folded from events.

A node is created when its list begins, never for a step that is not reached, and each event touches only the nodes
near its path. So the work for one event does not depend on the size of the graph.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, TypeAlias

from hikeshi.capabilities import Effect
from hikeshi.core.commands import Command, FindHolds, Intent, PlanCovered, StartAction
from hikeshi.core.events import ActionPlanned, ErrorRecord
from hikeshi.core.program import Program, Routing
from hikeshi.core.status import RunStatus, StepStatus
from hikeshi.playbook.model import Playbook, Step, StepList
from hikeshi.quick_dataclass import dataclass

__all__ = ["Frame", "ListRun", "Node", "Question", "Role", "RunState", "Todo"]

Role: TypeAlias = Literal["body", "block", "on_error", "on_failure", "finally"]
_ACTIVE = (StartAction, PlanCovered, FindHolds)  # what goes on by itself; the others wait for people, or a time


class Todo(StrEnum):
    """What a path needs decided next."""

    VARIABLES = "variables"
    START = "start"
    RETRY = "retry"
    LOOK = "look"  # is it what the wait waits for?
    WHILE = "while"  # is another pass needed?
    UNDO = "undo"
    TIME_OVER = "time_over"
    ASK_AGAIN = "ask_again"
    HANDLER = "handler"
    ON_FAILURE = "on_failure"
    FINALLY = "finally"
    OUTPUTS = "outputs"


@dataclass(slots=True, eq=False)
class Question:
    """What people are asked, and what they have said. `due_at` is None while what it covers is still being planned."""

    kind: Literal["approval", "form"]
    text: str
    by: list[str]
    quorum: int = 1
    due_at: datetime | None = None
    digest: str = ""
    shows: list[Any] = field(default_factory=list)
    not_known: list[str] = field(default_factory=list)
    fields: list[Any] = field(default_factory=list)
    approval: str | None = None
    round: int = 0
    rule: str | None = None  # the guardrail that asks
    within_s: float | None = None
    escalated: bool = False
    votes: dict[str, str] = field(default_factory=dict)  # who voted how
    allowed: set[str] = field(default_factory=set)  # the targets an approval allows, once it is given


@dataclass(slots=True, eq=False)
class Node:
    """One step, one item of a loop, or one instance that an action goes to."""

    path: str
    step: Step
    frame: Frame
    siblings: ListRun | None = None  # the list it stands in, or
    group: Node | None = None  # the loop or fan-out it is a part of
    item: Any = None
    has_item: bool = False
    is_loop: bool = False
    consents: frozenset[str] = frozenset()  # what people allow of what guardrails ask about: rule, NUL, target
    more_unknown: bool = False  # a plan cannot know the items, and shows one for all of them
    status: StepStatus = StepStatus.WAITING
    maybe: bool = False  # a plan cannot know whether it would run
    own_maybe: bool = False  # ... because of its own condition
    planned: bool = False  # it, or something in it, was only planned: nobody knows whether it succeeds
    settled: bool = False  # ended, its handler included
    blocks: bool = False  # what needs it does not run
    needs_left: int = 0
    attempts: int = 0
    output: Any = None
    error: ErrorRecord | None = None
    reason: str | None = None
    action: str | None = None
    at: tuple[str, ...] = ()  # the instances its action may go to
    arguments: dict[str, Any] | None = None
    already: bool = False
    possibly_repeated: bool = False
    intent: Intent | None = None
    plan: ActionPlanned | None = None
    vars: dict[str, Any] | None = None  # of one item of a loop
    set_by: dict[str, Node] | None = None  # which step set each of them
    children: ListRun | None = None  # of a block
    handler: ListRun | None = None
    inner: Frame | None = None  # of a playbook step
    items: list[Any] | None = None  # of a loop
    parts: Sequence[Node] = ()  # of a loop or fan-out, in order
    parts_left: int = 0
    parts_failed: int = 0
    cause: Node | None = None  # what failed first inside it
    rejected: bool = False  # people said no, to it or to something inside of it: nothing continues that
    waived: bool = False  # an approval that its own `when` made needless
    question: Question | None = None
    due_at: datetime | None = None  # the bound of a wait
    signal: int = 0  # of a wait: the last signal it has looked at
    arrived: Any = None  # of a wait: what is to be looked at
    hold_s: float | None = None
    releases: str | None = None  # the hold that it closes

    def __repr__(self) -> str:
        return f"<Node {self.path}: {self.status}>"

    @property
    def parent(self) -> Node | None:
        """Return the node this one is inside of, or None at the top of the run."""
        if self.group is not None:
            return self.group
        assert self.siblings is not None
        return self.siblings.owner or self.frame.owner

    def add_part(self, part: Node) -> None:
        """Add the next item, instance or pass. Most nodes have none, and there may be very many nodes."""
        if not isinstance(self.parts, list):
            self.parts = []
        self.parts.append(part)

    def is_inside(self, role: Role) -> bool:
        """Say whether it stands in a list of this role, or inside of something that does."""
        at: Node | None = self
        while at is not None:
            if at.siblings is not None and at.siblings.role == role:
                return True
            at = at.parent
        return False


@dataclass(slots=True, eq=False)
class ListRun:
    """One list of steps under way. `owner` is the step it belongs to, None for a playbook's own lists."""

    role: Role
    steps: StepList
    frame: Frame
    owner: Node | None
    nodes: dict[str, Node] = field(default_factory=dict)
    left: int = 0
    failed: bool = False
    blocks: bool = False
    maybe: bool = False
    rejected: bool = False
    cause: Node | None = None

    def __repr__(self) -> str:
        return f"<ListRun {self.role}, {self.left} left>"


@dataclass(slots=True, eq=False)
class Frame:
    """One playbook under way: the run's own, or one that a step runs."""

    path: str
    playbook: Playbook
    inputs: dict[str, Any]
    owner: Node | None
    vars: dict[str, Any] = field(default_factory=dict)
    set_by: dict[str, Node] = field(default_factory=dict)  # which step set each of them; none set the playbook's own
    body: ListRun | None = None
    on_failure: ListRun | None = None
    finally_: ListRun | None = None
    body_ended: bool = False
    failure_seen: bool = False
    stopped: Literal["succeeded", "failed"] | None = None
    stop_message: Any = None
    maybe_stopped: bool = False

    def __repr__(self) -> str:
        return f"<Frame {self.path!r} of {self.playbook.id}>"

    @property
    def failed(self) -> bool:
        lists = (self.body, self.on_failure, self.finally_)
        return self.stopped == "failed" or any(steps is not None and steps.failed for steps in lists)

    @property
    def cause(self) -> Node | None:
        """Return what failed first in it, or None."""
        lists = (self.body, self.on_failure, self.finally_)
        return next((steps.cause for steps in lists if steps is not None and steps.cause is not None), None)

    @property
    def blocks(self) -> bool:
        lists = (self.body, self.on_failure, self.finally_)
        return self.stopped == "failed" or any(steps is not None and steps.blocks for steps in lists)

    @property
    def rejected(self) -> bool:
        lists = (self.body, self.on_failure, self.finally_)
        return any(steps is not None and steps.rejected for steps in lists)


@dataclass(slots=True, eq=False)
class RunState:
    """Everything that is known of a run. Only `evolve` changes it."""

    run: str
    program: Program
    seq: int = 0
    now: datetime | None = None
    started_at: datetime | None = None
    actor: str = ""
    owner: str = ""
    mode: Literal["live", "plan"] = "live"
    routes: dict[str, Routing] = field(default_factory=dict)
    nodes: dict[str, Node] = field(default_factory=dict)
    root: Frame | None = None
    todo: dict[tuple[Todo, str], None] = field(default_factory=dict)  # in order, each once
    owed: dict[str, Command] = field(default_factory=dict)
    fresh: list[Command] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    unknown: set[str] = field(default_factory=set)
    held: dict[str, list[str]] = field(default_factory=dict)  # by the approval they wait for
    cancelling: ErrorRecord | None = None  # why nothing more starts
    paused: bool = False
    parked: bool = False  # nobody drives it
    joined: str | None = None  # the run that goes on instead of this one
    retry_of: str | None = None
    retry_step: str | None = None
    reason: str | None = None  # why the engine started it by itself
    applies: str | None = None  # the plan that it must not leave
    saved: tuple[str, datetime] | None = None  # of a plan: its digest, and until when it may be applied
    taken: str | None = None  # of a plan: the run that applied it
    waiting_inputs: dict[str, Any] = field(default_factory=dict)  # until the run has its key
    has_stored: bool = False  # some values are stored elsewhere
    loaded: dict[str, Any] = field(default_factory=dict)  # those that were brought, by hash
    wanted: set[str] = field(default_factory=set)
    finished: Literal["succeeded", "failed", "cancelled"] | None = None
    outputs: dict[str, Any] = field(default_factory=dict)
    error: ErrorRecord | None = None
    settling: deque[Node] = field(default_factory=deque)

    def __repr__(self) -> str:
        # A state holds everything that a run has seen; whoever prints one by accident gets a line.
        return f"<RunState {self.run} at {self.seq}: {self.status}>"

    def is_cancelled(self, node: Node | None) -> bool:
        """Say whether nothing more starts at a node, or in the run. What tidies up at the end still does."""
        return self.cancelling is not None and (node is None or not node.is_inside("finally"))

    def effect_of(self, action: str) -> Effect:
        """Return an action's effect. The inverse of a change is not among the routes of a run that releases it."""
        routing = self.routes.get(action)
        return Effect.CHANGE if routing is None else routing.effect

    def owe(self, command: Command) -> None:
        """Note a command that is to be carried out."""
        self.owed[command.path] = command
        self.fresh.append(command)

    def take_fresh(self) -> list[Command]:
        """Return the commands that became owed since the last call, so that nobody has to look through all of them."""
        fresh, self.fresh = self.fresh, []
        return fresh

    @property
    def status(self) -> RunStatus:
        if self.finished is not None:
            return RunStatus(self.finished)
        if self.root is None:
            return RunStatus.PENDING
        if self.paused or not (self.todo or any(isinstance(each, _ACTIVE) for each in self.owed.values())):
            return RunStatus.WAITING
        return RunStatus.RUNNING
