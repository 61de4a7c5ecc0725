"""What is said to a mail server, in which order, and what each of its replies means."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

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
from hikeshi_connectors.email_smtp.dialogue import Credentials, MailServer, error_of_reply, hand_over

HELLO = ["220 mail.test ESMTP", "250-mail.test\r\n250-AUTH PLAIN\r\n250 SIZE 1000"]
TO = ("a@corp.example", "b@corp.example")


class Scripted:
    """A mail server that gives these replies in this order, then hangs up; `heard` is what it was told."""

    def __init__(self, replies: Sequence[str], *, silent_at_end: bool = False) -> None:
        self.heard: list[str] = []
        self._replies = list(replies)
        self._silent = silent_at_end
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def server(self, tls: str = "none", timeout_s: float = 5.0) -> MailServer:
        port = self._listener.getsockname()[1]
        return MailServer("mail", "127.0.0.1", port, tls, None, timeout_s, "corp.example")

    def _serve(self) -> None:
        connection, _ = self._listener.accept()
        with connection, connection.makefile("rwb") as stream:
            for number, reply in enumerate(self._replies):
                if number:
                    self._hear(stream)
                stream.write(reply.encode() + b"\r\n")
                stream.flush()
            if not self._replies[-1].startswith("221"):
                self._hear(stream)
            if self._silent:
                self._over.wait(5)

    def _hear(self, stream: object) -> None:
        line = stream.readline().decode().rstrip("\r\n")  # type: ignore[attr-defined]
        if self.heard and self.heard[-1] == "data":
            while line != ".":
                self.heard.append(f"| {line}")
                line = stream.readline().decode().rstrip("\r\n")  # type: ignore[attr-defined]
        self.heard.append(line)

    def close(self) -> None:
        self._over.set()
        self._thread.join(5)
        self._listener.close()


@contextmanager
def scripted(*replies: str, silent_at_end: bool = False) -> Iterator[Scripted]:
    server = Scripted([*HELLO, *replies], silent_at_end=silent_at_end)
    try:
        yield server
    finally:
        server.close()


def sent(
    server: MailServer, to: Sequence[str] = TO, credentials: Credentials | None = None
) -> dict[str, ConnectorError]:
    return hand_over(server, credentials, "hikeshi@corp.example", to, b"Subject: x\r\n\r\n.hidden\r\n")


def test_a_mail_is_handed_over_once_for_all_recipients():
    """With its size, and a line that begins with a dot as such a line."""
    with scripted("250 ok", "250 ok", "250 ok", "354 go", "250 taken", "221 bye") as script:
        assert sent(script.server()) == {}
    assert script.heard == [
        "ehlo corp.example",
        "mail FROM:<hikeshi@corp.example> SIZE=23",
        "rcpt TO:<a@corp.example>",
        "rcpt TO:<b@corp.example>",
        "data",
        "| Subject: x",
        "| ",
        "| ..hidden",
        ".",
        "quit",
    ]


def test_refused_recipients_are_named_and_the_others_get_the_mail():
    """Each with its own error."""
    with scripted("250 ok", "550 5.1.1 unknown", "250 ok", "354 go", "250 taken", "221 bye") as script:
        refused = sent(script.server())
    assert {each: type(error) for each, error in refused.items()} == {"a@corp.example": NotFound}


def test_a_mail_that_nobody_may_get_is_not_sent():
    """No DATA, and the first recipient's error."""
    replies = ("250 ok", "452 4.2.2 full", "550 5.1.1 unknown", "221 bye")
    with scripted(*replies) as script, pytest.raises(Unavailable, match=r"452: 4\.2\.2 full") as caught:
        sent(script.server())
    assert caught.value.applied is Applied.NO
    assert "data" not in script.heard


@pytest.mark.safety(16)
@pytest.mark.parametrize(
    ("replies", "applied"),
    [
        ((), Applied.NO),
        (("250 ok",), Applied.NO),
        (("250 ok", "250 ok", "250 ok"), Applied.MAYBE),
        (("250 ok", "250 ok", "250 ok", "354 go"), Applied.MAYBE),
    ],
)
def test_a_lost_connection_is_uncertain_only_from_the_mail_on(replies: Sequence[str], applied: Applied):
    """Before it, nothing can have been sent."""
    with scripted(*replies) as script, pytest.raises(Unavailable) as caught:
        sent(script.server())
    assert caught.value.applied is applied


@pytest.mark.parametrize(
    ("replies", "applied"), [((), Applied.NO), (("250 ok", "250 ok", "250 ok", "354 go"), Applied.MAYBE)]
)
def test_a_server_that_says_nothing_is_a_timeout(replies: Sequence[str], applied: Applied):
    """With the same certainty."""
    with scripted(*replies, silent_at_end=True) as script, pytest.raises(Timeout) as caught:
        sent(script.server(timeout_s=0.2))
    assert caught.value.applied is applied


@pytest.mark.parametrize(("reply", "error"), [("451 4.3.0 later", Unavailable), ("554 5.7.1 spam", Forbidden)])
def test_a_mail_that_is_refused_at_its_end_was_not_taken(reply: str, error: type[ConnectorError]):
    """A refusal is certain."""
    with scripted("250 ok", "250 ok", "250 ok", "354 go", reply, "221 bye") as script, pytest.raises(error) as caught:
        sent(script.server())
    assert caught.value.applied is Applied.NO


def test_goodbyes_do_not_matter():
    """The mail was taken."""
    with scripted("250 ok", "250 ok", "250 ok", "354 go", "250 taken") as script:
        assert sent(script.server()) == {}


def test_a_server_without_starttls_gets_neither_password_nor_mail():
    """Somebody in between may have taken the offer out."""
    with scripted("221 bye") as script, pytest.raises(Unavailable, match="STARTTLS"):
        sent(script.server("starttls"), credentials=Credentials("hikeshi", "word"))
    assert script.heard[:1] == ["ehlo corp.example"]
    assert not any(line.lower().startswith(("auth", "mail")) for line in script.heard)


def test_wrong_passwords_are_unauthorized_and_not_quoted():
    """Also those that can't be sent at all."""
    for replies, password in ((("535 5.7.8 wrong", "221 bye"), "pass-word"), (("221 bye",), "pass-wörd")):
        with scripted(*replies) as script, pytest.raises(Unauthorized) as caught:
            sent(script.server(), credentials=Credentials("hikeshi", password))
        assert "pass-w" not in repr(caught.value) + repr(caught.value.__cause__) + repr(Credentials("x", password))


@pytest.mark.parametrize(
    ("code", "said", "error"),
    [
        (421, "4.3.2 closing", Unavailable),
        (450, "4.7.1 greylisted", RateLimited),
        (451, "try later", Unavailable),
        (530, "5.7.0 Must issue a STARTTLS", Unauthorized),
        (550, "5.1.1 unknown", NotFound),
        (550, "5.7.1 relaying denied", Forbidden),
        (552, "5.3.4 too big", Invalid),
        (554, "no", Forbidden),
        (501, "5.5.4 syntax", Invalid),
    ],
)
def test_replies_become_the_right_error(code: int, said: str, error: type[ConnectorError]):
    """By the enhanced code where there is one; the words are quoted in one line."""
    found = error_of_reply("mail: DATA", code, f"{said}\r\nmore".encode())
    assert type(found) is error
    assert found.applied is Applied.NO
    assert found.message == f"mail: DATA was answered {code}: {said} more"


def test_replies_without_an_enhanced_code_depend_on_the_command():
    """550 to a recipient is an unknown mailbox."""
    assert type(error_of_reply("x", 550, "no", is_recipient=True)) is NotFound
    assert type(error_of_reply("x", 550, "no")) is Forbidden
    assert error_of_reply("x", -1, "<html>").applied is Applied.MAYBE
