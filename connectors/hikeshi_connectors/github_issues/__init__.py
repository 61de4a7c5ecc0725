"""GitHub: the issues of one repository as tickets."""

from hikeshi_connectors.github_issues.connector import GitHubIssues

__all__ = ["GitHubIssues"]
