"""A step that is sent again because its answer was lost opens no second ticket, in each ticketing product."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hikeshi.app import Hikeshi
from hikeshi.connector import Connector, Secret
from hikeshi.connector.registry import Registry
from hikeshi.project import load_config
from hikeshi.report import run_report
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.faults import Fault
from hikeshi.testing.simulation import Simulation, running
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.github_issues import GitHubIssues
from hikeshi_connectors.github_issues.simulator import GitHubIssuesSimulator
from hikeshi_connectors.jira import Jira
from hikeshi_connectors.jira.simulator import JiraSimulator
from hikeshi_connectors.servicenow import ServiceNow
from hikeshi_connectors.servicenow.simulator import ServiceNowSimulator
from hikeshi_connectors.thehive import TheHive
from hikeshi_connectors.thehive.simulator import TheHiveSimulator

BASE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PLAYBOOK = """
id: tell
name: Tell
steps:
  - id: opened
    action: ticketing.create
    with: {title: "Phishing: 'a^b' <b> *", description: "two\\n\\nparts", severity: critical}
    retry: {attempts: 2, wait: 1ms}
  - id: noted
    action: ticketing.comment
    with: {ticket: "{{ steps.opened[0].output }}", text: "host isolated"}
outputs:
  number: "{{ steps.opened[0].output.name }}"
"""


def project(simulation: Simulation, url: str, connector: type[Connector], folder: Path) -> dict[str, Any]:
    """Return a configuration with the proposed instance, its secrets in files beside it."""
    ((name, settings),) = simulation.project_settings(url).items()
    secrets = [field for field, each in connector.Settings.model_fields.items() if each.annotation is Secret]
    for field in secrets:
        (folder / field).write_text(settings[field], encoding="utf-8")
    return {"connectors": {name: {**settings, **{field: f"${{file:{folder / field}}}" for field in secrets}}}}


@pytest.mark.safety(17)
@pytest.mark.parametrize(
    ("connector", "simulator", "path", "number"),
    [
        (Jira, JiraSimulator, "/rest/api/3/issue", "SOC-1"),
        (ServiceNow, ServiceNowSimulator, "/api/now/table/incident", "INC0010001"),
        (TheHive, TheHiveSimulator, "/api/v1/case", "#1"),
        (GitHubIssues, GitHubIssuesSimulator, "/repos/acme/soc/issues", "#1"),
    ],
)
async def test_a_lost_answer_opens_no_second_ticket(
    tmp_path: Path, connector: type[Connector], simulator: type[Simulator], path: str, number: str
):
    """The second attempt finds what the first one opened; the step after it has that ticket."""
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "tell.yaml").write_text(PLAYBOOK, encoding="utf-8")
    simulation = Simulation(Estate(EstateState("small", BASE, settle_s=0)), [simulator])
    with running(simulation) as url:
        (tmp_path / "hikeshi.yaml").write_text(
            json.dumps(project(simulation, url, connector, tmp_path)), encoding="utf-8"
        )
        registry = Registry()
        registry.add(connector)
        app = Hikeshi(load_config(tmp_path), registry=registry)
        try:
            planned = await app.start_run("tell", {}, actor="mei", mode="plan")
            assert not simulation.estate.tickets
            simulation.faults.add(Fault(product=connector.product, method="POST", path=path, drop="after"))
            done = await app.start_run("tell", {}, actor="mei", mode="live")
        finally:
            await app.aclose()
    assert planned.status.value == "succeeded"
    assert done.status.value == "succeeded", run_report(done)
    assert [ticket.title for ticket in simulation.estate.tickets] == ["Phishing: 'a^b' <b> *"]
    assert done.outputs == {"number": number}
    assert not simulation.faults.waiting()
