"""PowerDNS against its simulator: what the contract kit does not ask."""

from datetime import UTC, datetime

import httpx

from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.powerdns.simulator import PowerDnsSimulator

NAME = "evil.example.rpz.fleetmate.example."
ENTRY = {
    "name": NAME,
    "type": "CNAME",
    "ttl": 60,
    "changetype": "REPLACE",
    "records": [{"content": ".", "disabled": False}],
}


def test_a_change_is_all_or_nothing_and_is_shown():
    """A wrong record set beside a right one: the server's own words, and nothing entered."""
    simulation = Simulation(Estate(EstateState("small", datetime.now(UTC))), [PowerDnsSimulator])
    with running(simulation) as url:
        headers = {"x-api-key": PowerDnsSimulator.demo_settings["api_key"]}
        zone = f"{url}/powerdns/api/v1/servers/localhost/zones/rpz.fleetmate.example."
        for other, why in (
            ({**ENTRY, "name": "elsewhere.test."}, "RRset elsewhere.test. IN CNAME: Name is out of zone"),
            ({**ENTRY, "name": "x"}, "DNS Name 'x' is not canonical"),
            (ENTRY, f"Duplicate RRset {NAME} IN CNAME with changetype: REPLACE"),
        ):
            answer = httpx.patch(zone, json={"rrsets": [ENTRY, other]}, headers=headers)
            assert (answer.status_code, answer.json()) == (422, {"error": why})
        assert simulation.summary()["powerdns"] == {"entries": {}}
        assert httpx.patch(zone, json={"rrsets": [ENTRY]}, headers=headers).status_code == 204
        assert simulation.summary()["powerdns"] == {"entries": {f"{NAME} CNAME": ["."]}}
        assert [change["applied"] for change in simulation.changes] == [False, False, False, True]
