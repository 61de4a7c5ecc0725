"""Triggers: what of a playbook starts runs by itself."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hikeshi.app import Hikeshi
from hikeshi.testing.fake_clock import FakeClock
from hikeshi.triggers import Triggers

FILE = "the file"
START = """
id: it
inputs:
  host: {type: hostname, default: pc9}
triggers:
  - TRIGGER
steps:
  - {id: a, set: {x: inputs.host}}
"""

Project = Callable[[str], Hikeshi]


async def at_work(project: Project, trigger: str) -> tuple[Triggers, Hikeshi]:
    app = project(START.replace("TRIGGER", trigger))
    triggers = Triggers(app, alert=lambda _: None)
    await triggers.turn()
    await triggers.settled()
    return triggers, app


def hosts(app: Hikeshi) -> list[str]:
    """Return the input of each run, oldest first."""
    found = [app.fold(run["run"]).root for run in reversed(app.runs())]
    return [root.inputs["host"] for root in found if root is not None]


async def pass_by(triggers: Triggers, app: Hikeshi, seconds: float) -> None:
    assert isinstance(app.clock, FakeClock)
    for _ in range(round(seconds / 30)):
        app.clock.advance(30)
        await triggers.turn()
        await triggers.settled()


@pytest.mark.language(FILE, "triggers", runs=True)
async def test_a_schedule_starts_runs(project: Project) -> None:
    """A cron expression in its time zone, and `every`."""
    triggers, app = await at_work(project, '{id: t, schedule: "30 18 * * *", timezone: Asia/Tokyo}')
    await pass_by(triggers, app, 1770)
    assert hosts(app) == []
    await pass_by(triggers, app, 60)
    assert hosts(app) == ["pc9"]


@pytest.mark.language(FILE, "triggers", runs=True)
async def test_a_webhook_starts_runs(project: Project, tmp_path: Path) -> None:
    """`when` chooses, `inputs` gives, `dedupe` within `window` makes one run of several events."""
    trigger = """{id: t, webhook: edr, when: event.level > 3, dedupe: event.host, window: 1h,
     inputs: {host: "{{ event.host }}"}}"""
    _, before = await at_work(project, trigger)
    settings = 'connectors: {fake: {product: fake}}\nwebhooks: {edr: {verify: github, secret: "${env:EDR}"}}\n'
    (tmp_path / "hikeshi.yaml").write_text(settings, encoding="utf-8")
    from hikeshi.project import load_config

    before.config = load_config(tmp_path)
    triggers = Triggers(before, alert=lambda _: None)
    for number, (host, level) in enumerate([("pc1", 5), ("pc2", 1), ("pc1", 9), ("pc3", 4)]):
        await triggers.receive("webhook:edr", str(number), {"host": host, "level": level})
        await triggers.settled()
    assert sorted(hosts(before)) == ["pc1", "pc3"]
    outcomes = [fire["outcome"] for fire in reversed(triggers.fires())]
    assert outcomes == ["started", "not_wanted", "deduplicated", "started"]


@pytest.mark.language(FILE, "triggers", runs=True)
async def test_a_poll_starts_runs(project: Project, harness) -> None:  # type: ignore[no-untyped-def]
    """New items of a read, and none of those that were there."""
    from datetime import UTC, datetime

    from hikeshi.capabilities import Alert

    def alert(name: str) -> Alert:
        at = datetime(2026, 3, 2, tzinfo=UTC)
        return Alert(connector="fake", id=name, name=name, title=name, severity="high", at=at, host_name=name)

    harness.world.alerts["fake"] = [alert("pc1")]
    trigger = '{id: t, poll: {action: edr.list_alerts, every: 1m}, inputs: {host: "{{ event.host_name }}"}}'
    triggers, app = await at_work(project, trigger)
    harness.world.alerts["fake"].append(alert("pc2"))
    await pass_by(triggers, app, 180)
    assert hosts(app) == ["pc2"]


@pytest.mark.language(FILE, "triggers", runs=True)
async def test_a_trigger_that_is_not_enabled_starts_nothing(project: Project) -> None:
    """`enabled: false`."""
    triggers, app = await at_work(project, "{id: t, schedule: {every: 1m}, enabled: false}")
    await pass_by(triggers, app, 300)
    assert hosts(app) == []


@pytest.mark.language(FILE, "triggers", runs=True)
@pytest.mark.parametrize(("missed", "runs"), [("skip", 0), ("run_once", 1)])
async def test_what_was_missed_is_done_as_the_playbook_says(project: Project, missed: str, runs: int) -> None:
    """`missed: skip` and `missed: run_once`."""
    _, app = await at_work(project, f"{{id: t, schedule: {{every: 10m}}, missed: {missed}}}")
    assert isinstance(app.clock, FakeClock)
    app.clock.advance(7000)
    triggers = Triggers(app, alert=lambda _: None)
    await triggers.turn()
    await triggers.settled()
    assert len(hosts(app)) == runs
