"""Deskline, a ticketing product that does not exist: a model for connectors in packages of their own."""

from hikeshi_deskline.connector import Deskline, TicketStatus

__all__ = ["Deskline", "TicketStatus"]
