"""What a mail of ours is: its headers, whatever the text says, its ID, and how a plan shows it."""

from __future__ import annotations

import email
import re
from email import policy
from typing import Any

import pytest
from pydantic import ValidationError

from hikeshi.capabilities import Effect
from hikeshi.connector import Forbidden, Invalid, NotFound, Secret, Unauthorized, Unavailable
from hikeshi.connector.door import CaptureEnded, Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.email_smtp import Email
from hikeshi_connectors.email_smtp.mail import ADDRESS, mail_of, wire_bytes

HEADERS = ["From", "To", "Subject", "Date", "Message-ID", "Auto-Submitted"]
HOSTILE = (
    "a\r\nBcc: evil@evil.example",
    "a\nBcc: evil@evil.example\n\nbody",
    "\r\n.\r\nMAIL FROM:<x@evil.example>\r\n",
    "a\x00b\x1b[31m",
    "a\u2028Bcc: x@evil.example",
    "a\x0bBcc: x@evil.example\x85Cc: y@evil.example",
    "\ud800",
    "=?utf-8?q?Bcc:_x=0D=0ABcc:_y?=",
    "",
    "x" * 5000,
    "火" * 5000,
)


def mailer(**settings: Any) -> Email:
    given = {
        "base_url": "smtp://mail.corp.example",
        "sender": "hikeshi@corp.example",
        "channels": {"#SOC": "soc@corp.example"},
        "on_call": {"duty": ["a@corp.example", "b@corp.example", "a@corp.example"]},
        **settings,
    }
    connector = build(Email, "mail", given, Redactor())
    assert isinstance(connector, Email)
    return connector


async def planned(connector: Email, verb: str, *, key: str = "", **arguments: Any) -> dict[str, Any]:
    """Return the mail that a plan shows."""
    door = Door(mode="plan", effect=Effect.NOTIFY, action=f"messaging.{verb}", key=key)
    with through(door), pytest.raises(CaptureEnded):
        await getattr(connector, verb)(**arguments)
    (request,) = door.captured
    assert (request.method, request.url, request.volatile) == (
        "SEND",
        "smtp://mail.corp.example",
        ("Date", "Message-ID"),
    )
    body: dict[str, Any] = request.body
    return body


async def test_a_plan_shows_the_whole_mail_and_needs_no_password():
    """Envelope, headers and text."""
    missing = Secret.parse("${env:HIKESHI_TEST_NO_SUCH_PASSWORD}")
    connector = mailer(username="hikeshi", password=missing)
    mail = await planned(connector, "page", to="Duty", text="host isolated\nby Jo", severity="critical")
    assert mail["mail_from"] == "hikeshi@corp.example"
    assert mail["rcpt_to"] == ["a@corp.example", "b@corp.example"]
    assert mail["text"] == "host isolated\nby Jo\n"
    headers = mail["headers"]
    assert headers["From"] == "Hikeshi <hikeshi@corp.example>"
    assert headers["To"] == "a@corp.example, b@corp.example"
    assert headers["Subject"] == "[CRITICAL] host isolated"
    assert (headers["Importance"], headers["Auto-Submitted"]) == ("high", "auto-generated")


@pytest.mark.safety(17)
async def test_the_same_mail_has_the_same_id():
    """So that mailboxes can drop the second; another one has another."""
    connector = mailer()
    first, again, other = [
        (await planned(connector, "post", channel="soc", text="x", key=key))["headers"]["Message-ID"]
        for key in ("run/1", "run/1", "run/2")
    ]
    assert first == again != other
    assert re.fullmatch(r"<hikeshi\.[0-9a-f]{40}@corp\.example>", first)
    answer = await planned(connector, "post", channel="#soc", text="x", thread=first)
    assert answer["headers"]["In-Reply-To"] == answer["headers"]["References"] == first
    assert answer["headers"]["Subject"] == "Re: x"


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.safety(30)
def test_a_text_adds_no_header_and_ends_no_mail(text: str):
    """Neither as a subject nor as a body: what arrives has our headers and the text, and nothing beside them."""
    mail = mail_of(
        sender="hikeshi@corp.example",
        sender_name='Hi "k" <eshi>',
        recipients=["soc@corp.example"],
        text=text,
        message_id="<1@corp.example>",
        date="Mon, 02 Mar 2026 09:00:00 +0000",
    )
    content = wire_bytes(mail)
    assert content.isascii()
    assert b"\x00" not in content
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", content)
    assert max(map(len, content.split(b"\r\n"))) <= 998
    arrived = email.message_from_bytes(content, policy=policy.default)
    technical = ("MIME-Version", "Content-Type", "Content-Transfer-Encoding")
    assert [name for name in arrived if name not in technical] == HEADERS
    assert arrived["To"] == "soc@corp.example"
    assert arrived["From"].addresses[0].addr_spec == "hikeshi@corp.example"
    clean = text.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
    assert arrived.get_content().replace("\r\n", "\n") == clean + "\n"


@pytest.mark.parametrize(
    "address",
    [
        "",
        "soc",
        "soc@",
        "@corp.example",
        "a b@corp.example",
        "a@corp.example\r\nRCPT TO:<x@evil.example>",
        "a@corp.example\n",
        "<a@corp.example>",
        "a@corp.example,b@evil.example",
        '"a\\"@x"@corp.example',
        "a@[127.0.0.1]",
        "a@-corp.example",
        "ä@corp.example",
        "a..b@corp.example",
        f"{'a' * 65}@corp.example",
    ],
)
async def test_what_is_no_address_is_refused(address: str):
    """In an argument before anything is sent, and in the settings."""
    assert not ADDRESS.fullmatch(address)
    with pytest.raises(Invalid):
        await mailer().message_person(address, "x")
    for settings in ({"sender": address}, {"channels": {"x": address}}, {"on_call": {"x": [address]}}):
        with pytest.raises(ValidationError):
            mailer(**settings)


def test_a_mail_with_other_headers_than_ours_does_not_leave():
    """Whatever made them; here it is what Python makes of an encoded word."""
    mail = mail_of(
        sender="hikeshi@corp.example",
        sender_name="=?utf-8?q?x=0D=0ABcc:_y?=",
        recipients=["soc@corp.example"],
        text="x",
        message_id="<1@corp.example>",
        date="Mon, 02 Mar 2026 09:00:00 +0000",
    )
    mail.replace_header("Subject", "=?utf-8?q?a=0D=0ABcc:_x@evil.example?=")
    with pytest.raises(Invalid, match="headers"):
        wire_bytes(mail)


async def test_people_outside_of_the_named_domains_get_no_mail():
    """Where the settings name some."""
    connector = mailer(people_at=["Corp.example"])
    assert (await planned(connector, "message_person", email="jo@CORP.example", text="x"))["rcpt_to"] == [
        "jo@CORP.example"
    ]
    for outside in ("jo@evil.example", "jo@corp.example.evil.example", "jo@sub.corp.example"):
        with pytest.raises(Forbidden, match="people_at"):
            await connector.message_person(outside, "x")


@pytest.mark.parametrize(
    ("verb", "arguments", "error"),
    [
        ("post", {"channel": "nobody", "text": "x"}, NotFound),
        ("post", {"channel": "", "text": "x"}, NotFound),
        ("page", {"to": "soc", "text": "x"}, NotFound),
        ("post", {"channel": "soc", "text": "x", "thread": "1@corp.example"}, Invalid),
        ("post", {"channel": "soc", "text": "x", "thread": "<1@corp.example>\r\nBcc: x@evil.example"}, Invalid),
    ],
)
async def test_unknown_names_and_threads_are_refused(verb: str, arguments: dict[str, Any], error: type[Exception]):
    """Before anything is sent."""
    with pytest.raises(error):
        await getattr(mailer(), verb)(**arguments)


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "http://mail.corp.example"},
        {"base_url": "smtp://"},
        {"base_url": "smtp://me:word@mail.corp.example"},
        {"username": "hikeshi"},
        {"password": Secret.of_value("x")},
        {"username": "hikeshi", "password": Secret.of_value("x"), "unencrypted": True},
        {"sender_name": "a\r\nBcc: x"},
        {"on_call": {"x": []}},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]):
    """A password is sent unencrypted to this machine alone."""
    with pytest.raises(ValidationError):
        mailer(**settings)


@pytest.mark.parametrize(
    ("settings", "tls", "port"),
    [
        ({}, "starttls", 587),
        ({"base_url": "smtps://mail.corp.example"}, "implicit", 465),
        ({"base_url": "smtp://mail.corp.example:25", "unencrypted": True}, "none", 25),
    ],
)
def test_encryption_is_the_rule(settings: dict[str, Any], tls: str, port: int):
    """Only who says so goes without."""
    assert (mailer(**settings)._server.tls, mailer(**settings)._server.port) == (tls, port)


async def test_a_password_that_is_not_there_sends_nothing():
    """And is certain not to have sent anything."""
    missing = Secret.parse("${env:HIKESHI_TEST_NO_SUCH_PASSWORD}")
    connector = mailer(username="hikeshi", password=missing)
    door = Door(mode="live", effect=Effect.NOTIFY, action="messaging.post", intended=True)
    with through(door), pytest.raises(Unauthorized, match="HIKESHI_TEST_NO_SUCH_PASSWORD") as caught:
        await connector.post("soc", "x")
    assert caught.value.applied.value == "no"


async def test_a_server_that_is_not_there_is_unavailable():
    """Nothing was sent."""
    connector = mailer(base_url="smtp://127.0.0.1:1", timeout_s=2)
    door = Door(mode="live", effect=Effect.NOTIFY, action="messaging.post", intended=True)
    with through(door), pytest.raises(Unavailable) as caught:
        await connector.post("soc", "x")
    assert caught.value.applied.value == "no"
