"""Schedules: what is due by the clock happens once, over restarts, in several processes, and when clocks are set.

A time is the ID of what happens then, so the journal decides that it happens once. What this file decides is which
times are due, and which were missed: those that passed while no engine ran.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from hikeshi.app import Hikeshi
from hikeshi.journal import SequenceConflict, encode_record
from hikeshi.triggers.occurrence import digest_of
from hikeshi.triggers.roster import Entry, Roster
from hikeshi.triggers.times import Times, between, last_until, times_of

__all__ = ["Schedules", "stream_for"]

_LATE = timedelta(seconds=60)  # so late is not missed
_SET_BACK = timedelta(hours=3)  # a clock that goes back further was wrong before
_MOST_AT_ONCE = 100
_MOST_COUNTED = 1000
_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class Take(Protocol):
    """Hands in an occurrence of a schedule."""

    def __call__(
        self, entry: Entry, due: datetime, data: Mapping[str, Any], missed: str | None, /
    ) -> Awaitable[None]: ...


@dataclass(slots=True)
class _Schedule:
    """A schedule that is kept: what happened up to `done`, and when it is due next."""

    entry: Entry
    times: Times
    done: datetime
    next_at: datetime | None


class Schedules:
    """Keeps the schedules of a roster. `take` stores what is due; `tell` is told what people have to know."""

    def __init__(self, app: Hikeshi, roster: Roster, take: Take, tell: Callable[[str], None]) -> None:
        self._app = app
        self._roster = roster
        self._take = take
        self._tell = tell
        self._kept: dict[tuple[str, str], _Schedule] = {}
        self._version = -1
        self._looked_at_s: float | None = None  # on the clock that nobody sets

    def next_at(self, name: tuple[str, str]) -> datetime | None:
        """Return when a schedule is due next, or None if it is not kept, or never is."""
        kept = self._kept.get(name)
        return None if kept is None else kept.next_at

    async def look(self) -> None:
        """Hand in everything that is due now. Raises JournalError; what could not be stored is due again then."""
        boot_s = self._boot_s()
        stood_still = self._looked_at_s is None or boot_s - self._looked_at_s > _LATE.total_seconds()
        if self._version != self._roster.version:
            version = self._roster.version
            await self._keep()
            self._version = version
        now = self._app.clock.now()
        for kept in self._kept.values():
            if kept.done - now > _SET_BACK:
                await self._begin_anew(kept, now)
            if kept.next_at is not None and kept.next_at <= now:
                await self._hand_in(kept, now, stood_still=stood_still)
        self._looked_at_s = boot_s

    def _boot_s(self) -> float:
        told: Callable[[], float] | None = getattr(self._app.clock, "boot_s", None)
        return time.clock_gettime(_BOOT) if told is None else told()

    # --- what is due ------------------------------------------------------------------------------------------

    async def _hand_in(self, kept: _Schedule, now: datetime, *, stood_still: bool) -> None:
        due = [] if stood_still else _first(kept.times, kept.done, now)
        if stood_still or len(due) > _MOST_AT_ONCE:  # as after a standstill, if a clock was set far ahead
            if now - _LATE > kept.done:
                await self._hand_in_missed(kept, now - _LATE)
            due = _first(kept.times, kept.done, now)
        for at in due:
            await self._take(kept.entry, at, {"due_at": _text(at), "missed": 0}, None)
            self._done(kept, at)
        self._done(kept, kept.done)

    async def _hand_in_missed(self, kept: _Schedule, until: datetime) -> None:
        """Hand in the last of the times that were missed, for all of them."""
        last = last_until(kept.times, kept.done, until)
        if last is None:
            return
        first = kept.times.next_after(kept.done)
        assert first is not None
        count = 0
        for _ in between(kept.times, kept.done, last):
            count += 1
            if count > _MOST_COUNTED:
                break
        many = f"more than {_MOST_COUNTED}" if count > _MOST_COUNTED else str(count)
        span = f"at {_text(last)}" if count == 1 else f"from {_text(first)} to {_text(last)}"
        why = f"no engine ran when it was due ({many}: {span})" if kept.entry.trigger.missed == "skip" else None
        await self._take(kept.entry, last, {"due_at": _text(last), "missed": count}, why)
        self._done(kept, last)

    def _done(self, kept: _Schedule, at: datetime) -> None:
        kept.done = at
        kept.next_at = kept.times.next_after(at)

    async def _begin_anew(self, kept: _Schedule, now: datetime) -> None:
        """Keep a schedule from now on: the clock was wrong by so much that its last time is far ahead."""
        name = "/".join(kept.entry.name)
        self._tell(f"{name}: the clock was set back by more than {_SET_BACK}; its schedule begins anew")
        await self._note(kept.entry.name, "ScheduleKnown", {"definition": _definition(kept.entry)})
        self._done(kept, now)

    # --- what is kept -----------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        """Take the schedules as they are now, and note since when each of them is known."""
        entries = {each.name: each for each in self._roster.of_kind("schedule")}
        known = self._known()
        for name in known.keys() - entries.keys():
            if not self._roster.has_unread:  # what can't be read may have it still
                await self._note(name, "ScheduleEnded", {})
        for name, entry in entries.items():
            if known.get(name, ("",))[0] != _definition(entry):
                await self._note(name, "ScheduleKnown", {"definition": _definition(entry)})
        known = self._known()
        kept: dict[tuple[str, str], _Schedule] = {}
        for name, entry in entries.items():
            times, done = times_of(entry.trigger), known[name][1]
            kept[name] = _Schedule(entry, times, done, times.next_after(done))
        self._kept = kept

    def _known(self) -> dict[tuple[str, str], tuple[str, datetime]]:
        """Return the definition of each schedule that is on record, and up to when it is done."""
        rows = self._app.journal.query("SELECT * FROM trigger_schedules")
        return {
            (row["playbook"], row["trigger"]): (
                row["definition"],
                max(datetime.fromisoformat(at) for at in (row["since"], row["last_due"]) if at is not None),
            )
            for row in rows
        }

    async def _note(self, name: tuple[str, str], kind: str, fields: Mapping[str, Any]) -> None:
        """Record something about a schedule, unless another process does so at this moment."""
        stream = stream_for("schedule", name)
        seq = sum(1 for _ in self._app.journal.read(stream)) + 1
        data = {"playbook": name[0], "trigger": name[1], **fields}
        record = encode_record(run=stream, seq=seq, at=self._app.clock.now(), kind=kind, path="", data=data)
        try:
            await self._app.journal.append(stream, seq, [record])
        except SequenceConflict:
            return


def stream_for(kind: str, name: tuple[str, str]) -> str:
    """Return the name under which what is known of one trigger is in the journal. No run is called so."""
    return f"{kind}-{digest_of(list(name))}"


def _first(times: Times, after: datetime, until: datetime) -> list[datetime]:
    """Return the times in a span; one more than are handed in at once is enough to know that they are too many."""
    found = []
    for at in between(times, after, until):
        found.append(at)
        if len(found) > _MOST_AT_ONCE:
            break
    return found


def _definition(entry: Entry) -> str:
    return digest_of([dict(entry.trigger.source), entry.trigger.timezone])


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")
