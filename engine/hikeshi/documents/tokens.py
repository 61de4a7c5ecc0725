"""Tokens as plain data, without their secrets."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hikeshi.access.tokens import Token

__all__ = ["token_document"]


def token_document(token: Token, now: datetime) -> dict[str, Any]:
    """Return one token. Its status is `good`, `expired` or `revoked`; times are in UTC."""
    return {
        "token": token.token,
        "name": token.name,
        "person": token.person,
        "roles": [str(role) for role in token.roles],
        "status": token.status(now),
        "made_by": token.made_by,
        "made_at": token.made_at.isoformat(),
        "expires_at": token.expires_at.isoformat(),
    }
