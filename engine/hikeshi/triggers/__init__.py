"""What starts runs by itself: schedules, webhooks, and polls of products."""

from hikeshi.triggers.errors import OfferRefused, UnknownOffer, UnknownTrigger
from hikeshi.triggers.hooks import hook_routes
from hikeshi.triggers.occurrence import Receipt
from hikeshi.triggers.triggers import Triggers

__all__ = ["OfferRefused", "Receipt", "Triggers", "UnknownOffer", "UnknownTrigger", "hook_routes"]
