"""Guardrails and the kill switch, as every change of every run meets them (rules 10 and 12)."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from drill import ACTOR, Drill, Place

from hikeshi.app import Hikeshi, NothingToRelease
from hikeshi.guardrails import Stop
from hikeshi.testing.manufacturer import FILE_SERVER

ISOLATE = """
id: cut
inputs: {hosts: {type: list, items: {type: string}}}
steps:
  - id: each
    for_each: inputs.hosts
    concurrency: 50
    max_failures: 1000
    steps:
      - {id: found, action: edr.get_host, with: {name: "{{ item }}"}}
      - {id: isolate, action: edr.isolate_host, with: {host: "{{ steps.found }}", reason: test}}
"""
CALLER = """
id: caller
inputs: {hosts: {type: list, items: {type: string}}}
steps:
  - {id: call, playbook: cut, with: {hosts: "{{ inputs.hosts }}"}}
"""
LET_GO = """
id: let-go
inputs: {host: {type: string}}
steps:
  - {id: found, action: edr.get_host, with: {name: "{{ inputs.host }}"}}
  - {release: steps.found}
"""


def protect(drill: Drill, place: Place, *rules: dict[str, Any]) -> None:
    drill.configure(place.simulation.project_settings(place.url), guardrails={"protected": list(rules)})


def refusals(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["code"], event["rule"]) for event in events if event["kind"] == "ChangeRefused"]


def spellings(host: Any) -> dict[str, str]:
    return {
        "name": host.name,
        "upper case": host.name.upper(),
        "trailing dot": f"{host.name}.",
        "address": host.ips[0],
        "a pattern": f"{host.name[:4]}*",
        "a network": f"{host.ips[0]}/32",
        "id": host.id,
    }


@pytest.mark.safety(10)
@pytest.mark.parametrize("written", ["name", "upper case", "trailing dot", "address", "a pattern", "a network", "id"])
@pytest.mark.parametrize("playbook", ["cut", "caller"])
async def test_a_protected_host_is_not_isolated(drill: Drill, place: Place, written: str, playbook: str) -> None:
    """However it is written on the list, and by whatever name the playbook asks for it; the others of a loop are."""
    host = place.host(FILE_SERVER)
    other = next(each.name for each in place.estate.hosts.values() if not each.name.startswith(host.name[:4]))
    key = "networks" if written == "a network" else "hosts"
    protect(drill, place, {key: [spellings(host)[written]], "why": "the file server"})
    drill.add_playbook("cut", ISOLATE)
    drill.add_playbook("caller", CALLER)

    done = await drill.run(playbook, {"hosts": [host.name, other]})

    assert place.isolated() == [other]
    assert [code for code, _ in refusals(done.events)] == ["protected"]
    assert "hikeshi.yaml:" in refusals(done.events)[0][1]


@pytest.mark.safety(10)
async def test_a_protected_host_is_not_blocked_by_its_address_either(drill: Drill, place: Place) -> None:
    """An indicator that is its address, or a network around it, cuts it off just as well."""
    host = place.host(FILE_SERVER)
    protect(drill, place, {"hosts": [host.ips[0]], "why": "the file server"})

    for indicator in (host.ips[0], f"{host.ips[0].rsplit('.', 1)[0]}.0/24"):
        inputs = {"indicators": [indicator], "reason": "test", "duration": "1h"}
        done = await drill.run("block-indicators", inputs)
        assert [code for code, _ in refusals(done.events)] == ["protected"], indicator
    assert place.changes("panos") == []


@pytest.mark.safety(10)
async def test_a_plan_says_what_would_be_refused(drill: Drill, place: Place) -> None:
    """Before anybody relies on it; it is not saved, either."""
    protect(drill, place, {"hosts": [FILE_SERVER], "why": "the file server"})

    plan = await drill.plan("isolate-host", {"hostname": FILE_SERVER})

    (problem,) = plan.report["problems"]
    assert "the file server" in problem["error"]["message"]
    assert problem["error"]["kind"] == "refused"


@pytest.mark.safety(11)
async def test_a_plan_says_who_has_to_agree_because_a_guardrail_says_so(drill: Drill, place: Place) -> None:
    """With the exact targets that it is about, and nobody for the others."""
    other = next(each.name for each in place.estate.hosts.values() if each.name != FILE_SERVER)
    rule = {"hosts": [FILE_SERVER], "by": ["role:lead"], "quorum": 2, "why": "it holds the drawings"}
    people = {name: {"roles": ["lead"]} for name in ("aya", "ken", "mei")}
    settings = place.simulation.project_settings(place.url)
    drill.configure(settings, guardrails={"approvals": [rule]}, people=people)
    drill.add_playbook("cut", ISOLATE)

    plan = await drill.plan("cut", {"hosts": [FILE_SERVER, other]})

    needs = {action["target"]["label"]: action["consents"] for action in plan.report["actions"]}
    (need,) = needs[FILE_SERVER]
    assert (need["by"], need["quorum"], need["targets"]) == (["role:lead"], 2, [FILE_SERVER])
    assert need["why"] == "it holds the drawings"
    assert needs[other] == []
    assert place.changes() == []


@pytest.mark.safety(10)
async def test_a_host_that_was_put_on_the_list_after_the_plan_is_not_touched(drill: Drill, place: Place) -> None:
    """The plan is void: it was made under other guardrails."""
    made = await drill.plan("isolate-host", {"hostname": FILE_SERVER})
    saved = await drill.hikeshi.save_plan(made.state, [], good_for_s=600, actor=ACTOR)
    protect(drill, place, {"hosts": [FILE_SERVER], "why": "the file server"})

    with pytest.raises(Exception, match="the guardrails were changed"):
        await drill.hikeshi.apply(json.loads(json.dumps(saved)), actor=ACTOR)
    assert place.isolated() == []


@pytest.mark.safety(10)
async def test_the_engine_does_not_cut_off_its_own_products(drill: Drill, place: Place) -> None:
    """They are reached over the loopback address here, and nobody has to say that it is protected."""
    done = await drill.run("block-indicators", {"indicators": ["127.0.0.1"], "reason": "test", "duration": "1h"})

    assert [code for code, _ in refusals(done.events)] == ["protected"]


@pytest.mark.safety(13)
@pytest.mark.parametrize("guardrails", ["nonsense", {"protected": [{"file": "missing.txt", "kind": "hosts"}]}, []])
async def test_guardrails_that_cannot_be_read_refuse_every_change(drill: Drill, place: Place, guardrails: Any) -> None:
    """ "Could not read" is not "nothing is protected"."""
    drill.configure(place.simulation.project_settings(place.url), guardrails=guardrails)

    done = await drill.run("isolate-host", {"hostname": FILE_SERVER})

    assert [code for code, _ in refusals(done.events)] == ["guardrails_unreadable"]
    assert place.isolated() == []


@pytest.mark.safety(10)
async def test_a_protected_group_is_asked_for_by_reading_the_groups_of_a_user(drill: Drill, place: Place) -> None:
    """Its members may not be disabled; if the directory does not say who is in it, nobody may."""
    group = next(group for group in place.estate.groups.values() if group.members)
    member = place.estate.users[min(group.members)]
    protect(drill, place, {"groups": [group.name], "why": "administrators"})

    done = await drill.run("restrict-user", {"user": member.upn})

    assert "protected" in {code for code, _ in refusals(done.events)}
    assert member.enabled


# --- the kill switch -----------------------------------------------------------------------------------------


@pytest.mark.safety(12)
@pytest.mark.parametrize("what", ["everything", "connector:falcon", "action:edr.*", "playbook:isolate-host"])
async def test_what_is_stopped_does_not_start(drill: Drill, place: Place, what: str) -> None:
    """Reads go on, the change is refused, and after the release it is made."""
    await drill.hikeshi.stop(Stop.parse(what, by="mei", why="wrong playbook"))

    done = await drill.run("isolate-host", {"hostname": FILE_SERVER})

    assert refusals(done.events) == [("stopped", f"kill switch {what}")]
    assert place.isolated() == []
    assert await drill.hikeshi.release_stop(what, by="mei") is None
    again = await drill.run("isolate-host", {"hostname": FILE_SERVER})
    assert (again.status, place.isolated()) == ("succeeded", [FILE_SERVER])


@pytest.mark.safety(12)
async def test_another_scope_is_not_stopped(drill: Drill, place: Place) -> None:
    """A stop of one playbook leaves the others alone."""
    await drill.hikeshi.stop(Stop.parse("playbook:contain-host", by="mei"))

    assert (await drill.run("isolate-host", {"hostname": FILE_SERVER})).status == "succeeded"


@pytest.mark.safety(12)
async def test_a_stop_that_another_process_engages_holds_here_at_once(drill: Drill, place: Place) -> None:
    """It is read from where it is stored, right before each change: of a hundred under way, none starts after it."""
    names = Counter(host.name for host in place.estate.hosts.values())
    hosts = [name for name, times in names.items() if times == 1]
    drill.add_playbook("cut", ISOLATE)
    engaged = asyncio.Event()

    def watch(event: Any, _: Any) -> None:
        if type(event).__name__ == "TargetsSettled" and not engaged.is_set():
            engaged.set()

    async def stop_it() -> int:
        await asyncio.wait_for(engaged.wait(), 20)
        other = Hikeshi.open(drill.folder)
        await other.stop(Stop.parse("everything", by="ren"))
        await other.aclose()
        await asyncio.sleep(1)
        return len(place.changes("crowdstrike"))

    stopping = asyncio.ensure_future(stop_it())
    done = await drill.run("cut", {"hosts": hosts}, watchers=[watch])
    after_a_second = await stopping

    assert len(place.changes("crowdstrike")) == after_a_second < len(hosts)
    assert ("stopped", "kill switch everything") in refusals(done.events)


@pytest.mark.safety(12)
async def test_releases_and_undo_go_on_while_everything_is_stopped(drill: Drill, place: Place) -> None:
    """What is contained may always be let go."""
    drill.add_playbook("let-go", LET_GO)
    await drill.run("isolate-host", {"hostname": FILE_SERVER})
    await drill.hikeshi.stop(Stop.parse("everything", by="mei"))

    released = await drill.run("let-go", {"host": FILE_SERVER})

    assert (released.status, place.isolated()) == ("succeeded", [])


@pytest.mark.safety(12, 13)
async def test_a_kill_switch_that_cannot_be_read_is_engaged(drill: Drill, place: Place) -> None:
    """Nothing is sent then."""
    drill.hikeshi.kill_switch._journal = None  # type: ignore[assignment]

    done = await drill.run("isolate-host", {"hostname": FILE_SERVER})

    assert [code for code, _ in refusals(done.events)] == ["stopped"]
    assert place.isolated() == []


@pytest.mark.safety(12)
async def test_releasing_takes_as_many_people_as_the_project_says(drill: Drill, place: Place) -> None:
    """The same person twice is one."""
    drill.configure(place.simulation.project_settings(place.url), guardrails={"release_stop": {"people": 2}})
    await drill.hikeshi.stop(Stop.parse("everything", by="mei"))

    for _ in range(2):
        left = await drill.hikeshi.release_stop("everything", by="mei")
        assert left is not None
        assert (left.people, left.released_by) == (2, ("mei",))
    assert await drill.hikeshi.release_stop("everything", by="ren") is None
    with pytest.raises(NothingToRelease, match="not engaged"):
        await drill.hikeshi.release_stop("everything", by="ren")
