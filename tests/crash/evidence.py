"""What a run's journal says, in the words of the product: which effects were intended, confirmed, settled."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from victim import opened

from hikeshi.core import StepStatus, decide, outstanding
from hikeshi.journal import JournalForeign, JournalUnavailable, Record, SqliteJournal, verify
from hikeshi.runtime.projections import standard_projections

__all__ = ["Ending", "Told", "journal_of", "read_ending", "read_told"]

_WHAT = {
    "isolate_host": "isolate",
    "block_indicators": "block",
    "get_host": "hosts",
    "find_hosts": "hosts",
    "tag": "tag",
    "wipe": "wipe",
    "shred": "shred",
    "post": "post",
}
_HELD = frozenset({"active", "done"})
_OVER = frozenset(
    {StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.BLOCKED, StepStatus.CANCELLED}
)


@dataclass
class Told:
    """What the records of the one run say. An effect is `what name@instance`."""

    run: str = ""
    finished: str | None = None
    intended: set[str] = field(default_factory=set)  # stored before anything of it is sent
    confirmed: set[str] = field(default_factory=set)  # stored as done: nobody has a reason to ask again
    outcomes: dict[str, str] = field(default_factory=dict)  # the latest word: done, already, failed, unknown
    repeated: set[str] = field(default_factory=set)  # marked as possibly repeated
    unknown: dict[str, set[str]] = field(default_factory=dict)  # the effects of each step that waits for a person
    denied: set[str] = field(default_factory=set)  # a person said that they did not happen
    problems: list[str] = field(default_factory=list)
    _instances: dict[str, str] = field(default_factory=dict)
    _requests: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)

    def fold(self, record: Record) -> None:
        """Take in one record."""
        read = getattr(self, f"_on_{record.kind}", None)
        if read is not None:
            read(record.path, record.data)

    def _on_ActionRequested(self, path: str, data: dict[str, Any]) -> None:  # noqa: N802
        self._requests[path] = (data["action"], data["arguments"])
        self._note_told(path)

    def _on_FannedOut(self, path: str, data: dict[str, Any]) -> None:  # noqa: N802
        for instance, arguments in data["calls"].items():
            part = f"{path}[{instance}]"
            self._requests[part] = (data["action"], arguments)
            self._instances[part] = instance
            self._note_told(part)

    def _note_told(self, path: str) -> None:
        """Of a message, the stored request is the intent."""
        if self._requests[path][0].endswith(".post"):
            self.intended |= self._effects(path)

    def _on_ActionIntended(self, path: str, data: dict[str, Any]) -> None:  # noqa: N802
        self._instances[path] = data["instance"]
        self.intended |= {self._effect(path, target["identity"]) for target in data["targets"]}

    def _on_TargetSettled(self, path: str, data: dict[str, Any]) -> None:  # noqa: N802
        if data["target"].count(":") > 1:
            self._instances.setdefault(path, data["target"].partition(":")[0])  # a host's owner
        self.outcomes[self._effect(path, data["target"])] = data["outcome"]

    def _on_ActionSucceeded(self, path: str, data: dict[str, Any]) -> None:  # noqa: N802
        effects = self._effects(path)
        self.confirmed |= effects
        if data["possibly_repeated"]:
            self.repeated |= effects
        if self._requests[path][0].endswith(".post"):
            self.outcomes.update(dict.fromkeys(effects, "done"))

    def _on_ActionUnknown(self, path: str, _: dict[str, Any]) -> None:  # noqa: N802
        self.unknown[path] = {effect for effect in self._effects(path) if self.outcomes.get(effect) == "unknown"}

    def _on_StepResolved(self, path: str, data: dict[str, Any]) -> None:  # noqa: N802
        effects = self.unknown.pop(path)
        if data["happened"]:
            self.confirmed |= effects
            self.outcomes.update(dict.fromkeys(effects, "done"))
        else:
            self.denied |= effects

    def _on_RunFinished(self, _: str, data: dict[str, Any]) -> None:  # noqa: N802
        self.finished = data["status"]

    def _effect(self, path: str, identity: str) -> str:
        what = _WHAT[self._requests[path][0].partition(".")[2]]
        return f"{what} {identity.rpartition(':')[2]}@{self._instances[path]}"

    def _effects(self, path: str) -> set[str]:
        """Return all effects that a request asks for; a lookup asks both instances."""
        action, arguments = self._requests[path]
        what = _WHAT[action.partition(".")[2]]
        if what == "isolate":
            return {f"isolate {arguments['host']['name']}@{arguments['host']['connector']}"}
        instances = [self._instances[path]] if path in self._instances else ["west", "east"]
        names = [each["value"] for each in arguments["indicators"]] if what == "block" else _names(arguments)
        return {f"{what} {name}@{instance}" for name in names for instance in instances}


def _names(arguments: dict[str, Any]) -> list[str]:
    one: str = arguments.get("name") or arguments.get("text") or ""
    return [one] if one else list(arguments["names"])


@dataclass
class Ending:
    """What is left when nothing more is done about a run. `gaps` are the places where its story is not complete."""

    status: str
    gaps: list[str]


def journal_of(folder: Path) -> Path:
    """Return where the journal of a case is."""
    return folder / ".hikeshi" / "journal.db"


def read_told(folder: Path) -> Told:
    """Return what the journal of a case says; nothing if a process died before there was one. Raises JournalError."""
    told = Told()
    if not journal_of(folder).exists():
        return told
    try:
        journal = SqliteJournal.open(journal_of(folder), read_only=True)
    except (JournalForeign, JournalUnavailable):
        return told  # it was being made: an empty file
    try:
        runs = [row["run"] for row in journal.query("SELECT run FROM heads ORDER BY run")]
        told.problems += [f"there are {len(runs)} runs, where one was started"] if len(runs) > 1 else []
        for run in runs:
            told.run = run
            for record in journal.read(run):
                told.fold(record)
    finally:
        journal.close()
    found = verify(journal_of(folder))
    told.problems += [f"the journal is {found.status}: {each}" for each in found.problems]
    return told


def read_ending(folder: Path, told: Told) -> Ending:
    """Fold the run anew from its records, and look for what is open in it although nobody works on it."""
    app = opened(folder)
    app.journal = SqliteJournal.open(journal_of(folder), standard_projections(), read_only=True)
    try:
        state = app.fold(told.run)
        gaps = [f"{path} is {node.status}" for path, node in state.nodes.items() if node.status not in _OVER]
        gaps += [f"owed: {command}" for command in outstanding(state)]
        gaps += [f"to be decided: {event}" for event in decide(state)]
        seqs = [record.seq for record in app.records(told.run)]
        gaps += [] if seqs == list(range(1, state.seq + 1)) else [f"records {seqs} where there should be {state.seq}"]
        rows = [dict(row) for row in app.journal.query("SELECT * FROM holds")]
        gaps += _wrong_holds(rows, told)
        (row,) = app.runs()
        gaps += [] if row["status"] == state.status else [f"listed as {row['status']}, but {state.status}"]
        return Ending(str(state.status), gaps)
    finally:
        app.journal.close()


def _wrong_holds(rows: Iterable[dict[str, Any]], told: Told) -> list[str]:
    """Return where the ledger says something else than the records: each effect has one hold, which is settled."""
    wrong = []
    held: dict[str, str] = {}
    for row in rows:
        what = _WHAT[row["action"].partition(".")[2]]
        effect = f"{what} {row['label']}@{row['connector']}"
        wrong += [f"two holds for {effect}"] if effect in held else []
        held[effect] = row["status"]
    for effect, outcome in told.outcomes.items():
        if effect.startswith("post ") or (outcome == "already" and effect not in held):
            continue
        expected = {"void"} if effect in told.denied or outcome == "failed" else _HELD
        if held.get(effect) not in expected:
            wrong.append(f"the hold of {effect} is {held.get(effect)}, which ended as {outcome}")
    wrong += [f"the hold of {effect} is {status}" for effect, status in held.items() if effect not in told.outcomes]
    return wrong
