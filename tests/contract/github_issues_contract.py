"""How the contract kit calls GitHub issues."""

from datetime import UTC, datetime
from typing import Any

from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Estate, EstateState, Ticket
from hikeshi_connectors.github_issues import GitHubIssues
from hikeshi_connectors.github_issues.simulator import GitHubIssuesSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TICKET = one("ticketing.find_tickets", number="#7")


def estate() -> EstateState:
    details: dict[str, Any] = {"product": "github_issues", "number": 7}
    return EstateState("small", BASE, tickets=[Ticket("github-7", BASE, "Mail", "", None, "open", details)])


def created(estate: Estate) -> bool:
    issue = estate.tickets[-1]
    text = "```text\nSeverity: high\n\na mail\n```\n\n<!-- hikeshi-"
    return issue.title == "Phishing" and issue.text.startswith(text)


def commented(estate: Estate) -> bool:
    (comment,) = estate.tickets[0].details["comments"]
    return str(comment).startswith("```text\nhost isolated\n```\n\n<!-- hikeshi-")


CONTRACT = Contract(
    connector=GitHubIssues,
    simulator=GitHubIssuesSimulator,
    estate=estate,
    cases=[
        Case("ticketing.find_tickets", {"number": "7"}),
        Case("ticketing.create", {"title": "Phishing", "description": "a mail", "severity": "high"}, expect=created),
        Case("ticketing.comment", {"ticket": TICKET, "text": "host isolated"}, expect=commented),
    ],
    exempt={"pages_are_complete": "a number names one issue at most, and is read without a list"},
)
