"""What can happen in a run. One fact each, in the past tense, as plain data that is stored for ever.

An event's class name is its `kind` in the journal. A field that is added later needs a default; a field that changes
its meaning needs a new event.
"""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Any, Literal

from hikeshi.quick_dataclass import dataclass

__all__ = [
    "EVENTS",
    "ActionFailed",
    "ActionIntended",
    "ActionPlanned",
    "ActionRequested",
    "ActionSucceeded",
    "ActionUnknown",
    "DecisionFailed",
    "ErrorRecord",
    "Event",
    "FannedOut",
    "FinallyStarted",
    "HandlerStarted",
    "HoldOpened",
    "LoopStarted",
    "OnFailureStarted",
    "PlaybookEntered",
    "PlaybookFinished",
    "RetryScheduled",
    "RunFinished",
    "RunStarted",
    "RunTakenOver",
    "StepFailed",
    "StepResolved",
    "StepSkipped",
    "StepStarted",
    "StopReached",
    "TargetSettled",
    "TimerFired",
    "ValuesSet",
    "VariablesSet",
]

Data = Any  # plain JSON data, in plans also Unknown


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """Why something failed. `applied` says whether it can have had its effect; times are in seconds."""

    kind: str
    message: str
    applied: Literal["no", "maybe"] = "no"
    retry_after_s: float | None = None
    candidates: list[Data] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Event:
    """The base: every event belongs to a path; the run itself has the empty path."""

    path: str


@dataclass(frozen=True, slots=True)
class RunStarted(Event):
    """A run began. It pins its texts: `sources` holds every playbook it uses, by ID, and `routes` where actions go."""

    playbook: str
    sources: dict[str, str]
    digests: dict[str, str]
    inputs: dict[str, Data]
    actor: str
    mode: Literal["live", "plan"]
    routes: dict[str, Data]
    engine: str
    owner: str


@dataclass(frozen=True, slots=True)
class RunTakenOver(Event):
    """Another process goes on with the run, because its owner is gone."""

    owner: str


@dataclass(frozen=True, slots=True)
class StepSkipped(Event):
    reason: str


@dataclass(frozen=True, slots=True)
class StepStarted(Event):
    """A block began."""

    maybe: bool = False


@dataclass(frozen=True, slots=True)
class LoopStarted(Event):
    """A loop began over these items, which are recorded once. `more_unknown`: a plan cannot know the list."""

    items: list[Data]
    more_unknown: bool = False


@dataclass(frozen=True, slots=True)
class ActionRequested(Event):
    """An action is to be carried out with these arguments; the target's owner decides where, or it is a read of all.

    `at` limits it to these instances. Stored before the action begins, so for a notification it is the intent as well.
    """

    action: str
    arguments: dict[str, Data]
    at: list[str] | None = None
    maybe: bool = False


@dataclass(frozen=True, slots=True)
class FannedOut(Event):
    """An action goes to several connector instances, each with its own arguments."""

    action: str
    calls: dict[str, dict[str, Data]]
    maybe: bool = False


@dataclass(frozen=True, slots=True)
class PlaybookEntered(Event):
    inputs: dict[str, Data]
    maybe: bool = False


@dataclass(frozen=True, slots=True)
class PlaybookFinished(Event):
    outputs: dict[str, Data]
    error: ErrorRecord | None = None


@dataclass(frozen=True, slots=True)
class VariablesSet(Event):
    """A playbook's own `vars` were computed, before its first step; with an error, none of its steps runs."""

    values: dict[str, Data]
    error: ErrorRecord | None = None


@dataclass(frozen=True, slots=True)
class ValuesSet(Event):
    """A `set` step computed variables."""

    values: dict[str, Data]
    maybe: bool = False


@dataclass(frozen=True, slots=True)
class StopReached(Event):
    status: Literal["succeeded", "failed"]
    message: Data = None
    maybe: bool = False


@dataclass(frozen=True, slots=True)
class DecisionFailed(Event):
    """A condition, argument or list could not be evaluated."""

    error: ErrorRecord


@dataclass(frozen=True, slots=True)
class ActionIntended(Event):
    """The next thing that happens is that a change is sent. Stored before any of it is.

    `prior` is the state that was read just before; `possibly_repeated` says that an earlier attempt may have worked.
    """

    attempt: int
    action: str
    instance: str
    key: str
    targets: list[Data]
    prior: Data = None
    possibly_repeated: bool = False


@dataclass(frozen=True, slots=True)
class HoldOpened(Event):
    """A change of one target is about to be made; `undo` is the inverse call and `prior` what it restores."""

    hold: str
    action: str
    instance: str
    target: str
    label: str
    prior: Data
    undo: Data = None


@dataclass(frozen=True, slots=True)
class TargetSettled(Event):
    """What became of one target of a change."""

    target: str
    outcome: Literal["done", "already", "failed", "unknown"]
    error: ErrorRecord | None = None
    hold: str | None = None


@dataclass(frozen=True, slots=True)
class ActionSucceeded(Event):
    """An attempt worked.

    `already`: the goal had been reached before, and nothing was sent. `possibly_repeated`: people may have been told
    the same before, by an attempt of which nobody knows.
    """

    attempt: int
    output: Data
    already: bool = False
    possibly_repeated: bool = False


@dataclass(frozen=True, slots=True)
class ActionFailed(Event):
    """An attempt failed, and provably had no effect unless the error says `maybe` (notifications only)."""

    attempt: int
    error: ErrorRecord


@dataclass(frozen=True, slots=True)
class ActionUnknown(Event):
    """A change was sent, and whether it took effect cannot be established."""

    attempt: int
    error: ErrorRecord


@dataclass(frozen=True, slots=True)
class ActionPlanned(Event):
    """In a plan: what would be done, as far as it can be known."""

    action: str
    effect: str
    connector: str | None
    target: Data
    requests: list[Data]
    complete: bool
    not_checked: list[str]
    output: Data
    already: bool = False


@dataclass(frozen=True, slots=True)
class RetryScheduled(Event):
    """The next attempt is due at this time."""

    attempt: int
    due_at: datetime


@dataclass(frozen=True, slots=True)
class TimerFired(Event):
    """The time that something waited for has come."""


@dataclass(frozen=True, slots=True)
class StepFailed(Event):
    """No further attempt is made."""

    error: ErrorRecord


@dataclass(frozen=True, slots=True)
class StepResolved(Event):
    """A person established the outcome of a change that was unknown."""

    happened: bool
    actor: str
    output: Data = None


@dataclass(frozen=True, slots=True)
class HandlerStarted(Event):
    """The `on_error` steps of a failed step began; in a plan, as `if failed`."""


@dataclass(frozen=True, slots=True)
class OnFailureStarted(Event):
    """The playbook's `on_failure` steps began; in a plan, as `if failed`."""


@dataclass(frozen=True, slots=True)
class FinallyStarted(Event):
    """The playbook's `finally` steps began."""


@dataclass(frozen=True, slots=True)
class RunFinished(Event):
    """The run is over. `failures` lists the paths that failed."""

    status: Literal["succeeded", "failed", "cancelled"]
    outputs: dict[str, Data]
    failures: list[str]
    error: ErrorRecord | None = None


EVENTS: dict[str, type[Event]] = {cls.__name__: cls for cls in Event.__subclasses__()}
