"""Messaging: telling people."""

from __future__ import annotations

from datetime import datetime

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

    @notify
    async def ask(
        self,
        channel: str,
        question: str,
        run: str,
        path: str,
        digest: str,
        due_at: datetime,
        facts: list[str] | None = None,
        targets: list[str] | None = None,
        more_targets: int = 0,
        link: str = "",
    ) -> Message:
        """Ask a channel for an approval that can be given right there.

        `run`, `path` and `digest` say which one: an answer carries them back. `facts` are lines such as who asks;
        `targets` say what would be changed, and `more_targets` how many are not shown. `link` shows all of it.
        """
        raise NotImplementedError

    @notify
    async def conclude(self, message: str, question: str, outcome: str, link: str = "") -> Message:
        """Write into a message that asked for an approval, by its ID `message`, how that ended; it asks no more."""
        raise NotImplementedError
