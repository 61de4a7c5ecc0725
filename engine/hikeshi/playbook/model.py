"""The playbook language as types. What a YAML file says is parsed into these once; nothing later looks at the YAML.

Lists of steps are `StepList`s: every step in one has a `key`, which is its ID or its position (`steps[2]`), and knows
the keys of the siblings it waits for. A step's path in a run is made of these keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass as standard_dataclass
from dataclasses import field
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

from hikeshi.playbook.expression import Expression
from hikeshi.playbook.template import Template
from hikeshi.playbook.values import Constraints
from hikeshi.quick_dataclass import dataclass

__all__ = [
    "ActionStep",
    "ApproveStep",
    "AskStep",
    "BlockStep",
    "Concurrency",
    "Escalation",
    "EventWait",
    "InputDeclaration",
    "Loop",
    "MaxFailures",
    "OnError",
    "Phase",
    "Playbook",
    "PlaybookStep",
    "Position",
    "ReadWait",
    "ReleaseStep",
    "Retry",
    "SetStep",
    "Step",
    "StepList",
    "StopStep",
    "Trigger",
    "UndoOverride",
    "WaitStep",
    "While",
]


class Phase(StrEnum):
    """The phases of incident response a playbook or step belongs to."""

    PREPARE = "prepare"
    DETECT = "detect"
    TRIAGE = "triage"
    ANALYZE = "analyze"
    CONTAIN = "contain"
    ERADICATE = "eradicate"
    RECOVER = "recover"
    NOTIFY = "notify"
    IMPROVE = "improve"


@standard_dataclass(frozen=True, slots=True)
class Position:
    """A place in a file; line and column count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class InputDeclaration:
    """One declared input, or one field of a form."""

    name: str
    type: str
    required: bool
    default: Any
    description: str
    constraints: Constraints
    position: Position


@dataclass(frozen=True, slots=True)
class Retry:
    """How often and when to try an action again; times in seconds. `kinds` None means the kinds that are safe."""

    attempts: int = 3
    wait_s: float = 1.0
    factor: float = 2.0
    max_wait_s: float = 60.0
    kinds: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class MaxFailures:
    """How many items of a loop may fail before the loop does: a count, or per cent of all items."""

    count: int = 0
    percent: float | None = None

    def exceeded_by(self, failed: int, total: int) -> bool:
        if self.percent is not None:
            return failed * 100 > self.percent * total
        return failed > self.count


@dataclass(frozen=True, slots=True)
class Loop:
    """`for_each` and what belongs to it. With `batch`, an item is a list of that many entries."""

    items: Expression
    name: str = "item"
    concurrency: int = 10
    batch: int | None = None
    max_failures: MaxFailures = field(default_factory=MaxFailures)
    stop_after: int | None = None


@dataclass(frozen=True, slots=True)
class While:
    """`while` and its bound."""

    condition: Expression
    at_most: int


@dataclass(frozen=True, slots=True)
class OnError:
    """What happens after a step has failed: handler steps, and whether what needs the step runs all the same."""

    steps: StepList | None
    then_continue: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Common:
    key: str
    id: str | None
    name: str | None
    after: tuple[str, ...]  # keys of the siblings it waits for
    when: Expression | None = None
    on_error: OnError | None = None
    phase: Phase | None = None
    position: Position

    @property
    def label(self) -> str:
        """Return what people call this step: its name, ID or position."""
        return self.name or self.id or self.key


@dataclass(frozen=True, slots=True)
class UndoOverride:
    """`undo:` of an action step; `action` None means `undo: none`."""

    action: str | None
    arguments: Template | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ActionStep(_Common):
    """Calls an action."""

    action: str
    arguments: Template  # of a map
    retry: Retry | None = None
    timeout_s: float | None = None
    hold: Template | None = None
    undo: UndoOverride | None = None
    at: Expression | None = None
    if_unsupported: Literal["fail", "skip"] = "fail"
    loop: Loop | None = None

    def does_without(self, action: str) -> bool:
        """Say whether the step is skipped where no product carries this action of it out."""
        return self.if_unsupported == "skip" and action == self.action


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaybookStep(_Common):
    """Runs another playbook as part of this run."""

    playbook: str
    arguments: Template
    loop: Loop | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockStep(_Common):
    """A block of steps, one after the other or all at once."""

    children: StepList
    loop: Loop | None = None
    repeat: While | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStep(_Common):
    """Computes variables."""

    values: Mapping[str, Expression]


@dataclass(frozen=True, slots=True, kw_only=True)
class StopStep(_Common):
    """Ends this playbook."""

    status: Literal["succeeded", "failed"]
    message: Template | None


@dataclass(frozen=True, slots=True)
class Escalation:
    """Whom an approval goes to when nobody decided in time."""

    to: tuple[str, ...]
    within_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ApproveStep(_Common):
    """Waits for a decision."""

    question: Template
    by: tuple[str, ...]
    within_s: float
    quorum: int = 1
    escalate: Escalation | None = None
    covers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AskStep(_Common):
    """A manual task: a person fills in a form."""

    question: Template
    form: Mapping[str, InputDeclaration]
    by: tuple[str, ...]
    within_s: float


@dataclass(frozen=True, slots=True)
class ReadWait:
    """Waits until a read says so."""

    action: str
    arguments: Template
    until: Expression
    every_s: float
    at_most_s: float


@dataclass(frozen=True, slots=True)
class EventWait:
    """Waits for an event."""

    event: str
    when: Expression | None
    at_most_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WaitStep(_Common):
    """Waits: for a time (seconds, or an expression that gives a duration), a read or an event."""

    wait: float | Template | ReadWait | EventWait


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseStep(_Common):
    """Closes holds by their inverse."""

    targets: Expression


Step = ActionStep | PlaybookStep | BlockStep | SetStep | StopStep | ApproveStep | AskStep | WaitStep | ReleaseStep


@dataclass(frozen=True)
class StepList:
    """Steps that share a scope: the children of a block, a handler, or a playbook's own lists."""

    steps: tuple[Step, ...]
    parallel: bool = False

    @cached_property
    def by_key(self) -> Mapping[str, Step]:
        return {step.key: step for step in self.steps}

    @cached_property
    def dependents(self) -> Mapping[str, tuple[str, ...]]:
        """Return, for each key, the keys of the siblings that wait for it."""
        found: dict[str, list[str]] = {step.key: [] for step in self.steps}
        for step in self.steps:
            for needed in step.after:
                found[needed].append(step.key)
        return {key: tuple(keys) for key, keys in found.items()}

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class Trigger:
    """What starts a run by itself. `source` is the schedule, webhook or poll as written, checked for shape."""

    id: str
    kind: Literal["schedule", "webhook", "poll"]
    source: Mapping[str, Any]
    when: Expression | None
    inputs: Mapping[str, Template]
    dedupe: Expression | None
    window_s: float | None
    mode: Literal["live", "plan"]
    by: tuple[str, ...]
    enabled: bool
    missed: Literal["run_once", "skip"]
    timezone: str | None
    position: Position


@dataclass(frozen=True, slots=True)
class Concurrency:
    """Which runs may not be under way at the same time, and what happens to the later one."""

    key: Template
    on_conflict: Literal["queue", "join", "reject"]


@dataclass(frozen=True)
class Playbook:
    """One playbook. `digest` is the SHA-256 of `source`, in hexadecimal."""

    id: str
    name: str
    version: int
    description: str
    phase: Phase | None
    severity: str | None
    attack: tuple[str, ...]
    owner: str | None
    tags: tuple[str, ...]
    references: tuple[str, ...]
    inputs: Mapping[str, InputDeclaration]
    vars: Mapping[str, Template]
    triggers: tuple[Trigger, ...]
    steps: StepList
    on_failure: StepList
    finally_: StepList
    outputs: Mapping[str, Template]
    timeout_s: float | None
    concurrency: Concurrency | None
    source: str
    digest: str
    position: Position

    @cached_property
    def chains(self) -> Mapping[str, tuple[str, ...]]:
        """Return, for each step ID, the keys from the playbook's root to that step, handlers included."""
        found: dict[str, tuple[str, ...]] = {}
        for chain, step in self.walk():
            if step.id is not None:
                found[step.id] = chain
        return found

    @cached_property
    def coverage(self) -> Mapping[tuple[str, ...], tuple[tuple[str, ...], ...]]:
        """Return the approvals that cover each covered step, as chains of keys; see `hikeshi.playbook.coverage`."""
        from hikeshi.playbook.coverage import covering  # it is made of the types of this module

        return covering(self)

    def walk(self) -> Iterator[tuple[tuple[str, ...], Step]]:
        """Give every step with the keys that lead to it, parents first."""
        for prefix, steps in (((), self.steps), (("on_failure",), self.on_failure), (("finally",), self.finally_)):
            yield from _walk(prefix, steps)


def _walk(prefix: tuple[str, ...], steps: StepList) -> Iterator[tuple[tuple[str, ...], Step]]:
    for step in steps:
        chain = (*prefix, step.key)
        yield chain, step
        if isinstance(step, BlockStep):
            yield from _walk(chain, step.children)
        if step.on_error is not None and step.on_error.steps is not None:
            yield from _walk((*chain, "on_error"), step.on_error.steps)
