"""Stopping a service while a product is slow: what is under way ends, and what is not over goes on."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "service"))

from desk import Desk, Served, desk_in, wait_until

from hikeshi.testing.faults import Fault

PLAYBOOK = """\
id: contain
inputs: {hostname: {type: hostname}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.hostname }}"}}
  - {id: isolate, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: test}, hold: 2h}
  - {id: pause, wait: 1s}
  - {id: noted, set: {done: 1}}
"""
SLOW_S = 2.0


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A project with simulated products."""
    with desk_in(tmp_path_factory.mktemp("stopped")) as desk:
        desk.add_playbook("contain", PLAYBOOK)
        yield desk


def hosts(desk: Desk) -> list[str]:
    names = Counter(each.name for each in desk.simulation.estate.hosts.values())
    return sorted(name for name, times in names.items() if times == 1)


def begin_slow_change(desk: Desk, served: Served, host: str, slow_s: float) -> str:
    """Start a run, and return its ID when the product has its change and does not answer yet."""
    fault = Fault(product="crowdstrike", method="POST", path="/devices/entities/devices-actions/*", delay_s=slow_s)
    desk.simulation.faults.add(fault)
    with desk.client(served, "responder") as mei:
        begun = mei.post("/playbooks/contain/run", json={"inputs": {"hostname": host}})
        assert begun.status_code == 202, begun.text
    wait_until(lambda: not desk.simulation.faults.waiting())  # the product has taken the request, and is at it
    time.sleep(0.2)
    return str(begun.json()["run"])


def isolations(desk: Desk) -> int:
    return sum(each["applied"] and "devices-actions" in each["url"] for each in desk.simulation.changes)


def test_an_action_under_way_ends_and_the_run_goes_on_after_a_restart(desk: Desk) -> None:
    """Exit code 0; the change is made once, its outcome is known, and the rest is done by the next process."""
    host, before = hosts(desk)[0], isolations(desk)
    with desk.served("--no-triggers") as served:
        run = begin_slow_change(desk, served, host, SLOW_S)
        began = time.monotonic()
        assert served.stop(signal.SIGTERM) == 0
        assert time.monotonic() - began > SLOW_S / 3
    made = isolations(desk)
    with desk.served("--no-triggers") as served, desk.client(served, "responder") as mei:
        state = wait_until(lambda: over(mei, run))
    assert state["status"] == "succeeded"
    assert isolations(desk) == made == before + 1


def over(client: Any, run: str) -> Any:
    found = client.get(f"/runs/{run}").json()
    return found if found["status"] in ("succeeded", "failed", "cancelled") else None


def test_a_second_signal_stops_at_once(desk: Desk) -> None:
    """What was under way is looked up by the next process, and never sent blindly again."""
    host = hosts(desk)[1]
    with desk.served("--no-triggers") as served:
        run = begin_slow_change(desk, served, host, 8.0)
        served.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert served.process.poll() is None
        began = time.monotonic()
        assert served.stop(signal.SIGTERM) == 130
        assert time.monotonic() - began < 5
    desk.simulation.faults.clear()
    with desk.served("--no-triggers") as served, desk.client(served, "responder") as mei:
        assert wait_until(lambda: over(mei, run))["status"] == "succeeded"
