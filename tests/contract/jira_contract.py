"""How the contract kit calls Jira Cloud."""

from datetime import UTC, datetime

from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Estate, EstateState, Ticket
from hikeshi_connectors.jira import Jira
from hikeshi_connectors.jira.simulator import JiraSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TICKET = one("ticketing.find_tickets", number="SOC-1")


def estate() -> EstateState:
    details = {"product": "jira", "number": 1, "labels": []}
    other = Ticket("x1", BASE, "of another product", details={"product": "other"})
    return EstateState("small", BASE, tickets=[other, Ticket("10001", BASE, "Mail", "", "Low", "To Do", details)])


def created(estate: Estate) -> bool:
    ticket = estate.tickets[-1]
    return (ticket.title, ticket.text, ticket.severity) == ("Phishing", "line 1\nline 2\n\nend", "High")


CONTRACT = Contract(
    connector=Jira,
    simulator=JiraSimulator,
    estate=estate,
    cases=[
        Case("ticketing.find_tickets", {"number": "soc-1"}),
        Case(
            "ticketing.create",
            {"title": "Phishing", "description": "line 1\nline 2\n\nend", "severity": "high"},
            expect=created,
        ),
        Case(
            "ticketing.comment",
            {"ticket": TICKET, "text": "host *isolated*"},
            expect=lambda estate: estate.tickets[1].details["comments"] == ["host *isolated*"],
        ),
    ],
    exempt={"pages_are_complete": "a key names one issue at most, and is read without a list"},
)
