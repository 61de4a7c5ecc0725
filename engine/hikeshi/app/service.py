"""The application service: what people and faces ask of a project."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hikeshi.app.errors import MessageNotTaken, MessageNotWanted, NothingToResolve, RunIsDriven, UnknownRun
from hikeshi.app.undo import Undo
from hikeshi.core import Program, RunState
from hikeshi.journal import Record, SequenceConflict
from hikeshi.playbook.parse import load_playbook
from hikeshi.project import ProjectError, load_config
from hikeshi.runtime.driver import Watcher
from hikeshi.runtime.errands import resolution
from hikeshi.runtime.errors import RunHalted
from hikeshi.runtime.holds_projection import EXPIRY, not_kept
from hikeshi.runtime.ledger import Hold, Tally
from hikeshi.runtime.worker import Due

if TYPE_CHECKING:
    from hikeshi.audit.verification import Verdict

__all__ = ["Hikeshi"]

_ANSWER_WITHIN_S = 15.0
_RELEASE = """\
id: release-expired
name: Release a hold whose time is over
inputs:
  holds: {type: list, items: {type: string}}
steps:
  - {id: release, release: inputs.holds}
"""


class Hikeshi(Undo):
    """One project, opened. Everything is built when it is first needed."""

    @classmethod
    def open(cls, folder: Path) -> Hikeshi:
        """Open the project in a folder. Raises ProjectError."""
        return cls(load_config(folder))

    # --- what people say --------------------------------------------------------------------------------------

    async def tell(
        self,
        run: str,
        kind: str,
        data: Mapping[str, Any],
        *,
        actor: str,
        watchers: Sequence[Watcher] = (),
        drive: bool = True,
    ) -> RunState:
        """Send a message to a run, go on with the run if nobody drives it, and return its state.

        Kinds: `approve`, `reject` (path, digest, note), `answer` (path, digest, answers), `cancel` (reason), `pause`,
        `resume`, `resolve` (path, happened). With `drive` false it waits until somebody else has taken the message,
        and does not go on with the run itself. Raises UnknownRun, MessageNotWanted with the reason of a refusal,
        MessageNotTaken if the process that drives the run does not answer, RunHalted.
        """
        state = self.fold(run)
        if state.finished is not None:
            raise MessageNotWanted(f"run {run} is over: {state.finished}")
        message = await self.journal.post(run, kind, data, sender=actor, at=self.clock.now())
        if drive:
            state = await self._when_taken(run, message, watchers)
        else:
            await self._taken(run, message, leave=False)
            state = self.fold(run)
        refused = self._refusal_of(message)
        if refused is not None:
            raise MessageNotWanted(refused)
        if state.finished is not None and not self._is_taken(message):  # it ended before it looked
            raise MessageNotWanted(f"run {run} is over: {state.finished}")
        return state

    async def _when_taken(self, run: str, message: int, watchers: Sequence[Watcher]) -> RunState:
        """Return the state of a run when it has taken a message: here, or where it is driven."""
        while True:
            try:
                return await self.go_on(run, watchers)
            except RunIsDriven:
                if await self._taken(run, message):
                    return self.fold(run)
            except ProjectError as exc:
                await self._taken(run, message, "; ".join(exc.problems))
                return self.fold(run)

    async def _taken(self, run: str, message: int, why_not_here: str | None = None, *, leave: bool = True) -> bool:
        """Say whether whoever drives the run took a message, or left the run without. Raises MessageNotTaken.

        With `leave` false somebody else goes on with a run that was left.
        """
        begun = self.clock.now()
        while not self._is_taken(message):
            if self._is_over(run):
                return True
            if leave and why_not_here is None and self._is_left(run, {}):
                return False
            if (self.clock.now() - begun).total_seconds() > _ANSWER_WITHIN_S:
                who = f"run {run} is driven by a process that has not answered for {_ANSWER_WITHIN_S:g} s"
                if why_not_here is not None:
                    who = f"nobody has taken this for {_ANSWER_WITHIN_S:g} s, and this process can't ({why_not_here})"
                raise MessageNotTaken(
                    f"{who}; the message is stored and counts from now. See 'hikeshi watch' for what becomes of it"
                )
            await asyncio.sleep(0.05)
        return True

    def _is_taken(self, message: int) -> bool:
        return bool(self.journal.query("SELECT 1 FROM answered WHERE message = ?", (message,)))

    def _is_over(self, run: str) -> bool:
        return bool(self.journal.query("SELECT 1 FROM runs WHERE run = ? AND finished_at IS NOT NULL", (run,)))

    def _refusal_of(self, message: int) -> str | None:
        rows = self.journal.query("SELECT refused FROM answered WHERE message = ?", (message,))
        return None if not rows else rows[0]["refused"]

    def questions(self, run: str | None = None) -> list[dict[str, Any]]:
        """Return what people are asked now, what is due first before others.

        Shape: `{run, path, kind, playbook, actor, asked_at, due_at, digest, quorum, votes, question, by, shows,
        not_known, fields}`.
        """
        rows = self.journal.query(
            "SELECT questions.*, runs.playbook, runs.actor FROM questions JOIN runs USING (run)"
            " WHERE ? IS NULL OR run = ? ORDER BY due_at, run, path",
            (run, run),
        )
        return [
            {
                **{key: row[key] for key in ("run", "path", "kind", "playbook", "actor", "asked_at", "due_at")},
                **{key: row[key] for key in ("digest", "quorum")},
                "votes": json.loads(row["votes"]),
                **json.loads(row["asked"]),
            }
            for row in rows
        ]

    async def resolve(
        self, run: str, path: str, *, happened: bool, actor: str, watchers: Sequence[Watcher] = ()
    ) -> RunState:
        """Record what a person found out about a change of unknown outcome, and go on with the run.

        If it happened, the state is read back and becomes the step's output. Raises UnknownRun, NothingToResolve,
        ConnectorError if reading back fails, MessageNotWanted, RunHalted.
        """
        state = self.fold(run)
        if path not in state.unknown:
            waiting = ", ".join(sorted(state.unknown)) or "none"
            raise NothingToResolve(f"the outcome of {path!r} in run {run} is not unknown (unknown there: {waiting})")
        gate = self._gate(run, state.mode)
        if state.finished is not None:  # a cancelled run did not wait for it
            driver = self._driver(state, state.mode, watchers)
            await driver.store(await resolution(state, path, gate, happened=happened, actor=actor))
            return state
        try:
            self._take_over(state)
        except RunIsDriven:
            return await self.tell(run, "resolve", {"path": path, "happened": happened}, actor=actor)
        events = await resolution(state, path, gate, happened=happened, actor=actor)
        return await self.go_on(run, watchers, *events)

    async def signal(self, name: str, data: Mapping[str, Any], *, source: str) -> int:
        """Record that something happened outside; runs that wait for this name look at it. Returns its number."""
        return await self.journal.signal(name, data, source=source, at=self.clock.now())

    # --- what is due ------------------------------------------------------------------------------------------

    def due(self) -> Due:
        """Return what nobody does and somebody has to: it implements `hikeshi.runtime.worker.Works`."""
        self.audit.tick()
        now = self.clock.now()
        rows = self.journal.query(
            "SELECT run, owner, parked, wake_at, signals, wants_key, started_at, paused,"
            " (SELECT 1 FROM run_keys WHERE key = wants_key) AS key_is_taken,"
            " EXISTS (SELECT 1 FROM step_wants w WHERE w.run = runs.run"
            " AND w.key NOT IN (SELECT key FROM run_keys)) AS step_has_its_turn FROM runs WHERE finished_at IS NULL"
            " AND (parked = 0 OR wake_at <= ? OR wants_key IS NOT NULL OR signals <> '[]'"
            " OR run IN (SELECT run FROM step_wants)) ORDER BY started_at, run",
            (now.isoformat(),),
        )
        alive: dict[str, bool] = {}
        runs = [row["run"] for row in rows if self._is_due(row, now, alive)]
        with_messages = [run for run in self.journal.runs_with_messages() if self._is_left(run, alive)]
        runs = list(dict.fromkeys([*runs, *with_messages]))
        holds = self._ledger.due(now)
        return Due(runs, holds, self._next_at())

    def _is_left(self, run: str, alive: dict[str, bool]) -> bool:
        """Say whether a run is not over and nobody drives it."""
        rows = self.journal.query("SELECT owner, parked, finished_at FROM runs WHERE run = ?", (run,))
        if not rows or rows[0]["finished_at"] is not None or self.drives(run):
            return False
        return bool(rows[0]["parked"]) or self._is_free(rows[0]["owner"], alive)

    def _is_due(self, row: Any, now: datetime, alive: dict[str, bool]) -> bool:
        if self.drives(row["run"]):
            return False
        if not row["parked"]:
            return self._is_free(row["owner"], alive)
        if row["paused"]:
            return False
        if row["wake_at"] is not None and datetime.fromisoformat(row["wake_at"]) <= now:
            return True
        if row["step_has_its_turn"] or (row["wants_key"] is not None and not row["key_is_taken"]):
            return True
        since = datetime.fromisoformat(row["started_at"])
        waits = json.loads(row["signals"])
        return any(self.journal.signals(name, since=since, after=after, limit=1) for name, after in waits)

    def _is_free(self, owner: str, alive: dict[str, bool]) -> bool:
        if owner == self.ownership.owner_id:
            return True
        if owner not in alive:
            alive[owner] = not self.ownership.may_take_over(owner)
        return not alive[owner]

    def _next_at(self) -> datetime | None:
        rows = self.journal.query(
            "SELECT MIN(wake_at) AS at FROM runs WHERE finished_at IS NULL AND parked = 1 AND NOT paused"
        )
        times = [self._ledger.next_due_at()]
        if rows[0]["at"] is not None:
            times.append(datetime.fromisoformat(rows[0]["at"]))
        return min((at for at in times if at is not None), default=None)

    def unfinished(self) -> list[str]:
        """Return the runs that nobody drives and somebody has to go on with now, oldest first."""
        return list(self.due().runs)

    async def go_on_quietly(self, run: str, watchers: Sequence[Watcher] = ()) -> RunState | None:
        """Go on with a run, or return None if somebody else was quicker. Raises RunHalted."""
        try:
            return await self.go_on(run, watchers)
        except RunIsDriven:
            return None

    async def release_due(self, holds: Sequence[Hold], watchers: Sequence[Watcher] = ()) -> RunState | None:
        """Release holds whose time is over, in one run; return None if somebody else was quicker with one of them.

        Of several processes one alone can begin it: the journal takes no second release of a hold. Raises ProjectError
        if a connector cannot be used here: another process may have what is missing.
        """
        wrong = self.wrong_settings({hold.connector for hold in holds}, secrets=True)
        if wrong:
            raise ProjectError(wrong)
        playbook, problems = load_playbook(_RELEASE, "release-expired")
        assert playbook is not None, problems
        program = Program(playbook.id, {playbook.id: playbook})
        started = self._started(program, {"holds": [hold.hold for hold in holds]}, "hikeshi", "live", reason=EXPIRY)
        first = holds[0].hold
        run = f"release-{first}-{self._ledger.tries(first) + 1}"
        try:
            return await self._begin(run, program, started, watchers)
        except RunHalted as exc:
            if not_kept(exc.__cause__) is not None or isinstance(exc.__cause__, SequenceConflict):
                return None
            raise

    async def begin_own(self, run: str, playbook: str, text: str, inputs: Mapping[str, Any], *, reason: str) -> bool:
        """Begin a run of a playbook that a part of the engine brings with it; whoever works goes on with it.

        Its ID follows from what it is about, so that over restarts, and of several processes, one alone begins it:
        False says that it was begun already. Raises ProjectError or PlaybookProblems if its connector cannot be used
        here, RunHalted.
        """
        if self.journal.query("SELECT 1 FROM runs WHERE run = ?", (run,)):
            return False
        loaded, problems = load_playbook(text, playbook)
        assert loaded is not None, problems
        program = Program(loaded.id, {loaded.id: loaded})
        started = self._started(program, dict(inputs), "hikeshi", "live", reason=reason)
        try:
            await self._begin(run, program, started, (), detach=True)
        except RunHalted as exc:
            if isinstance(exc.__cause__, SequenceConflict):
                return False
            raise
        return True

    def holds(self, *, after: str | None = None, limit: int = -1) -> list[Hold]:
        """Return what is contained now, or may be, oldest first; all of it unless a limit is given.

        `after` is the `opened_at` and the `hold`, on two lines, of the one after which the list goes on.
        """
        return self._ledger.kept(after=after, limit=limit)

    def holds_of(self, run: str) -> list[Hold]:
        """Return what is contained now, or may be, by a run, in the order in which it was changed."""
        return self._ledger.kept_of(run)

    def first_holds(self, limit: int) -> list[Hold]:
        """Return some of what is contained: what somebody should look at first, then what ends first."""
        return self._ledger.first(self.clock.now(), limit)

    def tally(self) -> Tally:
        """Count what is contained."""
        return self._ledger.tally(self.clock.now())

    def holding(self) -> set[str]:
        """Return the connectors on which something is contained."""
        return self._ledger.connectors()

    # --- what is recorded -------------------------------------------------------------------------------------

    def runs(self, limit: int = 50, *, after: str | None = None, playbook: str | None = None) -> list[dict[str, Any]]:
        """Return the newest runs: `{run, playbook, mode, status, actor, started_at, finished_at, waits_for}`.

        `after` is the `started_at` and the `run`, on two lines, of the one after which the list goes on.
        """
        at, _, run = (after or "").partition("\n")
        rows = self.journal.query(
            "SELECT runs.*, EXISTS (SELECT 1 FROM run_unknown u WHERE u.run = runs.run) AS has_unknown,"
            " EXISTS (SELECT 1 FROM questions q WHERE q.run = runs.run) AS is_asking"
            " FROM runs WHERE (? = '' OR (started_at, run) < (?, ?)) AND (? IS NULL OR playbook = ?)"
            " ORDER BY started_at DESC, run DESC LIMIT ?",
            (at, at, run, playbook, playbook, limit),
        )
        alive: dict[str, bool] = {}
        return [self._run_row(row, alive) for row in rows]

    def _run_row(self, row: Any, alive: dict[str, bool]) -> dict[str, Any]:
        status, waits_for = row["status"], None
        if row["finished_at"] is None:
            if row["paused"]:
                status, waits_for = "waiting", "resume"
            elif row["is_asking"]:
                status, waits_for = "waiting", "people"
            elif row["has_unknown"] and row["parked"]:
                status, waits_for = "waiting", "resolve"
            elif row["parked"]:
                waits_for = row["wake_at"] or ("its turn" if row["wants_key"] else "a signal")
            elif not self._is_alive(row["owner"], alive):
                status = "interrupted"
        return {
            "run": row["run"],
            "playbook": row["playbook"],
            "mode": row["mode"],
            "status": status,
            "waits_for": waits_for,
            "actor": row["actor"],
            "started_at": row["started_at"],
            "finished_at": row["finished_at"],
        }

    def _is_alive(self, owner: str, alive: dict[str, bool]) -> bool:
        if owner not in alive:
            alive[owner] = bool(owner) and self.ownership.is_alive(owner)
        return alive[owner]

    def records(self, run: str, *, after: int = 0) -> Iterator[Record]:
        """Give the records of a run in order. Raises UnknownRun."""
        records = self.journal.read(run, after=after)
        first = next(iter(records), None)
        if first is None:
            if after == 0:
                raise UnknownRun(f"there is no run {run!r}; 'hikeshi runs' lists them")
            return
        yield first
        yield from records

    def verify(self) -> Verdict:
        """Judge the journal. Raises JournalError if there is none, or it cannot be read."""
        return self.audit.verify()
