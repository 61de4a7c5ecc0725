"""Slack: messages to channels and people."""

from hikeshi_connectors.slack.connector import Slack

__all__ = ["Slack"]
