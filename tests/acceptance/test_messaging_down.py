"""A chat service that is down: containment does not wait for it, and nobody is told that all is well."""

from __future__ import annotations

from typing import Any

import pytest
from drill import Drill, Place

from hikeshi.testing.manufacturer import C2_ADDRESS, FILE_SERVER

INPUTS = {"hostname": FILE_SERVER, "indicators": [C2_ADDRESS], "user": "kenji.sato@minato.example"}
MESSAGES = ["notify.tell.team[slack]", "notify.tell.on_call[slack]", "notify.tell.management[slack]"]
DOWN = {
    "dropped": {"drop": "before"},
    "503": {"status": 503},
    "a login page": {"html": True},
    "an unreachable proxy": {"status": 502, "body": "<html>Bad Gateway</html>"},
}


@pytest.mark.parametrize("fault", DOWN.values(), ids=DOWN.keys())
async def test_containment_happens_and_the_run_says_who_was_not_told(
    drill: Drill, place: Place, fault: dict[str, Any]
) -> None:
    """The host is isolated, the address blocked, the user restricted; the run fails and names every message."""
    place.order(product="slack", times=None, **fault)

    outcome = await drill.run("contain-host", {**INPUTS, "severity": "critical"})

    assert place.isolated() == [FILE_SERVER]
    assert place.tagged() == {C2_ADDRESS}
    assert not place.user("kenji.sato").enabled
    assert {hold["status"] for hold in outcome.holds} == {"active", "done"}
    assert place.said() == []
    assert outcome.status == "failed"
    assert set(MESSAGES) <= set(outcome.report["failures"])
    assert {outcome.steps[path]["status"] for path in MESSAGES} == {"failed"}
    assert all("slack" in outcome.steps[path]["error"]["message"] for path in MESSAGES)
    assert outcome.steps["contain"]["status"] == "succeeded"
    assert all(path.endswith("[slack]") for path in outcome.report["failures"])
    assert all(path in outcome.told for path in MESSAGES)


async def test_the_warning_that_could_not_be_sent_is_named_too(drill: Drill, place: Place) -> None:
    """`on_failure` tries to warn people, cannot either, and the run lists those messages beside the others."""
    place.order(product="slack", times=None, status=503)

    outcome = await drill.run("contain-host", {**INPUTS, "severity": "low"})

    assert set(outcome.report["failures"]) == {
        "notify.tell.team[slack]", "on_failure.warn.tell.team[slack]", "on_failure.warn.tell.on_call[slack]",
    }  # fmt: skip


async def test_one_channel_that_fails_does_not_keep_the_others_from_hearing(drill: Drill, place: Place) -> None:
    """Management's channel is gone: the team and the person on call are told, and the run says who was not."""
    management = next(channel for channel in place.estate.channels.values() if channel.name == "management")
    management.archived = True

    outcome = await drill.run("notify-stakeholders", {"severity": "critical", "title": "A drill"})

    assert outcome.report["failures"] == ["tell.management[slack]"]
    assert sorted(channel for channel, _ in place.said()) == ["incidents", "soc-on-call"]


async def test_a_person_on_call_whom_slack_does_not_know_fails_with_the_known_names(drill: Drill, place: Place) -> None:
    """A wrong on-call name names those that the project has, and everybody else is told."""
    outcome = await drill.run("notify-stakeholders", {"severity": "high", "title": "A drill", "on_call": "nobody"})

    assert outcome.report["failures"] == ["tell.on_call[slack]"]
    assert "soc_oncall" in outcome.steps["tell.on_call[slack]"]["error"]["message"]
    assert [channel for channel, _ in place.said()] == ["incidents"]
