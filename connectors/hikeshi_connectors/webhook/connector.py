"""Webhooks to a program of the operator's own, signed as the Standard Webhooks specification says.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from hikeshi.capabilities import Message, Messaging, Severity
from hikeshi.connector import (
    Applied,
    Connector,
    ConnectorSettings,
    Invalid,
    NotFound,
    Response,
    Secret,
    Unauthorized,
    error_of_status,
)
from hikeshi.connector.route import SeenRequest
from hikeshi_connectors.webhook.signing_key import PREFIX, key_of

__all__ = ["Webhook"]

_ID, _TIME, _SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
_KEY_BYTES: Final = range(24, 65)  # 24 to 64 bytes, says the specification
_TEXT_MOST: Final = 16_000  # the specification recommends fewer than 20 kB
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Webhook(Connector, Messaging, product="webhook"):
    """Posts signed JSON to one address, which the operator configured, be it a private one."""

    class Settings(ConnectorSettings):
        signing_key: Secret
        # The names that are accepted; empty: any, for the program behind the address knows them.
        channels: list[str] = Field(default_factory=list)
        on_call: list[str] = Field(default_factory=list)

        @field_validator("base_url")
        @classmethod
        def _is_plain(cls, value: str) -> str:
            parts = urlsplit(value)
            if parts.scheme not in ("https", "http") or not parts.hostname or parts.fragment or parts.query:
                raise ValueError("https://HOST/PATH, without a query")
            if parts.username is not None:
                raise ValueError("no user name in the address: the signature is what is checked")
            if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
                raise ValueError("https://, for what is sent is read by whoever is on the way; http:// on this machine")
            return value

    volatile = ("timestamp",)
    least_privileges = ("a receiver that checks the signature, the time (5 minutes) and that an ID is new",)

    settings: Settings

    def set_up(self) -> None:
        self.http.sign = self._signature

    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        """Send `hikeshi.message.posted` with channel, text, severity and thread, as they are given."""
        self._check_known(channel, self.settings.channels, "channels")
        data = {"channel": channel, "text": _cut(text), "severity": severity, "thread": thread}
        return await self._send("hikeshi.message.posted", channel, data)

    async def page(self, to: str, text: str, severity: Severity = "high") -> Message:
        """Send `hikeshi.person.paged` with to, text and severity, as they are given."""
        self._check_known(to, self.settings.on_call, "on_call")
        return await self._send("hikeshi.person.paged", to, {"to": to, "text": _cut(text), "severity": severity})

    def check(self, response: Response) -> None:
        """Judge an answer by its status alone: 2xx is success, as the specification says, but for a web page."""
        if response.status >= 400:
            raise error_of_status(response)
        if "html" in response.headers.get("content-type", ""):
            raise Invalid(f"{response.where}: a web page is no answer of a receiver", applied=Applied.MAYBE)

    async def _send(self, kind: str, channel: str, data: Mapping[str, Any]) -> Message:
        id_ = self._message_id()
        body = {"type": kind, "timestamp": datetime.now(UTC).isoformat(timespec="seconds"), "data": data}
        await self.http.post("", json=body, headers={_ID: id_}, last=True)
        return Message(connector=self.name, id=id_, channel=channel)

    def _check_known(self, asked: str, names: list[str], setting: str) -> None:
        wanted = asked.removeprefix("#").casefold()
        if names and wanted not in {name.removeprefix("#").casefold() for name in names}:
            known = ", ".join(sorted(names))
            raise NotFound(f"{self.name}: there is no {asked[:100]!r} in {setting} of hikeshi.yaml (known: {known})")

    def _message_id(self) -> str:
        """Return an ID that is the same when the same message is sent again, for the receiver to take it once."""
        raw = hashlib.sha256(self.key.encode()).digest() if self.key else uuid.uuid4().bytes
        return "msg_" + base64.b32encode(raw).decode().lower()[:15]

    async def _signature(self, seen: SeenRequest) -> Mapping[str, str]:
        """Return the time and the signature over ID, time and body. Raises SecretUnavailable, Unauthorized."""
        sent_at = str(int(time.time()))
        content = f"{seen.headers[_ID]}.{sent_at}.".encode() + seen.content
        digest = hmac.new(self._key(), content, hashlib.sha256).digest()
        return {_TIME: sent_at, _SIGNATURE: f"v1,{base64.b64encode(digest).decode()}"}

    def _key(self) -> bytes:
        text = self.reveal(self.settings.signing_key).strip().removeprefix(PREFIX)
        self.redactor.add(text)
        key = key_of(text)
        if len(key) not in _KEY_BYTES:
            raise Unauthorized(
                f"{self.name}: signing_key is no key of 24 to 64 bytes; make one: echo whsec_$(openssl rand -base64 32)"
            )
        return key


def _cut(text: str) -> str:
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= _TEXT_MOST else f"{text[:_TEXT_MOST]}… ({len(text) - _TEXT_MOST} characters cut)"
