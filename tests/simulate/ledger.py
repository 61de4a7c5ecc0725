"""What is durable of each run, read record by record as it is stored: who may send what, and what is settled."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hikeshi.journal import Record, decode_record
from hikeshi.runtime.targets import action_key

__all__ = ["Intent", "Ledger", "Question", "RunFacts"]

_ANSWERS = ("ActionSucceeded", "ActionFailed", "ActionUnknown")


@dataclass
class Intent:
    """A change that was announced. `outcome` is what became of each target, as the engine says."""

    run: str
    path: str
    key: str
    targets: tuple[str, ...]
    attempt: int
    answered: str = ""
    outcome: dict[str, str] = field(default_factory=dict)


@dataclass
class Question:
    """What people are asked, and until when."""

    kind: str
    by: tuple[str, ...]
    digest: str
    quorum: int
    due_at: datetime
    voters: list[str] = field(default_factory=list)


@dataclass
class RunFacts:
    """What the records of one run say."""

    run: str
    playbook: str = ""
    sources: dict[str, str] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    records: int = 0
    intents: dict[str, Intent] = field(default_factory=dict)  # the newest of each path
    unanswered: dict[str, Intent] = field(default_factory=dict)
    unknown: dict[str, Intent | None] = field(default_factory=dict)  # in people's hands
    succeeded: set[str] = field(default_factory=set)
    told_keys: dict[str, str] = field(default_factory=dict)  # of messages: the path of each key
    repeated: set[str] = field(default_factory=set)  # messages marked as possibly repeated
    lookups: dict[tuple[str, str], str] = field(default_factory=dict)  # reads by what they are about
    due: dict[str, Any] = field(default_factory=dict)
    questions: dict[str, Question] = field(default_factory=dict)  # those that are open
    asked: dict[str, Question] = field(default_factory=dict)  # the newest of each path
    waits_for: dict[str, str] = field(default_factory=dict)  # signals, by path
    allowed_at: dict[str, int] = field(default_factory=dict)  # when each approval was given or waived
    intended_at: dict[str, int] = field(default_factory=dict)  # when each change was first announced
    shown: set[str] = field(default_factory=set)  # targets that people were shown
    cancelled: bool = False
    finished: str = ""
    kinds: Counter[str] = field(default_factory=Counter)


@dataclass
class Ledger:
    """All runs."""

    runs: dict[str, RunFacts] = field(default_factory=dict)
    intents: dict[str, Intent] = field(default_factory=dict)  # by key, the newest
    told: dict[str, tuple[RunFacts, str]] = field(default_factory=dict)  # by key: run and path

    def note(self, encoded: bytes | Record) -> Record:
        """Learn one stored record."""
        record = decode_record(encoded)
        facts = self.runs.setdefault(record.run, RunFacts(record.run))
        facts.records += 1
        facts.kinds[record.kind] += 1
        learn = getattr(self, f"_{record.kind}", None)
        if learn is not None:
            learn(facts, record.path, record.data)
        if record.kind in _ANSWERS:
            self._answered(facts, record)
        return record

    def _answered(self, facts: RunFacts, record: Record) -> None:
        intent = facts.unanswered.pop(record.path, None)
        if intent is not None:
            intent.answered = record.kind
        if record.kind == "ActionSucceeded":
            facts.succeeded.add(record.path)
            if record.data.get("possibly_repeated"):
                facts.repeated.add(record.path)
        elif record.kind == "ActionUnknown":
            facts.unknown[record.path] = facts.intents.get(record.path)

    def _RunStarted(self, facts: RunFacts, path: str, data: Any) -> None:
        facts.playbook, facts.inputs, facts.sources = data["playbook"], data["inputs"], data["sources"]

    def _ActionRequested(self, facts: RunFacts, path: str, data: Any) -> None:
        self._may_tell(facts, path, data["action"])
        name = data["arguments"].get("name")
        if isinstance(name, str):
            facts.lookups[data["action"].partition(".")[0], name] = path

    def _FannedOut(self, facts: RunFacts, path: str, data: Any) -> None:
        for instance in data["calls"]:
            self._may_tell(facts, f"{path}[{instance}]", data["action"])

    def _may_tell(self, facts: RunFacts, path: str, action: str) -> None:
        key = action_key(facts.run, path, action)
        facts.told_keys[key] = path
        self.told[key] = (facts, path)

    def _ActionIntended(self, facts: RunFacts, path: str, data: Any) -> None:
        targets = tuple(target["identity"] for target in data["targets"])
        intent = Intent(facts.run, path, data["key"], targets, data["attempt"])
        facts.intents[path] = facts.unanswered[path] = self.intents[intent.key] = intent
        facts.intended_at.setdefault(path, facts.records)

    def _TargetsSettled(self, facts: RunFacts, path: str, data: Any) -> None:
        intent = facts.intents.get(path)
        for settled in data["settled"]:
            if intent is not None and settled["target"] in intent.targets:
                intent.outcome[settled["target"]] = settled["outcome"]

    def _StepResolved(self, facts: RunFacts, path: str, data: Any) -> None:
        facts.unknown.pop(path, None)
        if data["happened"]:
            facts.succeeded.add(path)

    def _QuestionAsked(self, facts: RunFacts, path: str, data: Any) -> None:
        due_at = datetime.fromisoformat(data["due_at"])
        asked = Question(data["kind"], tuple(data["by"]), data["digest"], data["quorum"], due_at)
        facts.questions[path] = facts.asked[path] = asked
        facts.shown.update(each["target"] for each in data["shows"])

    def _QuestionEscalated(self, facts: RunFacts, path: str, data: Any) -> None:
        question = facts.questions[path]
        question.by, question.due_at = tuple(data["by"]), datetime.fromisoformat(data["due_at"])

    def _VoteCast(self, facts: RunFacts, path: str, data: Any) -> None:
        question = facts.questions[path]
        question.voters.append(data["by"])
        if data["decision"] == "reject" or len(question.voters) >= question.quorum:
            del facts.questions[path]
            if data["decision"] == "approve":
                facts.allowed_at.setdefault(path, facts.records)

    def _FormAnswered(self, facts: RunFacts, path: str, data: Any) -> None:
        facts.questions.pop(path, None)

    def _StepFailed(self, facts: RunFacts, path: str, data: Any) -> None:
        facts.questions.pop(path, None)

    _StepCancelled = _StepFailed

    def _StepSkipped(self, facts: RunFacts, path: str, data: Any) -> None:
        facts.allowed_at.setdefault(path, facts.records)

    def _CancelRequested(self, facts: RunFacts, path: str, data: Any) -> None:
        facts.cancelled = True
        for asked in [each for each in facts.questions if "finally" not in each]:
            del facts.questions[asked]

    def _WaitStarted(self, facts: RunFacts, path: str, data: Any) -> None:
        if data["signal"] is not None:
            facts.waits_for[path] = data["signal"]

    def _RetryScheduled(self, facts: RunFacts, path: str, data: Any) -> None:
        facts.due[path] = data["due_at"]

    def _TimerFired(self, facts: RunFacts, path: str, data: Any) -> None:
        facts.due.pop(path, None)
        if path == "":  # the run's own time limit
            self._CancelRequested(facts, path, data)

    def _RunFinished(self, facts: RunFacts, path: str, data: Any) -> None:
        facts.finished = data["status"]
