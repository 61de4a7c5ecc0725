"""A mail server of somebody else's, aiosmtpd, as a process of its own: with TLS, passwords and refused recipients.

Run as a program it serves until its standard input ends: `python mail_server.py TLS CERTIFICATE KEY MAILBOX`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.util
import ipaddress
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["PASSWORD", "USER", "RunningServer", "certificate_in", "serving", "why_not"]

USER, PASSWORD = "hikeshi", "pass-word-of-this-test"


def why_not() -> str | None:
    """Return why there is no such server here, or None."""
    if importlib.util.find_spec("aiosmtpd") is None:
        return "the Python package aiosmtpd is not there; see requirements.txt"
    return None


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that runs; what it has taken is a line of JSON each in `mailbox`."""

    port: int
    mailbox: Path

    def mails(self) -> list[dict[str, Any]]:
        """Return what was taken: `{from, to, content}`."""
        lines = self.mailbox.read_text(encoding="utf-8").splitlines() if self.mailbox.exists() else []
        return [json.loads(line) for line in lines]


@contextlib.contextmanager
def serving(folder: Path, tls: str) -> Iterator[RunningServer]:
    """Run a server for the time of the block. `tls` is "implicit" or "starttls"."""
    certificate, key = certificate_in(folder)
    mailbox = folder / "mailbox"
    command = [sys.executable, __file__, tls, str(certificate), str(key), str(mailbox)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        assert port.isdigit(), "the mail server did not start"
        yield RunningServer(int(port), mailbox)
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        process.stdout.close()


def certificate_in(folder: Path, address: str = "127.0.0.1") -> tuple[Path, Path]:
    """Make a certificate for an address that nobody has signed but itself, and return it and its key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "mail.test")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    certificate_file, key_file = folder / "certificate.pem", folder / "key.pem"
    certificate_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    key_file.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))
    return certificate_file, key_file


def _keep(mailbox: Path, taken: dict[str, Any]) -> None:
    with mailbox.open("a", encoding="utf-8") as file:
        file.write(json.dumps(taken) + "\n")


def _serve(tls: str, certificate: str, key: str, mailbox: str) -> None:
    import ssl

    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult

    class Handler:
        async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
            if address.startswith("full@"):
                return "452 4.2.2 Mailbox full"
            if address.startswith("nobody@"):
                return "550 5.1.1 No such user"
            envelope.rcpt_tos.append(address)
            return "250 2.1.5 OK"

        async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
            taken = {"from": envelope.mail_from, "to": envelope.rcpt_tos, "content": envelope.content.decode()}
            _keep(Path(mailbox), taken)
            return "250 2.0.0 OK"

    def authenticate(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> Any:
        return AuthResult(success=(data.login, data.password) == (USER.encode(), PASSWORD.encode()), handled=False)

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_OPTIONAL  # else aiosmtpd warns
    context.load_verify_locations(certificate)

    class OnAnyPort(Controller):
        def _create_server(self) -> Any:
            return self.loop.create_server(self._factory_invoker, sock=listener, ssl=self.ssl_context)

    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    secure: dict[str, Any] = (
        {"ssl_context": context, "auth_require_tls": False}
        if tls == "implicit"
        else {"tls_context": context, "require_starttls": True}
    )
    controller = OnAnyPort(Handler(), hostname="127.0.0.1", port=port, authenticator=authenticate, **secure)
    controller.start()
    print(port, flush=True)
    sys.stdin.read()
    controller.stop()


if __name__ == "__main__":
    _serve(*sys.argv[1:])
