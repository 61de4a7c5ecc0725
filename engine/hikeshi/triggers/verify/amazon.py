"""What is read from Amazon to verify messages of SNS: certificates, each once. Subscriptions are confirmed there."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hikeshi.triggers.verify.delivery import Unavailable, wrong_signature

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import Certificate as X509

__all__ = ["Amazon", "Certificate"]

_TIMEOUT_S, _MOST_BYTES = 5.0, 64 * 1024
_MOST_KEPT, _MOST_A_MINUTE, _FAILED_FOR_S = 16, 10, 60.0

Fetch = Callable[[str], Awaitable[bytes]]


class Certificate:
    """A certificate that Amazon signs messages with."""

    def __init__(self, certificate: X509, key: RSAPublicKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def read(cls, pem: bytes) -> Certificate:
        """Return the certificate in a text. Raises ValueError if it is none of SNS."""
        from cryptography import x509
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

        certificate = x509.load_pem_x509_certificate(pem)
        key = certificate.public_key()
        names = [str(each.value) for each in certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)]
        if not any(name.startswith("sns.") and name.endswith("amazonaws.com") for name in names):
            raise ValueError("it is not the certificate of SNS")
        if not isinstance(key, RSAPublicKey):
            raise ValueError("its key is of another kind")
        return cls(certificate, key)

    def is_valid_at(self, at: datetime) -> bool:
        return self._certificate.not_valid_before_utc <= at <= self._certificate.not_valid_after_utc

    def has_signed(self, signature: bytes, content: bytes, *, version: str) -> bool:
        """Say whether it signed a content, in the way of a SignatureVersion: 1 is SHA-1, 2 is SHA-256."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

        known: dict[str, Any] = {"1": hashes.SHA1, "2": hashes.SHA256}
        if version not in known:
            return False
        try:
            self._key.verify(signature, content, PKCS1v15(), known[version]())
        except InvalidSignature:
            return False
        return True


class Amazon:
    """Reads certificates, each once, and not more of them than an honest sender needs."""

    def __init__(self, fetch: Fetch | None = None) -> None:
        self._fetch = fetch or _fetch
        self._known: dict[str, Certificate] = {}
        self._failed: dict[str, float] = {}
        self._asked_at: list[float] = []
        self._turn = asyncio.Lock()

    async def certificate(self, url: str, at: datetime) -> Certificate:
        """Return the certificate at an address. Raises Refused if it is none of SNS, or Unavailable."""
        found = self._known.get(url)
        if found is None:
            async with self._turn:  # of many messages at once, one asks
                found = self._known.get(url) or await self._read(url)
        if not found.is_valid_at(at):
            raise wrong_signature()
        return found

    async def _read(self, url: str) -> Certificate:
        now = time.monotonic()
        self._asked_at = [each for each in self._asked_at if now - each < 60]
        if len(self._asked_at) >= _MOST_A_MINUTE or now - self._failed.get(url, float("-inf")) < _FAILED_FOR_S:
            raise Unavailable("the certificate of Amazon SNS can't be read now")
        self._asked_at.append(now)
        self._failed = {each: failed for each, failed in self._failed.items() if now - failed < _FAILED_FOR_S}
        try:
            pem = await self._fetch(url)
        except (OSError, ValueError) as exc:
            self._failed[url] = now
            raise Unavailable(f"the certificate of Amazon SNS can't be read now: {exc}") from exc
        try:
            found = Certificate.read(pem)
        except ValueError:
            raise wrong_signature() from None
        if len(self._known) >= _MOST_KEPT:
            self._known.pop(next(iter(self._known)))
        self._known[url] = found
        return found

    async def confirm(self, url: str) -> None:
        """Confirm a subscription. Raises OSError or ValueError if Amazon does not answer."""
        await self._fetch(url)


async def _fetch(url: str) -> bytes:
    """Return what stands at an address, whose host was checked. Raises OSError, and ValueError for no good answer."""
    import httpx

    parts: list[bytes] = []
    try:
        async with (
            httpx.AsyncClient(timeout=_TIMEOUT_S, follow_redirects=False) as client,
            client.stream("GET", url) as answer,
        ):
            if answer.status_code != 200:
                raise ValueError(f"HTTP {answer.status_code}")
            async for part in answer.aiter_bytes():
                parts.append(part)
                if sum(map(len, parts)) > _MOST_BYTES:
                    raise ValueError("the answer is too long")
    except httpx.HTTPError as exc:
        raise OSError(type(exc).__name__) from exc
    return b"".join(parts)
