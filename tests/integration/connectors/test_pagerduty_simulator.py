"""What the simulated PagerDuty does beyond what the contract kit asks of it."""

from __future__ import annotations

from datetime import UTC, datetime

import httpx

from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.pagerduty.simulator import PagerDutySimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
KEY = PagerDutySimulator.demo_settings["routing_key"]
PAYLOAD = {"summary": "come", "source": "test", "severity": "info"}


def test_an_alert_is_opened_once_for_a_key_and_again_after_it_was_resolved():
    """As documented under alert de-duplication."""
    simulation = Simulation(Estate(EstateState("small", BASE)), [PagerDutySimulator])
    with running(simulation) as url:

        def send(action: str, **more: object) -> int:
            event = {"routing_key": KEY, "event_action": action, "dedup_key": "d", "payload": PAYLOAD, **more}
            return httpx.post(f"{url}/pagerduty/v2/enqueue", json=event).status_code

        alerts = simulation.simulators["pagerduty"].alerts  # type: ignore[attr-defined]
        assert [send("trigger"), send("trigger"), alerts["d"]["times"]] == [202, 202, 2]
        assert send("resolve") == 202
        assert send("trigger") == 202
        assert len(simulation.estate.messages) == 2
        assert [send("wake"), send("trigger", routing_key="x"), send("trigger", dedup_key="d" * 256)] == [400] * 3
        assert simulation.summary()["pagerduty"] == {"alerts": [{"summary": "come", "severity": "info"}], "changes": []}
