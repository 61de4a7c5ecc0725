"""Microsoft Entra ID: accounts, sessions, groups and directory roles."""

from hikeshi_connectors.entra.connector import Entra

__all__ = ["Entra"]
