"""E-mail handed over to real mail servers, aiosmtpd and Postfix: encrypted, signed in, refused where it has to be.

Needs the Python package aiosmtpd and, as root, the Debian package postfix; what lacks one is skipped, and says so.
"""

from __future__ import annotations

import email
from collections.abc import Iterator
from email import policy
from pathlib import Path
from typing import Any

import pytest
from mail_server import PASSWORD, USER, RunningServer, certificate_in, serving, why_not
from postfix_server import Postfix, postfix, why_not_postfix

from hikeshi.capabilities import Effect, Message
from hikeshi.connector import (
    Applied,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    PartialFailure,
    Secret,
    Unauthorized,
    Unavailable,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.email_smtp import Email

NO_POSTFIX = why_not_postfix()


@pytest.fixture(params=["starttls", "implicit"])
def server(request: Any, tmp_path: Path) -> Iterator[RunningServer]:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    with serving(tmp_path / "server", request.param) as running:
        yield running


def mailer(server: RunningServer, **settings: Any) -> Email:
    scheme = "smtps" if "implicit" in str(settings.pop("tls")) else "smtp"
    given = {
        "base_url": f"{scheme}://127.0.0.1:{server.port}",
        "ca_file": str(server.mailbox.with_name("certificate.pem")),
        "sender": "hikeshi@corp.example",
        "username": USER,
        "password": Secret.of_value(PASSWORD),
        "channels": {"soc": "soc@corp.example", "mixed": ["soc@corp.example", "full@corp.example"]},
        "on_call": {"gone": "nobody@corp.example"},
        "timeout_s": 10,
        **settings,
    }
    connector = build(Email, "mail", given, Redactor())
    assert isinstance(connector, Email)
    return connector


async def post(connector: Email, channel: str, text: str, thread: str | None = None) -> Message:
    door = Door(mode="live", effect=Effect.NOTIFY, action="messaging.post", intended=True, key=f"key of {text}")
    with through(door):
        return await connector.post(channel, text, severity="high", thread=thread)


@pytest.fixture
def tls(request: Any) -> str:
    return str(request.node.callspec.params["server"])


async def test_a_mail_arrives_as_it_was_planned(server: RunningServer, tls: str):
    """Over TLS and signed in, with a thread, and letters from everywhere."""
    connector = mailer(server, tls=tls)
    first = await post(connector, "soc", "Grüße 火消し\n.\n.hidden\nBcc: x@evil.example")
    await post(connector, "soc", "more", first.id)
    taken, answer = (email.message_from_string(each["content"], policy=policy.default) for each in server.mails())
    assert server.mails()[0]["to"] == ["soc@corp.example"]
    assert taken["Subject"] == "[HIGH] Grüße 火消し"
    assert taken["Bcc"] is None
    assert taken["Message-ID"] == first.id
    assert taken.get_content().replace("\r\n", "\n") == "Grüße 火消し\n.\n.hidden\nBcc: x@evil.example\n"
    assert answer["In-Reply-To"] == answer["References"] == first.id


async def test_refused_recipients_are_named(server: RunningServer, tls: str):
    """Some of several end partial; all of them send nothing."""
    connector = mailer(server, tls=tls)
    with pytest.raises(PartialFailure) as caught:
        await post(connector, "mixed", "come")
    assert {each: type(error) for each, error in caught.value.failures.items()} == {"full@corp.example": Unavailable}
    with (
        through(Door(mode="live", effect=Effect.NOTIFY, action="messaging.page", intended=True)),
        pytest.raises(NotFound),
    ):
        await connector.page("gone", "come")
    assert [each["to"] for each in server.mails()] == [["soc@corp.example"]]


async def test_wrong_passwords_and_strange_certificates_send_nothing(server: RunningServer, tls: str, tmp_path: Path):
    """Nor does a server whose certificate is for somebody else; and the password goes to neither."""
    other, _ = certificate_in(tmp_path / "other")
    wrong: list[tuple[dict[str, Any], type[ConnectorError]]] = [
        ({"password": Secret.of_value("wrong-word")}, Unauthorized),
        ({"ca_file": str(other)}, Unavailable),
        ({"ca_file": None}, Unavailable),
        ({"base_url": f"{'smtps' if tls == 'implicit' else 'smtp'}://localhost:{server.port}"}, Unavailable),
    ]
    for settings, error in wrong:
        with pytest.raises(error) as caught:
            await post(mailer(server, tls=tls, **settings), "soc", "come")
        assert caught.value.applied is Applied.NO
        assert "word" not in str(caught.value).replace("password", "")
    assert server.mails() == []


@pytest.fixture(scope="module")
def relay() -> Iterator[Postfix]:
    if NO_POSTFIX is not None:
        pytest.skip(NO_POSTFIX)
    with postfix() as running:
        yield running


def by_postfix(relay: Postfix, *, implicit: bool = False) -> Email:
    given = {
        "base_url": f"smtps://127.0.0.1:{relay.port_tls}" if implicit else f"smtp://127.0.0.1:{relay.port}",
        "ca_file": str(relay.certificate),
        "sender": "hikeshi@corp.example",
        "channels": {
            "soc": "soc@corp.example",
            "mixed": ["nobody@corp.example", "jo@corp.example", "x@elsewhere.example"],
        },
        "timeout_s": 10,
    }
    connector = build(Email, "mail", given, Redactor())
    assert isinstance(connector, Email)
    return connector


async def test_postfix_delivers_what_was_sent(relay: Postfix):
    """Over STARTTLS and over TLS, byte for byte the same text, in its thread, and with no header that a text made."""
    text = "Isolated =?utf-8?q?x=0D=0ABcc:_evil@evil.example?=\n.\n..two dots\nFrom here on\n" + "火" * 400
    first = await post(by_postfix(relay), "soc", text)
    await post(by_postfix(relay, implicit=True), "soc", "more", first.id)
    mails = [email.message_from_bytes(each, policy=policy.default) for each in relay.mails("soc", 2)]
    taken, answer = sorted(mails, key=lambda each: each["In-Reply-To"] is not None)
    assert taken.get_content().replace("\r\n", "\n") == text + "\n"
    assert taken["Message-ID"] == first.id
    assert taken["Bcc"] is None
    assert "with ESMTPS" in str(taken["Received"])
    assert answer["In-Reply-To"] == first.id


async def test_what_postfix_refuses_is_told_as_what_it_is(relay: Postfix):
    """Unknown mailboxes, other people's domains, and mails that are too large; the others get theirs."""
    connector = by_postfix(relay)
    with pytest.raises(PartialFailure) as caught:
        await post(connector, "mixed", "for some")
    failures = {each: type(error) for each, error in caught.value.failures.items()}
    assert failures == {"nobody@corp.example": NotFound, "x@elsewhere.example": Forbidden}
    assert b"for some" in relay.mails("jo", 1)[0]
    with pytest.raises(Invalid) as refused:
        await post(connector, "soc", "x" * 60_000)
    assert refused.value.applied is Applied.NO
    other, _ = certificate_in(relay.folder / "other")
    with pytest.raises(Unavailable, match="certificate"):
        await post(build_trusting(connector, other), "soc", "x")


def build_trusting(connector: Email, ca_file: Path) -> Email:
    settings = {**connector.settings.model_dump(exclude_none=True), "ca_file": str(ca_file)}
    built = build(Email, "mail", settings, Redactor())
    assert isinstance(built, Email)
    return built
