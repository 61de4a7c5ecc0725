"""E-mail handed over to a real mail server, aiosmtpd: encrypted, signed in, and refused where it has to be.

Needs the Python package aiosmtpd; is skipped without, and says so.
"""

from __future__ import annotations

import email
from collections.abc import Iterator
from email import policy
from pathlib import Path
from typing import Any

import pytest
from mail_server import PASSWORD, USER, RunningServer, certificate_in, serving, why_not

from hikeshi.capabilities import Effect, Message
from hikeshi.connector import Applied, ConnectorError, NotFound, PartialFailure, Secret, Unauthorized, Unavailable
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.email_smtp import Email

REASON = why_not()
pytestmark = pytest.mark.skipif(REASON is not None, reason=REASON or "")


@pytest.fixture(params=["starttls", "implicit"])
def server(request: Any, tmp_path: Path) -> Iterator[RunningServer]:
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
