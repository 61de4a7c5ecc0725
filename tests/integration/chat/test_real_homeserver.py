"""The same with Synapse in place of the simulator: what it takes, gives and calls things."""

from __future__ import annotations

from typing import Any

import pytest
from chat_place import Place, wait_until
from homeserver import PYTHON, SERVER, homeserver_in

pytestmark = pytest.mark.skipif(
    not PYTHON, reason="HIKESHI_SYNAPSE_PYTHON names no interpreter that has the package matrix-synapse"
)


def test_approvals_are_asked_and_decided_on_a_real_homeserver(place: Place) -> None:
    """It is joined by alias, asked, listened to over more than a sync gives, answered and concluded."""
    with homeserver_in(place.folder.parent / "synapse") as homeserver:
        for name in ("hikeshi", "ken", "leo"):
            homeserver.register(name)
        room = homeserver.create_room("approvals", by="ken")
        secret = {"type": "m.room.encryption", "state_key": "", "content": {"algorithm": "m.megolm.v1.aes-sha2"}}
        homeserver.create_room("secret", by="ken", initial_state=[secret])
        (place.folder.parent / "matrix-token").write_text(homeserver.tokens["hikeshi"])
        place.matrix_url = homeserver.url
        place.write({"announce": [f"#approvals:{SERVER}", f"#secret:{SERVER}"], "matrix": {}})

        def asking() -> list[dict[str, Any]]:
            found = homeserver.messages(room, by="ken")
            return [each for each in found if "io.hikeshi.question" in each["content"]]

        with place.served() as server:
            run = server.ask("pc1")
            question = wait_until(asking, within_s=30)[0]["event_id"]
            wait_until(lambda: server.told, within_s=30)
            wait_until(lambda: server.runs("announce-approval"))
            server.chat.stop()
        homeserver.call("POST", f"/_matrix/client/v3/join/{room}", {}, by="leo")
        homeserver.reply(room, question, "approve", by="leo")
        homeserver.reply(room, question, "approve 00000000", by="ken")
        for number in range(160):
            homeserver.reply(room, "$nothing", f"remark {number}", by="leo")
        with place.served() as server:
            assert "is not among those who are asked" in _told(homeserver, room, question, 2)
            homeserver.reply(room, question, "approve", by="ken")
            wait_until(lambda: server.status(run) == "succeeded", within_s=30)
            assert "Your approval is recorded." in _told(homeserver, room, question, 3)
            wait_until(
                lambda: "Approved by Ken Sato." in str(asking()[0]) or _is_replaced(homeserver, room), within_s=30
            )
            again = server.ask("pc2")
            wait_until(lambda: len(asking()) == 2, within_s=30)
            assert asking()[1]["content"]["io.hikeshi.question"]["run"] == again
        assert len(asking()) == 2


def _told(homeserver: Any, room: str, question: str, count: int) -> str:
    """Return everything that was said in the thread of a question, once it is so many texts."""

    def look() -> str:
        contents = [
            each["content"] for each in homeserver.messages(room, by="ken") if each["sender"] == f"@hikeshi:{SERVER}"
        ]
        found = [each["body"] for each in contents if each.get("m.relates_to", {}).get("event_id") == question]
        return "\n".join(found) if len(found) >= count else ""

    return wait_until(look, within_s=30)


def _is_replaced(homeserver: Any, room: str) -> bool:
    contents = [each["content"] for each in homeserver.messages(room, by="ken")]
    return any("Approved by Ken Sato." in str(each.get("m.new_content")) for each in contents)
