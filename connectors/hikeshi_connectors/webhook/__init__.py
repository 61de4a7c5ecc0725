"""Signed webhooks to programs of your own."""

from hikeshi_connectors.webhook.connector import Webhook

__all__ = ["Webhook"]
