"""PagerDuty, webhooks of version 3: the body is signed, once for each secret in use. Its event has an ID of its own.

There is no time in what is signed: a copy is recognised by the ID, however late it comes.

Source: https://developer.pagerduty.com/docs/webhooks-signatures
"""

from __future__ import annotations

from hikeshi.triggers.verify.delivery import JSON_TYPES, Delivery, Verified, text_at, wrong_signature
from hikeshi.triggers.verify.signing_secret import SigningSecret

__all__ = ["PagerDuty"]

_SIGNATURE = "x-pagerduty-signature"


class PagerDuty:
    """Verifies `X-PagerDuty-Signature`."""

    content_types = JSON_TYPES
    needs = (_SIGNATURE,)

    def __init__(self, secret: SigningSecret) -> None:
        self._secret = secret

    async def verify(self, delivery: Delivery) -> Verified:
        """Return what a message is. Raises Refused, Unavailable."""
        parts = [part.strip() for part in delivery.header(_SIGNATURE).split(",")]
        given = [part.removeprefix("v1=") for part in parts if part.startswith("v1=")]
        if not self._secret.is_signed(delivery.body, given):
            raise wrong_signature()
        data = delivery.object()
        return Verified(text_at(data, ("event", "id")), data)
