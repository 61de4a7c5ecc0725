"""Messages of Amazon SNS: believed only with Amazon's own certificate, and subscriptions are confirmed by people."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from hikeshi.triggers.verify import Delivery, Refused, Unavailable, Verified
from hikeshi.triggers.verify.amazon import Amazon
from hikeshi.triggers.verify.sns import Sns

pytestmark = pytest.mark.safety(29)

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TOPIC = "arn:aws:sns:eu-west-1:123456789012:alerts"
URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123.pem"
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def certificate(name: str = "sns.amazonaws.com", *, days: int = 30) -> bytes:
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(KEY.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=60))
        .not_valid_after(NOW + timedelta(days=days))
        .sign(KEY, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


class Shown:
    """What stands at Amazon's addresses, and which were asked for."""

    def __init__(self, pem: bytes | Exception) -> None:
        self.pem = pem
        self.asked: list[str] = []

    async def __call__(self, url: str) -> bytes:
        self.asked.append(url)
        if isinstance(self.pem, Exception):
            raise self.pem
        return self.pem


def message(kind: str = "Notification", version: str = "2", **more: str) -> dict[str, str]:
    """Return a signed message."""
    data = {
        "Type": kind,
        "MessageId": "m-1",
        "TopicArn": TOPIC,
        "Subject": "An alert",
        "Message": '{"host": "pc1"}',
        "Timestamp": "2026-03-02T08:59:00.000Z",
        "SignatureVersion": version,
        "SigningCertURL": URL,
    }
    keys = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
    if kind != "Notification":
        data |= {"Token": "t" * 40, "SubscribeURL": "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"}
        keys = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
    data |= more
    content = "".join(f"{key}\n{data[key]}\n" for key in keys if key in data).encode()
    digest = hashes.SHA1() if version == "1" else hashes.SHA256()
    data["Signature"] = base64.b64encode(KEY.sign(content, padding.PKCS1v15(), digest)).decode()
    return data


async def verify(data: Mapping[str, Any], shown: Shown, *, confirm: bool = False) -> Verified:
    sns = Sns([TOPIC], 3600, confirm=confirm, amazon=Amazon(shown))
    return await sns.verify(Delivery({}, "text/plain", json.dumps(data).encode(), NOW))


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_signed_notification_is_an_event(version: str) -> None:
    """Its message is the data, parsed where it is JSON; its ID is signed."""
    found = await verify(message(version=version), Shown(certificate()))
    assert found.id == "m-1"
    assert found.data["message"] == {"host": "pc1"}
    assert found.data["subject"] == "An alert"
    assert (await verify(message(Message="text {"), Shown(certificate()))).data["message"] == "text {"


async def test_a_certificate_is_read_once() -> None:
    """Many messages at once ask Amazon one time."""
    shown = Shown(certificate())
    amazon = Amazon(shown)
    sns = Sns([TOPIC], 3600, confirm=False, amazon=amazon)
    for _ in range(20):
        await sns.verify(Delivery({}, "text/plain", json.dumps(message()).encode(), NOW))
    assert shown.asked == [URL]


@pytest.mark.parametrize(
    "change",
    [
        {"Message": "another"},
        {"MessageId": "m-2"},
        {"Subject": "Another"},
        {"Timestamp": "2026-03-02T08:59:01.000Z"},
        {"Signature": "bm9wZQ=="},
        {"Signature": "no base64"},
        {"SignatureVersion": "1"},
        {"SignatureVersion": "3"},
    ],
)
async def test_what_was_changed_after_it_was_signed_is_refused(change: dict[str, str]) -> None:
    """Every signed part counts, and the way in which it was signed."""
    with pytest.raises(Refused) as refused:
        await verify({**message(), **change}, Shown(certificate()))
    assert (refused.value.status, refused.value.code) == (401, "signature")


@pytest.mark.parametrize(
    "url",
    [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/a.pem",
        "https://evil@sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com:444/a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
        "https://sns.us-east-1.amazonaws.com/a.pem",
        "https://bucket.s3.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.txt",
        "https://sns.eu-west-1.amazonaws.com/a.pem?x=1",
        "https://sns.eu-west-1.amazonaws.com/a/b.pem",
        "https://sns.eu-west-1.amazonaws.com/../a.pem",
        "https://SNS.eu-west-1.amazonaws.com\t/a.pem",
        "https://[::1/a.pem",
        "",
    ],
)
async def test_nothing_is_asked_of_anybody_but_amazon(url: str) -> None:
    """The address of a certificate is the sender's word, so only Amazon's own is followed, in the topic's region."""
    shown = Shown(certificate())
    with pytest.raises(Refused):
        await verify({**message(), "SigningCertURL": url}, shown)
    assert shown.asked == []


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"TopicArn": "arn:aws:sns:eu-west-1:123456789012:other"}, 403),
        ({"Timestamp": "2026-03-02T07:59:00.000Z"}, 400),
        ({"Timestamp": "2026-03-02T10:01:00.000Z"}, 400),
        ({"Timestamp": "2026-03-02T08:59:00"}, 400),
        ({"Timestamp": "yesterday"}, 400),
        ({"Type": "Other"}, 400),
        ({"Type": ["Notification"]}, 400),
        ({"Message": None}, 400),
        ({"MessageId": 7}, 400),
        ({"Signature": None}, 401),
        ({"SigningCertURL": None}, 401),
    ],
)
async def test_what_cannot_be_good_costs_no_request(change: dict[str, Any], status: int) -> None:
    """A topic that may not send, a time too far away, a missing part: Amazon is not asked for those."""
    shown = Shown(certificate())
    with pytest.raises(Refused) as refused:
        await verify({**message(), **change}, shown)
    assert refused.value.status == status
    assert shown.asked == []


@pytest.mark.parametrize(
    "pem", [certificate("evil.example"), certificate(days=-1), b"no certificate", b"", certificate()[:-200]]
)
async def test_a_certificate_that_is_not_that_of_sns_verifies_nothing(pem: bytes) -> None:
    """Another name, one that is over, or none at all."""
    with pytest.raises(Refused):
        await verify(message(), Shown(pem))


async def test_amazon_out_of_reach_is_no_reason_to_believe() -> None:
    """Nothing is taken unverified: the sender may try again, and Amazon is not asked for each try."""
    shown = Shown(OSError("no route"))
    amazon = Amazon(shown)
    sns = Sns([TOPIC], 3600, confirm=False, amazon=amazon)
    for _ in range(5):
        with pytest.raises(Unavailable):
            await sns.verify(Delivery({}, "text/plain", json.dumps(message()).encode(), NOW))
    assert len(shown.asked) == 1


async def test_a_flood_of_addresses_asks_amazon_little() -> None:
    """Whoever makes up addresses of certificates gets ten a minute, and 503 from then on."""
    shown = Shown(b"no certificate")
    sns = Sns([TOPIC], 3600, confirm=False, amazon=Amazon(shown))
    for number in range(30):
        url = URL.replace("0123", str(number))
        data = json.dumps({**message(), "SigningCertURL": url}).encode()
        with pytest.raises((Refused, Unavailable)):
            await sns.verify(Delivery({}, "text/plain", data, NOW))
    assert len(shown.asked) == 10


async def test_a_subscription_is_told_and_not_confirmed() -> None:
    """It starts nothing; people decide, with the address that is stored."""
    shown = Shown(certificate())
    found = await verify(message("SubscriptionConfirmation"), shown)
    assert found.is_for_people
    assert "wants to send events here" in found.told
    assert found.data["subscribe_url"].startswith("https://sns.eu-west-1.amazonaws.com/")
    assert found.after is None
    assert shown.asked == [URL]


async def test_a_subscription_is_confirmed_where_the_project_says_so() -> None:
    """Only at Amazon's own address, and only after it was stored."""
    shown = Shown(certificate())
    found = await verify(message("SubscriptionConfirmation"), shown, confirm=True)
    assert found.after is not None
    await found.after()
    assert shown.asked == [URL, "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription"]
    other = message("SubscriptionConfirmation", SubscribeURL="https://evil.example/")
    with pytest.raises(Refused):
        await verify(other, shown, confirm=True)
