"""What the simulated TheHive does beyond what the contract kit asks of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.thehive.simulator import TheHiveSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = {"authorization": f"Bearer {TheHiveSimulator.demo_settings['api_key']}"}


def test_wrong_requests_are_refused_in_the_words_of_thehive():
    """With a type and a message."""
    simulation = Simulation(Estate(EstateState("small", BASE)), [TheHiveSimulator])
    with running(simulation) as url:

        def post(path: str, **body: Any) -> tuple[int, Any]:
            answer = httpx.post(f"{url}/thehive/api/v1/{path}", json=body, headers=KEY)
            return answer.status_code, answer.json()

        case = {"title": "x", "description": "y", "severity": 1, "tags": ["a"]}
        assert post("case", **{**case, "description": ""})[1]["message"] == "description is mandatory"
        assert post("case", **{**case, "severity": 5})[0] == 400
        assert post("case", **{**case, "colour": "red"})[1]["type"] == "AttributeCheckingError"
        status, made = post("case", **case)
        assert (status, made["number"], made["tlp"]) == (201, 1, 2)
        assert post(f"case/{made['number']}/observable", dataType="cidr", data="x")[0] == 404
        assert post(f"case/{made['_id']}/observable", dataType="ip", data="1.1.1.1")[0] == 201
        assert post("case/~1/comment", message="x")[1]["type"] == "NotFoundError"
        assert post("query", query=[{"_name": "listAlert"}])[1]["type"] == "BadRequest"
        assert post("query", query=[{"_name": "getCase", "idOrName": "1"}, {"_name": "observables"}])[1][0]["data"]
        shown = {"number": 1, "title": "x", "severity": "LOW", "comments": 0, "observables": ["1.1.1.1"]}
        assert simulation.summary()["thehive"] == {"cases": [shown]}
