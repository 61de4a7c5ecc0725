"""The simulation over real HTTP: what is recorded, the door for the person in control, and how it starts and stops."""

import asyncio
import json
import socket
import time
from importlib.metadata import EntryPoint

import httpx
import pytest

from hikeshi.testing.simulation import (
    ENTRY_POINTS,
    Simulation,
    SimulationError,
    discover_simulators,
    project_settings,
    running,
    serve,
)


def test_a_change_through_a_vendor_is_visible_in_the_estate(client, clock):
    """What one product's API was asked to do shows in the state, in the summary and through the product itself."""
    assert client.post("/acme/v1/hosts/h1/contain").status_code == 202
    clock.tick(1)
    assert client.get("/acme/v1/hosts/h1").json() == {"name": "build-01", "isolation": "contained"}
    assert client.get("/_estate").json()["hosts"]["h1"]["isolation"] == "contained"
    assert client.get("/_estate/summary").json()["isolated_hosts"] == [
        {"id": "h1", "name": "build-01", "site": "ngo", "isolation": "contained"}
    ]


def test_a_change_is_recorded_as_it_arrived(client):
    """The record of a change holds its time, whole URL, parsed body and outcome."""
    client.post("/acme/v1/hosts/h1/contain?comment=a%20b", json={"reason": "火消し"})
    assert client.get("/_estate/changes").json() == [
        {
            "n": 1,
            "at": "2025-11-21T11:30:00+00:00",
            "product": "acme",
            "method": "POST",
            "url": f"{client.base_url}/acme/v1/hosts/h1/contain?comment=a%20b".replace("//acme", "/acme"),
            "body": {"reason": "火消し"},
            "status": 202,
            "applied": True,
            "fault": None,
        }
    ]


def test_forms_and_text_are_recorded_as_such(client):
    """A form is a mapping, with a list where a field is repeated; other bodies are text, and so is broken JSON."""
    client.post("/acme/v1/echo", data={"a": "1", "b": ["2", "3"], "c": ""})
    client.post("/acme/v1/echo", content="<block/>", headers={"content-type": "application/xml"})
    client.post("/acme/v1/echo", content="{", headers={"content-type": "application/json"})
    client.post("/acme/v1/echo")
    bodies = [change["body"] for change in client.get("/_estate/changes").json()]
    assert bodies == [{"a": "1", "b": ["2", "3"], "c": ""}, "<block/>", "{", None]


def test_a_refused_change_is_recorded_as_not_applied(client):
    """What failed by status, by the vendor's envelope, by a wrong key or by a wrong path was asked for all the same."""
    client.post("/acme/v1/hosts/h1/contain")
    client.post("/acme/v1/hosts/h1/contain")
    client.post("/acme/v1/hosts/h2/contain", headers={"authorization": "Bearer wrong"})
    client.delete("/acme/v1/hosts/h2")
    client.post("/acme/v1/nowhere")
    outcomes = [(each["n"], each["status"], each["applied"]) for each in client.get("/_estate/changes").json()]
    assert outcomes == [(1, 202, True), (2, 200, False), (3, 401, False), (4, 405, False), (5, 404, False)]
    assert client.get("/_estate").json()["hosts"]["h2"]["isolation"] == "normal"


def test_reads_are_counted_and_are_no_changes(client):
    """GETs, and POSTs that the vendor only searches by, are counted by route."""
    client.get("/acme/v1/hosts/h1")
    client.get("/acme/v1/hosts/h2")
    assert client.post("/acme/v1/search", json={"name": "BUILD-01"}).json() == ["h1", "h2"]
    assert client.get("/_estate/changes").json() == []
    seen = client.get("/_estate/requests").json()
    assert seen["counts"] == {"acme": {"GET /v1/hosts/{id}": 2, "POST /v1/search": 1}}
    assert [each["status"] for each in seen["recent"]] == [200, 200, 200]


def test_clearing_the_changes_does_not_reuse_their_numbers(client):
    """After a clearing the list is empty, and the next change has a number of its own."""
    client.post("/acme/v1/echo")
    assert client.delete("/_estate/changes").status_code == 204
    assert client.get("/_estate/changes").json() == []
    client.post("/acme/v1/echo")
    assert [each["n"] for each in client.get("/_estate/changes").json()] == [2]


def test_refusals_of_the_framework_have_the_vendors_form(client):
    """Unknown paths, wrong methods and refusals raised by a handler all come in the vendor's envelope."""
    assert client.get("/acme/v1/nowhere").json() == {"acme_error": "Not Found"}
    assert client.put("/acme/v1/search").json() == {"acme_error": "Method Not Allowed"}
    assert client.get("/acme/v1/hosts/h9").json() == {"acme_error": "no such host"}
    assert client.get("/acme/v1/echo/").status_code == 404


def test_a_mistake_in_a_simulator_is_a_500_that_the_log_explains(client, caplog):
    """An exception in a handler reaches the caller as status 500, the record as not applied, and the log in full."""
    assert client.post("/acme/v1/bug").status_code == 500
    assert [(each["status"], each["applied"]) for each in client.get("/_estate/changes").json()] == [(500, False)]
    assert "simulator_failed product=acme" in caplog.text
    assert "a mistake of the simulator's author" in caplog.text


def test_a_request_that_cannot_be_judged_counts_as_a_change(client, caplog):
    """When the simulator fails to tell reads from changes, the request is recorded and the failure logged."""
    assert client.get("/acme/v1/echo?confuse=1").status_code == 200
    assert [each["method"] for each in client.get("/_estate/changes").json()] == ["GET"]
    assert "cannot tell" in caplog.text


def test_a_reset_puts_everything_back(client, clock, simulation):
    """After a reset the estate has its first bytes, and records, faults and advanced time are gone."""
    before = client.get("/_estate").content
    client.post("/acme/v1/hosts/h1/contain")
    client.post("/_estate/faults", json={"status": 500, "times": None})
    client.post("/_estate/clock", json={"advance_s": 3600})
    assert client.get("/_estate").content != before
    assert client.post("/_estate/reset").status_code == 204
    assert client.get("/_estate").content == before
    assert client.get("/_estate/changes").json() == []
    assert client.get("/_estate/faults").json() == []
    assert client.get("/_estate/health").json()["now"] == "2025-11-21T11:30:00+00:00"


def test_advancing_the_clock_lets_time_pass_in_the_estate(client, acme):
    """An hour forward ends timed tags and tokens, and finishes what was pending."""
    acme.estate.register_tag("203.0.113.7", "blocked", timeout_s=1800)
    token = acme.tokens.issue(life_s=1800)
    assert acme.tokens.is_valid(token)
    assert client.post("/_estate/clock", json={"advance_s": 3600}).json() == {"now": "2025-11-21T12:30:00+00:00"}
    assert client.get("/_estate/summary").json()["blocked_by_firewall"]["addresses"] == {}
    assert not acme.tokens.is_valid(token)


def test_revoked_tokens_are_not_valid(acme):
    """A token ends when it is revoked, and all of them end together when a secret is rotated."""
    first, second, third = (acme.tokens.issue(60) for _ in range(3))
    acme.tokens.revoke(first)
    assert [acme.tokens.is_valid(each) for each in (first, second, third, "made up")] == [False, True, True, False]
    acme.tokens.revoke_all()
    assert not acme.tokens.is_valid(second)


@pytest.mark.parametrize("body", [{}, {"advance_s": "1h"}, {"advance_s": -1}, {"advance_s": 1, "x": 1}, [], "now"])
def test_a_wrong_step_of_the_clock_is_refused(client, body):
    """Only one number of seconds, forward, is accepted."""
    assert client.post("/_estate/clock", json=body).status_code == 400


def test_the_rate_limit_answers_in_the_vendors_way_and_refills(client, acme, clock):
    """The bucket gives so many requests, then says when to come back; a limited change was not applied."""
    acme.rate_limit = (2, 10.0)
    assert [client.post("/acme/v1/echo").status_code for _ in range(3)] == [200, 200, 429]
    refused = client.get("/acme/v1/echo")
    assert (refused.json(), refused.headers["retry-after"]) == ({"acme_error": "too many requests"}, "5")
    clock.tick(5)
    assert [client.get("/acme/v1/echo").status_code for _ in range(2)] == [200, 429]
    assert [each["applied"] for each in client.get("/_estate/changes").json()] == [True, True, False]


def test_a_vendor_that_locks_out_refuses_everything_for_its_time(client, acme, clock):
    """No bucket fills meanwhile, and asking again does not make it longer."""
    acme.rate_limit, acme.lockout_s = (2, 10.0), 30.0

    def asked() -> tuple[int, str | None]:
        answer = client.get("/acme/v1/echo")
        return answer.status_code, answer.headers.get("retry-after")

    assert asked()[0] == 200
    clock.tick(9)
    assert [asked() for _ in range(2)] == [(200, None), (429, "30")]
    clock.tick(29)
    assert asked() == (429, "1")
    clock.tick(1)
    assert [asked()[0] for _ in range(3)] == [200, 200, 429]


def test_a_span_is_counted_from_each_request(client, acme, clock):
    """Who keeps to the limit in each span is never locked out."""
    acme.rate_limit, acme.lockout_s = (2, 10.0), 30.0
    answers = []
    for _ in range(5):
        answers += [client.get("/acme/v1/echo").status_code for _ in range(2)]
        clock.tick(10)
    assert answers == [200] * 10


def test_a_body_of_several_megabytes_arrives_whole(client):
    """Large bodies reach the vendor in one piece and are recorded."""
    answer = client.post("/acme/v1/echo", content=json.dumps({"x": "y" * 5_000_000}))
    assert answer.json() == {"bytes": 5_000_009}
    assert len(client.get("/_estate/changes").json()[0]["body"]) == 5_000_009


def test_many_requests_at_once_are_all_recorded(simulation):
    """Changes that arrive at the same time get distinct numbers, in order."""

    async def all_at_once(base_url: str) -> None:
        async with httpx.AsyncClient(base_url=base_url) as client:
            answers = await asyncio.gather(*(client.post("/acme/v1/echo") for _ in range(100)))
            assert {answer.status_code for answer in answers} == {200}

    with running(simulation) as base_url:
        asyncio.run(all_at_once(base_url))
    assert [each["n"] for each in simulation.changes] == list(range(1, 101))
    assert all(each["applied"] for each in simulation.changes)


def test_the_server_stops_at_once(simulation):
    """Leaving the block stops the server in well under a tenth of a second, idle connections included."""
    with httpx.Client() as client:
        with running(simulation) as base_url:
            client.get(f"{base_url}/_estate/health")
            began = time.perf_counter()
        assert time.perf_counter() - began < 0.1
        with pytest.raises(httpx.ConnectError):
            client.get(f"{base_url}/_estate/health")


def test_only_loopback_is_served_unless_told(simulation):
    """An address that others can reach is refused before a port is opened."""
    for host in ("0.0.0.0", "192.0.2.1", "simulator.example"):
        with pytest.raises(SimulationError, match="not a loopback address"):
            serve(simulation, host=host, port=0)


def test_a_taken_port_is_a_clear_error(simulation):
    """When something else listens on the port, the message names it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SimulationError, match=f"cannot listen on 127.0.0.1 port {port}"):
            serve(simulation, port=port)


def test_a_broken_entry_point_is_named_and_the_others_work():
    """A simulator that cannot be imported, or is none, is listed by name with its error."""
    found = [
        EntryPoint("absent", "no_such_module:Simulator", ENTRY_POINTS),
        EntryPoint("number", "math:pi", ENTRY_POINTS),
        EntryPoint("typo", "hikeshi.testing.simulator:Simulatr", ENTRY_POINTS),
    ]
    discovery = discover_simulators(found)
    assert discovery.simulators == []
    assert discovery.broken == {
        "absent": "no_such_module:Simulator: ModuleNotFoundError: No module named 'no_such_module'",
        "number": "math:pi: is not a subclass of hikeshi.testing.simulator.Simulator",
        "typo": "hikeshi.testing.simulator:Simulatr: AttributeError: "
        "module 'hikeshi.testing.simulator' has no attribute 'Simulatr'",
    }


def test_settings_for_a_project_are_complete(simulation, acme):
    """The proposed connector instances name product, base URL and the invented credentials."""
    expected = {
        "acme-eu": {
            "product": "acme",
            "base_url": "http://127.0.0.1:8710/acme",
            "api_key": "simulated-key",
        }
    }
    assert project_settings("http://127.0.0.1:8710/", [type(acme)]) == expected
    assert simulation.project_settings("http://127.0.0.1:8710") == expected


def test_health_names_what_is_served(client):
    """The health of a simulation without broken simulators is good and lists its products."""
    health = client.get("/_estate/health").json()
    assert (health["ok"], health["products"], health["broken"]) == (True, ["acme"], {})


def test_two_simulators_of_one_product_are_refused(estate, acme):
    """One product is served once."""
    with pytest.raises(SimulationError, match="two simulators for the product 'acme'"):
        Simulation(estate, [type(acme), type(acme)])
