"""Beginning the runs that were decided on. The ID of each follows from its event, so it is begun once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal

from hikeshi.app import Hikeshi, KeyHeld, PlaybookProblems
from hikeshi.journal import JournalError
from hikeshi.playbook.inputs import WrongInputs
from hikeshi.project import ProjectError
from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.errors import RunHalted
from hikeshi.triggers.occurrence import Occurrences
from hikeshi.triggers.verdict import actor_of

__all__ = ["Start", "Starter"]

_OPEN = "SELECT 1 FROM trigger_starts WHERE run = ?"
_PATIENCE_S, _AGAIN_S = 300.0, 5.0
_TAKEN_WITHIN_S = 10.0  # so soon the application has taken a playbook whose file was changed


@dataclass(frozen=True, slots=True)
class Start:
    """A run that was decided on `at` a time."""

    run: str
    event: str
    playbook: str
    trigger: str
    inputs: Mapping[str, Any]
    mode: Literal["live", "plan"]
    at: datetime


class Starter:
    """Begins runs, and leaves them to whoever works for the project; `wake` tells them, `alert` the people."""

    def __init__(
        self, app: Hikeshi, occurrences: Occurrences, alert: Callable[[str], None], wake: Callable[[], None]
    ) -> None:
        self._app = app
        self._occurrences = occurrences
        self._alert = alert
        self._wake = wake
        self._under_way: set[str] = set()
        self._not_before: dict[str, datetime] = {}

    async def begin(self, start: Start) -> None:
        """Begin a run, or record why it is not. What can't be decided now is tried again by `begin_left`."""
        if start.run in self._under_way:
            return
        self._under_way.add(start.run)
        try:
            await self._begin(start)
        finally:
            self._under_way.discard(start.run)

    async def begin_left(self, *, older_than_s: float = 0.0) -> None:
        """Begin what was decided on and not begun: by a process that is gone, or while something was in the way.

        What was decided on a moment ago is left to whoever decided. Raises JournalError.
        """
        now = self._app.clock.now()
        rows = self._app.journal.query(
            "SELECT run, event, playbook, trigger FROM trigger_starts ORDER BY rowid LIMIT 500"
        )
        self._not_before = {run: at for run, at in self._not_before.items() if any(row["run"] == run for row in rows)}
        for row in rows:
            if row["run"] in self._under_way or self._not_before.get(row["run"], now) > now:
                continue
            start = self._read(row)
            if start is not None and not timedelta(0) <= now - start.at < timedelta(seconds=older_than_s):
                await self.begin(start)

    def _read(self, row: Any) -> Start | None:
        judged = self._occurrences.judgement(row["event"])
        if judged is None:
            return None
        outcomes: Any = judged.data["outcomes"]
        outcome = next(each for each in outcomes if each["run"] == row["run"])
        inputs = self._occurrences.load(outcome["inputs"])
        mode: Literal["live", "plan"] = "plan" if outcome["outcome"] == "planned" else "live"
        return Start(row["run"], row["event"], row["playbook"], row["trigger"], inputs, mode, judged.at)

    async def _begin(self, start: Start) -> None:
        actor = actor_of(start.playbook, start.trigger)
        try:
            state = await self._app.start_run(
                start.playbook, start.inputs, actor=actor, mode=start.mode, detach=True, run=start.run
            )
        except ProjectError as exc:
            await self._refuse_late(start, exc, _PATIENCE_S)
        except (PlaybookProblems, WrongInputs) as exc:
            await self._refuse_late(start, exc, _TAKEN_WITHIN_S)
        except KeyHeld as exc:
            await self._refuse(start, str(exc))
        except (RunHalted, JournalError):
            self._later(start)  # whoever waits for the journal is told why by others
        except Exception as exc:  # noqa: BLE001 - a defect in the way of one run must not be met for ever
            await self._refuse(start, f"a defect: {type(exc).__name__}")
        else:
            if state.run != start.run:
                await self._settle(start, "StartJoined", {"run": start.run, "joined": state.run})
            self._wake()

    async def _refuse_late(self, start: Start, exc: Exception, patience_s: float) -> None:
        """Refuse after a while: a vault that is away for a minute, or a file that was just changed, loses no alert."""
        passed_s = (self._app.clock.now() - start.at).total_seconds()
        if not 0 <= passed_s < patience_s:
            await self._refuse(start, str(exc))
            return
        if start.run not in self._not_before and isinstance(exc, ProjectError):
            self._alert(f"{start.playbook}/{start.trigger}: run {start.run} waits to be begun: {exc}")
        self._later(start)

    def _later(self, start: Start) -> None:
        self._not_before[start.run] = self._app.clock.now() + timedelta(seconds=_AGAIN_S)

    async def _refuse(self, start: Start, reason: str) -> None:
        reason = self._app.redactor.text(reason)
        if await self._settle(start, "StartRefused", {"run": start.run, "reason": reason}):
            self._alert(f"{start.playbook}/{start.trigger} started nothing for {start.event}: {reason}")

    async def _settle(self, start: Start, kind: str, fields: Mapping[str, Any]) -> bool:
        try:
            return await self._occurrences.settle(start.event, kind, fields, _OPEN)
        except JournalError:
            self._later(start)
            return False
