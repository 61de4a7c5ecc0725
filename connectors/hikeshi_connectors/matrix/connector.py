"""Matrix, by the client-server API of a homeserver. Source: https://spec.matrix.org/v1.15/client-server-api/.

The rule: nothing is said in the clear in a room that is encrypted, nor in one of which that is not known.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydantic import Field, model_validator

from hikeshi.capabilities import Message, Messaging, Severity, read
from hikeshi.connector import (
    Applied,
    Connector,
    ConnectorSettings,
    Invalid,
    NotFound,
    PreviewedRequest,
    Response,
    Route,
    Secret,
    Unauthorized,
    Unsupported,
)
from hikeshi.secrets import SecretUnavailable
from hikeshi_connectors.matrix.answers import check_answer, object_in, text_in
from hikeshi_connectors.matrix.devices import MEGOLM, Trust, unpadded
from hikeshi_connectors.matrix.encryption import Encryption, check_vodozemac
from hikeshi_connectors.matrix.event_text import QUESTION, conclusion_content, question_content, text_content
from hikeshi_connectors.matrix.key_store import KeyStore
from hikeshi_connectors.matrix.megolm import Rules, rules_of
from hikeshi_connectors.matrix.places import ALIAS, EVENT, ROOM, joined_in, place_of, quoted
from hikeshi_connectors.matrix.replies import News, Question, Reply, reply_of

__all__ = ["Matrix"]

_API: Final = "/_matrix/client/v3"
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
    """Writes as one account of a homeserver; into encrypted rooms as well, where there is a folder for its keys."""

    class Settings(ConnectorSettings):
        access_token: Secret
        # Where the keys of our device are kept, and with what they are encrypted there.
        key_folder: Path | None = None
        key_passphrase: Secret | None = None
        # User -> ed25519 keys of the devices that may read what is said in encrypted rooms.
        pinned_devices: dict[str, list[str]] = Field(default_factory=dict)
        only_pinned: bool = False

        @model_validator(mode="after")
        def _keys_are_protected(self) -> Matrix.Settings:
            if (self.key_folder is None) != (self.key_passphrase is None):
                raise ValueError("'key_folder' and 'key_passphrase' belong together")
            return self

    read_routes = (
        Route("GET", f"{_API}/account/whoami"),
        Route("GET", f"{_API}/joined_rooms"),
        Route("GET", f"{_API}/directory/room/*"),
        Route("GET", f"{_API}/rooms/*/state/m.room.encryption"),
        Route("GET", f"{_API}/rooms/*/joined_members"),
        Route("POST", f"{_API}/keys/query"),
        Route("GET", f"{_API}/rooms/*/event/*"),
        Route("GET", f"{_API}/rooms/*/messages"),
        Route("GET", f"{_API}/sync"),
    )
    least_privileges = ("an account of its own, without power in any room: it joins, reads and sends messages",)

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization
        self._own: str | None = None
        self._own_device: str | None = None
        self._encryption: Encryption | None = None

    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        """Write into a room, given by ID or alias; an alias without a server is one of the account's own homeserver.

        With `thread`, the ID of an earlier message, it goes into the thread of that message, in its own room. Source:
        PUT /rooms/{roomId}/send/{eventType}/{txnId}.
        """
        prefix = f"[{severity.upper()}] " if severity else ""
        if thread is None:
            return await self._say(channel, text_content(prefix + text))
        room, event = place_of(thread)
        if channel.startswith("!") and channel != room:
            raise Invalid(f"the message {thread} is not in the room {channel}")
        return await self._say(room, text_content(prefix + text, event))

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
        """Write a message that says how to reply to it. What it asks stands in it for `question_at`, too.

        Raises Unsupported for an encrypted room, for replies there can't be read.
        """
        answer_to = {"run": run, "path": path, "digest": digest}
        content = question_content(question, facts or [], targets or [], more_targets, due_at, link, answer_to)
        room, rules = await self._room(channel)
        if rules is not None:
            raise Unsupported(
                f"{self.name}: the room {channel} is encrypted, and Hikeshi can't read replies there; ask in another"
            )
        return await self._send(room, content)

    async def conclude(self, message: str, question: str, outcome: str, link: str = "") -> Message:
        """Replace what a message asked by how it ended."""
        room, event = place_of(message)
        return await self._say(room, conclusion_content(event, question, outcome, link))

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
        for room, joined in joined_in(answer).items():
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
        if not ROOM.fullmatch(room) or not EVENT.fullmatch(event):
            raise NotFound(f"{self.name}: there is no such message")
        answer = await self.http.get(f"{_API}/rooms/{quoted(room)}/event/{quoted(event)}")
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
            answer = await self.http.get(f"{_API}/account/whoami")
            self._own, device = text_in(answer, "user_id"), object_in(answer).get("device_id")
            self._own_device = device if isinstance(device, str) and device else None
        return self._own

    async def _gap(self, room: str, begin: Any, end: str) -> list[Any]:
        """Return the messages of a room from a place back to another one, oldest first."""
        found: list[Any] = []
        for _ in range(_PAGES_MOST):
            if not isinstance(begin, str) or begin == end:
                break
            params = {"dir": "b", "from": begin, "to": end, "limit": str(_PAGE), "filter": json.dumps(_MESSAGES)}
            answer = await self.http.get(f"{_API}/rooms/{quoted(room)}/messages", params=params)
            page = object_in(answer)
            chunk = page.get("chunk")
            if not isinstance(chunk, list):
                raise Invalid(f"{answer.where}: the answer has no 'chunk'")
            found += chunk
            begin = page.get("end")
        return found[::-1]

    async def _room(self, channel: str) -> tuple[str, Rules | None]:
        """Return the ID of a room that may be written into, joined where that is needed, and how it is encrypted.

        Raises NotFound for an alias that there is not, Unsupported for an encrypted room where there are no keys.
        """
        room, servers = await self._resolved(channel)
        answer = await self.http.get(f"{_API}/joined_rooms")
        joined = object_in(answer).get("joined_rooms")
        if not isinstance(joined, list):
            raise Invalid(f"{answer.where}: the answer has no 'joined_rooms'")
        if room not in joined:
            via = {"via": servers[:3], "server_name": servers[:3]}  # the latter is its name before version 1.12
            entered = await self.http.post(f"{_API}/join/{quoted(room)}", params=via, json={})
            room = text_in(entered, "room_id")
        return room, await self._rules(room, channel)

    async def _resolved(self, channel: str) -> tuple[str, list[str]]:
        if ROOM.fullmatch(channel):
            return channel, []
        if not ALIAS.fullmatch(channel) or ".." in channel:
            raise Invalid(f"{channel[:100]!r} is no room; use an alias such as #soc:example.org, or the ID of a room")
        alias = channel if ":" in channel else f"{channel}:{(await self._whoami()).partition(':')[2]}"
        answer = await self.http.get(f"{_API}/directory/room/{quoted(alias)}")
        servers = object_in(answer).get("servers")
        known = [each for each in servers if isinstance(each, str)] if isinstance(servers, list) else []
        return text_in(answer, "room_id"), known

    async def _rules(self, room: str, channel: str) -> Rules | None:
        """Return how a room is encrypted. That it is not is known only if the homeserver says so."""
        try:
            answer = await self.http.get(f"{_API}/rooms/{quoted(room)}/state/m.room.encryption")
        except NotFound as exc:
            if "M_NOT_FOUND" not in exc.message:
                raise
            return None
        if self.settings.key_folder is None:
            raise Unsupported(
                f"{self.name}: the room {channel} is encrypted, and Hikeshi can't encrypt yet; set key_folder and "
                "key_passphrase, or use a room without encryption"
            )
        return rules_of(object_in(answer), room)

    async def _say(self, channel: str, content: dict[str, Any]) -> Message:
        room, rules = await self._room(channel)
        if rules is None:
            return await self._send(room, content)
        encryption, transaction = await self._ready_to_encrypt(), self._transaction()

        async def do() -> str:
            return await encryption.say(room, rules, content, transaction, self._passphrase())

        # What leaves is a cipher that differs each time; what it says is what a plan has to show.
        path = f"{self.settings.base_url.rstrip('/')}{_API}/rooms/{quoted(room)}/send/m.room.encrypted/{transaction}"
        event = await self.commit(PreviewedRequest("PUT", path, {"algorithm": MEGOLM, "encrypts": content}), do)
        return Message(connector=self.name, id=f"{room}|{event}", channel=room)

    async def _ready_to_encrypt(self) -> Encryption:
        """Return our device. Raises Unsupported without the optional package, Invalid for a token without a device."""
        check_vodozemac()
        if self._encryption is None:
            own = await self._whoami()
            if self._own_device is None:
                raise Invalid(f"{self.name}: the access token belongs to no device, so it can't have keys; log in anew")
            assert self.settings.key_folder is not None
            pinned = self.settings.pinned_devices.items()
            trust = Trust(
                {user: tuple(map(unpadded, keys)) for user, keys in pinned}, only_pinned=self.settings.only_pinned
            )
            store = KeyStore(self.settings.key_folder, f"matrix-{self.name}", within_s=self.settings.timeout_s)
            self._encryption = Encryption(self.http, store, trust, (own, self._own_device))
        return self._encryption

    def _passphrase(self) -> str:
        assert self.settings.key_passphrase is not None
        try:
            return self.reveal(self.settings.key_passphrase)
        except SecretUnavailable as exc:  # the door is open by now, but nothing was sent
            raise Unauthorized(str(exc), applied=Applied.NO) from None

    async def _send(self, room: str, content: dict[str, Any]) -> Message:
        path = f"{_API}/rooms/{quoted(room)}/send/m.room.message/{self._transaction()}"
        event = text_in(await self.http.put(path, json=content, last=True), "event_id")
        return Message(connector=self.name, id=f"{room}|{event}", channel=room)

    def _transaction(self) -> str:
        """Return the ID under which a homeserver takes a message once, however often it is sent."""
        return self.own_id(32)
