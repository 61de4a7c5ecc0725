"""That the address of a workflow is nowhere: not in what the kit sees, nor in a byte of a project that was run."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hikeshi.app import Hikeshi
from hikeshi.connector.registry import Registry
from hikeshi.project import load_config
from hikeshi.report import plan_report, run_report
from hikeshi.secrets import Redactor
from hikeshi.testing.contract_bench import Bench
from hikeshi.testing.contract_case import Case, Contract
from hikeshi.testing.contract_secrets import secrets_are_never_shown
from hikeshi.testing.estate import Channel, Estate, EstateState
from hikeshi.testing.simulation import Simulation, running
from hikeshi_connectors.teams import Teams
from hikeshi_connectors.teams.simulator import TeamsSimulator

pytestmark = pytest.mark.safety(26)

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ADDRESS = TeamsSimulator.demo_settings["secret_url"]
SIGNATURE = ADDRESS.rpartition("sig=")[2]
WORKFLOW = ADDRESS.split("/")[2]
PLAYBOOK = """
id: tell
name: Tell
steps:
  - id: posted
    action: messaging.post
    with: {channel: soc, text: hello}
    retry: {attempts: 2, wait: 1ms}
  - id: paged
    action: messaging.page
    with: {to: soc_oncall, text: come}
    retry: {attempts: 2, wait: 1ms}
"""


def estate() -> EstateState:
    return EstateState("small", BASE, channels={"C0SOC00001": Channel("C0SOC00001", "soc")})


async def test_the_kit_finds_the_credential_on_the_wire_alone():
    """In results, errors, plans, logs and reprs it finds none; the wire has it, for Teams takes nothing else."""
    cases = [
        Case("messaging.post", {"channel": "soc", "text": "hello"}),
        Case("messaging.page", {"to": "soc_oncall", "text": "hello"}),
        Case(
            "messaging.ask", {"channel": "soc", "question": "?", "run": "r", "path": "p", "digest": "d", "due_at": BASE}
        ),
    ]
    simulation = Simulation(Estate(estate()), [TeamsSimulator])
    with running(simulation) as url:
        bench = Bench(Contract(Teams, TeamsSimulator, estate, cases), simulation, url)
        problems = [each.text async for each in secrets_are_never_shown(bench)]
    assert len(problems) == 1
    assert problems[0].startswith("a credential is in the URL of POST")


@contextmanager
def logged() -> Iterator[io.StringIO]:
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield stream
    finally:
        root.setLevel(level)
        root.removeHandler(handler)


@pytest.mark.parametrize(
    "fault",
    [
        None,
        {"status": 401, "body": {"error": {"code": "Wrong", "message": f"{ADDRESS} {SIGNATURE}"}}},
        {"status": 500, "body": f"cannot run {WORKFLOW}"},
        {"drop": "after"},
        {"html": True},
    ],
    ids=["no fault", "401", "500", "drop", "html"],
)
async def test_no_byte_of_a_project_has_the_address(tmp_path: Path, fault: dict[str, Any] | None):
    """Planned, run live and failed: neither journal nor reports nor logs have the signature or the workflow's ID."""
    folder, secret = tmp_path / "project", tmp_path / "address"
    (folder / "playbooks").mkdir(parents=True)
    (folder / "playbooks" / "tell.yaml").write_text(PLAYBOOK, encoding="utf-8")
    secret.write_text(ADDRESS, encoding="utf-8")
    simulation = Simulation(Estate(estate()), [TeamsSimulator])
    with running(simulation) as url, logged() as logs:
        settings = {**simulation.project_settings(url)["teams"], "secret_url": f"${{file:{secret}}}"}
        (folder / "hikeshi.yaml").write_text(json.dumps({"connectors": {"teams": settings}}), encoding="utf-8")
        shown = await _planned_and_run(folder, simulation, fault)
    assert len(simulation.estate.messages) >= (2 if fault is None else 0)
    assert json.loads(shown)["status"] == ("succeeded" if fault is None else "failed")
    # Where the request is shown, it is the address of the channel.
    assert "/channels/soc" in shown
    written = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
    assert sum(map(len, written)) > 1000
    eye = Redactor()
    for part in (SIGNATURE, WORKFLOW):
        eye.add(part)
    for text in (shown, logs.getvalue(), *(each.decode("utf-8", "replace") for each in written)):
        assert not eye.holds(text)


async def _planned_and_run(folder: Path, simulation: Simulation, fault: dict[str, Any] | None) -> str:
    from hikeshi.testing.faults import parse_fault

    registry = Registry()
    registry.add(Teams)
    app = Hikeshi(load_config(folder), registry=registry)
    try:
        planned = await app.start_run("tell", {}, actor="mei", mode="plan")
        if fault is not None:
            simulation.faults.add(parse_fault({"times": None, **fault}))
        done = await app.start_run("tell", {}, actor="mei", mode="live")
        records = [repr(each) for run in (planned.run, done.run) for each in app.records(run)]
        shown = {"plan": plan_report(planned), "run": run_report(done), "records": records}
        return json.dumps({**shown, "status": done.status.value}, default=str)
    finally:
        await app.aclose()
