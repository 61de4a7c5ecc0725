"""Triggers in a running service: a signed message becomes a run, or a plan that somebody is offered."""

import hashlib
import hmac
import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from desk import Desk, Served, desk_in, wait_until

KEY = "shared between two systems"
ON_ALERT = """\
id: on-alert
inputs: {hostname: {type: hostname}}
triggers:
  - {id: alert, webhook: edr, when: "event.severity == 'high'", inputs: {hostname: "{{ event.host }}"}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.hostname }}"}}
"""
OFFERS = """\
id: offers
inputs: {hostname: {type: hostname}}
triggers:
  - {id: alert, webhook: edr, when: "event.severity == 'critical'", mode: plan, by: [role:soc_lead],
     inputs: {hostname: "{{ event.host }}"}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.hostname }}"}}
  - {id: isolate, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: alert}}
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("triggered")
    (folder / "key").write_text(KEY)
    source = {"verify": "hmac", "secret": f"${{file:{folder / 'key'}}}", "header": "X-Signature", "id_path": "id"}
    with desk_in(folder, webhooks={"edr": source}) as desk:
        desk.add_playbook("on-alert", ON_ALERT)
        desk.add_playbook("offers", OFFERS)
        yield desk


@pytest.fixture(scope="module")
def triggered(own: Desk) -> Iterator[Served]:
    with own.served() as served:
        yield served


def send(served: Served, number: str, severity: str, host: str, *, key: str = KEY) -> httpx.Response:
    body = json.dumps({"id": number, "severity": severity, "host": host}).encode()
    signature = hmac.new(key.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Signature": signature, "content-type": "application/json"}
    return httpx.post(f"{served.url}/hooks/edr", content=body, headers=headers, timeout=20)


def host_of(desk: Desk, number: int) -> str:
    names = Counter(each.name for each in desk.simulation.estate.hosts.values())
    return sorted(name for name, times in names.items() if times == 1)[number]


@pytest.mark.safety(29)
def test_a_signed_message_starts_a_run_once_and_others_start_nothing(own: Desk, triggered: Served) -> None:
    """Through everything that stands before the triggers in a service."""
    name = host_of(own, 0)
    assert send(triggered, "1", "high", name).status_code == 202
    assert 400 <= send(triggered, "1", "high", name).status_code < 500
    assert send(triggered, "2", "high", name, key="guessed").status_code == 401
    assert send(triggered, "3", "low", name).status_code == 202
    with own.client(triggered, "viewer") as viewer:

        def settled() -> list[dict]:
            fires = [each for each in viewer.get("/triggers/fires").json() if each["playbook"] == "on-alert"]
            return fires if {"1", "3"} <= {each["id"] for each in fires} else []

        outcomes = {each["id"]: each for each in wait_until(settled)}
        assert (outcomes["1"]["outcome"], outcomes["3"]["outcome"]) == ("started", "not_wanted")
        run = outcomes["1"]["run"]
        wait_until(lambda: viewer.get(f"/runs/{run}").json()["status"] == "succeeded")
        assert viewer.get(f"/runs/{run}").json()["actor"] == "trigger:on-alert/alert"
        assert len(viewer.get("/runs?playbook=on-alert").json()["items"]) == 1
        (row,) = [each for each in viewer.get("/triggers").json() if each["playbook"] == "on-alert"]
        assert (row["kind"], row["problem"]) == ("webhook", None)
        assert [each["code"] for each in viewer.get("/triggers/refusals").json()]
    assert not [line for line in triggered.said if '"path": "/hooks/edr"' in line and '"status": 401' in line]


def test_what_a_trigger_offers_is_accepted_by_whom_it_asks(own: Desk, triggered: Served) -> None:
    """And by nobody else; then exactly what was shown is done, once."""
    name = host_of(own, 1)
    assert send(triggered, "offer", "critical", name).status_code == 202
    with own.client(triggered, "approver") as ken, own.client(triggered, "responder") as mei:
        (offer,) = wait_until(lambda: ken.get("/offers").json())
        shown = ken.get(f"/offers/{offer['plan']}").json()
        assert [each["target"]["label"] for each in shown["report"]["actions"]] == [name]
        assert mei.post(f"/offers/{offer['plan']}/accept").status_code == 403
        accepted = ken.post(f"/offers/{offer['plan']}/accept")
        assert accepted.status_code == 202, accepted.text
        run = accepted.json()["run"]
        wait_until(lambda: ken.get(f"/runs/{run}").json()["status"] == "succeeded")
        assert ken.get("/offers").json() == []
        assert ken.post(f"/offers/{offer['plan']}/accept").status_code == 404
        assert [each["label"] for each in ken.get("/holds").json()["items"]] == [name]


def test_an_engineer_tries_a_trigger_and_nothing_starts(own: Desk, triggered: Served) -> None:
    """It says what would start, and why not."""
    with own.client(triggered, "engineer") as engineer:
        before = len(engineer.get("/triggers/fires").json())
        event = {"severity": "high", "host": "pc7", "id": "x"}
        tried = engineer.post("/triggers/on-alert/alert/test", json={"event": event}).json()
        assert (tried["outcome"], tried["inputs"]) == ("started", {"hostname": "pc7"})
        tried = engineer.post("/triggers/on-alert/alert/test", json={"event": {**event, "severity": "low"}}).json()
        assert tried["outcome"] == "not_wanted"
        assert engineer.post("/triggers/on-alert/none/test", json={"event": event}).status_code == 404
        assert len(engineer.get("/triggers/fires").json()) == before


@pytest.mark.safety(29)
def test_what_was_answered_is_not_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    """Messages are answered, the process dies, and the next one makes a run of each."""
    (tmp_path / "key").write_text(KEY)
    source = {"verify": "hmac", "secret": f"${{file:{tmp_path / 'key'}}}", "header": "X-Signature", "id_path": "id"}
    with desk_in(tmp_path, webhooks={"edr": source}) as desk:
        desk.add_playbook("on-alert", ON_ALERT)
        name = host_of(desk, 0)
        with desk.served() as served:
            answered = [send(served, str(number), "high", name).status_code for number in range(20)]
            served.process.kill()
        assert answered == [202] * 20
        with desk.served() as served, desk.client(served, "viewer") as viewer:

            def over() -> bool:
                runs = viewer.get("/runs?playbook=on-alert&limit=100").json()["items"]
                return len(runs) == 20 and all(each["status"] == "succeeded" for each in runs)

            wait_until(over, within_s=40)
            assert send(served, "3", "high", name).status_code == 409
            time.sleep(1)
            assert over()
