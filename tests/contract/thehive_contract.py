"""How the contract kit calls TheHive."""

from datetime import UTC, datetime
from typing import Any

from hikeshi.capabilities import Indicator
from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Estate, EstateState, Ticket
from hikeshi_connectors.thehive import TheHive
from hikeshi_connectors.thehive.simulator import TheHiveSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TICKET = one("ticketing.find_tickets", number="#7")
ADDRESS = Indicator(kind="ipv4", value="203.0.113.9")


def case(number: int, id_: str) -> Ticket:
    details: dict[str, Any] = {"product": "thehive", "number": number, "severity": 2, "tlp": 2, "pap": 2, "tags": []}
    return Ticket(id_, BASE, "Mail", "a mail", None, "New", details)


def estate() -> EstateState:
    return EstateState("small", BASE, tickets=[case(7, "~41056"), case(70, "~41560")])


def fill(estate: Estate) -> int:
    """TheHive numbers each case once; here more than a page share a number, so that a page has an end."""
    estate.tickets += [case(7, f"~5{n:04}") for n in range(250)]
    return 251


def created(estate: Estate) -> bool:
    made = estate.tickets[-1]
    return (made.title, made.text, made.details["severity"], made.details["tlp"]) == ("Phishing", "a mail", 3, 2)


def observed(estate: Estate) -> bool:
    (observable,) = estate.tickets[0].details["observables"]
    return (observable["dataType"], observable["data"], observable["ioc"]) == ("ip", "203.0.113.9", True)


CONTRACT = Contract(
    connector=TheHive,
    simulator=TheHiveSimulator,
    estate=estate,
    cases=[
        Case("ticketing.find_tickets", {"number": "7"}, fill=fill),
        Case("ticketing.create", {"title": "Phishing", "description": "a mail", "severity": "high"}, expect=created),
        Case(
            "ticketing.comment",
            {"ticket": TICKET, "text": "host isolated"},
            expect=lambda estate: estate.tickets[0].details["comments"] == ["host isolated"],
        ),
        Case("thehive.observable_of", {"ticket": TICKET, "indicator": ADDRESS}),
        Case("thehive.add_observable", {"ticket": TICKET, "indicator": ADDRESS}, expect=observed),
    ],
    exempt={
        "strange_bodies:ticketing.find_tickets": "a query answers with a bare list; an empty one is how it says 'none'",
        "strange_bodies:thehive.observable_of": "a query answers with a bare list; an empty one is how it says 'none'",
    },
)
