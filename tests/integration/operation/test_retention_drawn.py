"""Drawn histories: whatever ran, was released or extended when, pruning changes nothing of what is contained."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from kept import DAY_S, Kept, tables

from hikeshi.app.prunable import plan_prune
from hikeshi.app.retention import prune
from hikeshi.app.undo_plan import HoldRefused

LIFT = """id: lift
inputs: {hostname: {type: hostname}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.hostname }}"}}
  - {id: lift, action: edr.release_host, with: {host: "{{ steps.find }}", reason: over}}
"""
SEEDS = range(12)


async def one_day(kept: Kept, dice: random.Random, days_ago: float) -> None:
    """Do one thing that people do."""
    what = dice.choice(["note", "contain", "contain", "lift", "release", "extend", "plan", "keep"])
    host = dice.choice(["pc1", "pc2"])
    async with kept.app(days_ago) as app:
        holds = [each for each in app.holds() if each.status == "active"]
        if what in ("contain", "lift"):
            await app.start_run(what, {"hostname": host}, actor="mei", mode="live")
        elif what == "plan":
            await app.start_run("contain", {"hostname": host}, actor="mei", mode="plan")
        elif what == "release" and holds:
            plan = await app.plan_release([dice.choice(holds).hold])
            if plan.tried:
                await app.undo(plan, actor="mei", reason="over")
        elif what == "extend" and holds:
            try:
                await app.extend(dice.choice(holds).hold, by_s=dice.choice([60, 3600]), reason="more", actor="ken")
            except HoldRefused:
                return
        elif what == "note":
            await app.start_run("note", {}, actor="mei", mode="live")


def contained(app: Any) -> list[tuple[str, str, str]]:
    return sorted((each.hold, each.label, each.status) for each in app.holds())


@pytest.mark.parametrize("seed", SEEDS)
async def test_pruning_changes_nothing_of_what_is_contained(tmp_path: Path, seed: int) -> None:
    """The ledger is the same before, after, and filled anew from what is left; and the log verifies."""
    dice = random.Random(seed)
    kept = Kept(tmp_path / "project")
    (kept.folder / "playbooks" / "lift.yaml").write_text(LIFT, encoding="utf-8")
    for days_ago in sorted((dice.uniform(1, 120) for _ in range(dice.randint(6, 14))), reverse=True):
        await one_day(kept, dice, days_ago)
    await kept.run("note", 0.5)
    async with kept.app() as app:
        before = contained(app)
        plan = plan_prune(app, dice.uniform(9, 80) * DAY_S)
        done = await prune(app, plan, kept.archive, actor="ken")
        after = tables(app)

        assert done.runs == len(plan.runs)
        assert contained(app) == before
        app.journal.rebuild()
        assert tables(app) == after
        assert contained(app) == before
    found = await kept.verdict()
    assert (found.status, found.pruned) == ("ok", done.records)
