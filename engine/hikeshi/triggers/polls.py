"""Polls: a read is made again and again, and each new item of it is an event.

What is there at the first look is recorded as known and starts nothing. The read goes through the gate as in a plan, so
nothing that it does can change anything.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from hikeshi.app import Hikeshi
from hikeshi.capabilities import Effect, UnknownAction
from hikeshi.capabilities.entities import DRIFTING
from hikeshi.core import StartAction
from hikeshi.core import events as ev
from hikeshi.journal import JournalError, SequenceConflict, encode_record
from hikeshi.playbook.plain_data import EvaluationError
from hikeshi.playbook.template import Template
from hikeshi.project import ProjectError
from hikeshi.runtime.gate import Gate
from hikeshi.triggers.occurrence import digest_of
from hikeshi.triggers.roster import Entry, Roster
from hikeshi.triggers.schedules import stream_for
from hikeshi.triggers.verdict import scope_of

__all__ = ["Polls"]

_TIMEOUT_S = 60.0
_LONGEST_WAIT_S = 600.0
_IN_ONE_RECORD = 1000
_AT_ONCE = 4
_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class TakeItem(Protocol):
    """Hands in an item that is new, under its identity."""

    def __call__(self, entry: Entry, identity: str, item: Any, /) -> Awaitable[None]: ...


class _PollFailed(Exception):
    """A read gave nothing that could be looked through; the text says why."""


@dataclass(slots=True)
class _Poll:
    """A poll that is made: when next, how often it failed since it worked, and what it saw last."""

    entry: Entry
    due_s: float  # on the clock that nobody sets
    failures: int = 0
    why: str = ""
    failing_since: datetime | None = None
    seen: set[str] = field(default_factory=set)
    task: asyncio.Task[None] | None = None

    @property
    def every_s(self) -> float:
        return float(self.entry.trigger.source["every_s"])


class Polls:
    """Makes the polls of a roster. `take` stores what is new; `tell` is told what people have to know."""

    def __init__(self, app: Hikeshi, roster: Roster, take: TakeItem, tell: Callable[[str], None]) -> None:
        self._app = app
        self._roster = roster
        self._take = take
        self._tell = tell
        self._polls: dict[tuple[str, str], _Poll] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def look(self) -> None:
        """Begin the polls whose time has come. They go on by themselves."""
        now_s = self._boot_s()
        entries = {each.name: each for each in self._roster.of_kind("poll")}
        for name in self._polls.keys() - entries.keys():
            del self._polls[name]
        for name, entry in entries.items():
            poll = self._polls.setdefault(name, _Poll(entry, now_s))
            poll.entry = entry
            if poll.due_s <= now_s and poll.task is None:
                poll.task = asyncio.create_task(self._make(poll))

    async def ended(self) -> None:
        """Wait until no poll is under way."""
        while tasks := [poll.task for poll in self._polls.values() if poll.task is not None]:
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """End the polls that are under way: what they would have found is found by the next one."""
        for poll in self._polls.values():
            if poll.task is not None:
                poll.task.cancel()

    def problem(self, name: tuple[str, str]) -> str | None:
        """Return why a poll fails now, or None."""
        poll = self._polls.get(name)
        if poll is None or poll.failing_since is None:
            return None
        return f"failing since {poll.failing_since:%Y-%m-%d %H:%M:%S} UTC: {poll.why}"

    def next_at(self, name: tuple[str, str]) -> datetime | None:
        """Return when a poll is made next, or None if that is not here."""
        poll = self._polls.get(name)
        if poll is None:
            return None
        return self._app.clock.now() + timedelta(seconds=max(0.0, poll.due_s - self._boot_s()))

    def _boot_s(self) -> float:
        told: Callable[[], float] | None = getattr(self._app.clock, "boot_s", None)
        return time.clock_gettime(_BOOT) if told is None else told()

    # --- one poll ---------------------------------------------------------------------------------------------

    async def _make(self, poll: _Poll) -> None:
        try:
            async with self._turns:
                items = await self._read(poll.entry)
                await self._look_through(poll, items)
        except (_PollFailed, JournalError) as exc:
            self._failed(poll, str(exc))
        except Exception as exc:  # noqa: BLE001 - one poll must not end the others
            self._failed(poll, f"a defect: {type(exc).__name__}")
        else:
            self._worked(poll)
        finally:
            wait_s = poll.every_s * 2 ** min(max(poll.failures - 1, 0), 20)
            poll.due_s = self._boot_s() + min(wait_s, max(poll.every_s, _LONGEST_WAIT_S))
            poll.task = None

    def _failed(self, poll: _Poll, why: str) -> None:
        poll.failures += 1
        poll.why = self._app.redactor.text(why)
        if poll.failing_since is None:
            poll.failing_since = self._app.clock.now()
            self._tell(f"{'/'.join(poll.entry.name)}: its poll fails, and is tried again: {why}")

    def _worked(self, poll: _Poll) -> None:
        if poll.failing_since is not None:
            since = f"{poll.failing_since:%Y-%m-%d %H:%M:%S} UTC"
            self._tell(
                f"{'/'.join(poll.entry.name)}: its poll works again; it failed {poll.failures} times from {since}"
            )
        poll.failures, poll.failing_since, poll.why = 0, None, ""

    async def _read(self, entry: Entry) -> list[Any]:
        """Return the items there are now. Raises _PollFailed."""
        source = entry.trigger.source
        try:
            route = self._app.catalogue.route(source["action"])
            arguments = self._arguments(entry)
        except (UnknownAction, ProjectError, EvaluationError) as exc:
            raise _PollFailed(str(exc)) from exc
        if route.spec.effect is not Effect.READ:
            raise _PollFailed(f"{route.spec.name} is no read")
        app, name = self._app, stream_for("poll", entry.name)
        gate = Gate(name, "plan", app.catalogue, app.instances, app.redactor, app.clock)
        start = StartAction("poll", 1, source["action"], route.instances, arguments, _TIMEOUT_S, maybe=False)
        answer = (await gate.perform(start, _nobody))[-1]
        if isinstance(answer, ev.ActionFailed):
            raise _PollFailed(answer.error.message)
        if not isinstance(answer, ev.ActionSucceeded) or not isinstance(answer.output, list):
            raise _PollFailed(f"{route.spec.name} gave no list")
        return answer.output

    def _arguments(self, entry: Entry) -> dict[str, Any]:
        template = entry.trigger.source.get("arguments")
        if not isinstance(template, Template):
            return {}
        scope = scope_of(entry.playbook, entry.trigger, self._app.clock.now())
        value = template.evaluate(scope)
        return value if isinstance(value, dict) else {}

    # --- what is new ------------------------------------------------------------------------------------------

    async def _look_through(self, poll: _Poll, items: Sequence[Any]) -> None:
        """Hand in what is new; at the first look of a poll, note what is there. Raises JournalError."""
        found = {_identity(item): item for item in reversed(items)}  # of two of the same, the first counts
        if self._definition_on_record(poll.entry) != self._definition(poll.entry):
            await self._begin(poll.entry, list(found))
        name = poll.entry.name
        new = {identity: item for identity, item in found.items() if digest_of(identity) not in poll.seen}
        known = self._known_of(name, [digest_of(identity) for identity in new])
        for identity, item in reversed(new.items()):
            if digest_of(identity) not in known:
                await self._take(poll.entry, identity, item)
        poll.seen = {digest_of(identity) for identity in found}

    def _definition(self, entry: Entry) -> str:
        """Return what a first look is bound to: another question has other answers, and so has another product."""
        source = entry.trigger.source
        arguments = source.get("arguments")
        asked = repr(arguments.part) if isinstance(arguments, Template) else ""
        return digest_of([source["action"], asked, sorted(self._app.catalogue.route(source["action"]).instances)])

    def _definition_on_record(self, entry: Entry) -> str | None:
        rows = self._app.journal.query(
            "SELECT definition FROM trigger_polls WHERE playbook = ? AND trigger = ?", entry.name
        )
        return str(rows[0]["definition"]) if rows else None

    def _known_of(self, name: tuple[str, str], digests: Sequence[str]) -> set[str]:
        """Return which of these items were there at the first look."""
        known: set[str] = set()
        for at in range(0, len(digests), 500):
            some = digests[at : at + 500]
            rows = self._app.journal.query(
                "SELECT item FROM trigger_poll_items WHERE playbook = ? AND trigger = ?"
                " AND item IN (SELECT value FROM json_each(?))",
                (*name, json.dumps(some)),
            )
            known.update(row["item"] for row in rows)
        return known

    async def _begin(self, entry: Entry, identities: Sequence[str]) -> None:
        """Note everything that is there as known, in one append. Of several processes one does."""
        if self._definition_on_record(entry) is not None:
            many = f"{len(identities)} items that are there now start nothing"
            self._tell(f"{'/'.join(entry.name)}: its poll asks for something else than before and begins anew; {many}")
        stream = stream_for("poll", entry.name)
        first = sum(1 for _ in self._app.journal.read(stream)) + 1
        digests = [digest_of(each) for each in identities]
        own = {"playbook": entry.name[0], "trigger": entry.name[1]}
        parts: list[tuple[str, Mapping[str, Any]]] = [
            ("PollBegan", {**own, "definition": self._definition(entry), "items": len(digests)}),
            *(
                ("PollItemsKnown", {**own, "items": digests[at : at + _IN_ONE_RECORD]})
                for at in range(0, len(digests), _IN_ONE_RECORD)
            ),
        ]
        now = self._app.clock.now()
        records = [
            encode_record(run=stream, seq=first + at, at=now, kind=kind, path="", data=data)
            for at, (kind, data) in enumerate(parts)
        ]
        try:
            await self._app.journal.append(stream, first, records)
        except SequenceConflict:
            return


def _identity(item: Any) -> str:
    """Return by what an item is recognised: its own ID, with the connector it is of; without one, all that it is."""
    if isinstance(item, dict):
        own = item.get("id")
        if isinstance(own, str | int) and not isinstance(own, bool) and own != "":
            return f"{item['connector']}/{own}" if isinstance(item.get("connector"), str) else str(own)
        item = {name: value for name, value in item.items() if name not in DRIFTING}
    return digest_of(item)


async def _nobody(_: Sequence[ev.Event]) -> None:
    """Keep nothing of a read that is made in no run."""
