"""Microsoft Teams: cards in channels, by workflows that a web address starts."""

from hikeshi_connectors.teams.connector import Teams

__all__ = ["Teams"]
