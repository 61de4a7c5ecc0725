"""Ticketing: the written case."""

from __future__ import annotations

from hikeshi.capabilities.action import notify, read
from hikeshi.capabilities.capability import Capability
from hikeshi.capabilities.entities import Severity, Ticket

__all__ = ["Ticketing"]


class Ticketing(Capability, name="ticketing"):
    """Tickets and cases."""

    @notify
    async def create(self, title: str, description: str = "", severity: Severity = "medium") -> Ticket:
        """Open a ticket."""
        raise NotImplementedError

    @notify
    async def comment(self, ticket: Ticket, text: str) -> Ticket:
        """Add a comment to a ticket."""
        raise NotImplementedError

    @read
    async def find_tickets(self, number: str) -> list[Ticket]:
        """Find tickets by number."""
        raise NotImplementedError

    @read(one_of="find_tickets")
    async def get_ticket(self, number: str) -> Ticket:
        """Get the one ticket of this number."""
        raise NotImplementedError
