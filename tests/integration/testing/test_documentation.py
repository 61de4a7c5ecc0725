"""The simulator in docs/simulators.md is one that runs."""

import re
from pathlib import Path

import httpx

from hikeshi.testing.estate import Estate
from hikeshi.testing.simulation import Simulation, running

PAGE = Path(__file__).parents[3] / "docs" / "simulators.md"


def test_the_documented_simulator_works(estate: Estate):
    """The class that the page shows is served, authenticates, searches, isolates and refuses."""
    (source,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S) if "class Acme" in block]
    names: dict[str, type] = {}
    exec(compile(source, str(PAGE), "exec"), names)
    simulation = Simulation(estate, [names["AcmeSimulator"]])
    with running(simulation) as base_url, httpx.Client(base_url=f"{base_url}/acme") as client:
        assert client.post("/v1/hosts/h1/isolate").json() == {"fault": {"code": 401, "text": "unknown key"}}
        client.headers["authorization"] = "Bearer simulated-key"
        assert client.post("/v1/hosts/search", json={"name": "build-01"}).json() == {
            "hosts": [{"id": "h1"}, {"id": "h2"}]
        }
        assert client.post("/v1/hosts/h1/isolate").json() == {"state": "containment_pending"}
        assert client.post("/v1/hosts/h1/isolate").status_code == 409
        assert client.post("/v1/hosts/h9/isolate").status_code == 404
    assert [(each["status"], each["applied"]) for each in simulation.changes] == [
        (401, False),
        (202, True),
        (409, False),
        (404, False),
    ]
