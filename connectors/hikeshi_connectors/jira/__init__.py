"""Jira Cloud: the issues of one project as tickets."""

from hikeshi_connectors.jira.connector import Jira

__all__ = ["Jira"]
