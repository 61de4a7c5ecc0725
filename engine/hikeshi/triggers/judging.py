"""Judging events: what each trigger makes of one is stored before anything is started."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from hikeshi.app import Hikeshi
from hikeshi.journal import ProjectionFailed, SequenceConflict
from hikeshi.playbook.unknown import to_json
from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.triggers_projection import DedupeTaken
from hikeshi.triggers.occurrence import Occurrence, Occurrences, digest_of
from hikeshi.triggers.roster import Entry, Roster
from hikeshi.triggers.starting import Start, Starter
from hikeshi.triggers.verdict import Verdict, judge

__all__ = ["Judge"]

_BEGINS = ("started", "planned")


@dataclass(slots=True)
class _Finding:
    """What one trigger makes of an event, and the run that it is or that it joined."""

    playbook: str
    trigger: str
    verdict: Verdict
    run: str | None
    by: tuple[str, ...] = ()


class Judge:
    """Judges events with the triggers of a roster, and has the runs begun. `alert` is told of what can't be judged."""

    def __init__(
        self, app: Hikeshi, roster: Roster, occurrences: Occurrences, starter: Starter, alert: Callable[[str], None]
    ) -> None:
        self._app = app
        self._roster = roster
        self._occurrences = occurrences
        self._starter = starter
        self._alert = alert

    async def settle(self, event: str) -> None:
        """Judge an event that nobody has judged, and begin what it starts. Raises JournalError."""
        occurrence = self._occurrences.read(event)
        if occurrence is None or occurrence.is_judged:
            return
        findings = self._findings(occurrence)
        if not await self._store(occurrence, findings):
            return
        if not findings and occurrence.meant is None and self._roster.has_unread:
            self._alert(f"{event} of {occurrence.source} started nothing: playbooks are broken that may have wanted it")
        now = self._app.clock.now()
        for each in findings:
            await self._act(event, each, now)

    def _findings(self, occurrence: Occurrence) -> list[_Finding]:
        entries = self._roster.meant_by(occurrence)
        findings = [self._finding(occurrence, entry) for entry in entries]
        there = {entry.name for entry in entries}
        gone = Verdict("not_wanted", reason="the trigger is gone, or not enabled")
        findings += [_Finding(*name, gone, None) for name in occurrence.meant or () if name not in there]
        return findings

    def _finding(self, occurrence: Occurrence, entry: Entry) -> _Finding:
        verdict = judge(entry.playbook, entry.trigger, occurrence.data, at=occurrence.at, missed=occurrence.missed)
        run = _run_of(occurrence, entry) if verdict.outcome in _BEGINS else None
        return _Finding(*entry.name, verdict, run, entry.trigger.by)

    async def _store(self, occurrence: Occurrence, findings: list[_Finding]) -> bool:
        """Store the judgement; say whether this process did. What was started for the same value is found here."""
        while True:
            fields = {"outcomes": [self._plain(each) for each in findings]}
            try:
                await self._occurrences.append(occurrence.event, 2, "EventJudged", fields)
            except SequenceConflict:
                return False
            except ProjectionFailed as exc:
                taken = exc.__cause__
                if not isinstance(taken, DedupeTaken):
                    raise
                for each in findings:
                    if (each.playbook, each.trigger) == (taken.playbook, taken.trigger):
                        each.verdict = _deduplicated(each.verdict)
                        each.run = taken.run
            else:
                return True

    def _plain(self, finding: _Finding) -> dict[str, Any]:
        verdict, redactor = finding.verdict, self._app.redactor
        return {
            "playbook": finding.playbook,
            "trigger": finding.trigger,
            "outcome": verdict.outcome,
            "run": finding.run,
            "by": list(finding.by),
            "reason": None if verdict.reason is None else redactor.text(verdict.reason),
            "dedupe": verdict.dedupe,
            "window_s": verdict.window_s,
            "inputs": None if verdict.inputs is None else to_json(redactor.data(dict(verdict.inputs))),
        }

    async def _act(self, event: str, finding: _Finding, now: datetime) -> None:
        verdict = finding.verdict
        if verdict.outcome == "refused":
            reason = self._app.redactor.text(verdict.reason or "")
            self._alert(f"{finding.playbook}/{finding.trigger} started nothing for {event}: {reason}")
        if verdict.outcome in _BEGINS:
            assert finding.run is not None
            mode: Any = "plan" if verdict.outcome == "planned" else "live"
            inputs = verdict.inputs or {}
            await self._starter.begin(Start(finding.run, event, finding.playbook, finding.trigger, inputs, mode, now))


def _deduplicated(verdict: Verdict) -> Verdict:
    reason = "a run was started for the same value"
    return Verdict("deduplicated", dedupe=verdict.dedupe, window_s=verdict.window_s, reason=reason)


def _run_of(occurrence: Occurrence, entry: Entry) -> str:
    """Return the ID of the run that a trigger starts for an event: whoever judges it again gets the same."""
    digest = digest_of([occurrence.event, *entry.name])
    return f"{occurrence.at:%Y%m%d-%H%M%S}-{digest[:10]}"
