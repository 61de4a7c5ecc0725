"""Okta: accounts, sessions, groups and administrator roles."""

from hikeshi_connectors.okta.connector import Okta

__all__ = ["Okta"]
