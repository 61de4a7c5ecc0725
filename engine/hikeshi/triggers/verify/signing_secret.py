"""The secrets of a source: read when they are needed, read again after a while, and masked wherever they turn up."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import time
from collections.abc import Sequence

from hikeshi.secrets import Redactor, Secret, SecretUnavailable
from hikeshi.triggers.verify.delivery import Unavailable

__all__ = ["SigningSecret"]

_GOOD_FOR_S, _AGAIN_S = 60.0, 5.0
_MOST_SIGNATURES = 10
_PREFIX = "whsec_"


class SigningSecret:
    """One secret or several of a source, while one takes another's place."""

    def __init__(self, references: Sequence[str], redactor: Redactor) -> None:
        self._references = tuple(references)
        self._redactor = redactor
        self._values: list[str] = []
        self._why = "it was not read"
        self._read_at = float("-inf")
        self._turn = asyncio.Lock()

    async def ready(self) -> None:
        """Read the secrets if that is due. It may take a while: some are kept on other machines. Raises nothing."""
        async with self._turn:
            good_for_s = _GOOD_FOR_S if self._values else _AGAIN_S
            if time.monotonic() - self._read_at >= good_for_s:
                await asyncio.to_thread(self._read)
                self._read_at = time.monotonic()

    def _read(self) -> None:
        values = []
        for reference in self._references:
            try:
                value = Secret.parse(reference).reveal()
            except (SecretUnavailable, ValueError) as exc:
                self._why = str(exc)
                continue
            self._redactor.add(value)
            self._redactor.add(value.removeprefix(_PREFIX))
            values.append(value)
        if values:  # else those go on that were read before: a vault may be away for a while
            self._values = values

    def values(self) -> list[str]:
        """Return the secrets. Raises Unavailable if none of them could be read."""
        if not self._values:
            raise Unavailable(self._why)
        return self._values

    def is_signed(
        self, content: bytes, given: Sequence[str], *, algorithm: str = "sha256", encoding: str = "hex"
    ) -> bool:
        """Say whether one of the given signatures is that of one of the secrets. Raises Unavailable."""
        return _is_one_of(content, [value.encode() for value in self.values()], given, algorithm, encoding)

    def is_signed_by_key(self, content: bytes, given: Sequence[str]) -> bool:
        """Say the same where secrets are keys in base64, and signatures are. Raises Unavailable."""
        keys = []
        for value in self.values():
            try:
                keys.append(base64.b64decode(value.removeprefix(_PREFIX), validate=True))
            except binascii.Error:
                continue
        if not keys:
            raise Unavailable(f"the secret {self._references[0]} is no key in base64, such as whsec_...")
        return _is_one_of(content, keys, given, "sha256", "base64")


def _is_one_of(content: bytes, keys: Sequence[bytes], given: Sequence[str], algorithm: str, encoding: str) -> bool:
    found = False
    for key in keys:
        digest = hmac.new(key, content, getattr(hashlib, algorithm)).digest()
        expected = digest.hex().encode() if encoding == "hex" else base64.b64encode(digest)
        for each in given[:_MOST_SIGNATURES]:
            found |= hmac.compare_digest(expected, each.encode("utf-8", "surrogateescape"))
    return found
