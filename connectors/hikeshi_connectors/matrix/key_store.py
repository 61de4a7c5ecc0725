"""The keys of our device: one file, encrypted with a passphrase, readable for its owner alone, used by one at a time.

The rule: what a message was encrypted with is written before the message is sent; a key is never used twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from hikeshi.connector import Applied, Invalid, Unauthorized, Unavailable

__all__ = ["PICKLE_KEY", "KeyStore", "Keys", "RoomKey"]

PICKLE_KEY: Final = b"\0" * 32
"""What vodozemac encrypts its texts with; the file that holds them is encrypted as a whole."""

_HEAD: Final = b"hikeshi-matrix-keys-1\n"
_SALT_BYTES, _NONCE_BYTES = 16, 12
_LOOK_EVERY_S: Final = 0.05


@dataclass(slots=True)
class RoomKey:
    """What a room's messages are encrypted with now. `shared` are the devices that have it, each with its key."""

    pickle: str
    created_s: float
    messages: int = 0
    shared: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Keys:
    """All keys of one device. Pickles are vodozemac's texts; `devices` are those seen before, `{user: {id: keys}}`."""

    user: str
    device: str
    account: str
    sessions: dict[str, str] = field(default_factory=dict)
    rooms: dict[str, RoomKey] = field(default_factory=dict)
    devices: dict[str, dict[str, str]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        rooms = {
            room: {"pickle": key.pickle, "created_s": key.created_s, "messages": key.messages, "shared": key.shared}
            for room, key in self.rooms.items()
        }
        whole = {"user": self.user, "device": self.device, "account": self.account, "sessions": self.sessions}
        return {**whole, "rooms": rooms, "devices": self.devices}

    @classmethod
    def of_json(cls, data: dict[str, Any]) -> Keys:
        rooms = {room: RoomKey(**key) for room, key in data["rooms"].items()}
        return cls(**{**data, "rooms": rooms})


class KeyStore:
    """The file of one instance in a folder of the operator's."""

    def __init__(self, folder: Path, name: str, *, within_s: float) -> None:
        self._folder = folder
        self._path = folder / f"{name}.keys"
        self._within_s = within_s
        self._turn = asyncio.Lock()
        self._salt: bytes | None = None

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Keep every other task and process from the keys for the time of the block. Raises Unavailable."""
        async with self._turn:
            descriptor = await self._locked()
            try:
                yield
            finally:
                os.close(descriptor)

    async def load(self, passphrase: str) -> Keys | None:
        """Return the keys, or None if there are none yet. Raises Unauthorized, Invalid, Unavailable."""
        return await asyncio.to_thread(self._load, passphrase)

    async def save(self, keys: Keys, passphrase: str) -> None:
        """Put the keys in place of those that were there; they are on the disk afterwards. Raises Unavailable."""
        await asyncio.to_thread(self._save, keys, passphrase)

    async def _locked(self) -> int:
        loop = asyncio.get_running_loop()
        until = loop.time() + self._within_s
        with self._readable_errors():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
            except BlockingIOError:
                if loop.time() > until:
                    os.close(descriptor)
                    text = f"{self._path}: another process is using these keys; try again"
                    raise Unavailable(text, applied=Applied.NO) from None
            try:
                await asyncio.sleep(_LOOK_EVERY_S)
            except asyncio.CancelledError:
                os.close(descriptor)
                raise

    def _load(self, passphrase: str) -> Keys | None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        with self._readable_errors():
            if not self._path.exists():
                return None
            if self._path.stat().st_mode & 0o077:
                raise Invalid(f"{self._path} can be read by others; protect it: chmod 600 {self._path}")
            content = self._path.read_bytes()
        head, rest = content[: len(_HEAD)], content[len(_HEAD) :]
        salt, nonce = rest[:_SALT_BYTES], rest[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
        if head != _HEAD or len(nonce) != _NONCE_BYTES:
            raise Invalid(f"{self._path} is no file of keys; restore it, or move it away and log the account in anew")
        try:
            plain = AESGCM(_key(salt, passphrase)).decrypt(nonce, rest[_SALT_BYTES + _NONCE_BYTES :], _HEAD)
        except InvalidTag:
            raise Unauthorized(f"{self._path}: key_passphrase is not the one of this file, or it was changed") from None
        self._salt = salt
        return Keys.of_json(json.loads(plain))

    def _save(self, keys: Keys, passphrase: str) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        salt, nonce = self._salt or os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
        sealed = AESGCM(_key(salt, passphrase)).encrypt(nonce, json.dumps(keys.to_json()).encode(), _HEAD)
        fresh = self._path.with_suffix(".new")
        with self._readable_errors():
            descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(descriptor, "wb") as file:
                file.write(_HEAD + salt + nonce + sealed)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._path)
            self._salt = salt
            folder = os.open(self._folder, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    @contextlib.contextmanager
    def _readable_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            text = f"{self._path}: the keys can't be read or written ({exc.strerror}); see key_folder"
            raise Unavailable(text, applied=Applied.NO) from exc


@lru_cache(maxsize=8)
def _key(salt: bytes, passphrase: str) -> bytes:
    """Return the key of a passphrase; slow, so that guessing is."""
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(passphrase.encode())
