"""E-mail, by SMTP. Source: RFC 5321, RFC 6409 (submission)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from hikeshi.capabilities import Message, Messaging, Severity
from hikeshi.connector import (
    Applied,
    Connector,
    ConnectorSettings,
    Forbidden,
    Invalid,
    NotFound,
    PartialFailure,
    PreviewedRequest,
    Secret,
    Unauthorized,
)
from hikeshi.secrets import SecretUnavailable
from hikeshi_connectors.email_smtp.dialogue import Credentials, MailServer, hand_over
from hikeshi_connectors.email_smtp.mail import ADDRESS, MESSAGE_ID, VOLATILE, mail_of, shown, wire_bytes

__all__ = ["Email"]

_PORTS = {"smtp": 587, "smtps": 465}
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Email(Connector, Messaging, product="email"):
    """Sends mails from one address by one mail server."""

    class Settings(ConnectorSettings):
        sender: str
        sender_name: str = "Hikeshi"
        username: str = ""
        password: Secret | None = None
        # Names for `post` and `page`, each with an address or several.
        channels: dict[str, str | list[str]] = Field(default_factory=dict)
        on_call: dict[str, str | list[str]] = Field(default_factory=dict)
        # The domains whose people `message_person` may write to; empty: any.
        people_at: list[str] = Field(default_factory=list)
        unencrypted: bool = False

        @field_validator("base_url")
        @classmethod
        def _is_server(cls, value: str) -> str:
            parts = urlsplit(value)
            if parts.scheme not in _PORTS or not parts.hostname or parts.path.strip("/") or parts.query:
                raise ValueError("smtp://HOST:PORT (with STARTTLS) or smtps://HOST:PORT")
            if parts.username is not None:
                raise ValueError("no user name in the address: see 'username' and 'password'")
            return value

        @field_validator("sender")
        @classmethod
        def _is_address(cls, value: str) -> str:
            return _address(value)

        @field_validator("sender_name")
        @classmethod
        def _is_name(cls, value: str) -> str:
            if not value.isprintable():
                raise ValueError("a name of one line")
            return value

        @field_validator("channels", "on_call")
        @classmethod
        def _are_addresses(cls, value: dict[str, Any]) -> dict[str, Any]:
            for each in value.values():
                if not [_address(one) for one in _listed(each)]:
                    raise ValueError("a name without an address")
            return value

        @model_validator(mode="after")
        def _password_is_protected(self) -> Email.Settings:
            if (self.password is None) != (not self.username):
                raise ValueError("'username' and 'password' belong together")
            if self.unencrypted and self.username and urlsplit(self.base_url).hostname not in _LOOPBACK:
                raise ValueError("a password is not sent unencrypted; leave out 'unencrypted', or 'username'")
            return self

    volatile = VOLATILE
    least_privileges = ("a mailbox or a relay that may send as 'sender', and nothing else",)

    settings: Settings

    def set_up(self) -> None:
        parts = urlsplit(self.settings.base_url)
        tls = "implicit" if parts.scheme == "smtps" else "none" if self.settings.unencrypted else "starttls"
        self._domain = self.settings.sender.rpartition("@")[2]
        self._server = MailServer(
            name=self.name,
            host=parts.hostname or "",
            port=parts.port or _PORTS[parts.scheme],
            tls=tls,
            ca_file=self.settings.ca_file,
            timeout_s=self.settings.timeout_s,
            hello=self._domain,
        )

    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        """Send a mail to the address or addresses that `channel` stands for in the setting `channels`.

        `thread` is the ID of an earlier mail. Its first line is the subject. Raises NotFound for another name;
        PartialFailure if the server took the mail for some of several addresses.
        """
        recipients = self._known(channel, self.settings.channels, "channels")
        prefix = f"[{severity.upper()}] " if severity else ""
        return await self._send(channel, recipients, text, prefix=prefix, answers=_thread(thread))

    async def page(self, to: str, text: str, severity: Severity = "high") -> Message:
        """Send an urgent mail to whoever `to` stands for in the setting `on_call`. Raises NotFound for another name."""
        recipients = self._known(to, self.settings.on_call, "on_call")
        return await self._send(to, recipients, text, prefix=f"[{severity.upper()}] ", urgent=True)

    async def message_person(self, email: str, text: str) -> Message:
        """Send a mail to one person. Raises Forbidden for somebody outside of `people_at`, Invalid for no address."""
        if not ADDRESS.fullmatch(email):
            raise Invalid(f"{self.name}: {email[:100]!r} is no address that a mail can be sent to")
        domains = [each.casefold() for each in self.settings.people_at]
        if domains and email.rpartition("@")[2].casefold() not in domains:
            raise Forbidden(f"{self.name}: {email} is not at {', '.join(domains)}; see people_at in hikeshi.yaml")
        return await self._send(email, [email], text)

    async def _send(self, channel: str, recipients: Sequence[str], text: str, **more: Any) -> Message:
        mail = mail_of(
            sender=self.settings.sender,
            sender_name=self.settings.sender_name,
            recipients=recipients,
            text=text,
            message_id=self._message_id(),
            date=format_datetime(datetime.now(UTC)),
            **more,
        )
        content, sender = wire_bytes(mail), self.settings.sender

        async def do() -> None:
            refused = await asyncio.to_thread(hand_over, self._server, self._credentials(), sender, recipients, content)
            if refused:
                failure = PartialFailure(refused)
                failure.applied = Applied.MAYBE  # the others have the mail
                raise failure

        preview = PreviewedRequest("SEND", self.settings.base_url, shown(mail, sender, recipients), VOLATILE)
        await self.commit(preview, do, last=True)
        return Message(connector=self.name, id=str(mail["Message-ID"]), channel=channel)

    def _message_id(self) -> str:
        """Return an ID that is the same when the same mail is sent again, so that mailboxes can drop the second."""
        return f"<hikeshi.{self.own_id()}@{self._domain}>"

    def _credentials(self) -> Credentials | None:
        if self.settings.password is None:
            return None
        try:
            return Credentials(self.settings.username, self.reveal(self.settings.password))
        except SecretUnavailable as exc:  # the door is open by now, but nothing was sent
            raise Unauthorized(str(exc), applied=Applied.NO) from None

    def _known(self, asked: str, names: Mapping[str, str | list[str]], setting: str) -> list[str]:
        wanted = asked.removeprefix("#").casefold()
        for name, addresses in names.items():
            if name.removeprefix("#").casefold() == wanted:
                return _listed(addresses)
        known = ", ".join(sorted(names)) or "none"
        raise NotFound(f"{self.name}: there is no {asked[:100]!r} in {setting} of hikeshi.yaml (known: {known})")


def _listed(addresses: str | list[str]) -> list[str]:
    return [addresses] if isinstance(addresses, str) else list(dict.fromkeys(addresses))


def _address(text: str) -> str:
    if not ADDRESS.fullmatch(text):
        raise ValueError(f"{text[:100]!r} is no address such as soc@corp.example")
    return text


def _thread(thread: str | None) -> str | None:
    if thread is not None and not MESSAGE_ID.fullmatch(thread):
        raise Invalid(f"{thread[:100]!r} is not the ID of a mail; use the 'id' that sending it gave (<…@…>)")
    return thread
