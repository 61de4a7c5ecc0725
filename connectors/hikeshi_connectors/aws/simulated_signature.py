"""Checking signatures (Signature Version 4) as AWS does, written from its documentation and not with botocore.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, quote

from starlette.requests import Request

__all__ = ["Refusal", "Signed", "signed_by"]

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/]+)/(?P<date>\d{8})/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request, "
    r"?SignedHeaders=(?P<headers>[a-z0-9;-]+), ?Signature=(?P<signature>[0-9a-f]{64})"
)
_CLOCKS_DIFFER_MOST = timedelta(minutes=5)


class Refusal(Exception):
    """AWS says no, with a status, a code and a message."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code, self.message = status, code, message


@dataclass(frozen=True, slots=True)
class Signed:
    """Whose key a request was signed with, and for what."""

    key_id: str
    service: str
    region: str


def signed_by(request: Request, body: bytes, secret_of: Callable[[str, str | None], str | None]) -> Signed:
    """Return who signed a request. `secret_of` gives the secret of a key and its token, None if it is no valid key.

    Raises Refusal, with the codes that AWS has for it.
    """
    found = _AUTHORIZATION.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        raise Refusal(403, "MissingAuthenticationToken", "Missing Authentication Token")
    moment = request.headers.get("x-amz-date", "")
    if not re.fullmatch(found["date"] + r"T\d{6}Z", moment):
        raise Refusal(403, "IncompleteSignature", "Date in Credential scope does not match that of the request.")
    at = datetime.strptime(moment, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    if abs(datetime.now(UTC) - at) > _CLOCKS_DIFFER_MOST:
        raise Refusal(403, "SignatureDoesNotMatch", f"Signature expired: {moment} is now earlier than allowed")
    secret = secret_of(found["key"], request.headers.get("x-amz-security-token"))
    if secret is None:
        raise Refusal(403, "InvalidClientTokenId", "The security token included in the request is invalid.")
    if "host" not in found["headers"].split(";"):
        raise Refusal(403, "SignatureDoesNotMatch", "'Host' must be a 'SignedHeader' in the AWS Authorization.")
    scope = f"{found['date']}/{found['region']}/{found['service']}/aws4_request"
    canonical = _canonical(request, body, found["headers"])
    text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    if not hmac.compare_digest(_signature(secret, scope, text), found["signature"]):
        raise Refusal(403, "SignatureDoesNotMatch", "The request signature we calculated does not match.")
    return Signed(found["key"], found["service"], found["region"])


def _canonical(request: Request, body: bytes, headers: str) -> str:
    raw_path = request.scope.get("raw_path") or request.scope["path"].encode()
    path = raw_path.decode("latin-1").partition("?")[0]
    pairs = parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    query = "&".join(sorted(f"{quote(key, safe='-_.~')}={quote(value, safe='-_.~')}" for key, value in pairs))
    lines = [f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in headers.split(";")]
    return "\n".join(
        [request.method, quote(path, safe="/-_.~"), query, *lines, "", headers, hashlib.sha256(body).hexdigest()]
    )


def _signature(secret: str, scope: str, text: str) -> str:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
