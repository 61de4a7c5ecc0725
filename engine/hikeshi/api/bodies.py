"""The bodies of requests and answers. What a request may not have is an error, and no type is guessed."""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "Answer",
    "Apply",
    "Because",
    "Decision",
    "Event",
    "Extension",
    "HoldDocument",
    "Me",
    "Page",
    "PlaybookRow",
    "Question",
    "Resolution",
    "RunBegun",
    "RunRow",
    "Save",
    "Start",
    "StopDocument",
    "StopRequest",
    "StuckDocument",
    "TokenDocument",
    "Undo",
    "Waiting",
]

T = TypeVar("T")
Name = Annotated[str, Field(min_length=1, max_length=200)]
Text = Annotated[str, Field(max_length=2000)]
Reason = Annotated[str, Field(min_length=1, max_length=2000, pattern=r"\S", description="Why, for the record.")]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Start(_Body):
    """The inputs of a run, by their names, as JSON."""

    inputs: dict[str, Any] = Field(default_factory=dict)


class Save(_Body):
    """For how long a saved plan is good, in seconds; a week at most."""

    good_for_s: float = Field(default=3600.0, gt=0, le=604_800)


class Apply(_Body):
    """A saved plan, exactly as it was given out."""

    plan: dict[str, Any]


class Decision(_Body):
    """A yes or a no to what a run asks at a step: bound to what was shown by its digest."""

    path: Name
    digest: Name
    note: Text | None = None


class Answer(_Body):
    """The fields of a form that a run asks to be filled in."""

    path: Name
    digest: Name
    answers: dict[str, Any]


class Because(_Body):
    """Why something is done."""

    reason: Reason


class Resolution(_Body):
    """What a person found out about a change whose outcome is unknown."""

    path: Name
    happened: bool


class Retry(_Body):
    """Which step is done once more; everything that failed, if it is left out."""

    path: Name | None = None


class Undo(_Body):
    """Why something is undone. With `override`, also what somebody else has changed since."""

    reason: Reason
    override: bool = False
    path: Name | None = Field(default=None, description="Only this step of the run.")


class Extension(_Body):
    """How much longer a hold is to last, in seconds; a year at most."""

    by_s: float = Field(gt=0, le=31_622_400)
    reason: Reason


class StopRequest(_Body):
    """What is stopped: `everything`, `connector:NAME`, `action:PATTERN` or `playbook:ID`."""

    stop: Annotated[
        str, Field(max_length=200, pattern=r"^(everything|(connector|action|playbook):[A-Za-z0-9_.*?-]+)$")
    ] = "everything"
    reason: Text = ""


class Event(_Body):
    """An event as a source would send it."""

    event: Any


class Page(BaseModel, Generic[T]):
    """Some of a list. `next` is the cursor of what follows, or null at the end."""

    items: list[T]
    next: str | None


class Me(BaseModel):
    """Who the token says you are, and what you may do."""

    actor: str
    person: str | None
    name: str
    roles: list[str]
    permissions: list[str]


class RunBegun(BaseModel):
    """A run that has begun, or the one that was joined."""

    run: str
    playbook: str
    mode: Literal["live", "plan"]
    status: str


class RunRow(BaseModel):
    """One run in a list. Times are in UTC."""

    run: str
    playbook: str
    mode: Literal["live", "plan"]
    status: str
    waits_for: str | None
    actor: str
    started_at: str
    finished_at: str | None


class Question(BaseModel):
    """What a run asks people: an approval with its exact targets, or a form with its fields."""

    run: str
    path: str
    kind: str
    playbook: str
    actor: str
    asked_at: str
    due_at: str
    digest: str
    quorum: int
    votes: list[str]
    question: str
    by: list[str]
    shows: Any
    not_known: Any
    fields: Any
    for_you: bool = Field(description="Whether the token's person may decide this, and has not yet.")


class StuckDocument(BaseModel):
    """A change of unknown outcome, or a paused run."""

    run: str
    path: str
    kind: Literal["resolve", "resume"]
    playbook: str
    actor: str
    started_at: str
    what: str
    targets: list[dict[str, Any]]
    action: str | None = None


class Waiting(BaseModel):
    """Everything that waits for people."""

    questions: list[Question]
    stuck: list[StuckDocument]


class PlaybookRow(BaseModel):
    """One playbook in a list; `problems` is null for one that can be run as it is written."""

    id: str
    name: str | None
    description: str | None
    phase: str | None
    severity: str | None
    version: int | None
    problems: list[str] | None


class HoldDocument(BaseModel):
    """One active change: what is contained, by whom, why, since and until when. Times are in UTC."""

    hold: str
    target: Any
    label: str
    action: str
    connector: str
    since: str
    until: str | None
    product_until: str | None
    status: str
    overdue: bool
    run: str
    path: str
    actor: str | None
    playbook: str | None
    why: str | None
    release: dict[str, Any]


class StopDocument(BaseModel):
    """One engaged kill switch; `people` have to say that it may be released."""

    stop: str
    by: str
    why: str
    at: str
    people: int
    released_by: list[str]


class TokenDocument(BaseModel):
    """One token, without its secret."""

    token: str
    name: str
    person: str | None
    roles: list[str]
    status: Literal["good", "expired", "revoked"]
    made_by: str
    made_at: str
    expires_at: str
