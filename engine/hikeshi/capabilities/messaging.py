"""Messaging: telling people."""

from __future__ import annotations

from hikeshi.capabilities.action import notify
from hikeshi.capabilities.capability import Capability
from hikeshi.capabilities.entities import Message, Severity

__all__ = ["Messaging"]


class Messaging(Capability, name="messaging"):
    """Chat, paging, mail."""

    @notify
    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        """Post a text to a channel; `thread` is the ID of a message to answer."""
        raise NotImplementedError

    @notify
    async def page(self, to: str, text: str, severity: Severity = "high") -> Message:
        """Wake somebody up: `to` is an on-call name that the connector's settings know."""
        raise NotImplementedError

    @notify
    async def message_person(self, email: str, text: str) -> Message:
        """Write to one person, found by e-mail address."""
        raise NotImplementedError
