"""Deskline keeps the contract of every connector, against its simulator."""

from datetime import UTC, datetime

from hikeshi_deskline import Deskline
from hikeshi_deskline.simulator import PAGE, DesklineSimulator

from hikeshi.testing.contract import Case, Contract, one
from hikeshi.testing.contract_pytest import contract_tests
from hikeshi.testing.estate import Estate, EstateState, Ticket

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TICKET = one("ticketing.find_tickets", number="DL-7")


def estate() -> EstateState:
    return EstateState(name="small", base=BASE, tickets=[Ticket("7", BASE, "Mail from a stranger")])


def close(estate: Estate) -> None:
    estate.tickets[0].status = "closed"


def fill(estate: Estate) -> int:
    """Put more tickets that contain the number in front of the one that is meant than fit on a page."""
    estate.tickets[:0] = [Ticket(f"7{n:03}", BASE, "another") for n in range(PAGE + 5)]
    return 1


CONTRACT = Contract(
    connector=Deskline,
    simulator=DesklineSimulator,
    estate=estate,
    cases=[
        Case("ticketing.find_tickets", {"number": "dl-7"}, fill=fill),
        Case("ticketing.create", {"title": "Phishing"}, expect=lambda estate: estate.tickets[1].title == "Phishing"),
        Case("ticketing.comment", {"ticket": TICKET, "text": "host isolated"}),
        Case("deskline.status_of", {"ticket": TICKET}),
        Case("deskline.close_ticket", {"ticket": TICKET, "reason": "done"}),
        Case("deskline.reopen_ticket", {"ticket": TICKET, "reason": "not done"}, arrange=close),
    ],
)

test_contract = contract_tests(CONTRACT)
