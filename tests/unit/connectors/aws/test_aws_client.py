"""What every AWS connector does alike: signatures, an assumed role, errors, and credentials that are shown nowhere."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from hikeshi.capabilities import AccessKey, Effect
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Secret,
    Unauthorized,
    Unavailable,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.aws.answers import StaleLock
from hikeshi_connectors.aws.service import EC2, IAM, WAFV2
from hikeshi_connectors.aws_iam import AwsIam

KEY_ID, SECRET, TOKEN = "AKIAINVENTEDKEY00001", "an/invented+secret", "an-invented-session-token-of-some-length"
ROLE_SECRET, ROLE_TOKEN = "an-invented-role-secret", "an-invented-role-token"
ROLE = "arn:aws:iam::123456789012:role/hikeshi"
NO_USERS = (
    "<ListUsersResponse><ListUsersResult><Users/><IsTruncated>false</IsTruncated></ListUsersResult></ListUsersResponse>"
)
ASSUMED = f"""<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIAINVENTEDROLE0001</AccessKeyId><SecretAccessKey>{ROLE_SECRET}</SecretAccessKey>
<SessionToken>{ROLE_TOKEN}</SessionToken></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
Answer = Callable[[httpx.Request], httpx.Response]


def connector(answer: Answer, redactor: Redactor | None = None, **more: Any) -> AwsIam:
    secrets = {"access_key_id": Secret.of_value(KEY_ID), "secret_access_key": Secret.of_value(SECRET)}
    transport = httpx.MockTransport(answer)
    built = build(AwsIam, "aws", {**secrets, **more}, redactor or Redactor(), transport=transport)
    assert isinstance(built, AwsIam)
    return built


def answering(status: int, text: str, **headers: str) -> Answer:
    return lambda _: httpx.Response(status, text=text, headers=headers)


async def error_of(answer: Answer) -> ConnectorError:
    """Return the error of a change that is answered so."""
    key = AccessKey(connector="aws", id="AKIA0000000000000000", name="mei")
    aws = connector(answer)
    door = Door(mode="live", effect=Effect.CHANGE, action="cloud.deactivate_key", intended=True)
    with through(door), pytest.raises(ConnectorError) as caught:
        await aws.deactivate_key(key, "r")
    return caught.value


async def test_a_request_is_signed_for_its_service_and_region() -> None:
    """The signature covers type and host, names IAM in its one region, and carries the token of temporary keys."""
    seen: list[httpx.Request] = []
    aws = connector(
        lambda request: seen.append(request) or httpx.Response(200, text=NO_USERS),  # type: ignore[func-returns-value]
        region="eu-central-1",
        session_token=Secret.of_value(TOKEN),
    )
    assert await aws.find_users("mei") == []
    (request,) = seen
    assert str(request.url) == "https://iam.amazonaws.com/"
    assert parse_qs(request.content.decode()) == {
        "Action": ["ListUsers"],
        "Version": ["2010-05-08"],
        "MaxItems": ["1000"],
    }
    authorization = request.headers["authorization"]
    assert authorization.startswith(f"AWS4-HMAC-SHA256 Credential={KEY_ID}/")
    assert (
        "/us-east-1/iam/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token" in authorization
    )
    assert request.headers["x-amz-security-token"] == TOKEN


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        (IAM.address("us-gov-west-1"), "https://iam.us-gov.amazonaws.com"),
        (IAM.address("cn-northwest-1"), "https://iam.cn-north-1.amazonaws.com.cn"),
        (EC2.address("eu-west-1"), "https://ec2.eu-west-1.amazonaws.com"),
        (WAFV2.address("cn-north-1"), "https://wafv2.cn-north-1.amazonaws.com.cn"),
        (EC2.address("eu-west-1", "https://{service}.{region}.example"), "https://ec2.eu-west-1.example"),
    ],
)
def test_each_service_has_its_address(address: str, wanted: str) -> None:
    """IAM has one address in each partition, the others one in each region."""
    assert address == wanted


async def test_a_role_is_assumed_once_and_again_when_its_keys_are_refused() -> None:
    """Keys of a role serve many requests; a refusal of them is answered with new ones, once."""
    actions: list[str] = []
    refused = [True]

    def answer(request: httpx.Request) -> httpx.Response:
        action = parse_qs(request.content.decode())["Action"][0]
        actions.append(action)
        if action == "AssumeRole":
            assert f"Credential={KEY_ID}/" in request.headers["authorization"]
            return httpx.Response(200, text=ASSUMED)
        assert request.headers["x-amz-security-token"] == ROLE_TOKEN
        if len(actions) > 3 and refused:
            refused.pop()
            return httpx.Response(403, text="<ErrorResponse><Error><Code>ExpiredToken</Code></Error></ErrorResponse>")
        return httpx.Response(200, text=NO_USERS)

    aws = connector(answer, role_arn=ROLE)
    for _ in range(3):
        await aws.find_users("mei")
    assert actions == ["AssumeRole", *["ListUsers"] * 3, "AssumeRole", "ListUsers"]


@pytest.mark.parametrize(
    ("status", "code", "kind", "applied"),
    [
        (400, "Throttling", RateLimited, Applied.NO),
        (503, "RequestLimitExceeded", RateLimited, Applied.NO),
        (403, "SignatureDoesNotMatch", Unauthorized, Applied.NO),
        (403, "InvalidClientTokenId", Unauthorized, Applied.NO),
        (403, "AccessDenied", Forbidden, Applied.NO),
        (404, "NoSuchEntity", NotFound, Applied.NO),
        (400, "InvalidGroup.NotFound", NotFound, Applied.NO),
        (409, "EntityAlreadyExists", Conflict, Applied.NO),
        (400, "InvalidPermission.NotFound", Conflict, Applied.NO),
        (409, "LimitExceeded", Conflict, Applied.NO),
        (400, "MalformedPolicyDocument", Invalid, Applied.NO),
        (500, "ServiceFailure", Unavailable, Applied.MAYBE),
    ],
)
async def test_a_code_says_what_happened(status: int, code: str, kind: type, applied: Applied) -> None:
    """The code of a refusal counts, in both forms of XML, and its message is told."""
    parts = f"<Code>{code}</Code><Message>said so</Message>"
    for text in (
        f'<ErrorResponse xmlns="urn:x"><Error><Type>Sender</Type>{parts}</Error></ErrorResponse>',
        f"<Response><Errors><Error>{parts}</Error></Errors><RequestID>1</RequestID></Response>",
    ):
        error = await error_of(answering(status, text))
        assert type(error) is kind
        assert error.applied is applied
        assert code in error.message


@pytest.mark.parametrize(
    ("body", "header", "kind"),
    [
        ('{"__type":"com.amazonaws#ThrottlingException","message":"m"}', "", RateLimited),
        ('{"__type":"UnrecognizedClientException","message":"m"}', "", Unauthorized),
        ('{"Message":"m"}', "AccessDeniedException:http://internal.amazon.com/x", Forbidden),
        ('{"__type":"WAFOptimisticLockException","Message":"m"}', "", StaleLock),
    ],
)
async def test_a_code_in_json_says_what_happened(body: str, header: str, kind: type) -> None:
    """The code stands in the body, with or without a name space, or in a header."""
    assert type(await error_of(answering(400, body, **({"x-amzn-errortype": header} if header else {})))) is kind


async def test_a_refusal_of_the_signature_does_not_repeat_the_request() -> None:
    """AWS quotes the request that it saw, with the session token in it; the error tells the code alone."""
    said = f"The Canonical String for this request should have been 'x-amz-security-token:{TOKEN}'"
    text = f"<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>{said}</Message></Error></ErrorResponse>"
    assert "Canonical" not in (await error_of(answering(403, text))).message


@pytest.mark.parametrize("text", ["<!DOCTYPE x [<!ENTITY a 'b'>]><ListUsersResponse/>", "<html/>", "", "[]", "<a>"])
async def test_what_is_not_awss_is_invalid(text: str) -> None:
    """A web page, a document type or half an answer is no empty list."""
    with pytest.raises(Invalid):
        await connector(answering(200, text)).find_users("mei")


async def test_keys_and_tokens_are_shown_nowhere() -> None:
    """Neither configured keys nor those of a role are in errors, plans, addresses or reprs; the redactor knows all."""
    urls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        urls.append(str(request.url))
        if b"AssumeRole" in request.content:
            return httpx.Response(200, text=ASSUMED)
        echo = request.headers["authorization"] + request.headers.get("x-amz-security-token", "")
        return httpx.Response(400, text=f"<R><Error><Code>X</Code><Message>{echo}{SECRET}</Message></Error></R>")

    redactor = Redactor()
    aws = connector(answer, redactor, role_arn=ROLE, session_token=Secret.of_value(TOKEN))
    key = AccessKey(connector="aws", id="AKIA0000000000000000", name="mei")
    plan = Door(mode="plan", effect=Effect.CHANGE, action="cloud.deactivate_key")
    with through(plan):
        await aws.deactivate_key(key, "r")
    with pytest.raises(ConnectorError) as caught:
        await aws.find_users("mei")
    shown = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value)) + repr(plan.captured)
    shown += repr(aws) + repr(aws.settings) + aws.settings.model_dump_json() + "".join(urls) + repr(aws.aws)
    for secret in (SECRET, TOKEN, ROLE_SECRET, ROLE_TOKEN):
        assert secret not in redactor.text(shown)
        assert secret not in "".join(urls) + repr(plan.captured)
        assert redactor.holds(secret)
