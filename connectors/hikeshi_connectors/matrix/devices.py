"""The devices of other people: whose keys they say they are, and which of them are trusted with what we write.

Source: https://spec.matrix.org/v1.15/client-server-api/#device-keys and section "Signing JSON" of the appendices.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from hikeshi.connector import Forbidden, Invalid

__all__ = ["MEGOLM", "OLM", "Device", "Trust", "canonical", "devices_in", "is_signed", "unpadded"]

OLM: Final = "m.olm.v1.curve25519-aes-sha2"
MEGOLM: Final = "m.megolm.v1.aes-sha2"


@dataclass(frozen=True, slots=True)
class Device:
    """A device, with the keys that it signed as its own."""

    user: str
    id: str
    curve25519: str
    ed25519: str

    @property
    def place(self) -> str:
        return f"{self.user}|{self.id}"

    @property
    def keys(self) -> str:
        return f"{self.ed25519} {self.curve25519}"


@dataclass(frozen=True, slots=True)
class Trust:
    """Which devices may read. `pinned` are people's only trusted ones, by their ed25519 keys.

    Somebody else's are trusted when they are first seen, and refused if their keys change; with `only_pinned`, somebody
    else may not be in the room at all.
    """

    pinned: Mapping[str, tuple[str, ...]]
    only_pinned: bool = False

    def chosen(
        self, members: Iterable[str], devices: Iterable[Device], seen: dict[str, dict[str, str]]
    ) -> list[Device]:
        """Return the devices that get a key, and note in `seen` those that were not there before. Raises Forbidden."""
        unknown = sorted(user for user in members if user not in self.pinned) if self.only_pinned else []
        if unknown:
            raise Forbidden(
                f"{', '.join(unknown[:5])} is in the room and not in pinned_devices; nothing was said there"
            )
        found = []
        for device in devices:
            if device.user in self.pinned:
                if device.ed25519 in self.pinned[device.user]:
                    found.append(device)
                continue
            before = seen.setdefault(device.user, {}).setdefault(device.id, device.keys)
            if before != device.keys:
                raise Forbidden(
                    f"the device {device.id} of {device.user} has other keys than before: somebody may listen in. Ask "
                    f"them, then pin the right key in pinned_devices; nothing was said in the room"
                )
            found.append(device)
        return found


def devices_in(answer: Mapping[str, Any], users: Iterable[str], where: str) -> list[Device]:
    """Return the devices of these people that can read encrypted messages and whose keys are signed by themselves.

    Raises Invalid for an answer that is none of /keys/query.
    """
    given = answer.get("device_keys")
    if not isinstance(given, Mapping):
        raise Invalid(f"{where}: the answer has no 'device_keys'")
    found = []
    for user in users:
        mine = given.get(user, {})
        for id_, keys in mine.items() if isinstance(mine, Mapping) else ():
            device = _device(user, id_, keys)
            if device is not None:
                found.append(device)
    return sorted(found, key=lambda each: each.place)


def _device(user: str, id_: str, given: Any) -> Device | None:
    """Return a device, or None for one that says it is another, can't read us, or is not signed."""
    if not isinstance(given, Mapping) or (given.get("user_id"), given.get("device_id")) != (user, id_):
        return None
    keys, algorithms = given.get("keys"), given.get("algorithms")
    if (
        not isinstance(keys, Mapping)
        or not isinstance(algorithms, list)
        or not {OLM, MEGOLM} <= set(map(str, algorithms))
    ):
        return None
    curve25519, ed25519 = keys.get(f"curve25519:{id_}"), keys.get(f"ed25519:{id_}")
    if not isinstance(curve25519, str) or not isinstance(ed25519, str):
        return None
    return Device(user, id_, curve25519, ed25519) if is_signed(given, user, id_, ed25519) else None


def is_signed(given: Mapping[str, Any], user: str, device: str, ed25519: str) -> bool:
    """Say whether an object is signed by a device's key."""
    from vodozemac import Ed25519PublicKey, Ed25519Signature

    signatures = given.get("signatures")
    mine = signatures.get(user) if isinstance(signatures, Mapping) else None
    signature = mine.get(f"ed25519:{device}") if isinstance(mine, Mapping) else None
    if not isinstance(signature, str):
        return False
    try:
        Ed25519PublicKey.from_base64(ed25519).verify_signature(
            canonical(given), Ed25519Signature.from_base64(signature)
        )
    except ValueError:  # vodozemac's exceptions are of this kind
        return False
    return True


def canonical(value: Mapping[str, Any]) -> bytes:
    """Return what is signed of an object: its canonical JSON without signatures."""
    signed = {key: item for key, item in value.items() if key not in ("signatures", "unsigned")}
    return json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")


def unpadded(text: str) -> str:
    """Return a key as people may write it, without the spaces and the padding."""
    return "".join(text.split()).rstrip("=")
