"""Plans that are saved and applied: once, while they are good, and only if everything is as it was (rules 6 to 8)."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest
from drill import ACTOR, Drill, Outcome, Place

from hikeshi.app import PlanRefused
from hikeshi.report import run_report
from hikeshi.testing.manufacturer import C2_ADDRESS, C2_DOMAIN, FILE_SERVER, MALWARE_SHA256

WHOLE = {
    "hostname": FILE_SERVER,
    "indicators": [C2_ADDRESS, C2_DOMAIN, MALWARE_SHA256],
    "user": "adm-kobayashi@minato.example",
    "severity": "critical",
}
TWO_HOSTS = """
id: two-hosts
inputs: {first: {type: string}, second: {type: string}}
steps:
  - {id: one, action: edr.get_host, with: {name: "{{ inputs.first }}"}}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.one }}", reason: test}}
  - {id: two, action: edr.get_host, with: {name: "{{ inputs.second }}"}}
  - {id: cut_too, action: edr.isolate_host, with: {host: "{{ steps.two }}", reason: test}}
"""


async def saved(drill: Drill, playbook: str, inputs: dict[str, Any], good_for_s: float = 3600) -> dict[str, Any]:
    """Return the document of a plan, as it comes back from a file."""
    made = await drill.plan(playbook, inputs)
    records = drill.hikeshi.records(made.state.run)
    document = await drill.hikeshi.save_plan(made.state, records, good_for_s=good_for_s, actor=ACTOR)
    return dict(json.loads(json.dumps(document)))


async def apply(drill: Drill, document: dict[str, Any], **options: Any) -> Outcome:
    state = await drill.hikeshi.apply(document, actor=ACTOR, **options)
    return Outcome(drill.hikeshi, state, run_report(state))


async def refusal(drill: Drill, place: Place, document: dict[str, Any]) -> str:
    """Return why a plan is not applied, after a look at whether anything was sent all the same."""
    place.forget_changes()
    with pytest.raises(PlanRefused) as caught:
        await drill.hikeshi.apply(document, actor="ren.abe")
    assert place.changes() == []
    assert all("\n" not in reason for reason in caught.value.reasons)
    return str(caught.value)


def last_kind(drill: Drill, run: str) -> str:
    return list(drill.hikeshi.records(run))[-1].kind


@pytest.mark.safety(6, 7, 8)
async def test_what_the_plan_shows_is_done(drill: Drill, place: Place) -> None:
    """A whole containment, and nothing else."""
    document = await saved(drill, "contain-host", WHOLE)
    assert place.changes() == []

    done = await apply(drill, document)

    assert (done.status, done.state.applies) == ("succeeded", document["plan"])
    assert place.isolated() == [FILE_SERVER]
    assert not place.user("adm-kobayashi").enabled
    assert len(place.changes()) > 4


@pytest.mark.safety(6)
async def test_a_plan_is_applied_once(drill: Drill, place: Place) -> None:
    """The second time it names the run that has done it, and the refusal is on the record."""
    document = await saved(drill, "isolate-host", {"hostname": FILE_SERVER})
    first = await apply(drill, document)

    assert await refusal(drill, place, document) == (
        f"the plan was applied already, as run {first.state.run}; a plan is applied once"
    )
    assert last_kind(drill, document["plan"]) == "PlanDenied"


@pytest.mark.safety(6)
async def test_of_ten_that_apply_a_plan_at_once_one_succeeds(drill: Drill, place: Place) -> None:
    """One run, one isolation."""
    document = await saved(drill, "isolate-host", {"hostname": FILE_SERVER})
    place.forget_changes()

    ended = await asyncio.gather(*(apply(drill, document) for _ in range(10)), return_exceptions=True)

    assert sum(isinstance(each, Outcome) for each in ended) == 1
    assert sum(isinstance(each, PlanRefused) for each in ended) == 9
    assert len(place.changes("crowdstrike")) == 1


@pytest.mark.safety(6)
async def test_a_plan_expires(drill: Drill, place: Place) -> None:
    """To the second."""
    document = await saved(drill, "isolate-host", {"hostname": FILE_SERVER}, good_for_s=60)
    drill.clock._ahead += timedelta(seconds=60)

    assert (await refusal(drill, place, document)).startswith("the plan was good until ")


@pytest.mark.safety(6)
async def test_a_playbook_that_was_edited_voids_its_plans(drill: Drill, place: Place) -> None:
    """Even if only a description differs."""
    drill.add_playbook("two-hosts", TWO_HOSTS)
    document = await saved(drill, "two-hosts", {"first": FILE_SERVER, "second": FILE_SERVER})
    drill.add_playbook("two-hosts", TWO_HOSTS + "description: better\n")

    assert await refusal(drill, place, document) == "the playbook two-hosts was changed since the plan was made"


@pytest.mark.safety(6)
@pytest.mark.parametrize(
    ("digest", "reason"),
    [
        ("engine", "the program was changed since the plan was made"),
        ("guardrails", "the guardrails were changed since the plan was made"),
        ("connectors", "the connector edr was changed since the plan was made"),
    ],
)
async def test_another_program_voids_plans(
    drill: Drill, place: Place, digest: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a plan is bound to is compared, and the reason names it."""
    document = await saved(drill, "isolate-host", {"hostname": FILE_SERVER})
    digests = drill.hikeshi._digests
    name = next(iter(document["digests"]["connectors"]))

    def other(*args: Any) -> dict[str, Any]:
        found = digests(*args)
        return {**found, digest: {name: "other"} if digest == "connectors" else "other"}

    monkeypatch.setattr(drill.hikeshi, "_digests", other)
    assert await refusal(drill, place, document) == reason.replace(" edr ", f" {name} ")


@pytest.mark.safety(6)
@pytest.mark.parametrize("key", ["playbook", "expires_at", "digest", "report", "made_by", "plan"])
async def test_a_file_that_was_edited_is_not_the_plan(drill: Drill, place: Place, key: str) -> None:
    """The journal knows what was saved."""
    document = await saved(drill, "isolate-host", {"hostname": FILE_SERVER})
    document[key] = {**document[key], "status": "failed"} if key == "report" else f"{document[key]}x"

    reason = await refusal(drill, place, document)

    assert "it was changed since" in reason or reason.startswith("this project has made no plan")


@pytest.mark.safety(7, 8)
async def test_a_host_that_somebody_isolated_meanwhile_makes_the_plan_stale(drill: Drill, place: Place) -> None:
    """Said in one line: what it was, and what it is."""
    document = await saved(drill, "isolate-host", {"hostname": FILE_SERVER})
    place.host(FILE_SERVER).isolation = "contained"

    reason = await refusal(drill, place, document)

    assert "state was 'normal', is 'isolated'" in reason


@pytest.mark.safety(7, 8)
async def test_a_host_that_got_another_tag_makes_the_plan_stale(drill: Drill, place: Place) -> None:
    """The plan was made of what was read, so all of it counts but when the host was seen."""
    document = await saved(drill, "isolate-host", {"hostname": FILE_SERVER})
    host = place.host(FILE_SERVER)
    host.last_seen += timedelta(seconds=90)
    assert drill.hikeshi.fold(document["plan"]).taken is None
    host.tags = [*host.tags, "critical"]

    assert "gives something else" in await refusal(drill, place, document)


@pytest.mark.safety(8)
async def test_a_host_that_is_seen_again_does_not(drill: Drill, place: Place) -> None:
    """It changes all the time, and nothing depends on it."""
    document = await saved(drill, "isolate-host", {"hostname": FILE_SERVER})
    place.host(FILE_SERVER).last_seen += timedelta(seconds=90)

    assert (await apply(drill, document)).status == "succeeded"


@pytest.mark.safety(7, 8)
async def test_a_target_that_changes_while_the_plan_is_applied_stops_the_run(drill: Drill, place: Place) -> None:
    """Before that change is sent; what was done before stays, and the record says why."""
    other = next(host.name for host in place.estate.hosts.values() if host.name != FILE_SERVER)
    drill.add_playbook("two-hosts", TWO_HOSTS)
    document = await saved(drill, "two-hosts", {"first": FILE_SERVER, "second": other})

    def meanwhile(event: Any, _: Any) -> None:
        if type(event).__name__ == "ActionIntended" and event.path == "cut":
            place.host(other).isolation = "contained"

    done = await apply(drill, document, watchers=[meanwhile])

    refused = next(event for event in done.events if event["kind"] == "ChangeRefused")
    assert (refused["code"], refused["rule"], refused["stops"]) == ("stale", f"plan {document['plan']}", True)
    assert "state was 'normal', is 'isolated'" in refused["why"]
    assert (done.status, done.state.finished) == ("cancelled", "cancelled")
    assert len(place.changes("crowdstrike")) == 1


@pytest.mark.safety(7)
async def test_another_target_than_the_one_that_was_shown_stops_the_run(drill: Drill, place: Place) -> None:
    """A host that took over the name of another one is not the host of the plan."""
    hosts = [host for host in place.estate.hosts.values() if host.name != FILE_SERVER][:2]
    drill.add_playbook("two-hosts", TWO_HOSTS)
    document = await saved(drill, "two-hosts", {"first": FILE_SERVER, "second": hosts[0].name})

    def meanwhile(event: Any, _: Any) -> None:
        if type(event).__name__ == "ActionIntended" and event.path == "cut":
            hosts[0].name, hosts[1].name = hosts[1].name, hosts[0].name

    done = await apply(drill, document, watchers=[meanwhile])

    refused = next(event for event in done.events if event["kind"] == "ChangeRefused")
    assert refused["code"] == "not_planned"
    assert place.isolated() == [FILE_SERVER]


async def test_a_plan_that_would_not_work_is_not_saved(drill: Drill) -> None:
    """There is nothing to apply."""
    made = await drill.plan("isolate-host", {"hostname": "no-such-host"})

    with pytest.raises(PlanRefused, match="would not work"):
        await drill.hikeshi.save_plan(made.state, [], good_for_s=60, actor=ACTOR)


@pytest.mark.parametrize("good_for_s", [0, -1, 8 * 86_400.0])
async def test_a_plan_is_good_for_a_week_at_most(drill: Drill, good_for_s: float) -> None:
    """What it saw is too old then."""
    made = await drill.plan("isolate-host", {"hostname": FILE_SERVER})

    with pytest.raises(PlanRefused, match="a week at most"):
        await drill.hikeshi.save_plan(made.state, [], good_for_s=good_for_s, actor=ACTOR)
