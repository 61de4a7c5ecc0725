"""Sumo Logic: log searches, and insights of its Cloud SIEM."""

from hikeshi_connectors.sumo_logic.connector import SumoLogic

__all__ = ["SumoLogic"]
