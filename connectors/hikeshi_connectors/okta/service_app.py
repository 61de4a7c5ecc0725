"""Tokens of a service app: the app signs an assertion with its private key and gets an access token for it.

Source: https://developer.okta.com/docs/guides/implement-oauth-for-okta-serviceapp/ (client credentials with
private_key_jwt, which is the only way to the scopes okta.*).
"""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64encode
from secrets import token_urlsafe
from typing import Any

from hikeshi.connector import Unauthorized

__all__ = ["ASSERTION_TYPE", "assertion"]

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFE_S = 300


def assertion(client_id: str, audience: str, private_key: str, key_id: str | None) -> str:
    """Return a signed JSON web token (RS256) that proves to be this app for five minutes.

    Raises Unauthorized if the key is no RSA key in PEM form. Source: RFC 7523, 3.
    """
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(private_key.encode(), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise Unauthorized("the private_key of the service app is no RSA key in PEM form without a password")
    now = int(time.time())
    claims = {"aud": audience, "iss": client_id, "sub": client_id, "iat": now, "exp": now + _LIFE_S}
    header = {"alg": "RS256", "typ": "JWT"} | ({"kid": key_id} if key_id else {})
    signed = f"{_encoded(header)}.{_encoded({**claims, 'jti': token_urlsafe(16)})}"
    return f"{signed}.{_text(key.sign(signed.encode(), padding.PKCS1v15(), SHA256()))}"


def _encoded(part: dict[str, Any]) -> str:
    return _text(json.dumps(part, separators=(",", ":")).encode())


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).rstrip(b"=").decode()
