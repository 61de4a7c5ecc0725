"""Standard Webhooks: ID, time and body signed together, with several signatures while a secret is changed.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

from hikeshi.triggers.verify.delivery import JSON_TYPES, Delivery, Verified, wrong_signature
from hikeshi.triggers.verify.signing_secret import SigningSecret

__all__ = ["StandardWebhooks"]


class StandardWebhooks:
    """Verifies `webhook-signature`. The ID is signed, so a second delivery is known by it."""

    content_types = JSON_TYPES
    needs = ("webhook-id", "webhook-timestamp", "webhook-signature")

    def __init__(self, secret: SigningSecret, replay_s: int) -> None:
        self._secret = secret
        self._replay_s = replay_s

    async def verify(self, delivery: Delivery) -> Verified:
        """Return what a message is. Raises Refused, Unavailable."""
        name, sent_s = delivery.id_in("webhook-id"), delivery.seconds("webhook-timestamp")
        given = [
            part.removeprefix("v1,") for part in delivery.header("webhook-signature").split() if part.startswith("v1,")
        ]
        stamp = delivery.header("webhook-timestamp")
        if not self._secret.is_signed_by_key(f"{name}.{stamp}.".encode() + delivery.body, given):
            raise wrong_signature()
        delivery.refuse_stale(sent_s, self._replay_s)
        return Verified(name, delivery.object())
