"""What the simulated MISP does beyond what the contract kit asks of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import httpx

from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.misp.simulator import MispSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HEADERS = {"authorization": MispSimulator.demo_settings["api_key"], "accept": "application/json"}


def event(name: str, *, ours: bool) -> dict[str, Any]:
    told = {"published": True, "publish_timestamp": int(BASE.timestamp()), "tags": []}
    return {"id": name, "uuid": f"u-{name}", "info": f"Case {name}", "ours": ours, **told}


def attribute(n: int, value: str) -> dict[str, Any]:
    return {"id": str(n), "event_id": "1", "type": "domain", "value": value, "to_ids": True, "tags": []}


def test_filters_have_signs_and_pages_can_be_short():
    """A text is cut at `&&`, `!` turns around and `%` stands for anything, but a list under OR has `%` alone."""
    attributes = [attribute(n, f"h{n}.example") for n in range(6)]
    kept = {"events": [event("1", ours=True)], "attributes": attributes, "tags": []}
    simulation = Simulation(Estate(EstateState("small", BASE, product_state={"misp": kept})), [MispSimulator])
    with running(simulation) as url:

        def search(**asked: Any) -> httpx.Response:
            return httpx.post(f"{url}/misp/attributes/restSearch", json=asked, headers=HEADERS)

        def found(value: Any) -> list[str]:
            return [each["value"] for each in search(value=value).json()["response"]["Attribute"]]

        assert found("h1.example&&h2.example") == ["h1.example", "h2.example"]
        assert len(found("!h1.example")) == 5
        assert len(found("h%")) == 6
        assert found({"OR": ["h1.example&&h2.example"]}) == []
        assert found({"OR": ["!h1.example"]}) == []
        simulation.simulators["misp"].taken_out = lambda each: each["value"] != "h5.example"  # type: ignore[attr-defined]
        pages = [search(page=number, limit=2) for number in (1, 3, 4)]
        assert [len(page.json()["response"]["Attribute"]) for page in pages] == [0, 1, 0]
        assert [page.headers["x-result-count"] for page in pages] == ["3", "3", "1"]
        assert httpx.post(f"{url}/misp/attributes/restSearch", json={}, headers=HEADERS).status_code == 400
        assert httpx.post(f"{url}/misp/attributes/restSearch", json={}).status_code == 302


def test_what_is_added_is_judged_entry_by_entry():
    """What was saved stays, and takes the event back to unpublished; an event of others is left alone."""
    kept = {"events": [event("1", ours=True), event("2", ours=False)], "attributes": [], "tags": []}
    simulation = Simulation(Estate(EstateState("small", BASE, product_state={"misp": kept})), [MispSimulator])
    with running(simulation) as url:

        def add(event_id: str, *values: str) -> httpx.Response:
            entries = [{"type": "domain", "value": value} for value in values]
            return httpx.post(f"{url}/misp/attributes/add/{event_id}", json=entries, headers=HEADERS)

        assert list(add("1", "evil.example", "no domain").json()["errors"]) == ["attribute_1"]
        assert simulation.estate.product_state["misp"]["events"][0]["published"] is False
        again = add("1", "evil.example")
        assert (again.status_code, again.json()["saved"], list(again.json()["errors"])) == (403, False, ["value"])
        assert [add(name, "evil.example").status_code for name in ("2", "3")] == [403, 404]
        assert simulation.summary()["misp"] == {"Case 1": ["evil.example"], "Case 2": []}


def test_without_a_word_there_are_two_events():
    """One of one's own, to share with, and one of a partner's."""
    simulation = Simulation(Estate(EstateState("small", BASE)), [MispSimulator])
    assert simulation.summary()["misp"] == {"Seen at our place": [], "From a partner": ["203.0.113.66"]}
