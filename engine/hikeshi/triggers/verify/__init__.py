"""Seeing that a message comes from whom it says it does. One module for each way in which vendors sign."""

from __future__ import annotations

from hikeshi.project.webhooks import WebhookSource
from hikeshi.triggers.verify.delivery import Delivery, Refused, Unavailable, Verified, Verifier
from hikeshi.triggers.verify.signing_secret import SigningSecret

__all__ = ["Delivery", "Refused", "SigningSecret", "Unavailable", "Verified", "Verifier", "verifier_of"]


def verifier_of(source: WebhookSource, secret: SigningSecret) -> Verifier:
    """Return what verifies the messages of a source."""
    match source.verify:
        case "standard-webhooks":
            from hikeshi.triggers.verify.standard_webhooks import StandardWebhooks

            return StandardWebhooks(secret, source.replay_s)
        case "github":
            from hikeshi.triggers.verify.github import GitHub

            return GitHub(secret)
        case "slack":
            from hikeshi.triggers.verify.slack import Slack

            return Slack(secret, source.replay_s)
        case "pagerduty":
            from hikeshi.triggers.verify.pagerduty import PagerDuty

            return PagerDuty(secret)
        case "sns":
            from hikeshi.triggers.verify.sns import Sns

            return Sns(source.options["topics"], source.replay_s, confirm=source.options["confirm"])
    from hikeshi.triggers.verify.any_hmac import AnyHmac

    return AnyHmac(secret, source.replay_s, source.options)
