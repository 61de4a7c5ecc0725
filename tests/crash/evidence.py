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
    "release_host": "release",
    "block_indicators": "block",
    "unblock_indicators": "unblock",
    "get_host": "hosts",
    "find_hosts": "hosts",
    "tag": "tag",
    "wipe": "wipe",
    "shred": "shred",
    "post": "post",
}
_HELD = frozenset({"active", "done"})
_INVERSES = {"isolate": "release", "block": "unblock"}
_OVER = frozenset(
    {StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED, StepStatus.BLOCKED, StepStatus.CANCELLED}
)


@dataclass
class Told:
    """What the records say of a run, and of those that end its holds later. An effect is `what name@instance`."""

    run: str = ""
    runs: int = 0
    open_runs: int = 0
    finished: str | None = None  # of the run itself
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
            read(record.path if record.run == self.run else f"{record.run}:{record.path}", record.data)

    def _on_RunStarted(self, _: str, __: dict[str, Any]) -> None:
        self.runs += 1
        self.open_runs += 1

    def _on_ActionRequested(self, path: str, data: dict[str, Any]) -> None:
        self._requests[path] = (data["action"], data["arguments"])
        self._note_told(path)

    def _on_FannedOut(self, path: str, data: dict[str, Any]) -> None:
        for instance, arguments in data["calls"].items():
            part = f"{path}[{instance}]"
            self._requests[part] = (data["action"], arguments)
            self._instances[part] = instance
            self._note_told(part)

    def _note_told(self, path: str) -> None:
        """Of a message, the stored request is the intent."""
        if self._requests[path][0].endswith(".post"):
            self.intended |= self._effects(path)

    def _on_ActionIntended(self, path: str, data: dict[str, Any]) -> None:
        self._instances[path] = data["instance"]
        self.intended |= {self._effect(path, target["identity"]) for target in data["targets"]}

    def _on_TargetsSettled(self, path: str, data: dict[str, Any]) -> None:
        for settled in data["settled"]:
            if settled["target"].count(":") > 1:
                self._instances.setdefault(path, settled["target"].partition(":")[0])  # a host's owner
            self.outcomes[self._effect(path, settled["target"])] = settled["outcome"]

    def _on_ActionSucceeded(self, path: str, data: dict[str, Any]) -> None:
        if path not in self._requests:
            return  # a wait that looks, and may look again
        effects = self._effects(path)
        self.confirmed |= effects
        if data["possibly_repeated"]:
            self.repeated |= effects
        if self._requests[path][0].endswith(".post"):
            self.outcomes.update(dict.fromkeys(effects, "done"))

    def _on_ActionUnknown(self, path: str, _: dict[str, Any]) -> None:
        self.unknown[path] = {effect for effect in self._effects(path) if self.outcomes.get(effect) == "unknown"}

    def _on_StepResolved(self, path: str, data: dict[str, Any]) -> None:
        effects = self.unknown.pop(path)
        if data["happened"]:
            self.confirmed |= effects
            self.outcomes.update(dict.fromkeys(effects, "done"))
        else:
            self.denied |= effects

    def _on_HoldsFound(self, path: str, data: dict[str, Any]) -> None:
        for hold in data["holds"]:
            part = f"{path}[{hold['hold']}]"
            self._requests[part] = (hold["action"], hold["arguments"])
            (self._instances[part],) = hold["at"]

    def _on_RunFinished(self, path: str, data: dict[str, Any]) -> None:
        self.open_runs -= 1
        if not path:
            self.finished = data["status"]

    def _effect(self, path: str, identity: str) -> str:
        what = _WHAT[self._requests[path][0].partition(".")[2]]
        return f"{what} {identity.rpartition(':')[2]}@{self._instances[path]}"

    def _effects(self, path: str) -> set[str]:
        """Return all effects that a request asks for; a lookup asks both instances."""
        action, arguments = self._requests[path]
        what = _WHAT[action.partition(".")[2]]
        if what in ("isolate", "release"):
            return {f"{what} {arguments['host']['name']}@{arguments['host']['connector']}"}
        instances = [self._instances[path]] if path in self._instances else ["west", "east"]
        names = [each["value"] for each in arguments["indicators"]] if "indicators" in arguments else _names(arguments)
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
        runs = [row["run"] for row in journal.query("SELECT run FROM records WHERE seq = 1 ORDER BY id")]
        told.run = runs[0] if runs else ""
        for run in runs:
            for record in journal.read(run):
                told.fold(record)
    finally:
        journal.close()
    found = verify(journal_of(folder))
    told.problems += [f"the journal is {found.status}: {each}" for each in found.problems]
    return told


def read_ending(folder: Path, told: Told) -> Ending:
    """Fold the runs anew from their records, and look for what is open in them although nobody works on them."""
    app = opened(folder)
    app.journal = SqliteJournal.open(journal_of(folder), standard_projections(), read_only=True)
    try:
        status, gaps = "", _wrong_holds([dict(row) for row in app.journal.query("SELECT * FROM holds")], told)
        for row in app.runs():
            state = app.fold(row["run"])
            status = str(state.status) if row["run"] == told.run else status
            gaps += [f"{path} is {node.status}" for path, node in state.nodes.items() if node.status not in _OVER]
            gaps += [f"owed: {command}" for command in outstanding(state)]
            gaps += [f"to be decided: {event}" for event in decide(state)]
            seqs = [record.seq for record in app.records(row["run"])]
            gaps += [] if seqs == list(range(1, state.seq + 1)) else [f"records {seqs}, but {state.seq} were folded"]
            gaps += [] if row["status"] == state.status else [f"listed as {row['status']}, but {state.status}"]
        return Ending(status, gaps)
    finally:
        app.journal.close()


def _wrong_holds(rows: Iterable[dict[str, Any]], told: Told) -> list[str]:
    """Return where the ledger says something else than the records: each effect has one hold, which is settled."""
    wrong = []
    held: dict[str, str] = {}
    for row in rows:
        effect = f"{_WHAT[row['action'].partition('.')[2]]} {row['label']}@{row['connector']}"
        wrong += [f"two holds for {effect}"] if effect in held else []
        held[effect] = row["status"]
    for effect, outcome in told.outcomes.items():
        what, _, name = effect.partition(" ")
        if what in ("post", *_INVERSES.values()) or (outcome == "already" and effect not in held):
            continue
        undone = told.outcomes.get(f"{_INVERSES.get(what)} {name}") in ("done", "already")
        expected = {"released"} if undone else _HELD
        expected = {"void"} if effect in told.denied or outcome == "failed" else expected
        if held.get(effect) not in expected:
            wrong.append(f"the hold of {effect} is {held.get(effect)}, which ended as {outcome}")
    wrong += [f"the hold of {effect} is {status}" for effect, status in held.items() if effect not in told.outcomes]
    return wrong
