"""Listening in Matrix: replies to our questions decide them, each once, whoever stops in between.

The place up to which was read is a record, and each reply that is to decide something has two: who took it, and what
became of it. After a crash the same replies are read again, and what was taken and not finished is finished.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from hikeshi.chat.deciding import DONE, decide, has_decided, identity_of, person_with
from hikeshi.chat.matrix_reply import CODE_LENGTH, Command
from hikeshi.chat.playbooks import REPLY, replying
from hikeshi.chat.question import Asked
from hikeshi.chat.reading import NotRead, read_from
from hikeshi.journal import JournalError, SequenceConflict, append_to_stream, encode_record

if TYPE_CHECKING:
    from hikeshi.chat.telling import Telling
    from hikeshi.project import Person
    from hikeshi.service.service import Service

__all__ = ["MatrixListener"]

_WAIT_S: Final = 20.0
_IDLE_S: Final = 2.0
_QUIET_S: Final = 0.5
_GRACE_S: Final = 0.3
_AGAIN_S, _AGAIN_MOST_S = 5.0, 300.0
_KEEP_PLACE_EVERY: Final = timedelta(hours=1)
_PLACES_FOR_DAYS: Final = 40
_STRANGER_EVERY: Final = timedelta(minutes=10)
_STRANGERS_MOST: Final = 20
_GONE: Final = frozenset({"not_found", "forbidden", "invalid"})

Reply = Mapping[str, Any]
"""What somebody wrote: `{room, event, sender, to, body}`."""


class MatrixListener:
    """Listens at the connector that `chat` names. `wait_s` is how long a homeserver waits for something new."""

    def __init__(self, service: Service, telling: Telling, *, wait_s: float = _WAIT_S) -> None:
        self._service = service
        self._app = service.app
        self._telling = telling
        self._wait_s = wait_s
        self._stopping = asyncio.Event()
        self._connector: str | None = None
        self._since = ""
        self._kept_at: datetime | None = None
        self._failures = 0
        self._others: dict[str, Reply] = {}  # what another process has claimed and not finished
        self._strangers: dict[str, datetime] = {}

    async def run(self) -> None:
        """Listen until `stop` is called."""
        stopped = asyncio.create_task(self._stopping.wait())
        try:
            while not self._stopping.is_set():
                turn = asyncio.create_task(self._turn())
                await asyncio.wait([stopped, turn], return_when=asyncio.FIRST_COMPLETED)
                if not turn.done() and not await self._ends_soon(turn):
                    return
                await self._nap(turn.result())
        finally:
            stopped.cancel()

    async def _ends_soon(self, turn: asyncio.Task[float]) -> bool:
        """Let a turn that decides come to its end, and end one that waits for news; it is made again later."""
        await asyncio.wait([turn], timeout=_GRACE_S)
        if not turn.done():
            turn.cancel()
            await asyncio.gather(turn, return_exceptions=True)
        return not turn.cancelled()

    def stop(self) -> None:
        """Let `run` return."""
        self._stopping.set()

    async def _nap(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _turn(self) -> float:
        """Read once what is new and do what it says. Return for how many seconds nothing is to be done."""
        connector = self._app.config.chat.matrix
        if connector is None:
            return _IDLE_S
        try:
            if connector != self._connector:
                self._since, self._kept_at = self._kept_place(connector)
                self._connector = connector
            is_quiet = not await self._read(connector)
        except NotRead as exc:
            self._failures += 1
            if exc.kind == "invalid" and self._since:
                self._since = ""  # another homeserver, or one that has forgotten: what it has now is read anew
            self._telling.alert(f"chat can't read replies from {connector}, and tries again: {exc}")
            wait_s: float = min(_AGAIN_S * 2 ** min(self._failures - 1, 10), _AGAIN_MOST_S)
            return max(exc.retry_after_s or 0.0, wait_s)
        except JournalError as exc:
            self._telling.alert(f"chat waits for the journal: {exc}")
            return _AGAIN_S
        self._failures = 0
        return _QUIET_S if is_quiet else 0.0

    async def _read(self, connector: str) -> bool:
        """Do what is new. Return whether anything was: a homeserver may answer at once, over and over, with nothing."""
        news = await read_from(self._app, connector, "replies", {"since": self._since, "wait_s": self._wait_s})
        has_decided_any = False
        for reply in [*self._others.values(), *news["replies"]]:
            has_decided_any |= await self._take(connector, reply)
        self._since = str(news["since"])
        await self._keep_place(connector, at_once=has_decided_any)
        return bool(news["replies"])

    # --- the place --------------------------------------------------------------------------------------------

    def _kept_place(self, connector: str) -> tuple[str, datetime | None]:
        """Return up to where was read, as the records of lately say, and when that was noted."""
        now = self._app.clock.now()
        for days in range(_PLACES_FOR_DAYS):
            records = list(self._app.journal.read(_place_stream(connector, now - timedelta(days=days))))
            if records:
                return str(records[-1].data["since"]), records[-1].at
        return "", None

    async def _keep_place(self, connector: str, *, at_once: bool) -> None:
        now = self._app.clock.now()
        if not at_once and self._kept_at is not None and timedelta(0) <= now - self._kept_at < _KEEP_PLACE_EVERY:
            return
        await append_to_stream(
            self._app.journal, _place_stream(connector, now), "ChatPlaceKept", {"since": self._since}, now
        )
        self._kept_at = now

    # --- one reply --------------------------------------------------------------------------------------------

    async def _take(self, connector: str, reply: Reply) -> bool:
        """Do what a reply says. Return whether it decided, or tried to. Raises NotRead, JournalError."""
        command = Command.of(reply["body"])
        if command is None:
            return False
        asked = await self._asked(connector, reply)
        if asked is None:
            return False
        person = person_with(self._app.config, "matrix", reply["sender"])
        if person is None:
            await self._turn_away(connector, reply)
            return False
        await self._decide(connector, reply, command, asked, person)
        return True

    async def _asked(self, connector: str, reply: Reply) -> Asked | None:
        """Return what the message asks that is replied to, or None if it is none of ours."""
        try:
            given = await read_from(self._app, connector, "question_at", {"room": reply["room"], "event": reply["to"]})
        except NotRead as exc:
            if exc.kind in _GONE:
                return None
            raise
        return Asked.of(given)

    async def _turn_away(self, connector: str, reply: Reply) -> None:
        """Tell somebody unknown that nothing was decided, but not for each of a thousand replies."""
        now, sender = self._app.clock.now(), str(reply["sender"])
        await self._service.requests.record_unknown(f"matrix:{sender[:200]}")
        self._strangers = {each: at for each, at in self._strangers.items() if now - at < _STRANGER_EVERY}
        if sender in self._strangers or len(self._strangers) >= _STRANGERS_MOST:
            return
        self._strangers[sender] = now
        text = f"Nothing was decided: nobody in hikeshi.yaml has the Matrix ID {sender}."
        await self._answer(connector, reply, text)

    async def _decide(self, connector: str, reply: Reply, command: Command, asked: Asked, person: Person) -> None:
        stream = f"chat-reply-{_digest(connector, reply)}"
        records = await self._claim(stream, reply)
        self._others.pop(stream, None)
        if len(records) > 1:
            await self._answer(connector, reply, str(records[1].data["told"]))
            return
        if records and self._is_others(str(records[0].data["owner"])):
            self._others[stream] = reply
            return
        text = await self._outcome(reply, command, asked, person, is_again=bool(records))
        await self._append(stream, 2, "ReplyDecided", {"by": person.id, "told": text})
        await self._answer(connector, reply, text)

    def _is_others(self, owner: str) -> bool:
        return owner != self._app.ownership.owner_id and self._app.ownership.is_alive(owner)

    async def _outcome(self, reply: Reply, command: Command, asked: Asked, person: Person, *, is_again: bool) -> str:
        code = asked.digest[:CODE_LENGTH]
        if not command.fits(asked.digest):
            return f"Nothing was decided: what you replied to has the code {code}, and not {command.code}."
        if command.decision is None:
            return f"Nothing was decided: to approve, reply with nothing more than: approve {code}"
        who = identity_of(person, "matrix", reply["sender"])
        if is_again and has_decided(self._app, who, command.decision, asked):
            return DONE[command.decision]  # by the process that claimed this reply and could not say so
        _, text = await decide(self._service, who, command.decision, asked, command.note)
        return text

    async def _claim(self, stream: str, reply: Reply) -> list[Any]:
        """Claim a reply and return nothing, or return the records of who claimed it before."""
        try:
            data = {"owner": self._app.ownership.owner_id, "sender": reply["sender"], "event": reply["event"]}
            await self._append(stream, 1, "ReplyClaimed", data)
        except SequenceConflict:
            return list(self._app.journal.read(stream))
        return []

    async def _append(self, stream: str, seq: int, kind: str, data: Mapping[str, Any]) -> None:
        record = encode_record(run=stream, seq=seq, at=self._app.clock.now(), kind=kind, path="", data=dict(data))
        await self._app.journal.append(stream, seq, [record])

    async def _answer(self, connector: str, reply: Reply, text: str) -> None:
        """Say something in the thread of the question, once for each reply."""
        inputs = {"channel": reply["room"], "thread": f"{reply['room']}|{reply['to']}", "text": text}
        name = f"chat-said-{_digest(connector, reply)}"
        await self._telling.begin(name, REPLY, replying(connector), inputs, f"answer to {reply['sender']}")


def _digest(connector: str, reply: Reply) -> str:
    parts = json.dumps([connector, reply["room"], reply["event"]])
    return hashlib.sha256(parts.encode()).hexdigest()[:24]


def _place_stream(connector: str, at: datetime) -> str:
    return f"chat-place-{connector}-{at:%Y%m%d}"
