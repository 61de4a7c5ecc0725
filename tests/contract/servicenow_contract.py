"""How the contract kit calls ServiceNow."""

from datetime import UTC, datetime

from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.estate import Estate, EstateState, Host, Ticket
from hikeshi_connectors.servicenow import ServiceNow
from hikeshi_connectors.servicenow.simulator import ServiceNowSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TICKET = one("ticketing.find_tickets", number="INC0010001")


def key(number: int) -> str:
    return f"{number:032x}"


def host(number: int, name: str) -> Host:
    return Host(key(number), name, "windows", "11", "hq", "corp.example", ["10.0.0.7"], "00-00-00-00-00-07", BASE)


def installed(number: int, software: str, version: str) -> dict[str, str]:
    return {"display_name": software, "version": version, "host_id": key(number)}


def estate() -> EstateState:
    details = {"product": "servicenow", "number": "INC0010001"}
    installations = [installed(1, "Mozilla Firefox", "115.0"), installed(2, "Mozilla Firefox ESR", "115.0")]
    return EstateState(
        "small",
        BASE,
        hosts={key(1): host(1, "PC-7"), key(2): host(2, "PC-70")},
        tickets=[Ticket("a" * 32, BASE, "Mail", "", "3", "1", details)],
        product_state={"servicenow": {"installations": installations}},
    )


def fill_hosts(estate: Estate) -> int:
    estate.hosts.update({key(n): host(n, "pc-7") for n in range(10, 260)})
    return 251


def fill_installations(estate: Estate) -> int:
    found = estate.product_state["servicenow"]["installations"]
    for n in range(10, 160):
        estate.hosts[key(n)] = host(n, f"PC-{n}")
        found += [installed(n, "Mozilla Firefox", "115.0"), installed(n, "Mozilla Firefox", "116.0")]
    return 151


def created(estate: Estate) -> bool:
    ticket = estate.tickets[-1]
    return (ticket.title, ticket.text, ticket.severity) == ("Phishing", "a mail", "2")


CONTRACT = Contract(
    connector=ServiceNow,
    simulator=ServiceNowSimulator,
    estate=estate,
    cases=[
        Case("ticketing.find_tickets", {"number": "inc0010001"}),
        Case(
            "ticketing.create",
            {"title": "Phishing", "description": "a mail", "severity": "high"},
            expect=created,
        ),
        Case(
            "ticketing.comment",
            {"ticket": TICKET, "text": "host isolated"},
            expect=lambda estate: estate.tickets[0].details["work_notes"] == ["host isolated"],
        ),
        Case("assets.find_assets", {"name": "pc-7"}, fill=fill_hosts),
        Case("assets.search_assets", {"software": "mozilla firefox", "versions": ["115.0"]}, fill=fill_installations),
    ],
)
