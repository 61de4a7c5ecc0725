"""What can keep triggers from doing what somebody asks of them."""

from __future__ import annotations

__all__ = ["OfferRefused", "UnknownOffer", "UnknownTrigger"]


class UnknownTrigger(LookupError):
    """No playbook has this trigger."""


class UnknownOffer(LookupError):
    """No plan of this ID is offered now."""


class OfferRefused(Exception):
    """Somebody may not decide about a plan that is offered, or it can't be decided any more; the text says why."""
