"""How the contract kit calls the connector for any HTTP API."""

from datetime import UTC, datetime

from hikeshi.testing.contract import Case, Contract
from hikeshi.testing.estate import Estate, EstateState
from hikeshi_connectors.http import Http
from hikeshi_connectors.http.simulator import HttpSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def estate() -> EstateState:
    return EstateState("small", BASE, product_state={"http": {"/hosts/pc7": {"owner": "mei"}}})


def flagged(estate: Estate) -> bool:
    return estate.product_state["http"]["/hosts/pc7"] == {"compromised": True}


CONTRACT = Contract(
    connector=Http,
    simulator=HttpSimulator,
    estate=estate,
    cases=[
        Case("http.fetch", {"path": "/hosts/pc7"}),
        Case("http.fetch", {"path": "/search", "method": "POST", "json": {"owner": "mei"}}),
        Case("http.send", {"path": "/hosts/pc7", "method": "PUT", "json": {"compromised": True}}, expect=flagged),
    ],
    exempt={
        "verify_sees_the_change:http.send": "only the playbook knows what shows that a request took effect",
        "html_is_no_answer": "what a body is for is known to the playbook alone, and a web page may be what it wants",
        "strange_bodies": "what a body is for is known to the playbook alone",
        "pages_are_complete": "the pages of an API that is not known are for the playbook",
    },
)
