"""Taking back what runs did: what that would be, doing it, and giving holds another end.

An undo is a run like any other: it is planned from what the products say now, recorded before anything is sent, and it
goes on after a crash. It undoes in the reverse order in which the changes were made, and one that fails keeps no other
from being tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from hikeshi.app.desk import Desk
from hikeshi.app.errors import UnknownRun
from hikeshi.app.undo_plan import HoldRefused, Inverse, UndoPlan, UnknownHold, is_inside
from hikeshi.core import Program, RunState
from hikeshi.core import events as ev
from hikeshi.core.retry import RELEASE, UNDO
from hikeshi.playbook.parse import load_playbook
from hikeshi.runtime.driver import Watcher
from hikeshi.runtime.errors import RunHalted
from hikeshi.runtime.holds_projection import not_kept
from hikeshi.runtime.ledger import Hold, Ledger

if TYPE_CHECKING:
    from hikeshi.runtime.hold_reading import Reading

__all__ = ["Undo"]

_STEPS = """\
name: {name}
inputs:
  run: {{type: string, default: ""}}
  steps: {{type: list, items: {{type: list, items: {{type: string}}}}}}
  override: {{type: boolean, default: false}}
  reason: {{type: string, default: ""}}
steps:
  - id: undo
    for_each: inputs.steps
    concurrency: 1
    steps:
      - {{id: release, release: item}}
"""
_PLAYBOOKS = {
    UNDO: "id: undo-run\n" + _STEPS.format(name="Undo what a run did"),
    RELEASE: "id: release-holds\n" + _STEPS.format(name="Release holds"),
    "extend": "id: extend-hold\nname: Give a hold another end\ninputs: {hold: {type: string}}\n"
    "steps:\n  - {id: end, stop: {status: succeeded}}\n",
}


class Undo(Desk):
    """Undoing, as people ask for it."""

    @property
    def _ledger(self) -> Ledger:
        return Ledger(self.journal)

    # --- what would be done -----------------------------------------------------------------------------------

    async def plan_undo(self, run: str, step: str | None = None) -> UndoPlan:
        """Return what undoing a run, or one step of it with all that is inside, would do. Reads only.

        Raises UnknownRun, and HoldRefused for a run that is not over, is being undone, or has no such step.
        """
        row = self._row_of(run)
        if row["mode"] == "plan":
            raise HoldRefused(f"run {run} was a dry run: it changed nothing")
        if row["finished_at"] is None and step is None:
            raise HoldRefused(f"run {run} is not over; end it first: hikeshi cancel {run} --reason TEXT")
        self._refuse_second(run)
        holds = [hold for hold in self._ledger.of_run(run) if step is None or is_inside(hold.path, step)]
        if step is not None and not holds:
            known = ", ".join(dict.fromkeys(hold.path for hold in reversed(self._ledger.of_run(run)))) or "none"
            raise HoldRefused(f"no step {step!r} of run {run} changed anything (steps that did: {known})")
        earlier = row["retry_of"]
        notes = [f"run {run} took over what run {earlier} had done; undo that by itself"] if earlier else []
        return UndoPlan(run, await self._inverses(holds), notes)

    def _row_of(self, run: str) -> Any:
        asked = "SELECT mode, finished_at, retry_of FROM runs WHERE run = ?"
        rows = self.journal.query(asked, (run,)) if self._has_journal() else []
        if not rows:
            self.check_run(run)  # says which one may have been meant
            raise UnknownRun(f"there is no run {run[:60]!r}")
        return rows[0]

    def _refuse_second(self, run: str) -> None:
        why = f"{UNDO} {run}"
        under_way = self.journal.query(
            "SELECT run FROM runs WHERE finished_at IS NULL AND playbook = 'undo-run'"
            " AND (reason = ? OR substr(reason, 1, ?) = ?)",
            (why, len(why) + 2, f"{why}: "),
        )
        if under_way:
            other = under_way[0]["run"]
            raise HoldRefused(
                f"run {other} is undoing run {run} and is not over; 'hikeshi work' goes on with it if its process is"
                f" gone, 'hikeshi watch {other}' shows it"
            )

    async def plan_release(self, holds: Sequence[str]) -> UndoPlan:
        """Return what releasing these holds would do, the newest first. Reads only. Raises UnknownHold."""
        found = [self.hold(name) for name in dict.fromkeys(holds)]
        return UndoPlan(None, await self._inverses(sorted(found, key=lambda hold: hold.opened_at, reverse=True)))

    def hold(self, name: str) -> Hold:
        """Return a hold by its ID, whatever became of it. Raises UnknownHold."""
        found = self._ledger.get(name) if self._has_journal() else None
        if found is None:
            raise UnknownHold(f"there is no hold {name[:60]!r}; 'hikeshi holds' lists them")
        return found

    def _has_journal(self) -> bool:
        return "journal" in self.__dict__ or self.journal_path.exists()

    async def _inverses(self, holds: Sequence[Hold]) -> list[Inverse]:
        readings = await self.read_holds([hold for hold in holds if hold.status == "active" and hold.undo is not None])
        return [self._inverse(hold, readings.get(hold.hold)) for hold in holds]

    def _inverse(self, hold: Hold, reading: Reading | None) -> Inverse:
        if reading is None:
            return self._not_undone(hold)
        if hold.under_release is not None:
            return Inverse(hold, "cannot", f"run {hold.under_release} is releasing it now", reading.state)
        keeper = self._ledger.keeper_besides(hold.hold)
        if keeper is not None:
            why = f"hold {keeper} of run {self.hold(keeper).run} keeps it as it is"
            return Inverse(hold, "pass_on", why, reading.state)
        match reading.standing:
            case "released":
                return Inverse(hold, "close", reading.why, reading.state)
            case "changed":
                return Inverse(hold, "decide", reading.why, reading.state)
            case "unreadable":
                return Inverse(hold, "try", f"it could not be read: {reading.why}", reading.state)
        return Inverse(hold, "undo", reading.why, reading.state)

    def _not_undone(self, hold: Hold) -> Inverse:
        """Say why nothing is done about a change that is not an active hold."""
        at = "" if hold.closed_at is None else f" at {hold.closed_at:%Y-%m-%d %H:%M:%S} UTC"
        match hold.status:
            case "released":
                return Inverse(hold, "over", f"released{at} by run {hold.closed_by}")
            case "passed_on":
                return Inverse(hold, "over", f"passed on{at} to hold {hold.passed_to}, which keeps its target")
            case "void":
                return Inverse(hold, "over", "it was not made")
            case "unknown":
                why = f"nobody knows whether it was made; say so first: hikeshi resolve {hold.run} '{hold.path}'"
                return Inverse(hold, "cannot", why)
            case "opening":
                return Inverse(hold, "cannot", f"it is being made; go on with its run first: hikeshi watch {hold.run}")
        return Inverse(hold, "over" if hold.undo is not None else "cannot", self._no_inverse(hold))

    def _no_inverse(self, hold: Hold) -> str:
        if hold.undo is not None:
            return "it undid what another run held, and holds nothing itself"
        spec = self.catalogue.specs.get(hold.action)
        if spec is not None and spec.marks.undo is None:
            return spec.marks.no_undo_because or "nothing undoes it"
        return "its playbook says that it stays: undo: none"

    # --- doing it ---------------------------------------------------------------------------------------------

    async def undo(
        self,
        plan: UndoPlan,
        *,
        actor: str,
        reason: str = "",
        override: bool = False,
        watchers: Sequence[Watcher] = (),
        detach: bool = False,
    ) -> RunState:
        """Carry a plan out as a run of its own, and return its state when it is over or waits.

        With `override` also what somebody else has changed since is undone. Raises HoldRefused if nothing is to be
        done, ProjectError if a connector cannot be used here, RunHalted.
        """
        if not plan.tried:
            raise HoldRefused("there is nothing to undo")
        if plan.run is not None:
            self._refuse_second(plan.run)
        kind = RELEASE if plan.run is None else UNDO
        inputs = {"run": plan.run or "", "steps": plan.steps, "override": override, "reason": reason}
        because = (kind if plan.run is None else f"{kind} {plan.run}") + (f": {reason}" if reason else "")
        self._refuse_unusable({each.hold.connector for each in plan.tried})
        program, started = self._own_run(kind, inputs, actor, because)
        return await self._begin(f"{kind}-{self._new_run_id()}", program, started, watchers, detach=detach)

    def _refuse_unusable(self, connectors: set[str]) -> None:
        from hikeshi.project import ProjectError

        wrong = self.wrong_settings(connectors, secrets=True)
        if wrong:
            raise ProjectError(wrong)

    def _own_run(self, kind: str, inputs: dict[str, Any], actor: str, reason: str) -> tuple[Program, ev.RunStarted]:
        playbook, problems = load_playbook(_PLAYBOOKS[kind], kind)
        assert playbook is not None, problems
        program = Program(playbook.id, {playbook.id: playbook})
        return program, self._started(program, inputs, actor, "live", reason=reason)

    def left_of(self, plan: UndoPlan) -> list[Hold]:
        """Return what is still kept, or may be, of what a plan is about."""
        now = (self._ledger.get(each.hold.hold) for each in plan.inverses)
        return [hold for hold in now if hold is not None and hold.is_kept]

    # --- another end ------------------------------------------------------------------------------------------

    async def extend(
        self, name: str, *, until: datetime | None = None, by_s: float = 0, reason: str, actor: str
    ) -> Hold:
        """Give a hold a later end: `until` (aware), or `by_s` seconds after the one it has. It is recorded as a run.

        Raises UnknownHold, HoldRefused, RunHalted.
        """
        hold = self.hold(name)
        end = self._new_end(hold, until, by_s)
        program, started = self._own_run("extend", {"hold": name}, actor, f"extend: {reason}")
        state = RunState(f"extend-{self._new_run_id()}", program)
        try:
            await self._driver(state, "live", ()).drive([started, ev.HoldExtended("", name, end, actor, reason)])
        except RunHalted as exc:
            if (refused := not_kept(exc.__cause__)) is not None:
                raise HoldRefused(f"{refused}; nothing was recorded") from exc
            raise
        return self.hold(name)

    def _new_end(self, hold: Hold, until: datetime | None, by_s: float) -> datetime:
        """Return the end that a hold is to have. Raises HoldRefused, with what to do instead."""
        now = self.clock.now()
        if hold.under_release is not None:
            raise HoldRefused(f"hold {hold.hold} is being released by run {hold.under_release}")
        if hold.status not in ("active", "unknown"):
            raise HoldRefused(f"hold {hold.hold} is {hold.status.replace('_', ' ')}; there is nothing to extend")
        if hold.expires_at is not None and hold.expires_at <= now:
            raise HoldRefused(
                f"the time of hold {hold.hold} is over, and it is due for release; to keep {hold.label} as it is, run"
                " its playbook again"
            )
        if until is None:
            if hold.expires_at is None:
                raise HoldRefused(f"hold {hold.hold} has no end; give it one with --until, or end it: hikeshi release")
            until = hold.expires_at + timedelta(seconds=by_s)
        if until <= now or (hold.expires_at is not None and until <= hold.expires_at):
            ends = "" if hold.expires_at is None else f" (it ends at {hold.expires_at.isoformat()})"
            raise HoldRefused(
                f"{until.isoformat()} is no later end{ends}; to end it sooner: hikeshi release {hold.hold}"
            )
        return until

    # --- what the products say --------------------------------------------------------------------------------

    async def read_holds(self, holds: Sequence[Hold]) -> dict[str, Reading]:
        """Return how the target of each hold stands now, by the hold's ID. Reads only."""
        from hikeshi.runtime.hold_reading import HoldReader

        known: dict[str, RunState] = {}

        def arguments_of(hold: Hold) -> Mapping[str, Any]:
            if hold.run not in known:
                known[hold.run] = self.fold(hold.run)
            node = known[hold.run].nodes.get(hold.path)
            arguments: Mapping[str, Any] = self.load(node.arguments if node is not None and node.arguments else {})
            return arguments

        return await HoldReader(self.catalogue, self.instances, self.redactor, arguments_of).read(holds)

    def opened_by(self, holds: Sequence[Hold]) -> dict[str, Mapping[str, Any]]:
        """Return who started the runs that opened these holds, by run: `{actor, playbook}`."""
        found: dict[str, Mapping[str, Any]] = {}
        for run in dict.fromkeys(hold.run for hold in holds):
            for row in self.journal.query("SELECT actor, playbook FROM runs WHERE run = ?", (run,)):
                found[run] = {"actor": row["actor"], "playbook": row["playbook"]}
        return found
