"""What the simulated ServiceNow does beyond what the contract kit asks of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from hikeshi.testing.estate import Estate, EstateState, Host
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.servicenow.simulator import ServiceNowSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LOGIN = (ServiceNowSimulator.demo_settings["username"], ServiceNowSimulator.demo_settings["password"])


def test_queries_are_as_lenient_as_those_of_an_instance():
    """What is not understood of a query is ignored, and all rows come back."""
    hosts = {
        name: Host(name, name, "linux", "12", "hq", "corp.example", [], "00-00-00-00-00-07", BASE)
        for name in ("PC-1", "PC-2", "PC-3")
    }
    simulation = Simulation(Estate(EstateState("small", BASE, hosts=hosts)), [ServiceNowSimulator])
    with running(simulation) as url:
        table = f"{url}/servicenow/api/now/table"

        def names(query: str, **params: Any) -> list[str]:
            asked = {"sysparm_query": query, "sysparm_fields": "name", **params}
            answer = httpx.get(f"{table}/cmdb_ci_computer", params=asked, auth=LOGIN)
            return [row["name"] for row in answer.json()["result"]]

        assert names("name=pc-1^ORname=PC-3^ORDERBYname") == ["PC-1", "PC-3"]
        assert names("name=PC-1^fqdn=PC-2.corp.example") == []
        assert names("colour=red^ORDERBYname") == ["PC-1", "PC-2", "PC-3"]
        assert names("ORDERBYname", sysparm_limit=1, sysparm_offset=1) == ["PC-2"]
        assert httpx.get(f"{table}/sys_user", auth=LOGIN).status_code == 400
        unknown = httpx.patch(f"{table}/incident/{'0' * 32}", json={"work_notes": "x"}, auth=LOGIN)
        assert (unknown.status_code, unknown.json()["status"]) == (404, "failure")
        made = httpx.post(f"{table}/incident", json={"impact": "1", "urgency": "2"}, auth=LOGIN).json()["result"]
        assert made["number"] == "INC0010001"
        shown = simulation.summary()["servicenow"]["incidents"]
        assert [(each["number"], each["priority"]) for each in shown] == [("INC0010001", "2")]
