"""A name that means nobody, or several: never the first match, and always said with everything one needs to decide."""

from __future__ import annotations

import pytest
from drill import Drill, Place

from hikeshi.testing.manufacturer import C2_ADDRESS, SHARED_NAMES


@pytest.mark.parametrize("name", [*SHARED_NAMES, "BUILD-01"])
async def test_a_name_of_two_hosts_isolates_neither(drill: Drill, place: Place, name: str) -> None:
    """The run stops before any change, and the error lists both hosts with their IDs and sites."""
    both = place.estate.hosts_named(name)
    assert len(both) == 2

    outcome = await drill.run("isolate-host", {"hostname": name})

    error = outcome.steps["find"]["error"]
    assert (outcome.status, error["kind"]) == ("failed", "ambiguous")
    assert {(each["id"], each["site"]) for each in error["candidates"]} == {(host.id, host.site) for host in both}
    assert all(host.id in error["message"] and host.site in error["message"] for host in both)
    assert outcome.steps["isolate"]["status"] == "blocked"
    assert place.changes() == []
    assert place.isolated() == []


async def test_the_candidates_can_be_named_by_their_ids(drill: Drill, place: Place) -> None:
    """Naming one of the candidates by its ID isolates that one, and not its namesake."""
    wanted, namesake = place.estate.hosts_named("build-01")
    place.estate.set_online(wanted.id, True)

    outcome = await drill.run("isolate-host", {"hostname": wanted.id})

    assert outcome.status == "succeeded"
    assert (wanted.isolation, namesake.isolation) == ("contained", "normal")


async def test_a_plan_of_an_ambiguous_name_says_so(drill: Drill, place: Place) -> None:
    """The dry run already shows the candidates, and plans no isolation."""
    plan = await drill.plan("isolate-host", {"hostname": "build-01"})

    assert [problem["error"]["kind"] for problem in plan.report["problems"]] == ["ambiguous"]
    assert len(plan.report["problems"][0]["error"]["candidates"]) == 2
    assert plan.actions == {}


async def test_contain_host_with_an_ambiguous_name_still_blocks_and_tells(drill: Drill, place: Place) -> None:
    """Nothing is isolated, the indicators are blocked all the same, and people hear what is missing."""
    outcome = await drill.run("contain-host", {"hostname": "build-01", "indicators": [C2_ADDRESS], "severity": "low"})

    assert outcome.status == "failed"
    assert outcome.report["failures"] == ["contain.isolate.find"]
    assert place.isolated() == []
    assert place.tagged() == {C2_ADDRESS}
    assert [text for channel, text in place.said() if channel == "incidents" and "did not go as planned" in text] != []
    assert [text for _, text in place.said() if "is contained" in text] == []


@pytest.mark.parametrize("name", ["no-such-host", "10.99.99.99", "fs-tyo", "s-tyo-01"])
async def test_a_name_of_no_host_is_an_error(drill: Drill, place: Place, name: str) -> None:
    """A name, or a part of one, that no host has fails the look-up, and nothing is sent."""
    outcome = await drill.run("isolate-host", {"hostname": name})

    assert outcome.steps["find"]["error"]["kind"] == "not_found"
    assert name in outcome.steps["find"]["error"]["message"]
    assert place.changes() == []


async def test_a_person_is_not_found_by_the_name_that_others_share(drill: Drill, place: Place) -> None:
    """Two people are called Kenji Sato: the display name restricts neither of them."""
    outcome = await drill.run("restrict-user", {"user": "Kenji Sato"})

    assert outcome.steps["find"]["error"]["kind"] in ("not_found", "ambiguous")
    assert place.changes() == []


async def test_an_account_name_that_is_anothers_mail_address_restricts_neither(drill: Drill, place: Place) -> None:
    """One text that names two accounts in different ways is ambiguous, and both are listed."""
    one, other = place.user("kenji.sato"), place.user("kenji.sato2")
    other.mail = one.upn

    outcome = await drill.run("restrict-user", {"user": one.upn})

    error = outcome.steps["find"]["error"]
    assert error["kind"] == "ambiguous"
    assert {each["id"] for each in error["candidates"]} == {one.id, other.id}
    assert place.changes() == []
