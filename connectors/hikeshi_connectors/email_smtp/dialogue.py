"""The dialogue with a mail server: connect, encrypt, sign in, hand over one mail; and what each refusal means.

A refusal proves that the server did not take the mail; only a connection that is lost after the mail was sent leaves
that open. Source: RFC 5321 (4.2 replies), RFC 3463 and 5248 (enhanced status codes), RFC 3207 (STARTTLS), RFC 4954
(AUTH).
"""

from __future__ import annotations

import contextlib
import re
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from hikeshi.connector import (
    Applied,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Timeout,
    Unauthorized,
    Unavailable,
)

__all__ = ["Credentials", "MailServer", "error_of_reply", "hand_over"]

_ENHANCED = re.compile(r"([245])\.(\d{1,3})\.(\d{1,3})\b")
_QUOTED_MOST: Final = 300
_SIGN_IN_CODES: Final = frozenset({530, 534, 535, 538})


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mails are handed over. `tls` is from the first byte ("implicit"), by STARTTLS, or none at all."""

    name: str
    host: str
    port: int
    tls: str
    ca_file: str | None
    timeout_s: float
    hello: str

    @property
    def where(self) -> str:
        return f"{self.name}: {self.host}:{self.port}"


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """With what to sign in."""

    username: str
    password: str


def hand_over(
    server: MailServer, credentials: Credentials | None, sender: str, recipients: Sequence[str], content: bytes
) -> dict[str, ConnectorError]:
    """Hand one mail over for all recipients; return those that the server refused, if it took the mail for others.

    Blocks. Raises ConnectorError with what is certain of the mail; if all are refused, the first one's error.
    """
    with _connection(server) as client:
        with _certain(server, "signing in", Applied.NO):
            _sign_in(server, client, credentials)
        with _certain(server, "naming the recipients", Applied.NO):
            _accepted(server, "MAIL FROM", *client.mail(sender, _size_option(client, content)))
            replies = {each: client.rcpt(each) for each in recipients}
        refused = {
            each: error_of_reply(f"{server.where}: RCPT TO {each}", code, said, is_recipient=True)
            for each, (code, said) in replies.items()
            if code not in (250, 251)
        }
        if len(refused) == len(replies):
            raise next(iter(refused.values()))
        with _certain(server, "handing over the mail", Applied.MAYBE):
            _accepted(server, "DATA", *_data(client, content))
        return refused


@contextlib.contextmanager
def _connection(server: MailServer) -> Iterator[smtplib.SMTP]:
    with _certain(server, "connecting", Applied.NO):
        client = _connected(server)
    try:
        yield client
    finally:
        # The mail was taken or refused by now; how the server says goodbye changes nothing.
        with contextlib.suppress(smtplib.SMTPException, OSError):
            client.quit()
        client.close()


def _connected(server: MailServer) -> smtplib.SMTP:
    host, port, hello, timeout_s = server.host, server.port, server.hello, server.timeout_s
    if server.tls == "implicit":
        return smtplib.SMTP_SSL(host, port, local_hostname=hello, timeout=timeout_s, context=_trust(server))
    client = smtplib.SMTP(host, port, local_hostname=hello, timeout=timeout_s)
    try:
        client.ehlo_or_helo_if_needed()
        if server.tls == "starttls":
            _encrypt(server, client)
    except BaseException:
        client.close()
        raise
    return client


def _encrypt(server: MailServer, client: smtplib.SMTP) -> None:
    """Go over to TLS. Nothing is said to a server that can't: somebody in between may have taken it out."""
    if not client.has_extn("starttls"):
        raise Unavailable(
            f"{server.where} offers no STARTTLS; use smtps:// where it has a port for that", applied=Applied.NO
        )
    _accepted(server, "STARTTLS", *client.starttls(context=_trust(server)), good=220)
    client.ehlo_or_helo_if_needed()


def _trust(server: MailServer) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=server.ca_file)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _sign_in(server: MailServer, client: smtplib.SMTP, credentials: Credentials | None) -> None:
    client.ehlo_or_helo_if_needed()
    if credentials is None:
        return
    if not client.has_extn("auth"):
        raise Unauthorized(f"{server.where} lets nobody sign in here; use its port for submission, often 587 or 465")
    try:
        client.login(credentials.username, credentials.password)
    except smtplib.SMTPAuthenticationError as exc:
        raise error_of_reply(f"{server.where}: AUTH", exc.smtp_code, exc.smtp_error, is_sign_in=True) from None
    except UnicodeEncodeError:  # it holds the password
        pass
    else:
        return
    raise Unauthorized(f"{server.where}: user name or password have characters outside of ASCII; choose others")


def _size_option(client: smtplib.SMTP, content: bytes) -> list[str]:
    return [f"SIZE={len(content)}"] if client.has_extn("size") else []


def _data(client: smtplib.SMTP, content: bytes) -> tuple[int, bytes]:
    try:
        return client.data(content)
    except smtplib.SMTPDataError as exc:  # the server did not want to see the mail
        return exc.smtp_code, exc.smtp_error if isinstance(exc.smtp_error, bytes) else exc.smtp_error.encode()


def _accepted(server: MailServer, command: str, code: int, said: bytes, *, good: int = 250) -> None:
    if code != good:
        raise error_of_reply(f"{server.where}: {command}", code, said)


@contextlib.contextmanager
def _certain(server: MailServer, doing: str, applied: Applied) -> Iterator[None]:
    """Translate what goes wrong within; `applied` is what is certain of the mail if the connection is lost."""
    where = f"{server.where}: {doing}"
    try:
        yield
    except ssl.SSLCertVerificationError as exc:
        text = f"{where}: its certificate is not trusted ({exc.verify_message}); see ca_file and the name of the host"
        raise Unavailable(text, applied=Applied.NO) from None
    except smtplib.SMTPResponseException as exc:
        raise error_of_reply(where, exc.smtp_code, exc.smtp_error) from None
    except (smtplib.SMTPException, OSError) as exc:
        if isinstance(exc, TimeoutError) or isinstance(exc.__context__, TimeoutError):
            raise Timeout(f"{where}: no answer in time", applied=applied) from None
        raise Unavailable(f"{where}: the connection failed ({type(exc).__name__})", applied=applied) from None


def error_of_reply(
    where: str, code: int, said: bytes | str, *, is_recipient: bool = False, is_sign_in: bool = False
) -> ConnectorError:
    """Return the error that a reply stands for; `said` is the server's text, which may begin with an enhanced code."""
    text = " ".join((said.decode("utf-8", "replace") if isinstance(said, bytes) else said).split())
    message = f"{where} was answered {code}: {text[:_QUOTED_MOST]}"
    if not 200 <= code <= 599:
        return Unavailable(f"{where}: what came is no answer of a mail server", applied=Applied.MAYBE)
    enhanced = _ENHANCED.match(text)
    subject = int(enhanced[2]) if enhanced and enhanced[1] == str(code)[0] else None
    if code < 500:
        # Later it may go: 4.7 is grey listing and limits, everything else a server that can't at the moment.
        return (RateLimited if subject == 7 else Unavailable)(message, applied=Applied.NO)
    if is_sign_in or code in _SIGN_IN_CODES:
        return Unauthorized(message)
    kinds: dict[int, type[ConnectorError]] = {1: NotFound, 7: Forbidden}
    if subject is not None:
        return kinds.get(subject, Invalid)(message)
    if is_recipient and code in (550, 551, 553):
        return NotFound(message)
    return (Forbidden if code in (550, 554) else Invalid)(message)
