"""What can happen in a run. One fact each, in the past tense, as plain data that is stored for ever.

An event's class name is its `kind` in the journal. A field that is added later needs a default; a field that changes
its meaning needs a new event.
"""

from __future__ import annotations

from dataclasses import field
from datetime import datetime
from typing import Any, Literal, NamedTuple

from hikeshi.quick_dataclass import dataclass

__all__ = [
    "EVENTS",
    "ActionFailed",
    "ActionIntended",
    "ActionPlanned",
    "ActionRequested",
    "ActionSucceeded",
    "ActionUnknown",
    "ApprovalBegan",
    "ApprovalHeld",
    "CancelRequested",
    "ChangeRefused",
    "ConsentNeeded",
    "DecisionFailed",
    "ErrorRecord",
    "Event",
    "FannedOut",
    "FinallyStarted",
    "FormAnswered",
    "HandlerStarted",
    "HoldExtended",
    "HoldReleased",
    "HoldsFound",
    "HoldsOpened",
    "KeyAcquired",
    "KeyRefused",
    "LoopStarted",
    "MessageRefused",
    "OnFailureStarted",
    "OpenedHold",
    "PassStarted",
    "PauseRequested",
    "PlanDenied",
    "PlanSaved",
    "PlanTaken",
    "PlaybookEntered",
    "PlaybookFinished",
    "QuestionAsked",
    "QuestionEscalated",
    "ReleaseRequested",
    "RetryScheduled",
    "RunFinished",
    "RunJoined",
    "RunParked",
    "RunResumed",
    "RunStarted",
    "RunTakenOver",
    "SettledTarget",
    "SignalArrived",
    "SignalPassed",
    "StepCancelled",
    "StepFailed",
    "StepPlanned",
    "StepResolved",
    "StepSkipped",
    "StepStarted",
    "StopReached",
    "TargetsCounted",
    "TargetsNotShown",
    "TargetsSettled",
    "TimerFired",
    "UndoSet",
    "ValuesSet",
    "VariablesSet",
    "VoteCast",
    "WaitEnded",
    "WaitStarted",
    "WhileEnded",
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
    key: str | None = None  # of `concurrency`: runs that have the same are not under way at the same time
    retry_of: str | None = None  # the run whose confirmed results this one takes over
    reason: str | None = None  # why the engine started it by itself
    retry_step: str | None = None  # the one step of that run that is tried again; what else failed there has failed
    plan: str | None = None  # the plan that this run applies: it makes no change that was not shown there


@dataclass(frozen=True, slots=True)
class RunTakenOver(Event):
    """A process goes on with the run, because nobody drives it or its owner is gone."""

    owner: str


@dataclass(frozen=True, slots=True)
class RunParked(Event):
    """Nobody drives the run until something comes: the time `wake_at` (null: only people), a message, a signal.

    `signals` lists the names that it waits for, each with the last one it has looked at.
    """

    wake_at: datetime | None
    signals: list[Data] = field(default_factory=list)
    queued: bool = False  # it waits until its key is free


@dataclass(frozen=True, slots=True)
class KeyAcquired(Event):
    """From now on no other run with this key goes on; the empty path is the run's own `concurrency`."""

    key: str


@dataclass(frozen=True, slots=True)
class KeyRefused(Event):
    """Another run has the key, and the playbook says not to wait for it."""

    key: str
    holder: str
    joined: bool = False


@dataclass(frozen=True, slots=True)
class RunJoined(Event):
    """Somebody asked for the same run again while it was under way; it goes on as the one run for both."""

    actor: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class StepSkipped(Event):
    """A step does not run; `waived` if its own `when` says so."""

    reason: str
    waived: bool = False


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
    hold_s: Data = None  # its hold ends by itself after this time


@dataclass(frozen=True, slots=True)
class FannedOut(Event):
    """An action goes to several connector instances, each with its own arguments."""

    action: str
    calls: dict[str, dict[str, Data]]
    maybe: bool = False
    hold_s: Data = None


@dataclass(frozen=True, slots=True)
class PlaybookEntered(Event):
    """A step runs another playbook; with a `key`, once no other run has that."""

    inputs: dict[str, Data]
    maybe: bool = False
    key: str | None = None


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


class OpenedHold(NamedTuple):
    """One target that is about to be changed; `prior` is what undoing it restores.

    `own` is what the inverse call takes of this target alone.
    """

    hold: str
    target: str
    label: str
    prior: Data
    own: Data = None


@dataclass(frozen=True, slots=True)
class HoldsOpened(Event):
    """A change of these targets is about to be made; `undo` is the inverse call.

    If `each` names an argument of it, that is a list of what the target alone brings, `own`.
    """

    action: str
    instance: str
    opened: list[OpenedHold]
    undo: Data = None
    each: str | None = None
    expires_at: datetime | None = None  # counted from here, so that no crash can lose it


@dataclass(frozen=True, slots=True)
class UndoSet(Event):
    """The inverse that the playbook declares for the holds of this step, computed once the change is made."""

    undo: Data
    error: ErrorRecord | None = None


class SettledTarget(NamedTuple):
    """What became of one target; `state` is what was read back of one that is held from now on."""

    target: str
    outcome: Literal["done", "already", "failed", "unknown"]
    error: ErrorRecord | None = None
    hold: str | None = None
    state: Data = None


@dataclass(frozen=True, slots=True)
class TargetsSettled(Event):
    """What became of targets of a change."""

    settled: list[SettledTarget]


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
    carried_from: str | None = None  # the run that did it, which this one retries


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
    prior: Data = None  # the state of each target that was read, `{target, state}`; null if none was
    consents: list[Data] = field(default_factory=list)  # `{rule, why, by, quorum, within_s, targets}`: who has to agree


@dataclass(frozen=True, slots=True)
class StepPlanned(Event):
    """In a plan: a step whose outcome people, time or the outside decide; `shows` says what it would ask or release."""

    output: Data
    shows: list[Data] = field(default_factory=list)
    maybe: bool = False


@dataclass(frozen=True, slots=True)
class RetryScheduled(Event):
    """The next attempt, or the next look of a wait, is due at this time."""

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
    message: int | None = None


@dataclass(frozen=True, slots=True)
class ApprovalHeld(Event):
    """A change waits for an approval that covers it and is not decided yet; `approval` is the path of that."""

    approval: str


@dataclass(frozen=True, slots=True)
class ApprovalBegan(Event):
    """An approval is to be asked for; before that the engine plans what it covers, to show it."""

    question: str


@dataclass(frozen=True, slots=True)
class QuestionAsked(Event):
    """People are asked, until `due_at`.

    `kind` is `approval`, or `form` with its `fields`. `shows` lists the targets that an approval allows: `{action,
    connector, target, label, path}`; `not_known` says what could not be predicted. `digest` binds an answer to all of
    it. `by` lists who may answer; `round` counts the questions of this step.
    """

    kind: Literal["approval", "form"]
    question: str
    by: list[str]
    quorum: int
    due_at: datetime
    digest: str
    shows: list[Data] = field(default_factory=list)
    not_known: list[str] = field(default_factory=list)
    fields: list[Data] = field(default_factory=list)
    approval: str | None = None  # the approval that did not show this target
    round: int = 1
    rule: str | None = None  # the guardrail that asks, instead of the playbook
    within_s: float | None = None  # how long people have, where no step says so


@dataclass(frozen=True, slots=True)
class QuestionEscalated(Event):
    """Nobody has decided in time, so more people may."""

    by: list[str]
    due_at: datetime


@dataclass(frozen=True, slots=True)
class VoteCast(Event):
    """Somebody who may decided. One rejection rejects."""

    decision: Literal["approve", "reject"]
    by: str
    digest: str
    note: str | None = None
    message: int | None = None


@dataclass(frozen=True, slots=True)
class FormAnswered(Event):
    """Somebody filled in the form of an `ask` step."""

    by: str
    answers: dict[str, Data]
    message: int | None = None


@dataclass(frozen=True, slots=True)
class MessageRefused(Event):
    """What somebody sent was not accepted; `reason` is what they are told."""

    request: str
    by: str
    reason: str
    message: int | None = None


@dataclass(frozen=True, slots=True)
class TargetsNotShown(Event):
    """The approval of a change did not show these targets, so it is asked for again before anything is sent."""

    attempt: int
    approval: str
    targets: list[Data]


@dataclass(frozen=True, slots=True)
class ChangeRefused(Event):
    """A rule refused a change before anything of it was sent.

    `code` is the rule's name for programs, `rule` where it is written, `target` what people call what it is about,
    `lift` who may lift it. With `stops` nothing more starts in this run.
    """

    attempt: int
    code: str
    rule: str
    target: str
    why: str
    lift: str
    stops: bool = False


@dataclass(frozen=True, slots=True)
class ConsentNeeded(Event):
    """A guardrail asks people before a change of these targets is made; `rule` says where it is written."""

    attempt: int
    rule: str
    question: str
    by: list[str]
    quorum: int
    within_s: float
    targets: list[Data]


@dataclass(frozen=True, slots=True)
class TargetsCounted(Event):
    """Targets count under limits from now on, whatever becomes of the change: `uses` is a list of `{key, target, rule,
    most, within_s, consented}`. It is not stored if one of them were one too many and nobody consented."""

    uses: list[Data]


@dataclass(frozen=True, slots=True)
class PlanSaved(Event):
    """A plan was made into a document, with the SHA-256 `digest`, that may be applied once until `expires_at`."""

    digest: str
    expires_at: datetime
    actor: str


@dataclass(frozen=True, slots=True)
class PlanDenied(Event):
    """Somebody wanted to apply a plan and was refused, for these reasons."""

    actor: str
    reasons: list[str]


@dataclass(frozen=True, slots=True)
class PlanTaken(Event):
    """A plan is used up: `run` applies it."""

    run: str
    actor: str


@dataclass(frozen=True, slots=True)
class WaitStarted(Event):
    """A wait began: for the time `due_at`, or until then for a read or a signal that is what was waited for."""

    due_at: datetime
    action: str | None = None
    arguments: dict[str, Data] = field(default_factory=dict)
    signal: str | None = None


@dataclass(frozen=True, slots=True)
class SignalArrived(Event):
    """Something happened outside that a wait may be waiting for."""

    signal: int
    data: Data


@dataclass(frozen=True, slots=True)
class SignalPassed(Event):
    """The signal was not the one; the wait goes on after it."""

    signal: int


@dataclass(frozen=True, slots=True)
class WaitEnded(Event):
    """What was waited for is there."""

    output: Data = None


@dataclass(frozen=True, slots=True)
class PassStarted(Event):
    """A pass of a `while` block began; they count from 0."""

    number: int
    maybe: bool = False


@dataclass(frozen=True, slots=True)
class WhileEnded(Event):
    """No further pass is needed; `more_unknown`: a plan cannot know."""

    more_unknown: bool = False


@dataclass(frozen=True, slots=True)
class ReleaseRequested(Event):
    """The holds of these targets are to be closed."""

    targets: list[Data]


@dataclass(frozen=True, slots=True)
class HoldsFound(Event):
    """The holds that a release closes: `{hold, action, instance, arguments, target, label}` of each inverse."""

    holds: list[Data]


@dataclass(frozen=True, slots=True)
class HoldReleased(Event):
    """A hold is closed: `released`, or `passed_on` to another one of the same target, which goes on."""

    hold: str
    outcome: Literal["released", "passed_on"] = "released"
    to: str | None = None


@dataclass(frozen=True, slots=True)
class HoldExtended(Event):
    """Somebody gave a hold another end, which is later than the one it had."""

    hold: str
    expires_at: datetime
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class CancelRequested(Event):
    """Nothing more starts; what was sent is finished, and `finally` runs."""

    actor: str
    reason: str
    message: int | None = None


@dataclass(frozen=True, slots=True)
class PauseRequested(Event):
    """Nothing more is decided until the run is resumed."""

    actor: str
    message: int | None = None


@dataclass(frozen=True, slots=True)
class RunResumed(Event):
    actor: str
    message: int | None = None


@dataclass(frozen=True, slots=True)
class StepCancelled(Event):
    """The run was cancelled before this step had ended."""


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
