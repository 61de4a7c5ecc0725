"""Amazon SNS: a message is signed with a key whose certificate Amazon shows at an address that the message names.

The rule: that address is believed only if it is Amazon's own, and nothing is asked there before the topic is one that
may send and the time is near. A subscription is confirmed by people, unless the project says otherwise.

Source: https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from hikeshi.triggers.body import Malformed, object_of
from hikeshi.triggers.verify.amazon import Amazon
from hikeshi.triggers.verify.delivery import Delivery, Refused, Verified, malformed, unsigned, wrong_signature

__all__ = ["Sns"]

_HOST = re.compile(r"sns\.([a-z]{2}(?:-[a-z]+){1,3}-\d)\.amazonaws\.com")
_CERTIFICATE = re.compile(r"/[A-Za-z0-9_.-]{1,100}\.pem")
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED: Mapping[str, Sequence[str]] = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}


class Sns:
    """Verifies what SNS posts. `amazon` is how its certificates are read, and subscriptions confirmed."""

    content_types = ("text/plain", "application/json")
    needs = ()  # its signature stands in the body

    def __init__(self, topics: Sequence[str], replay_s: int, *, confirm: bool, amazon: Amazon | None = None) -> None:
        self._topics = frozenset(topics)
        self._replay_s = replay_s
        self._confirm = confirm
        self._amazon = amazon or Amazon()

    async def verify(self, delivery: Delivery) -> Verified:
        """Return what a message is. Raises Refused, Unavailable."""
        message = delivery.object()
        kind = message.get("Type")
        if not isinstance(kind, str) or kind not in _SIGNED:
            raise malformed("its type is none of SNS")
        if not all(isinstance(message.get(key), str) for key in ("Signature", "SignatureVersion", "SigningCertURL")):
            raise unsigned()
        content = _content(message, _SIGNED[kind])
        topic = message["TopicArn"]
        if topic not in self._topics:
            raise Refused(403, "topic", "this topic may not send here")
        certificate_url = _own_url(message["SigningCertURL"], topic, is_certificate=True)
        sent_s = _seconds(message["Timestamp"])
        delivery.refuse_stale(sent_s, self._replay_s)  # before anybody is asked for a certificate
        signature = _signature(message["Signature"])
        certificate = await self._amazon.certificate(certificate_url, delivery.at)
        if not certificate.has_signed(signature, content, version=message["SignatureVersion"]):
            raise wrong_signature()
        return self._verified(message, kind, topic)

    def _verified(self, message: Mapping[str, Any], kind: str, topic: str) -> Verified:
        data = {
            "type": kind,
            "message_id": message["MessageId"],
            "topic": topic,
            "subject": message.get("Subject"),
            "timestamp": message["Timestamp"],
            "message": _parsed(message["Message"]),
        }
        if kind == "Notification":
            return Verified(message["MessageId"], data)
        url = message["SubscribeURL"]
        data["subscribe_url"] = url
        if kind == "UnsubscribeConfirmation":
            return Verified(message["MessageId"], data, is_for_people=True, told=f"{topic} sends nothing here any more")
        if not self._confirm:
            told = f"{topic} wants to send events here; whoever wants that opens the address that is stored with it"
            return Verified(message["MessageId"], data, is_for_people=True, told=told)
        address = _own_url(url, topic, is_certificate=False)
        told = f"{topic} sends events here from now on: its subscription is confirmed"
        return Verified(
            message["MessageId"], data, is_for_people=True, told=told, after=lambda: self._amazon.confirm(address)
        )


def _content(message: Mapping[str, Any], keys: Sequence[str]) -> bytes:
    """Return what is signed of a message. Raises Refused if a part of it is missing, or is no text."""
    lines = []
    for key in keys:
        value = message.get(key)
        if value is None and key == "Subject":
            continue
        if not isinstance(value, str):
            raise malformed("a part of it is missing")
        lines += [key, value]
    return ("\n".join(lines) + "\n").encode(errors="replace")


def _own_url(text: str, topic: str, *, is_certificate: bool) -> str:
    """Return an address of Amazon's in the topic's own region. Raises Refused for any other."""
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise wrong_signature() from None
    host = _HOST.fullmatch(parts.netloc)
    if parts.scheme != "https" or host is None or port is not None or host[1] != topic.split(":")[3]:
        raise wrong_signature()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise wrong_signature()
    if is_certificate and (not _CERTIFICATE.fullmatch(parts.path) or parts.query or parts.fragment):
        raise wrong_signature()
    return text


def _seconds(text: str) -> float:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise malformed("its time is no time") from None
    if at.tzinfo is None:
        raise malformed("its time is no time")
    return at.timestamp()


def _signature(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise wrong_signature() from None


def _parsed(text: str) -> Any:
    """Return the object that a message holds, or its text. SNS carries either."""
    try:
        return object_of(text)
    except Malformed:
        return text
