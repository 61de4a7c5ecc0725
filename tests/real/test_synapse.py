"""Messages in an encrypted room of a real homeserver, Synapse, read by a client of somebody else's, matrix-nio.

Needs the Python packages matrix-synapse and matrix-nio[e2e], in this interpreter or in the one that
HIKESHI_SYNAPSE_PYTHON names, and vodozemac here; is skipped without, and says so.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from synapse_place import homeserver_in, reading, why_not

from hikeshi.capabilities import Effect, Message
from hikeshi.connector import Secret, Unsupported
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.matrix import Matrix

REASON = why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")

ENCRYPTED = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
SAID, ANSWERED, LATER, OPEN = "isolated-pc-seven", "reason-is-malware", "later-for-two-devices", "said-in-the-open"


def matrix(server: Any, folder: Path, **settings: Any) -> Matrix:
    given = {
        "base_url": server.url,
        "access_token": Secret.of_value(server.tokens["hikeshi"]),
        "key_folder": folder / "keys",
        "key_passphrase": Secret.of_value("a passphrase of this test"),
        **settings,
    }
    connector = build(Matrix, "matrix", given, Redactor())
    assert isinstance(connector, Matrix)
    return connector


async def post(connector: Matrix, channel: str, text: str, thread: str | None = None) -> Message:
    door = Door(mode="live", effect=Effect.NOTIFY, action="messaging.post", intended=True, key=f"run/{text}")
    with through(door):
        return await connector.post(channel, text, thread=thread)


async def test_an_encrypted_room_is_read_by_another_client_and_by_nobody_else(tmp_path: Path):
    """The first message at once, answers, and those after a restart; the homeserver's disk has only ciphers."""
    with homeserver_in(tmp_path / "synapse") as server:
        for name in ("hikeshi", "ken"):
            server.register(name)
        room = server.create_room("secret", by="ken", initial_state=[ENCRYPTED])
        server.create_room("open", by="ken")
        with reading(server, "ken", tmp_path / "ken") as reader:
            connector = matrix(server, tmp_path)
            first = await post(connector, "#secret", SAID)
            assert await post(connector, "#secret", SAID) == first  # sent again: taken once
            told = reader.message()
            assert (told["body"], told["decrypted"], told["sender"]) == (SAID, True, "@hikeshi:hikeshi.test")
            await connector.http.aclose()

            connector = matrix(server, tmp_path)
            await post(connector, room, ANSWERED, thread=first.id)
            answer = reader.message()
            assert (answer["body"], answer["relation"]["event_id"]) == (ANSWERED, first.id.partition("|")[2])
            await post(connector, room, LATER)
            assert reader.message()["body"] == LATER
            await post(connector, "#open", OPEN)
            assert reader.message()["body"] == OPEN
            await connector.http.aclose()
        bare = matrix(server, tmp_path, key_folder=None, key_passphrase=None)
        with pytest.raises(Unsupported):
            await post(bare, room, SAID)
        await bare.http.aclose()
        path = f"/_matrix/client/v3/rooms/{room}/messages?dir=f&limit=1000"
        events = [each for each in server.call("GET", path, by="ken")["chunk"] if each["sender"].startswith("@hikeshi")]
        assert {each["type"] for each in events} == {"m.room.member", "m.room.encrypted"}
    on_disk = b"".join(path.read_bytes() for path in (tmp_path / "synapse").rglob("*") if path.is_file())
    assert OPEN.encode() in on_disk
    assert b"m.room.encrypted" in on_disk
    for text in (SAID, ANSWERED, LATER):
        assert text.encode() not in on_disk
