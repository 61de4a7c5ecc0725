"""Approvals that outlive the processes that asked for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from restarted_site import RestartedSite as Site

from hikeshi.app import MessageNotWanted

CONTAIN = """
id: contain
inputs: {host: {type: hostname}}
steps:
  - {id: find, action: edr.get_host, with: {name: "{{ inputs.host }}"}}
  - id: ok
    approve: "Isolate {{ steps.find.name }}?"
    by: [role:lead]
    within: 15m
    quorum: 2
    escalate: {to: [role:chief], within: 10m}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: test}}
"""


def question(site: Site) -> dict[str, Any]:
    """Return the one question that is open, as a new process sees it."""

    async def look() -> list[dict[str, Any]]:
        app = site.look()
        try:
            return app.questions()
        finally:
            await app.aclose()

    (found,) = asyncio.run(look())
    return found


def state_of(site: Site, run: str) -> Any:
    async def look() -> Any:
        app = site.look()
        try:
            return app.fold(run), [record.kind for record in app.records(run)], app.runs()
        finally:
            await app.aclose()

    return asyncio.run(look())


@pytest.fixture
def asked(site: Site) -> dict[str, Any]:
    """A run that asks, whose process was killed."""
    site.write("contain", CONTAIN)
    assert site.call("run", "contain", '{"host": "pc1"}', "QuestionAsked:ok") is None
    return question(site)


def test_a_quorum_of_two_is_reached_across_a_kill_between_the_votes(site: Site, asked: dict[str, Any]) -> None:
    """The first vote counts although the process that took it is gone; the second one lets the change go."""
    run, digest = asked["run"], asked["digest"]
    assert [each["label"] for each in asked["shows"]] == ["pc1"]

    assert site.call("vote", run, "approve", "ok", "mei", digest, "kill") is None
    assert (question(site)["votes"], site.done("isolate")) == (["mei"], [])
    assert site.call("vote", run, "approve", "ok", "kei", digest, "") == [run, "succeeded"]

    assert site.done("isolate") == ["isolate pc1"]


def test_a_rejection_isolates_nothing(site: Site, asked: dict[str, Any]) -> None:
    """One is enough, whoever has approved before."""
    run, digest = asked["run"], asked["digest"]
    site.call("vote", run, "approve", "ok", "mei", digest, "kill")

    assert site.call("vote", run, "reject", "ok", "kei", digest, "") == [run, "failed"]

    assert site.done("isolate") == []


def test_time_over_escalates_and_then_rejects(site: Site, asked: dict[str, Any]) -> None:
    """Both times pass while nobody is there; who was not asked before may decide after the first."""
    run = asked["run"]
    site.move_clock(16 * 60)
    site.call("work")
    assert question(site)["by"] == ["role:lead", "role:chief"]

    site.move_clock(40 * 60)
    assert [run, "failed"] in site.call("work")

    state, _, _ = state_of(site, run)
    assert state.nodes["ok"].error.message == "nobody decided within 25m"
    assert site.done("isolate") == []


LATE = """
id: late
steps:
  - id: both
    parallel:
      - {id: ok, approve: "Isolate?", by: [role:lead], within: 15m}
      - {wait: 8h}
"""


def test_votes_that_come_too_late_are_refused_with_a_reason(site: Site) -> None:
    """Both are told why, both are on record, and the approval is not given."""
    site.write("late", LATE)
    assert site.call("run", "late", "{}", "QuestionAsked:both.ok") is None
    asked = question(site)
    run, path = asked["run"], asked["path"]
    site.move_clock(60 * 60)

    async def vote_late() -> tuple[list[str], list[str], str]:
        app = site.look()
        app.park_after_s = 1.0
        told = []
        for person in ("mei", "kei"):
            with pytest.raises(MessageNotWanted) as refused:
                await app.tell(run, "approve", {"path": path, "digest": asked["digest"]}, actor=person)
            told.append(str(refused.value))
        recorded = [str(record.data["reason"]) for record in app.records(run) if record.kind == "MessageRefused"]
        status = app.fold(run).nodes[path].status.value
        await app.aclose()
        return told, recorded, status

    told, recorded, status = asyncio.run(vote_late())
    assert told[0].startswith(f"the time for {path!r} was over at")
    assert "is no longer open" in told[1]
    assert (recorded, status) == (told, "failed")
