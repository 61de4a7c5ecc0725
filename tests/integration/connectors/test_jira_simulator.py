"""What the simulated Jira does beyond what the contract kit asks of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.jira.simulator import JiraSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LOGIN = (JiraSimulator.demo_settings["email"], JiraSimulator.demo_settings["api_token"])
FIELDS = {"project": {"key": "SOC"}, "issuetype": {"name": "Task"}, "summary": "x", "labels": ["mark"]}


def test_the_search_lags_behind_and_comes_in_pages():
    """As Atlassian describes it; what Jira refuses is refused."""
    simulation = Simulation(Estate(EstateState("small", BASE, settle_s=60)), [JiraSimulator])
    with running(simulation) as url:

        def post(path: str, **body: Any) -> httpx.Response:
            return httpx.post(f"{url}/jira/rest/api/3/{path}", json=body, auth=LOGIN)

        for _ in range(25):
            assert post("issue", fields=FIELDS).status_code == 201
        query = {"jql": 'project = "SOC" AND labels = "mark"', "maxResults": 50}
        assert post("search/jql", **query).json()["issues"] == []
        simulation.estate.advance(61)
        page = post("search/jql", **query).json()
        rest = post("search/jql", **query, nextPageToken=page["nextPageToken"]).json()
        assert [len(page["issues"]), len(rest["issues"]), rest["isLast"]] == [20, 5, True]
        assert post("search/jql", jql="").status_code == 400
        wrong = {**FIELDS, "summary": "a\nb", "description": "plain", "priority": {"name": "P1"}, "due": "x"}
        assert set(post("issue", fields=wrong).json()["errors"]) == {"summary", "description", "priority", "due"}
        assert len(simulation.summary()["jira"]["issues"]) == 25
