"""One mail: its headers, which nothing from outside can add to, its text, and how a plan shows it.

Source: RFC 5322 (headers, Message-ID, In-Reply-To), RFC 3834 (Auto-Submitted), RFC 5321, 4.1.2 (addresses).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any, Final

from hikeshi.connector import Invalid

__all__ = ["ADDRESS", "MESSAGE_ID", "VOLATILE", "mail_of", "shown", "wire_bytes"]

ADDRESS: Final = re.compile(
    r"(?=.{3,254}\Z)(?=[^@]{1,64}@)[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]{0,62}))*"
)
"""An address without quoting, comments and characters outside of ASCII: what every mail server takes."""

MESSAGE_ID: Final = re.compile(r"<[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,128}@[A-Za-z0-9.-]{1,128}>")
VOLATILE: Final = ("Date", "Message-ID")

_SUBJECT_MOST, _TEXT_MOST = 150, 200_000


def mail_of(
    *,
    sender: str,
    sender_name: str,
    recipients: Sequence[str],
    text: str,
    message_id: str,
    date: str,
    prefix: str = "",
    answers: str | None = None,
    urgent: bool = False,
) -> EmailMessage:
    """Return a mail. `answers` is the Message-ID of the mail in whose thread it stands."""
    text = _plain(text)
    mail = EmailMessage(policy=policy.SMTP)
    mail["From"] = Address(sender_name, addr_spec=sender)
    mail["To"] = [Address(addr_spec=each) for each in recipients]
    mail["Subject"] = f"{'Re: ' if answers else ''}{prefix}{_subject(text)}"
    mail["Date"] = date
    mail["Message-ID"] = message_id
    if answers:
        mail["In-Reply-To"] = answers
        mail["References"] = answers
    mail["Auto-Submitted"] = "auto-generated"  # no out-of-office note comes back
    if urgent:
        mail["Importance"] = "high"
        mail["X-Priority"] = "1"
    # Whatever is in the text is letters of it: lines that look like a boundary, a dot or a command are encoded.
    mail.set_content(_cut(text, _TEXT_MOST) + "\n", cte="quoted-printable")
    return mail


def shown(mail: EmailMessage, sender: str, recipients: Sequence[str]) -> dict[str, Any]:
    """Return the whole mail as a plan shows it: the envelope, every header, the text."""
    headers = {name: str(value) for name, value in mail.items()}
    return {"mail_from": sender, "rcpt_to": list(recipients), "headers": headers, "text": mail.get_content()}


def wire_bytes(mail: EmailMessage) -> bytes:
    """Return the mail as it is sent: lines of ASCII that end with CR LF.

    Raises Invalid if it does not have exactly the headers that it was given: whatever could do that must not leave.
    """
    content = mail.as_bytes(policy=policy.SMTP)
    if message_from_bytes(content, policy=policy.compat32).keys() != mail.keys():
        raise Invalid("the mail would have other headers than it was given; nothing was sent")
    return content


def _plain(text: str) -> str:
    """Return a text that can be written as UTF-8, with one kind of line end."""
    clean = text.encode("utf-8", "replace").decode()
    return "\n".join(clean.replace("\r\n", "\n").replace("\r", "\n").split("\n")).rstrip("\n")


def _subject(text: str) -> str:
    """Return the first line that says something, as one line without characters that steer anything."""
    for line in text.splitlines():
        harmless = "".join(" " if unicodedata.category(each).startswith(("C", "Z")) else each for each in line)
        # Python decodes what looks like an encoded word in a header that it is given, line ends in it too.
        if said := " ".join(harmless.replace("=?", "= ?").split()):
            return said if len(said) <= _SUBJECT_MOST else f"{said[:_SUBJECT_MOST]}…"
    return "(no text)"


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}… ({len(text) - most} characters cut)"
