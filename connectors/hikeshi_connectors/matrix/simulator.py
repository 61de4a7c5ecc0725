"""A homeserver over an estate: rooms, messages, replies and syncs, as one account without encryption sees them.

Each channel of the estate is a room. Source: https://spec.matrix.org/v1.15/client-server-api/.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import unquote

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Channel, Message
from hikeshi.testing.simulator import Simulator, bearer_token

__all__ = ["BOT", "SERVER", "MatrixSimulator", "room_id_of"]

SERVER = "hikeshi.test"
BOT = f"@hikeshi:{SERVER}"
_API = "/_matrix/client/v3"
_ERRCODES = {
    400: "M_INVALID_PARAM",
    401: "M_UNKNOWN_TOKEN",
    403: "M_FORBIDDEN",
    404: "M_UNRECOGNIZED",
    405: "M_UNRECOGNIZED",
}
_LARGEST_EVENT = 65_536
_LOOK_EVERY_S = 0.02


class MatrixSimulator(Simulator):
    """A homeserver. `product_state["matrix"]` holds `events`, in the order of their arrival, and encrypted rooms."""

    product = "matrix"
    instance_name = "matrix"
    demo_settings: ClassVar[Mapping[str, str]] = {"access_token": "syt_simulated-not-a-secret"}

    def routes(self) -> list[BaseRoute]:
        return [
            Route(f"{_API}/account/whoami", self._whoami, methods=["GET"]),
            Route(f"{_API}/joined_rooms", self._joined_rooms, methods=["GET"]),
            Route(f"{_API}/directory/room/{{alias}}", self._directory, methods=["GET"]),
            Route(f"{_API}/join/{{room}}", self._join, methods=["POST"]),
            Route(f"{_API}/rooms/{{room}}/state/m.room.encryption", self._encryption, methods=["GET"]),
            Route(f"{_API}/rooms/{{room}}/event/{{event}}", self._event, methods=["GET"]),
            Route(f"{_API}/rooms/{{room}}/messages", self._messages, methods=["GET"]),
            Route(f"{_API}/rooms/{{room}}/send/{{type}}/{{txn}}", self._send, methods=["PUT"]),
            Route(f"{_API}/sync", self._sync, methods=["GET"]),
        ]

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        token = bearer_token(request)
        if token is None:
            return _no(401, "M_MISSING_TOKEN")
        return None if token == self.credentials["access_token"] else _no(401, "M_UNKNOWN_TOKEN")

    def error(self, status: int, detail: str) -> Response:
        return JSONResponse({"errcode": _ERRCODES.get(status, "M_UNKNOWN"), "error": detail}, status_code=status)

    def too_many_requests(self, retry_after_s: float) -> Response:
        body = {
            "errcode": "M_LIMIT_EXCEEDED",
            "error": "Too many requests",
            "retry_after_ms": round(retry_after_s * 1000),
        }
        return JSONResponse(body, status_code=429)

    # --- what people do ---------------------------------------------------------------------------------------

    def say(self, room: str, sender: str, body: str, to: str | None = None, **content: Any) -> str:
        """Let somebody write into a room, as a reply if `to` is an event; return the ID of what they wrote."""
        relation = {} if to is None else {"m.relates_to": {"m.in_reply_to": {"event_id": to}}}
        return self._add(room, sender, {"msgtype": "m.text", "body": body, **relation, **content})

    @property
    def events(self) -> list[dict[str, Any]]:
        """Everything that was written, in order."""
        found: list[dict[str, Any]] = self._state.setdefault("events", [])
        return found

    def encrypt(self, room: str) -> None:
        """Turn on encryption in a room."""
        self._state.setdefault("encrypted", []).append(room)

    @property
    def _state(self) -> dict[str, Any]:
        return self.estate.product_state.setdefault("matrix", {})

    def _add(self, room: str, sender: str, content: dict[str, Any]) -> str:
        id_ = f"$event{len(self.events) + 1:06d}"
        at = int(self.estate.now().timestamp() * 1000)
        event = {
            "type": "m.room.message",
            "event_id": id_,
            "sender": sender,
            "origin_server_ts": at,
            "content": content,
        }
        self.events.append({**event, "room_id": room})
        return id_

    # --- the API ----------------------------------------------------------------------------------------------

    def _rooms(self) -> dict[str, Channel]:
        return {room_id_of(channel): channel for channel in self.estate.channels.values()}

    def _is_in(self, room: str) -> bool:
        channel = self._rooms().get(room)
        return channel is not None and channel.member

    async def _whoami(self, _: Request) -> Response:
        return JSONResponse({"user_id": BOT, "device_id": "SIMULATED", "is_guest": False})

    async def _joined_rooms(self, _: Request) -> Response:
        return JSONResponse({"joined_rooms": [room for room in self._rooms() if self._is_in(room)]})

    async def _directory(self, request: Request) -> Response:
        alias = unquote(request.path_params["alias"])
        for room, channel in self._rooms().items():
            if alias == f"#{channel.name}:{SERVER}" and not channel.private:
                return JSONResponse({"room_id": room, "servers": [SERVER]})
        return _no(404, "M_NOT_FOUND")

    async def _join(self, request: Request) -> Response:
        room = request.path_params["room"]
        channel = self._rooms().get(room)
        if channel is None or channel.private:
            return _no(403, "M_FORBIDDEN")
        channel.member = True
        return JSONResponse({"room_id": room})

    async def _encryption(self, request: Request) -> Response:
        room = request.path_params["room"]
        if not self._is_in(room):
            return _no(403, "M_FORBIDDEN")
        if room in self._state.get("encrypted", ()):
            return JSONResponse({"algorithm": "m.megolm.v1.aes-sha2"})
        return _no(404, "M_NOT_FOUND")

    async def _event(self, request: Request) -> Response:
        room, id_ = request.path_params["room"], request.path_params["event"]
        found = [each for each in self.events if (each["room_id"], each["event_id"]) == (room, id_)]
        return JSONResponse(found[0]) if found and self._is_in(room) else _no(404, "M_NOT_FOUND")

    async def _send(self, request: Request) -> Response:
        room, txn = request.path_params["room"], request.path_params["txn"]
        if not self._is_in(room) or request.path_params["type"] != "m.room.message":
            return _no(403, "M_FORBIDDEN")
        body = await request.body()
        if len(body) > _LARGEST_EVENT:
            return _no(413, "M_TOO_LARGE")
        try:
            content = json.loads(body)
        except ValueError:
            return _no(400, "M_NOT_JSON")
        if not isinstance(content, dict):
            return _no(400, "M_BAD_JSON")
        sent = self._state.setdefault("transactions", {})
        if txn not in sent:
            sent[txn] = self._add(room, BOT, content)
            self._show(room, sent[txn], content)
        return JSONResponse({"event_id": sent[txn]})

    def _show(self, room: str, id_: str, content: dict[str, Any]) -> None:
        """Put a message where the estate keeps them; one that replaces another changes that one."""
        relation, channel = content.get("m.relates_to", {}), self._rooms()[room]
        if relation.get("rel_type") == "m.replace":
            for message in self.estate.messages:
                if (message.channel, message.ts) == (channel.id, relation["event_id"]):
                    message.text, message.edited_at = content["m.new_content"]["body"], self.estate.now()
            return
        thread = relation.get("event_id") if relation.get("rel_type") == "m.thread" else None
        self.estate.messages.append(Message(self.estate.now(), channel.id, id_, content["body"], thread))

    async def _messages(self, request: Request) -> Response:
        room, params = request.path_params["room"], request.query_params
        if not self._is_in(room):
            return _no(403, "M_FORBIDDEN")
        begin, end = _position(params.get("from")), _position(params.get("to"))
        if begin is None or params.get("dir") != "b":
            return _no(400, "M_INVALID_PARAM")
        limit = int(params.get("limit", "10"))
        places = [at for at in range(end or 0, begin) if self.events[at]["room_id"] == room][::-1]
        chunk = [_without_room(self.events[at]) for at in places[:limit]]
        more = {"end": _token(places[limit - 1])} if len(places) > limit else {}
        return JSONResponse({"start": params["from"], "chunk": chunk, **more})

    async def _sync(self, request: Request) -> Response:
        since = request.query_params.get("since")
        begin = 0 if since is None else _position(since)
        if begin is None or begin > len(self.events):
            return _no(400, "M_INVALID_PARAM")
        timeline = json.loads(request.query_params.get("filter", "{}")).get("room", {}).get("timeline", {})
        until = time.monotonic() + int(request.query_params.get("timeout", "0")) / 1000
        while len(self.events) <= begin and since is not None and time.monotonic() < until:
            if await request.is_disconnected():
                break
            await asyncio.sleep(_LOOK_EVERY_S)
        end = len(self.events)
        joined = {
            room: {"timeline": found}
            for room in self._rooms()
            if self._is_in(room) and (found := self._timeline(room, begin, end, int(timeline.get("limit", 10))))
        }
        return JSONResponse({"next_batch": _token(end), "rooms": {"join": joined} if joined else {}})

    def _timeline(self, room: str, begin: int, end: int, limit: int) -> dict[str, Any] | None:
        places = [at for at in range(begin, end) if self.events[at]["room_id"] == room]
        if not places:
            return None
        kept = places[-limit:]
        events = [_without_room(self.events[at]) for at in kept]
        return {"events": events, "limited": len(kept) < len(places), "prev_batch": _token(kept[0])}


def room_id_of(channel: Channel) -> str:
    """Return the ID of the room that a channel of the estate is."""
    return channel.id if channel.id.startswith("!") else f"!{channel.name}:{SERVER}"


def _without_room(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != "room_id"}


def _token(position: int) -> str:
    return f"s{position}"


def _position(token: str | None) -> int | None:
    return int(token[1:]) if token is not None and token[:1] == "s" and token[1:].isdigit() else None


def _no(status: int, code: str) -> Response:
    return JSONResponse(
        {"errcode": code, "error": code.removeprefix("M_").replace("_", " ").lower()}, status_code=status
    )
