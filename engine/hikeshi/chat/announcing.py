"""Asking in chat: each approval that a live run waits for is announced once in each channel, and concluded once.

What was announced is on record as a run whose ID follows from the question and the channel, so nothing else is kept:
after a restart, or beside another server, the same question finds the run that is there.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from hikeshi.chat.outcome import outcome_of
from hikeshi.chat.playbooks import ANNOUNCE, CONCLUDE, announcing, concluding
from hikeshi.chat.question import Asked, facts_of, link_of, question_of, targets_of

if TYPE_CHECKING:
    from hikeshi.chat.telling import Telling
    from hikeshi.project import Config
    from hikeshi.project.chat import Announcement

__all__ = ["Announcer"]

_ASK, _TOLD = "chat-ask-", "chat-told-"
_LEFT_FOR: Final = timedelta(days=100)  # what was asked before that is concluded no more
_AGAIN: Final = timedelta(seconds=30)


class Announcer:
    """Announces and concludes."""

    def __init__(self, telling: Telling) -> None:
        self._app = telling.app
        self._telling = telling
        self._names: dict[tuple[Asked, Announcement], str] = {}
        self._begun: set[str] = set()  # announcements of open questions that are on record
        self._made: set[str] = set()  # announcements that people have seen
        self._unconcluded: set[str] | None = None
        self._seen: tuple[int, Config] | None = None
        self._not_before: dict[str, datetime] = {}

    async def look(self) -> None:
        """Announce and conclude what is due. Cheap if nothing has happened. Raises JournalError."""
        self._not_before = {name: at for name, at in self._not_before.items() if at > self._app.clock.now()}
        seen = (self._app.journal.changes(), self._app.config)
        if seen == self._seen:
            return
        if self._unconcluded is None:
            self._unconcluded, self._made = self._left()
            self._begun |= self._unconcluded
        if not self._app.config.chat.announce and not self._unconcluded:
            self._seen = seen
            return
        questions = self._open()
        due = {
            self._name(asked, place): (asked, place) for asked in questions for place in self._app.config.chat.announce
        }
        self._names = {key: name for key, name in self._names.items() if name in due}
        self._begun &= due.keys()
        for name in [name for name in due if name not in self._begun]:
            await self._announce(name, *due[name])
        for name in sorted(self._unconcluded - self._made):
            self._see(name)
        for name in sorted((self._unconcluded & self._made) - due.keys()):
            await self._conclude(name, questions)
        self._seen = None if self._not_before else seen

    def _open(self) -> set[Asked]:
        rows = self._app.journal.query(
            "SELECT questions.run, path, digest FROM questions JOIN runs USING (run)"
            " WHERE kind = 'approval' AND runs.mode = 'live' AND runs.finished_at IS NULL"
        )
        return {Asked(row["run"], row["path"], row["digest"]) for row in rows}

    def _name(self, asked: Asked, place: Announcement) -> str:
        found = self._names.get((asked, place))
        if found is None:
            found = self._names[asked, place] = _ASK + asked.id_for(place.connector, place.channel)
        return found

    def _left(self) -> tuple[set[str], set[str]]:
        """Return the announcements on record that nobody has concluded, and those of them that people have seen."""
        since = self._app.clock.now() - _LEFT_FOR
        rows = self._app.journal.query(
            "SELECT run, status FROM runs WHERE playbook = ? AND run LIKE 'chat-ask-%' AND started_at > ?"
            " AND status NOT IN ('failed', 'cancelled')"
            " AND NOT EXISTS (SELECT 1 FROM runs told WHERE told.run = ? || substr(runs.run, ?))",
            (ANNOUNCE, since.isoformat(), _TOLD, len(_ASK) + 1),
        )
        return {row["run"] for row in rows}, {row["run"] for row in rows if row["status"] == "succeeded"}

    async def _announce(self, name: str, asked: Asked, place: Announcement) -> None:
        config, row = self._app.config, self._row(asked)
        if row is None:
            return
        targets, more = targets_of(row)
        inputs = {
            "channel": place.channel,
            "question": question_of(row),
            **{key: row[key] for key in ("run", "path", "digest", "due_at")},
            "facts": facts_of(config, row),
            "targets": targets,
            "more_targets": more,
            "link": link_of(config, row["run"], row["path"]),
        }
        about = f"approval at {row['path']} of run {row['run']}"
        if await self._begin(name, ANNOUNCE, announcing(place.connector), inputs, about):
            self._begun.add(name)
            assert self._unconcluded is not None
            self._unconcluded.add(name)

    def _row(self, asked: Asked) -> Mapping[str, Any] | None:
        """Return all that is stored of a question, or None if it is over by now."""
        rows = self._app.journal.query(
            "SELECT questions.*, runs.playbook, runs.actor FROM questions JOIN runs USING (run)"
            " WHERE run = ? AND path = ? AND digest = ?",
            (asked.run, asked.path, asked.digest),
        )
        return dict(rows[0]) if rows else None

    async def _conclude(self, name: str, questions: Set[Asked]) -> None:
        """Conclude an announcement whose question is over."""
        state = self._app.fold(name)
        assert state.root is not None
        given, message = state.root.inputs, state.outputs.get("message")
        asked = Asked(given["run"], given["path"], given["digest"])
        if asked in questions:  # it is open; only its channel is not among those of hikeshi.yaml any more
            return
        connector = next(iter(state.routes)).partition(".")[0]
        inputs = {
            "message": message,
            "question": given["question"],
            "outcome": outcome_of(self._app, asked),
            "link": given["link"],
        }
        told = _TOLD + name.removeprefix(_ASK)
        about = f"end of the approval at {asked.path} of run {asked.run}"
        if await self._begin(told, CONCLUDE, concluding(connector), inputs, about):
            self._forget(name)

    def _see(self, name: str) -> None:
        """Look whether an announcement was made. If it failed for good, people are told, and nobody concludes it."""
        rows = self._app.journal.query("SELECT status, finished_at, reason FROM runs WHERE run = ?", (name,))
        if not rows or rows[0]["finished_at"] is None:
            return
        if rows[0]["status"] == "succeeded":
            self._made.add(name)
            return
        self._telling.alert(f"chat was not told of the {rows[0]['reason']}; 'hikeshi log {name}' says why")
        self._forget(name)

    def _forget(self, name: str) -> None:
        assert self._unconcluded is not None
        self._unconcluded.discard(name)
        self._made.discard(name)

    async def _begin(self, name: str, playbook: str, text: str, inputs: Mapping[str, Any], about: str) -> bool:
        """Begin a run, or find that it is there. False says that it could not be, and is tried again later."""
        if name in self._not_before:
            return False
        is_there = await self._telling.begin(name, playbook, text, inputs, about)
        if not is_there:
            self._not_before[name] = self._app.clock.now() + _AGAIN
        return is_there
