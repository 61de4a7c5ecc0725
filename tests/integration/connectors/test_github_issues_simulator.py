"""What the simulated GitHub does beyond what the contract kit asks of it."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx

from hikeshi.testing.estate import Estate, EstateState, Ticket
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.github_issues.simulator import GitHubIssuesSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TOKEN = {"authorization": f"Bearer {GitHubIssuesSimulator.demo_settings['token']}"}


def issue(number: int, status: str = "open") -> Ticket:
    return Ticket(f"i{number}", BASE, "x", "", None, status, {"product": "github_issues", "number": number})


def test_lists_come_newest_first_in_numbered_pages():
    """Their links lead elsewhere, and what a token may not see is not there."""
    tickets = [issue(n) for n in range(1, 121)] + [issue(121, "closed")]
    simulation = Simulation(Estate(EstateState("small", BASE, tickets=tickets)), [GitHubIssuesSimulator])
    with running(simulation) as url:
        issues = f"{url}/github_issues/repos/acme/soc/issues"
        first = httpx.get(issues, params={"per_page": 200, "state": "all"}, headers=TOKEN)
        assert [len(first.json()), first.json()[0]["number"]] == [100, 121]
        assert "/repositories/1/issues?page=2" in first.headers["link"]
        rest = httpx.get(issues, params={"per_page": 100, "page": 2}, headers=TOKEN)
        assert [len(rest.json()), "link" in rest.headers] == [20, False]
        assert len(httpx.get(issues, headers=TOKEN).json()) == 30
        refused = httpx.post(issues, json={"title": "x" * 257}, headers=TOKEN)
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "title")
        assert httpx.post(f"{issues}/7/comments", json={"body": ""}, headers=TOKEN).status_code == 422
        assert httpx.get(f"{issues}/999", headers=TOKEN).status_code == 404
        assert httpx.get(issues.replace("soc", "other"), headers=TOKEN).status_code == 404
        assert httpx.get(issues).json()["message"] == "Bad credentials"
        assert len(simulation.summary()["github_issues"]["issues"]) == 121
