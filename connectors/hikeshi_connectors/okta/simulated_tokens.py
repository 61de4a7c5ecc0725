"""How the simulated token service of Okta judges a service app."""

import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from json import loads

__all__ = ["TOKEN_PATH", "is_signed"]

TOKEN_PATH = "/oauth2/v1/token"  # noqa: S105 - a path


def is_signed(text: str, credentials: Mapping[str, str]) -> bool:
    """Say whether a text is an assertion of the app with these credentials: signed with its key, and fresh."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import padding, rsa
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        head, claims_text, signature = text.split(".")
        key = load_pem_private_key(credentials["private_key"].encode(), None)
        assert isinstance(key, rsa.RSAPrivateKey)
        key.public_key().verify(_decoded(signature), f"{head}.{claims_text}".encode(), padding.PKCS1v15(), SHA256())
        claims = loads(_decoded(claims_text))
    except (KeyError, ValueError, InvalidSignature):
        return False
    fresh = time.time() < claims.get("exp", 0) <= time.time() + 3600
    mine = {claims.get("iss"), claims.get("sub")} == {credentials.get("client_id")}
    return fresh and mine and str(claims.get("aud")).endswith(TOKEN_PATH)


def _decoded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))
