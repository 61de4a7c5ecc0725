"""GitHub: the body is signed, and nothing else.

Neither a time nor the ID of the delivery is part of what is signed, so a copy could be sent again under another ID at
any time. It is recognised by its body.

Source: https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

from hikeshi.triggers.verify.delivery import JSON_TYPES, Delivery, Verified, wrong_signature
from hikeshi.triggers.verify.signing_secret import SigningSecret

__all__ = ["GitHub"]

_SIGNATURE, _DELIVERY = "x-hub-signature-256", "x-github-delivery"


class GitHub:
    """Verifies `X-Hub-Signature-256`."""

    content_types = JSON_TYPES
    needs = (_SIGNATURE, _DELIVERY)

    def __init__(self, secret: SigningSecret) -> None:
        self._secret = secret

    async def verify(self, delivery: Delivery) -> Verified:
        """Return what a message is. Raises Refused, Unavailable."""
        name, given = delivery.id_in(_DELIVERY), delivery.header(_SIGNATURE)
        if not given.startswith("sha256=") or not self._secret.is_signed(delivery.body, [given[7:]]):
            raise wrong_signature()
        return Verified(name, delivery.object(), also=(delivery.digest,))
