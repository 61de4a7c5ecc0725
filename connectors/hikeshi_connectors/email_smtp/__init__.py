"""E-mail: messages to lists and people, by a mail server."""

from hikeshi_connectors.email_smtp.connector import Email

__all__ = ["Email"]
