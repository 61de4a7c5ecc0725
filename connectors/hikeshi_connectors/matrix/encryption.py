"""Saying something in an encrypted room: who may read it, the keys to them, the message; never in the clear.

Olm and Megolm are vodozemac's; here is what is asked of a homeserver, in which order, and what is kept.
Source: https://spec.matrix.org/v1.15/client-server-api/#end-to-end-encryption.
"""

from __future__ import annotations

import base64
import contextlib
import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from hikeshi.connector import Applied, Conflict, ConnectorError, Invalid, Unavailable, Unsupported
from hikeshi_connectors.matrix.answers import object_in, text_in
from hikeshi_connectors.matrix.devices import MEGOLM, OLM, Device, Trust, canonical, devices_in, is_signed
from hikeshi_connectors.matrix.key_store import PICKLE_KEY, Keys, KeyStore, RoomKey
from hikeshi_connectors.matrix.megolm import Rules, current_key, encrypted_event

if TYPE_CHECKING:
    from vodozemac import Account

    from hikeshi.connector.http import HttpClient

__all__ = ["Encryption", "check_vodozemac"]

_API: Final = "/_matrix/client/v3"
_AT_ONCE: Final = 200
_CLAIM_WITHIN_MS: Final = 10_000


def check_vodozemac() -> None:
    """Raise Unsupported if the optional package is not there."""
    try:
        import vodozemac  # noqa: F401 - whether it is there is all that is asked
    except ImportError:
        raise Unsupported(
            "encrypted rooms need an optional package; add it with: pip install 'hikeshi[matrix-e2ee]'"
        ) from None


class Encryption:
    """Our device. `own` is its user and its ID."""

    def __init__(self, http: HttpClient, store: KeyStore, trust: Trust, own: tuple[str, str]) -> None:
        self._http = http
        self._store = store
        self._trust = trust
        self._user, self._device = own

    async def say(self, room: str, rules: Rules, content: Mapping[str, Any], transaction: str, passphrase: str) -> str:
        """Send a message into an encrypted room and return its event ID.

        Raises Forbidden if somebody there is not trusted, Conflict if nobody could read it.
        """
        async with self._store.alone():
            with _nothing_said_yet():
                keys = await self._own_keys(passphrase)
                devices = await self._readers(room, keys)
                await self._store.save(keys, passphrase)  # devices that were seen for the first time
                room_key = current_key(keys, room, rules, devices)
                await self._share(room, room_key, devices, keys, passphrase)
                event = encrypted_event(keys, room_key, room, content, self._device)
                await self._store.save(keys, passphrase)
            path = f"{_API}/rooms/{_quoted(room)}/send/m.room.encrypted/{transaction}"
            return text_in(await self._http.put(path, json=event, last=True), "event_id")

    # --- who we are -------------------------------------------------------------------------------------------

    async def _own_keys(self, passphrase: str) -> Keys:
        """Return our keys, made and uploaded before if need be. Raises Invalid if they are not this device's."""
        from vodozemac import Account

        keys = await self._store.load(passphrase)
        if keys is None:
            keys = Keys(self._user, self._device, Account().pickle(PICKLE_KEY))
            await self._store.save(keys, passphrase)
        if (keys.user, keys.device) != (self._user, self._device):
            raise Invalid(
                f"the keys in key_folder are those of {keys.user}, device {keys.device}, and the access token belongs "
                f"to {self._user}, device {self._device}; use the token they were made with, or move them away"
            )
        await self._announce(Account.from_pickle(keys.account, PICKLE_KEY))
        return keys

    async def _announce(self, account: Account) -> None:
        """Upload the keys of our device, unless the homeserver has them. Raises Invalid if it has others."""
        answer = await self._http.post(f"{_API}/keys/query", json={"device_keys": {self._user: [self._device]}})
        ours = account.ed25519_key.to_base64()
        known = [each for each in devices_in(object_in(answer), [self._user], answer.where) if each.id == self._device]
        if known and known[0].ed25519 != ours:
            raise Invalid(
                f"{answer.where}: the homeserver knows other keys of the device {self._device} than key_folder has; "
                "log the account in anew, for nobody would trust a device that changes its keys"
            )
        if not known:
            await self._http.post(f"{_API}/keys/upload", json={"device_keys": self._device_keys(account)})

    def _device_keys(self, account: Account) -> dict[str, Any]:
        id_ = self._device
        keys = {
            f"curve25519:{id_}": account.curve25519_key.to_base64(),
            f"ed25519:{id_}": account.ed25519_key.to_base64(),
        }
        whole = {"user_id": self._user, "device_id": id_, "algorithms": [OLM, MEGOLM], "keys": keys}
        signature = account.sign(canonical(whole)).to_base64()
        return {**whole, "signatures": {self._user: {f"ed25519:{id_}": signature}}}

    # --- who may read -----------------------------------------------------------------------------------------

    async def _readers(self, room: str, keys: Keys) -> list[Device]:
        """Return the devices that are to read: those of the members now that are trusted.

        Raises Forbidden, Conflict; Unavailable if a server does not tell its members' devices.
        """
        answer = await self._http.get(f"{_API}/rooms/{_quoted(room)}/joined_members")
        joined = object_in(answer).get("joined")
        if not isinstance(joined, Mapping):
            raise Invalid(f"{answer.where}: the answer has no 'joined'")
        members = sorted(user for user in joined if user != self._user)
        answer = await self._http.post(f"{_API}/keys/query", json={"device_keys": {user: [] for user in members}})
        found = object_in(answer)
        _refuse_failures(found, answer.where)
        chosen = self._trust.chosen(members, devices_in(found, members, answer.where), keys.devices)
        if not chosen:
            raise Conflict(f"nobody in the room {room} has a trusted device that could read an encrypted message")
        return chosen

    # --- the key to them --------------------------------------------------------------------------------------

    async def _share(
        self, room: str, room_key: RoomKey, devices: Sequence[Device], keys: Keys, passphrase: str
    ) -> None:
        """Give the room's key to the devices that don't have it. Raises Conflict if nobody could be given it."""
        missing = [each for each in devices if each.place not in room_key.shared]
        await self._open_sessions([each for each in missing if each.curve25519 not in keys.sessions], keys)
        reached = [each for each in missing if each.curve25519 in keys.sessions]
        if not reached and not room_key.shared:
            raise Conflict(f"no device in the room {room} has a one-time key left, so none could read the message")
        for first in range(0, len(reached), _AT_ONCE):
            some = reached[first : first + _AT_ONCE]
            messages: dict[str, dict[str, Any]] = {}
            for device in some:
                messages.setdefault(device.user, {})[device.id] = self._wrapped(room, room_key, device, keys)
            await self._store.save(keys, passphrase)
            path = f"{_API}/sendToDevice/m.room.encrypted/{uuid.uuid4().hex}"
            await self._http.put(path, json={"messages": messages})
            room_key.shared.update({each.place: each.curve25519 for each in some})

    async def _open_sessions(self, devices: Sequence[Device], keys: Keys) -> None:
        """Claim a one-time key of each device and begin a session with it; without one, it is left out this time."""
        from vodozemac import Account, Curve25519PublicKey

        if not devices:
            return
        wanted: dict[str, dict[str, str]] = {}
        for device in devices:
            wanted.setdefault(device.user, {})[device.id] = "signed_curve25519"
        body = {"one_time_keys": wanted, "timeout": _CLAIM_WITHIN_MS}
        answer = await self._http.post(f"{_API}/keys/claim", json=body)
        given = object_in(answer).get("one_time_keys")
        if not isinstance(given, Mapping):
            raise Invalid(f"{answer.where}: the answer has no 'one_time_keys'")
        account = Account.from_pickle(keys.account, PICKLE_KEY)
        for device in devices:
            one_time = _one_time_key(given, device)
            if one_time is None:
                continue
            try:
                session = account.create_outbound_session(
                    Curve25519PublicKey.from_base64(device.curve25519), Curve25519PublicKey.from_base64(one_time)
                )
            except ValueError:  # a key that is none
                continue
            keys.sessions[device.curve25519] = session.pickle(PICKLE_KEY)

    def _wrapped(self, room: str, room_key: RoomKey, device: Device, keys: Keys) -> dict[str, Any]:
        """Return the room's key, encrypted for one device."""
        from vodozemac import Account, GroupSession, Session

        account = Account.from_pickle(keys.account, PICKLE_KEY)
        group = GroupSession.from_pickle(room_key.pickle, PICKLE_KEY)
        content = {"algorithm": MEGOLM, "room_id": room, "session_id": group.session_id}
        payload = {
            "type": "m.room_key",
            "content": {**content, "session_key": group.session_key.to_base64()},
            "sender": self._user,
            "sender_device": self._device,
            "keys": {"ed25519": account.ed25519_key.to_base64()},
            "recipient": device.user,
            "recipient_keys": {"ed25519": device.ed25519},
            "sender_device_keys": self._device_keys(account),
        }
        session = Session.from_pickle(keys.sessions[device.curve25519], PICKLE_KEY)
        kind, body = session.encrypt(json.dumps(payload).encode()).to_parts()
        keys.sessions[device.curve25519] = session.pickle(PICKLE_KEY)
        return {
            "algorithm": OLM,
            "sender_key": account.curve25519_key.to_base64(),
            "ciphertext": {device.curve25519: {"type": kind, "body": _base64(body)}},
            "org.matrix.msgid": uuid.uuid4().hex,
        }


@contextlib.contextmanager
def _nothing_said_yet() -> Iterator[None]:
    """Let errors within be certain: whatever became of keys, the message itself did not leave."""
    try:
        yield
    except ConnectorError as exc:
        exc.applied = Applied.NO
        raise


def _one_time_key(given: Mapping[str, Any], device: Device) -> str | None:
    """Return the key that was claimed of a device, if that device has signed it."""
    mine = given.get(device.user)
    keys = mine.get(device.id) if isinstance(mine, Mapping) else None
    for name, key in keys.items() if isinstance(keys, Mapping) else ():
        if str(name).startswith("signed_curve25519:") and isinstance(key, Mapping):
            text = key.get("key")
            if isinstance(text, str) and is_signed(key, device.user, device.id, device.ed25519):
                return text
    return None


def _refuse_failures(answer: Mapping[str, Any], where: str) -> None:
    """Raise Unavailable if a server did not tell: its people would be left out of the room without a word."""
    failures = answer.get("failures")
    if isinstance(failures, Mapping) and failures:
        servers = ", ".join(sorted(map(str, failures))[:3])
        raise Unavailable(f"{where}: {servers} does not tell its people's devices; nothing was said")


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode().rstrip("=")


def _quoted(text: str) -> str:
    return quote(text, safe="")
