"""A mail server over an estate: it wants to be signed in to, knows its own people and lists, and relays nothing.

It speaks SMTP on a loopback port of its own, by the optional package aiosmtpd. Source: RFC 5321, RFC 4954.
"""

from __future__ import annotations

import asyncio
import contextlib
import email
import logging
import socket
from collections.abc import Iterator, Mapping
from email import policy
from typing import Any, ClassVar

from starlette.routing import BaseRoute

from hikeshi.testing.estate import Message
from hikeshi.testing.faults import Fault
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.email_smtp.mail import shown

__all__ = ["DOMAIN", "EmailSimulator"]

DOMAIN = "corp.example"
_USER = "hikeshi"
_CHANNELS = ("soc", "incidents", "management")
_LARGEST_BYTES = 1024 * 1024
_REPLIES = {
    401: "530 5.7.0 Authentication required",
    403: "550 5.7.1 Not permitted",
    404: "550 5.1.1 User unknown",
    409: "554 5.5.1 No valid recipients",
}


class EmailSimulator(Simulator):
    """Takes mails for the estate's people with an address, and for its channels as lists. `faults` strike at DATA.

    `product_state["email"]["refused"]` holds addresses that are refused, each with the reply.
    """

    product = "email"
    instance_name = "mail"
    demo_settings: ClassVar[Mapping[str, str]] = {"password": "simulated-not-a-secret"}

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        return {
            **super().connector_settings(base_url),
            "base_url": "smtp://127.0.0.1:2525",
            "unencrypted": True,
            "sender": f"hikeshi@{DOMAIN}",
            "username": _USER,
            "channels": {name: f"{name}@{DOMAIN}" for name in _CHANNELS},
            "on_call": {"soc_oncall": f"soc-oncall@{DOMAIN}"},
        }

    def settings_at(self, base_url: str) -> dict[str, Any]:
        lists = {channel.name: f"{channel.name}@{DOMAIN}" for channel in self.estate.channels.values()}
        settings = self.connector_settings(base_url)
        return {**settings, "base_url": self.url, "channels": {**settings["channels"], **lists}}

    def routes(self) -> list[BaseRoute]:
        return []

    @property
    def url(self) -> str:
        """Where the mail server listens, or will listen."""
        return f"smtp://127.0.0.1:{self._listener().getsockname()[1]}"

    _socket: socket.socket | None = None

    def _listener(self) -> socket.socket:
        if self._socket is None:
            self._socket = socket.create_server(("127.0.0.1", 0))
        return self._socket

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        controller = _controller(self, self._listener())
        controller.start()
        try:
            yield
        finally:
            controller.stop()
            self._listener().close()
            self._socket = None

    def reply_to(self, recipient: str) -> str:
        """Return what is answered to the name of a recipient."""
        refused = self.estate.product_state.get("email", {}).get("refused", {})
        people = {user.mail.casefold() for user in self.estate.users.values() if user.mail}
        lists = {f"{name}@{DOMAIN}" for name in ("soc-oncall", *_CHANNELS, *self._channels())}
        address = recipient.casefold()
        if address in refused:
            return str(refused[address])
        if address in people or address in lists:
            return "250 2.1.5 OK"
        return "550 5.1.1 User unknown" if address.endswith(f"@{DOMAIN}") else "550 5.7.1 Relaying denied"

    def _channels(self) -> list[str]:
        return [channel.name.casefold() for channel in self.estate.channels.values()]

    def take(self, sender: str, recipients: list[str], content: bytes) -> None:
        """Put a mail into the mailboxes of its recipients."""
        mail = email.message_from_bytes(content.replace(b"\r\n", b"\n"), policy=policy.default)
        text, id_, thread = mail.get_content(), str(mail["Message-ID"]), mail["In-Reply-To"]
        self.record_change("SEND", self.url, shown(mail, sender, recipients), applied=True)
        for each in recipients:
            said = f"{mail['Subject']}\n{text}"
            answered = None if thread is None else str(thread)
            self.estate.messages.append(Message(self.estate.now(), each, id_, said, answered))


class _Handler:
    """What aiosmtpd asks at each step."""

    def __init__(self, simulator: EmailSimulator) -> None:
        self._simulator = simulator

    async def handle_MAIL(self, _server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if not session.authenticated:
            return "530 5.7.0 Authentication required"
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        reply = self._simulator.reply_to(address)
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:
        simulator = self._simulator
        fault = simulator.faults.take(simulator.product, "SEND", "/")
        if fault is not None and fault.when == "before" and not fault.half:
            return await _faulty(server, fault)
        simulator.take(envelope.mail_from, list(envelope.rcpt_tos), envelope.content)
        return "250 2.0.0 OK" if fault is None else await _faulty(server, fault)

    def authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> Any:
        from aiosmtpd.smtp import AuthResult

        right = (_USER.encode(), self._simulator.credentials["password"].encode())
        return AuthResult(success=(data.login, data.password) == right, handled=False)


async def _faulty(server: Any, fault: Fault) -> str:
    """Do what a fault says, and return the reply, if one is given at all."""
    if fault.delay_s is not None:
        await asyncio.sleep(fault.delay_s)
        return "250 2.0.0 OK"
    if fault.drop is not None or fault.half:
        if fault.half:
            server.transport.write(b"25")
        server.transport.close()
        await asyncio.sleep(0)
        return "421 4.4.2 Bad connection"
    if fault.html:
        return "<html>"
    if fault.too_many_requests_s is not None:
        return "450 4.7.1 Too many mails, try again later"
    if fault.status == 200:
        return str(fault.body)
    return _REPLIES.get(fault.status or 0, "451 4.3.0 Local error in processing")


def _controller(simulator: EmailSimulator, listener: socket.socket) -> Any:
    """Return the server. Raises RuntimeError if its package is not there."""
    try:
        from aiosmtpd.controller import Controller
    except ImportError:
        raise RuntimeError("the simulated mail server needs a package; add it with: pip install aiosmtpd") from None

    class Listening(Controller):  # type: ignore[misc, unused-ignore]  # its package may not be there
        def _create_server(self) -> Any:
            return self.loop.create_server(self._factory_invoker, sock=listener)

    logging.getLogger("mail.log").setLevel(logging.ERROR)  # it warns of its own use of its own attributes
    handler = _Handler(simulator)
    host, port = listener.getsockname()[:2]
    return Listening(
        handler,
        hostname=host,
        port=port,
        server_hostname=DOMAIN,
        data_size_limit=_LARGEST_BYTES,
        auth_require_tls=False,
        authenticator=handler.authenticate,
    )
