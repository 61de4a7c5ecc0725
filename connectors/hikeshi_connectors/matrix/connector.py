"""Matrix, by the client-server API of a homeserver. Source: https://spec.matrix.org/v1.15/client-server-api/.

The rule: nothing is said in a room that is encrypted, for this connector can't encrypt, and would say it in the clear.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from hikeshi.capabilities import Message, Messaging, Severity, read
from hikeshi.connector import (
    Connector,
    ConnectorSettings,
    Invalid,
    NotFound,
    Response,
    Route,
    Secret,
    Unsupported,
)
from hikeshi_connectors.matrix.answers import check_answer, object_in, text_in
from hikeshi_connectors.matrix.event_text import QUESTION, conclusion_content, question_content, text_content
from hikeshi_connectors.matrix.replies import News, Question, Reply, reply_of

__all__ = ["Matrix"]

_API: Final = "/_matrix/client/v3"
_ROOM = re.compile(r"![A-Za-z0-9._~=+-]{1,200}(?::[A-Za-z0-9.\[\]:-]{1,200})?")
_ALIAS = re.compile(r"#[^\s:/\\?;%\x00-\x1f]{1,200}(?::[A-Za-z0-9.\[\]:-]{1,200})?")
_EVENT = re.compile(r"\$[A-Za-z0-9_=+~-]{1,250}(?::[A-Za-z0-9.\[\]:-]{1,200})?")
_MESSAGES: Final = {"types": ["m.room.message"]}
_NONE: Final = {"not_types": ["*"]}
_AT_ONCE: Final = 50
_ANSWER_WITHIN_S: Final = 5.0
_PAGE, _PAGES_MOST = 100, 100
_FILTER: Final = {
    "room": {
        "timeline": {**_MESSAGES, "limit": _AT_ONCE},
        "state": _NONE,
        "ephemeral": _NONE,
        "account_data": _NONE,
    },
    "presence": _NONE,
    "account_data": _NONE,
}


class Matrix(Connector, Messaging, product="matrix"):
    """Writes as one account of a homeserver, into rooms without encryption."""

    class Settings(ConnectorSettings):
        access_token: Secret

    read_routes = (
        Route("GET", f"{_API}/account/whoami"),
        Route("GET", f"{_API}/joined_rooms"),
        Route("GET", f"{_API}/directory/room/*"),
        Route("GET", f"{_API}/rooms/*/state/m.room.encryption"),
        Route("GET", f"{_API}/rooms/*/event/*"),
        Route("GET", f"{_API}/rooms/*/messages"),
        Route("GET", f"{_API}/sync"),
    )
    least_privileges = ("an account of its own, without power in any room: it joins, reads and sends messages",)

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization
        self._own: str | None = None

    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        """Write into a room, given by ID or alias; an alias without a server is one of the account's own homeserver.

        With `thread`, the ID of an earlier message, it goes into the thread of that message, in its own room. Source:
        PUT /rooms/{roomId}/send/{eventType}/{txnId}.
        """
        prefix = f"[{severity.upper()}] " if severity else ""
        if thread is None:
            return await self._send(await self._room(channel), text_content(prefix + text))
        room, event = _place_of(thread)
        if channel.startswith("!") and channel != room:
            raise Invalid(f"the message {thread} is not in the room {channel}")
        return await self._send(await self._room(room), text_content(prefix + text, event))

    async def ask(
        self,
        channel: str,
        question: str,
        run: str,
        path: str,
        digest: str,
        due_at: datetime,
        facts: list[str] | None = None,
        targets: list[str] | None = None,
        more_targets: int = 0,
        link: str = "",
    ) -> Message:
        """Write a message that says how to reply to it. What it asks stands in it for `question_at`, too."""
        answer_to = {"run": run, "path": path, "digest": digest}
        content = question_content(question, facts or [], targets or [], more_targets, due_at, link, answer_to)
        return await self._send(await self._room(channel), content)

    async def conclude(self, message: str, question: str, outcome: str, link: str = "") -> Message:
        """Replace what a message asked by how it ended."""
        room, event = _place_of(message)
        return await self._send(await self._room(room), conclusion_content(event, question, outcome, link))

    @read
    async def replies(self, since: str = "", wait_s: float = 0.0) -> News:
        """Return what was written in reply to messages since an earlier look, or lately, waiting for it for a while.

        Where more was written than the homeserver gives at once, the rest is read as well. Source: GET /sync,
        GET /rooms/{roomId}/messages.
        """
        own = await self._whoami()
        waits_s = min(wait_s, max(0.0, self.settings.timeout_s - _ANSWER_WITHIN_S))
        params = {"filter": json.dumps(_FILTER), "timeout": str(int(waits_s * 1000)), "set_presence": "offline"}
        answer = await self.http.get(f"{_API}/sync", params={**params, **({"since": since} if since else {})})
        found: list[Reply] = []
        for room, joined in _joined(answer).items():
            timeline = joined.get("timeline", {})
            events = list(timeline.get("events", ()))
            if since and timeline.get("limited") is True:
                events = [*await self._gap(room, timeline.get("prev_batch"), since), *events]
            found += [reply for event in events if (reply := reply_of(room, event, own)) is not None]
        return News(since=text_in(answer, "next_batch"), replies=tuple(found))

    @read
    async def question_at(self, room: str, event: str) -> Question | None:
        """Return what a message of ours asks, or None if it is not ours or asks nothing.

        Source: GET /rooms/{roomId}/event/{eventId}.
        """
        if not _ROOM.fullmatch(room) or not _EVENT.fullmatch(event):
            raise NotFound(f"{self.name}: there is no such message")
        answer = await self.http.get(f"{_API}/rooms/{_quoted(room)}/event/{_quoted(event)}")
        found = object_in(answer)
        content, sender = found.get("content"), found.get("sender")
        if not isinstance(content, Mapping) or not isinstance(sender, str):
            raise Invalid(f"{answer.where}: the answer is no event")
        asked = content.get(QUESTION)
        if sender != await self._whoami() or not isinstance(asked, Mapping):
            return None
        given = {key: asked.get(key) for key in ("run", "path", "digest")}
        return Question(**given) if all(isinstance(value, str) for value in given.values()) else None

    def check(self, response: Response) -> None:
        check_answer(response)

    async def _authorization(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.reveal(self.settings.access_token)}"}

    async def _whoami(self) -> str:
        if self._own is None:
            self._own = text_in(await self.http.get(f"{_API}/account/whoami"), "user_id")
        return self._own

    async def _gap(self, room: str, begin: Any, end: str) -> list[Any]:
        """Return the messages of a room from a place back to another one, oldest first."""
        found: list[Any] = []
        for _ in range(_PAGES_MOST):
            if not isinstance(begin, str) or begin == end:
                break
            params = {"dir": "b", "from": begin, "to": end, "limit": str(_PAGE), "filter": json.dumps(_MESSAGES)}
            answer = await self.http.get(f"{_API}/rooms/{_quoted(room)}/messages", params=params)
            page = object_in(answer)
            chunk = page.get("chunk")
            if not isinstance(chunk, list):
                raise Invalid(f"{answer.where}: the answer has no 'chunk'")
            found += chunk
            begin = page.get("end")
        return found[::-1]

    async def _room(self, channel: str) -> str:
        """Return the ID of a room that may be written into, and join it where that is needed.

        Raises NotFound for an alias that there is not, Unsupported for a room with encryption.
        """
        room, servers = await self._resolved(channel)
        answer = await self.http.get(f"{_API}/joined_rooms")
        joined = object_in(answer).get("joined_rooms")
        if not isinstance(joined, list):
            raise Invalid(f"{answer.where}: the answer has no 'joined_rooms'")
        if room not in joined:
            via = {"via": servers[:3], "server_name": servers[:3]}  # the latter is its name before version 1.12
            entered = await self.http.post(f"{_API}/join/{_quoted(room)}", params=via, json={})
            room = text_in(entered, "room_id")
        await self._refuse_encrypted(room, channel)
        return room

    async def _resolved(self, channel: str) -> tuple[str, list[str]]:
        if _ROOM.fullmatch(channel):
            return channel, []
        if not _ALIAS.fullmatch(channel) or ".." in channel:
            raise Invalid(f"{channel[:100]!r} is no room; use an alias such as #soc:example.org, or the ID of a room")
        alias = channel if ":" in channel else f"{channel}:{(await self._whoami()).partition(':')[2]}"
        answer = await self.http.get(f"{_API}/directory/room/{_quoted(alias)}")
        servers = object_in(answer).get("servers")
        known = [each for each in servers if isinstance(each, str)] if isinstance(servers, list) else []
        return text_in(answer, "room_id"), known

    async def _refuse_encrypted(self, room: str, channel: str) -> None:
        """Raise Unsupported for a room with encryption. That it has none is known only if the homeserver says so."""
        try:
            await self.http.get(f"{_API}/rooms/{_quoted(room)}/state/m.room.encryption")
        except NotFound as exc:
            if "M_NOT_FOUND" not in exc.message:
                raise
            return
        raise Unsupported(
            f"{self.name}: the room {channel} is encrypted, and Hikeshi can't encrypt yet; use one without encryption"
        )

    async def _send(self, room: str, content: dict[str, Any]) -> Message:
        path = f"{_API}/rooms/{_quoted(room)}/send/m.room.message/{self._transaction()}"
        event = text_in(await self.http.put(path, json=content, last=True), "event_id")
        return Message(connector=self.name, id=f"{room}|{event}", channel=room)

    def _transaction(self) -> str:
        """Return the ID under which a homeserver takes a message once, however often it is sent."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:32] if self.key else uuid.uuid4().hex


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _place_of(message: str) -> tuple[str, str]:
    room, _, event = message.partition("|")
    if not _ROOM.fullmatch(room) or not _EVENT.fullmatch(event):
        raise Invalid(f"{message[:100]!r} is not the ID of a Matrix message; use the 'id' that posting it gave")
    return room, event


def _joined(answer: Response) -> Mapping[str, Any]:
    """Return the rooms of a sync. Raises Invalid unless they have the form that they must have."""
    rooms = object_in(answer).get("rooms", {})
    joined = rooms.get("join", {}) if isinstance(rooms, dict) else None
    if not isinstance(joined, dict) or not all(isinstance(each, dict) for each in joined.values()):
        raise Invalid(f"{answer.where}: the rooms of the answer are none")
    for each in joined.values():
        timeline = each.get("timeline", {})
        if not isinstance(timeline, dict) or not isinstance(timeline.get("events", []), list):
            raise Invalid(f"{answer.where}: the timeline of a room is none")
    return joined
