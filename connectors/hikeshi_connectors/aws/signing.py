"""Signatures of requests (Signature Version 4) by botocore's own signer, which sends nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hikeshi.connector import Unsupported
from hikeshi.connector.route import SeenRequest

__all__ = ["Keys", "signed"]

_SIGNATURE_HEADERS = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")


@dataclass(frozen=True, slots=True)
class Keys:
    """What a request is signed with. Temporary keys have a token."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


def signed(request: SeenRequest, keys: Keys, service: str, region: str) -> Mapping[str, str]:
    """Return the headers that sign a request for a service and a region. Raises Unsupported without botocore.

    Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html.
    """
    try:
        from botocore.auth import SigV4Auth  # type: ignore[import-untyped]
        from botocore.awsrequest import AWSRequest  # type: ignore[import-untyped]
        from botocore.credentials import Credentials  # type: ignore[import-untyped]
    except ImportError:
        raise Unsupported("AWS connectors need botocore: pip install 'hikeshi[aws]'") from None
    signing = AWSRequest(request.method, request.url, headers=dict(request.headers), data=request.content)
    credentials = Credentials(keys.access_key_id, keys.secret_access_key, keys.token)
    SigV4Auth(credentials, service, region).add_auth(signing)
    return {name.lower(): str(signing.headers[name]) for name in _SIGNATURE_HEADERS if name in signing.headers}
