"""What is said in encrypted rooms: readable for those who are trusted, in the clear nowhere, with keys that last."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from hikeshi.capabilities import Effect
from hikeshi.connector import Applied, Conflict, Forbidden, Invalid, Secret, Unauthorized, Unavailable, Unsupported
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.matrix import Matrix
from hikeshi_connectors.matrix.devices import MEGOLM, OLM, canonical

vodozemac = pytest.importorskip("vodozemac", reason="the Python package vodozemac is not there")

ROOM, BOT, DEVICE = "!room:example", "@bot:example", "BOTDEVICE"
PASSPHRASE = "correct horse battery"
AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class Peer:
    """A device of somebody, as it would be in a client: it has one-time keys, and reads what it was given keys for."""

    def __init__(self, user: str, id_: str, one_time_keys: int = 5) -> None:
        self.user, self.id = user, id_
        self.account = vodozemac.Account()
        self.account.generate_one_time_keys(max(1, one_time_keys))
        self.one_time = list(self.account.one_time_keys.items())[:one_time_keys]
        self.groups: dict[str, Any] = {}
        self.sessions: list[Any] = []

    @property
    def fingerprint(self) -> str:
        return str(self.account.ed25519_key.to_base64())

    def signed(self, value: dict[str, Any]) -> dict[str, Any]:
        signature = self.account.sign(canonical(value)).to_base64()
        return {**value, "signatures": {self.user: {f"ed25519:{self.id}": signature}}}

    def keys(self) -> dict[str, Any]:
        keys = {
            f"curve25519:{self.id}": self.account.curve25519_key.to_base64(),
            f"ed25519:{self.id}": self.fingerprint,
        }
        whole = {"user_id": self.user, "device_id": self.id, "algorithms": [OLM, MEGOLM], "keys": keys}
        return self.signed(whole)

    def one_time_key(self) -> dict[str, Any]:
        if not self.one_time:
            return {}
        id_, key = self.one_time.pop()
        return {f"signed_curve25519:{id_}": self.signed({"key": key.to_base64()})}

    def take(self, content: dict[str, Any]) -> None:
        """Read a key that was sent to this device."""
        part = content["ciphertext"][self.account.curve25519_key.to_base64()]
        body = base64.b64decode(part["body"] + "==")
        message = vodozemac.AnyOlmMessage.from_parts(part["type"], body)
        plain = None
        for session in self.sessions:
            try:
                plain = session.decrypt(message)
            except ValueError:
                continue
        if plain is None:
            sender = vodozemac.Curve25519PublicKey.from_base64(content["sender_key"])
            session, plain = self.account.create_inbound_session(sender, message.to_pre_key())
            self.sessions.append(session)
        payload = json.loads(plain)
        assert payload["type"] == "m.room_key"
        assert (payload["sender"], payload["recipient"]) == (BOT, self.user)
        assert payload["recipient_keys"] == {"ed25519": self.fingerprint}
        key = vodozemac.SessionKey(payload["content"]["session_key"])
        self.groups[payload["content"]["session_id"]] = vodozemac.InboundGroupSession(key)

    def read(self, event: dict[str, Any]) -> dict[str, Any]:
        """Return what a message says. Raises KeyError if this device never got its key."""
        message = vodozemac.MegolmMessage.from_base64(event["ciphertext"])
        found: dict[str, Any] = json.loads(self.groups[event["session_id"]].decrypt(message).plaintext)
        assert found["room_id"] == ROOM
        return found


class Homeserver:
    """A homeserver with one encrypted room. `rejects` is asked before each request and may answer in its place."""

    def __init__(self, *peers: Peer) -> None:
        self.peers = list(peers)
        self.state: dict[str, Any] = {"algorithm": MEGOLM}
        self.uploaded: dict[str, Any] | None = None
        self.requests: list[httpx.Request] = []
        self.events: list[dict[str, Any]] = []
        self.query: Callable[[dict[str, Any]], dict[str, Any]] = lambda answer: answer
        self.rejects: Callable[[str], httpx.Response | None] = lambda _: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        path = request.url.path.removeprefix("/_matrix/client/v3")
        refused = self.rejects(path)
        return refused or httpx.Response(200, json=self._answer(path, json.loads(request.content or b"{}")))

    def _answer(self, path: str, body: dict[str, Any]) -> Any:
        if path == "/account/whoami":
            return {"user_id": BOT, "device_id": DEVICE}
        if path == "/joined_rooms":
            return {"joined_rooms": [ROOM]}
        if path.endswith("/state/m.room.encryption"):
            return self.state
        if path.endswith("/joined_members"):
            return {"joined": {each: {} for each in [BOT, *(peer.user for peer in self.peers)]}}
        if path == "/keys/query":
            return self._queried(body["device_keys"])
        if path == "/keys/upload":
            self.uploaded = body["device_keys"]
            return {"one_time_key_counts": {}}
        if path == "/keys/claim":
            wanted = body["one_time_keys"]
            claimed = {user: {id_: self.peer(user, id_).one_time_key() for id_ in ids} for user, ids in wanted.items()}
            return {"one_time_keys": claimed, "failures": {}}
        if path.startswith("/sendToDevice/m.room.encrypted/"):
            for user, messages in body["messages"].items():
                for id_, content in messages.items():
                    self.peer(user, id_).take(content)
            return {}
        assert path.startswith(f"/rooms/{ROOM}/send/m.room.encrypted/"), path
        self.events.append(body)
        return {"event_id": f"$event{len(self.events)}"}

    def _queried(self, wanted: dict[str, list[str]]) -> dict[str, Any]:
        found: dict[str, dict[str, Any]] = {user: {} for user in wanted}
        if BOT in wanted and self.uploaded is not None:
            found[BOT][DEVICE] = self.uploaded
        for peer in self.peers:
            if peer.user in wanted:
                found[peer.user][peer.id] = peer.keys()
        return self.query({"device_keys": found, "failures": {}})

    def peer(self, user: str, id_: str) -> Peer:
        return next(each for each in self.peers if (each.user, each.id) == (user, id_))

    def calls(self, part: str) -> int:
        return sum(part in request.url.path for request in self.requests)


def matrix(server: Homeserver, folder: Path, **settings: Any) -> Matrix:
    given = {
        "base_url": "https://matrix.example",
        "access_token": Secret.of_value("syt_test"),
        "key_folder": folder / "keys",
        "key_passphrase": Secret.of_value(PASSPHRASE),
        **settings,
    }
    connector = build(Matrix, "matrix", given, Redactor(), transport=httpx.MockTransport(server))
    assert isinstance(connector, Matrix)
    return connector


def door(mode: Any = "live", key: str = "") -> Door:
    return Door(mode=mode, effect=Effect.NOTIFY, action="messaging.post", intended=True, key=key)


async def say(connector: Matrix, text: str) -> None:
    with through(door()):
        await connector.post(ROOM, text)


async def test_a_message_is_readable_for_the_members_and_nowhere_in_the_clear(tmp_path: Path):
    """Our keys are announced and the room's is given out before the first message, which can be read at once."""
    ken, mei = Peer("@ken:example", "KEN1"), Peer("@mei:other", "MEI1")
    server = Homeserver(ken, mei)
    with through(door(key="run/1")):
        message = await matrix(server, tmp_path).post(ROOM, "host isolated", severity="high")
    (event,) = server.events
    for peer in (ken, mei):
        content = peer.read(event)["content"]
        assert content == {"msgtype": "m.text", "body": "[HIGH] host isolated", "m.mentions": {}}
    assert message.id == f"{ROOM}|$event1"
    assert not any(b"isolated" in request.content for request in server.requests)
    paths = [request.url.path for request in server.requests if request.method == "PUT" or "/keys/" in request.url.path]
    names = [part for path in paths for part in ("upload", "query", "claim", "sendToDevice", "/send/") if part in path]
    assert names == ["query", "upload", "query", "claim", "sendToDevice", "/send/"]
    assert server.uploaded is not None
    assert event["device_id"] == DEVICE


@pytest.mark.safety(15)
async def test_keys_go_on_where_they_were_over_restarts_and_failures(tmp_path: Path):
    """No index of a key is used twice, and nobody is given a key twice."""
    ken = Peer("@ken:example", "KEN1")
    server = Homeserver(ken)
    await say(matrix(server, tmp_path), "one")
    connector = matrix(server, tmp_path)
    server.rejects = lambda path: httpx.Response(502) if "/send/" in path else None
    with pytest.raises(Unavailable) as caught:
        await say(connector, "lost")
    assert caught.value.applied is Applied.MAYBE
    server.rejects = lambda _: None
    await asyncio.gather(say(connector, "two"), say(matrix(server, tmp_path), "three"))
    said = {ken.read(event)["content"]["body"] for event in server.events}
    indexes = [vodozemac.MegolmMessage.from_base64(event["ciphertext"]).message_index() for event in server.events]
    assert said == {"one", "two", "three"}
    assert sorted(indexes) == [0, 2, 3]
    assert (server.calls("/keys/claim"), server.calls("/sendToDevice/"), server.calls("/keys/upload")) == (1, 1, 1)


async def test_who_left_can_not_read_on_and_who_came_can_not_read_back(tmp_path: Path):
    """The room's key is replaced, or given out from where it is."""
    ken, mei, leo = Peer("@ken:example", "KEN1"), Peer("@mei:example", "MEI1"), Peer("@leo:example", "LEO1")
    server = Homeserver(ken, mei)
    connector = matrix(server, tmp_path)
    await say(connector, "one")
    server.peers.append(leo)
    await say(connector, "two")
    server.peers.remove(mei)
    await say(connector, "three")
    first, second, third = server.events
    assert first["session_id"] == second["session_id"] != third["session_id"]
    assert leo.read(second)["content"]["body"] == "two"
    with pytest.raises(vodozemac.MegolmDecryptionException):
        leo.read(first)
    with pytest.raises(KeyError):
        mei.read(third)
    assert ken.read(third)["content"]["body"] == leo.read(third)["content"]["body"] == "three"


async def test_a_key_is_replaced_as_often_as_the_room_says(tmp_path: Path):
    """After so many messages."""
    ken = Peer("@ken:example", "KEN1")
    server = Homeserver(ken)
    server.state["rotation_period_msgs"] = 2
    connector = matrix(server, tmp_path)
    for number in range(5):
        await say(connector, str(number))
    sessions = [event["session_id"] for event in server.events]
    assert [len(set(sessions[:count])) for count in (2, 3, 4, 5)] == [1, 2, 2, 3]
    assert [ken.read(event)["content"]["body"] for event in server.events] == ["0", "1", "2", "3", "4"]


async def test_a_device_that_changes_its_keys_stops_everything(tmp_path: Path):
    """Until somebody has looked, and says which key is right."""
    server = Homeserver(Peer("@ken:example", "KEN1"))
    await say(matrix(server, tmp_path), "one")
    server.peers = [other := Peer("@ken:example", "KEN1")]
    with pytest.raises(Forbidden, match="KEN1 of @ken:example has other keys") as caught:
        await say(matrix(server, tmp_path), "two")
    assert caught.value.applied is Applied.NO
    assert len(server.events) == 1
    await say(matrix(server, tmp_path, pinned_devices={"@ken:example": [other.fingerprint]}), "three")
    assert other.read(server.events[-1])["content"]["body"] == "three"


async def test_only_pinned_devices_of_a_person_get_a_key(tmp_path: Path):
    """Others of theirs do not, whoever added them; and somebody who has none may not be in the room, if so set."""
    mine, added, mei = Peer("@ken:example", "KEN1"), Peer("@ken:example", "ADDED"), Peer("@mei:example", "MEI1")
    server = Homeserver(mine, added, mei)
    spaced = " ".join(mine.fingerprint[at : at + 4] for at in range(0, 44, 4)) + "="
    pinned = {"@ken:example": [spaced]}
    with pytest.raises(Forbidden, match=r"@mei:example.*pinned_devices"):
        await say(matrix(server, tmp_path, pinned_devices=pinned, only_pinned=True), "none")
    await say(matrix(server, tmp_path, pinned_devices=pinned), "one")
    (event,) = server.events
    assert mine.read(event)["content"] == mei.read(event)["content"]
    with pytest.raises(KeyError):
        added.read(event)


def _spoil(answer: dict[str, Any], **changed: Any) -> dict[str, Any]:
    keys = answer["device_keys"].get("@ken:example", {})
    return {
        **answer,
        "device_keys": {
            **answer["device_keys"],
            **({"@ken:example": {id_: {**each, **changed} for id_, each in keys.items()}} if keys else {}),
        },
    }


@pytest.mark.parametrize(
    "changed",
    [
        {"keys": {"curve25519:KEN1": "AAAA", "ed25519:KEN1": "AAAA"}},
        {"user_id": "@mei:example"},
        {"device_id": "OTHER"},
        {"algorithms": [OLM]},
        {"signatures": {}},
        {"signatures": None, "keys": None},
        {"extra": "not signed"},
    ],
)
async def test_keys_that_nobody_signed_are_no_keys(tmp_path: Path, changed: dict[str, Any]):
    """A homeserver can't slip one in; and where nobody could read a message, none is sent."""
    server = Homeserver(Peer("@ken:example", "KEN1"))
    server.query = lambda answer: _spoil(answer, **changed)
    with pytest.raises(Conflict, match="nobody in the room"):
        await say(matrix(server, tmp_path), "one")
    assert not server.events


async def test_a_device_without_one_time_keys_is_left_out_until_it_has_some(tmp_path: Path):
    """If it is the only one, nothing is sent."""
    ken, mei = Peer("@ken:example", "KEN1", one_time_keys=0), Peer("@mei:example", "MEI1")
    server = Homeserver(ken)
    connector = matrix(server, tmp_path)
    with pytest.raises(Conflict, match="one-time key"):
        await say(connector, "none")
    server.peers.append(mei)
    await say(connector, "one")
    ken.account.generate_one_time_keys(1)
    ken.one_time = list(ken.account.one_time_keys.items())
    await say(connector, "two")
    assert [mei.read(event)["content"]["body"] for event in server.events] == ["one", "two"]
    assert ken.read(server.events[1])["content"]["body"] == "two"


@pytest.mark.parametrize("path", ["/keys/query", "/keys/upload", "/keys/claim", "/sendToDevice/"])
async def test_a_failure_before_the_message_is_certain(tmp_path: Path, path: str):
    """Nothing was said, and the next time everybody can read."""
    ken = Peer("@ken:example", "KEN1")
    server = Homeserver(ken)
    server.rejects = lambda asked: httpx.Response(500) if asked.startswith(path) else None
    with pytest.raises(Unavailable) as caught:
        await say(matrix(server, tmp_path), "one")
    assert caught.value.applied is Applied.NO
    assert not server.events
    server.rejects = lambda _: None
    await say(matrix(server, tmp_path), "two")
    assert ken.read(server.events[0])["content"]["body"] == "two"


async def test_a_server_that_does_not_tell_its_devices_stops_everything(tmp_path: Path):
    """Its people would be left out without a word."""
    server = Homeserver(Peer("@ken:example", "KEN1"))
    server.query = lambda answer: {**answer, "failures": {"other.example": {"status": 503}}}
    with pytest.raises(Unavailable, match=r"other\.example"):
        await say(matrix(server, tmp_path), "one")
    assert not server.events


@pytest.mark.safety(3)
async def test_a_plan_shows_what_would_be_said_and_makes_no_keys(tmp_path: Path):
    """In the clear, for it is for those who decide; and it says that more requests follow."""
    server = Homeserver(Peer("@ken:example", "KEN1"))
    with through(door("plan")) as planned, pytest.raises(CaptureEnded):
        await matrix(server, tmp_path).post(ROOM, "hello")
    (request,) = planned.captured
    assert request.url.startswith(
        "https://matrix.example/_matrix/client/v3/rooms/%21room%3Aexample/send/m.room.encrypted/"
    )
    assert request.body["encrypts"]["body"] == "hello"
    assert not planned.complete
    assert not (tmp_path / "keys").exists()
    assert server.calls("/keys/") == 0


@pytest.mark.safety(26)
async def test_the_file_of_keys_is_for_its_owner_alone(tmp_path: Path):
    """Encrypted, and refused if others can read it, if the passphrase is wrong, or if it was changed."""
    server = Homeserver(Peer("@ken:example", "KEN1"))
    await say(matrix(server, tmp_path), "one")
    path = tmp_path / "keys" / "matrix-matrix.keys"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    content = path.read_bytes()
    assert not any(part in content for part in (b"@ken", b"session", PASSPHRASE.encode(), b"account"))
    with pytest.raises(Unauthorized, match="passphrase"):
        await say(matrix(server, tmp_path, key_passphrase=Secret.of_value("wrong")), "x")
    path.chmod(0o640)
    with pytest.raises(Invalid, match="chmod 600"):
        await say(matrix(server, tmp_path), "x")
    path.chmod(0o600)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(Unauthorized):
        await say(matrix(server, tmp_path), "x")
    path.write_bytes(b"something else")
    with pytest.raises(Invalid, match="no file of keys"):
        await say(matrix(server, tmp_path), "x")
    assert len(server.events) == 1


async def test_keys_of_another_device_are_not_used(tmp_path: Path):
    """Neither ours for another token, nor new ones for a device that has some."""
    ken = Peer("@ken:example", "KEN1")
    server = Homeserver(ken)
    await say(matrix(server, tmp_path), "one")
    (tmp_path / "keys" / "matrix-matrix.keys").unlink()
    with pytest.raises(Invalid, match="log the account in anew"):
        await say(matrix(server, tmp_path), "two")
    other = Homeserver(ken)
    moved = tmp_path / "other"
    await say(matrix(other, moved), "three")
    other.rejects = lambda path: (
        httpx.Response(200, json={"user_id": BOT, "device_id": "ANOTHER"}) if "whoami" in path else None
    )
    with pytest.raises(Invalid, match="the access token belongs to"):
        await say(matrix(other, moved), "four")


async def test_keys_that_another_process_uses_are_waited_for(tmp_path: Path):
    """But not for ever."""
    server = Homeserver(Peer("@ken:example", "KEN1"))
    (tmp_path / "keys").mkdir(mode=0o700)
    descriptor = os.open(tmp_path / "keys" / "matrix-matrix.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with pytest.raises(Unavailable, match="another process") as caught:
            await say(matrix(server, tmp_path, timeout_s=0.2), "x")
        assert caught.value.applied is Applied.NO
    finally:
        os.close(descriptor)
    await say(matrix(server, tmp_path), "one")
    assert len(server.events) == 1


async def test_what_a_message_answers_or_replaces_stands_outside(tmp_path: Path):
    """The homeserver needs it there; what is said stays inside. Questions are refused, for replies can't be read."""
    ken = Peer("@ken:example", "KEN1")
    server = Homeserver(ken)
    connector = matrix(server, tmp_path)
    with through(door()):
        await connector.post(ROOM, "more", thread=f"{ROOM}|$first")
    with through(door()):
        await connector.conclude(f"{ROOM}|$first", "Isolate?", "Approved by Mei.")
    thread, edit = server.events
    assert thread["m.relates_to"]["rel_type"] == "m.thread"
    assert edit["m.relates_to"] == {"rel_type": "m.replace", "event_id": "$first"}
    assert "m.relates_to" not in ken.read(thread)["content"]
    assert "Approved by Mei." in ken.read(edit)["content"]["m.new_content"]["body"]
    with through(door()), pytest.raises(Unsupported, match="can't read replies there"):
        await connector.ask(ROOM, "Isolate?", "r-1", "sure", "d" * 64, AT)


async def test_what_can_not_be_encrypted_is_not_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Without keys, without the package, or with an algorithm that is not ours."""
    server = Homeserver(Peer("@ken:example", "KEN1"))
    with pytest.raises(Unsupported, match="set key_folder"):
        await say(matrix(server, tmp_path, key_folder=None, key_passphrase=None), "x")
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "vodozemac", None)
        with pytest.raises(Unsupported, match="matrix-e2ee"):
            await say(matrix(server, tmp_path), "x")
    server.state = {"algorithm": "m.megolm.v9"}
    with pytest.raises(Unsupported, match=r"m\.megolm\.v9"):
        await say(matrix(server, tmp_path), "x")
    missing = Secret.parse("${env:HIKESHI_TEST_NO_SUCH_PASSPHRASE}")
    server.state = {"algorithm": MEGOLM}
    with pytest.raises(Unauthorized, match="HIKESHI_TEST_NO_SUCH_PASSPHRASE"):
        await say(matrix(server, tmp_path, key_passphrase=missing), "x")
    assert not server.events
