"""Megolm: the key with which a room's messages are encrypted, when it is replaced, and a message as an event.

Source: https://spec.matrix.org/v1.15/client-server-api/#mmegolmv1aes-sha2 and `m.room.encryption`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hikeshi.connector import Unsupported
from hikeshi_connectors.matrix.devices import MEGOLM, Device
from hikeshi_connectors.matrix.key_store import PICKLE_KEY, Keys, RoomKey

__all__ = ["Rules", "current_key", "encrypted_event", "rules_of"]

_MESSAGES: Final = 100
_WEEK_S: Final = 7 * 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Rules:
    """After how long, and how many messages, a room's key is replaced."""

    messages: int
    age_s: float


def rules_of(state: Mapping[str, Any], room: str) -> Rules:
    """Return what a room's state says of its encryption. Raises Unsupported for an algorithm that is not ours."""
    if state.get("algorithm") != MEGOLM:
        raise Unsupported(
            f"the room {room} is encrypted with {str(state.get('algorithm'))[:60]!r}, and not with {MEGOLM}"
        )
    messages, age_ms = state.get("rotation_period_msgs"), state.get("rotation_period_ms")
    return Rules(
        messages if isinstance(messages, int) and messages > 0 else _MESSAGES,
        age_ms / 1000 if isinstance(age_ms, int) and age_ms > 0 else _WEEK_S,
    )


def current_key(keys: Keys, room: str, rules: Rules, devices: Iterable[Device]) -> RoomKey:
    """Return the room's key: a new one if there is none, it is used up, or somebody has it who is not to read on."""
    from vodozemac import GroupSession

    now_s, found = time.time(), keys.rooms.get(room)
    readers = {each.place: each.curve25519 for each in devices}
    if (
        found is None
        or found.messages >= rules.messages
        or not 0 <= now_s - found.created_s < rules.age_s
        or not found.shared.items() <= readers.items()
    ):
        found = keys.rooms[room] = RoomKey(GroupSession().pickle(PICKLE_KEY), now_s)
    return found


def encrypted_event(
    keys: Keys, room_key: RoomKey, room: str, content: Mapping[str, Any], device: str
) -> dict[str, Any]:
    """Return the event of a message. What it answers or replaces stands outside, where the homeserver needs it."""
    from vodozemac import Account, GroupSession

    group = GroupSession.from_pickle(room_key.pickle, PICKLE_KEY)
    inside = {key: value for key, value in content.items() if key != "m.relates_to"}
    payload = {"type": "m.room.message", "content": inside, "room_id": room}
    ciphertext = group.encrypt(json.dumps(payload).encode()).to_base64()
    room_key.pickle, room_key.messages = group.pickle(PICKLE_KEY), room_key.messages + 1
    relation = {"m.relates_to": content["m.relates_to"]} if "m.relates_to" in content else {}
    return {
        "algorithm": MEGOLM,
        "sender_key": Account.from_pickle(keys.account, PICKLE_KEY).curve25519_key.to_base64(),
        "device_id": device,
        "session_id": group.session_id,
        "ciphertext": ciphertext,
        **relation,
    }
