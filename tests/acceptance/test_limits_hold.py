"""Limits on distinct targets, and approvals that the project requires, over many runs and processes (rule 11)."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from drill import ACTOR, Drill, Outcome, Place

from hikeshi.app import Hikeshi, MessageNotWanted
from hikeshi.report import run_report

PEOPLE = {
    "mei": {"login": "mei.kobayashi", "name": "Mei", "roles": ["lead"]},
    "ren": {"login": "ren.abe", "name": "Ren", "roles": ["lead"]},
    "sho": {"login": "sho", "name": "Sho", "roles": ["lead"]},
}
ONE = """
id: one
inputs: {host: {type: string}}
steps:
  - {id: found, action: edr.get_host, with: {name: "{{ inputs.host }}"}}
  - {id: isolate, action: edr.isolate_host, with: {host: "{{ steps.found }}", reason: test}}
"""
MANY = """
id: many
inputs: {hosts: {type: list, items: {type: string}}}
steps:
  - id: each
    for_each: inputs.hosts
    concurrency: 1
    steps:
      - {id: found, action: edr.get_host, with: {name: "{{ item }}"}}
      - {id: isolate, action: edr.isolate_host, with: {host: "{{ steps.found }}", reason: test}}
"""


class ShiftedClock:
    """The machine's time, and as much more as a test lets pass. Waits last as long as they are said to."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def sleep_until(self, at: datetime) -> None:
        await asyncio.sleep(max(0.0, (at - self.now()).total_seconds()))


def guard(drill: Drill, place: Place, **guardrails: Any) -> None:
    drill.configure(place.simulation.project_settings(place.url), guardrails=guardrails, people=PEOPLE)
    drill.clock = ShiftedClock()  # type: ignore[assignment]  # the usual one hurries through whatever people have time for
    drill.add_playbook("one", ONE)
    drill.add_playbook("many", MANY)
    drill.hikeshi.park_after_s = 0.5  # what waits for people is left to them


def hosts_of(place: Place, count: int) -> list[str]:
    hosts = list(place.estate.hosts.values())
    names = Counter(host.name for host in hosts)
    return [host.name for host in hosts if names[host.name] == 1 and host.online][:count]


def question_of(app: Hikeshi, run: str) -> dict[str, Any]:
    (question,) = app.questions(run)
    return question


async def say(app: Hikeshi, run: str, what: str, by: str) -> Any:
    question = question_of(app, run)
    return await app.tell(run, what, {"path": question["path"], "digest": question["digest"], "note": None}, actor=by)


@pytest.mark.safety(11)
async def test_fifty_runs_at_once_and_a_restart_never_isolate_an_eleventh_host(drill: Drill, place: Place) -> None:
    """Twenty-five in one process, the others in the next one; forty wait for people in the end."""
    guard(drill, place, limits=[{"actions": ["edr.isolate_host"], "per": "window", "within": "1h", "at_most": 10}])
    hosts = hosts_of(place, 50)
    assert len(hosts) == 50
    states = []
    for half in (hosts[:25], hosts[25:]):
        app = Hikeshi.open(drill.folder)
        app.park_after_s = 0.5
        runs = (app.start_run("one", {"host": name}, actor=ACTOR, mode="live") for name in half)
        states += await asyncio.gather(*runs)
        await app.aclose()

    assert len(place.isolated()) == 10
    assert Counter(state.status.value for state in states) == {"succeeded": 10, "waiting": 40}


@pytest.mark.safety(11)
async def test_past_a_limit_people_are_asked_and_may_let_it_go_on(drill: Drill, place: Place) -> None:
    """They see the target; whoever started the run is not asked; yes lets this one through and no other."""
    guard(drill, place, limits=[{"actions": ["edr.*"], "per": "run", "at_most": 2}])
    hosts = hosts_of(place, 4)
    app = drill.hikeshi

    state = await app.start_run("many", {"hosts": hosts}, actor=ACTOR, mode="live")

    assert len(place.isolated()) == 2
    question = question_of(app, state.run)
    assert question["question"] == "The limit of distinct targets is reached: 2 of 2. Go on?"
    assert [shown["label"] for shown in question["shows"]] == [hosts[2]]
    with pytest.raises(Exception, match="who started a run"):
        await say(app, state.run, "approve", ACTOR)
    state = await say(app, state.run, "approve", "ren.abe")
    assert len(place.isolated()) == 3
    state = await say(app, state.run, "reject", "ren.abe")
    assert (state.finished, len(place.isolated())) == ("failed", 3)


@pytest.mark.safety(11)
async def test_a_window_moves_on(drill: Drill, place: Place) -> None:
    """What is older than it does not count; the same host again never does."""
    guard(drill, place, limits=[{"actions": ["edr.isolate_host"], "per": "window", "within": "1h", "at_most": 1}])
    first, second = hosts_of(place, 2)
    assert (await drill.run("one", {"host": first})).status == "succeeded"
    place.host(first).isolation = "normal"
    assert (await drill.run("one", {"host": first})).status == "succeeded"
    assert (await drill.run("one", {"host": second})).status == "waiting"

    drill.clock.ahead += timedelta(hours=1)

    assert (await drill.run("one", {"host": second})).status == "succeeded"


@pytest.mark.safety(11)
async def test_a_share_of_a_population_is_a_limit(drill: Drill, place: Place) -> None:
    """Two per cent of a hundred and fifty are three."""
    limit = {"actions": ["edr.isolate_host"], "per": "playbook", "within": "1d"}
    guard(drill, place, limits=[{**limit, "population": {"count": 150, "per_cent": 2}}])

    state = await drill.hikeshi.start_run("many", {"hosts": hosts_of(place, 5)}, actor=ACTOR, mode="live")

    assert (len(place.isolated()), state.status.value) == (3, "waiting")


@pytest.mark.safety(10, 11)
async def test_what_is_so_already_does_not_count(drill: Drill, place: Place) -> None:
    """Nothing is sent for it."""
    guard(drill, place, limits=[{"actions": ["edr.*"], "per": "run", "at_most": 1}])
    first, second = hosts_of(place, 2)
    place.host(first).isolation = "contained"

    state = await drill.hikeshi.start_run("many", {"hosts": [first, second]}, actor=ACTOR, mode="live")

    assert state.finished == "succeeded"


async def test_past_a_limit_those_are_asked_whom_it_names(drill: Drill, place: Place) -> None:
    """And somebody else who is in the project is refused."""
    named = {"actions": ["edr.isolate_host"], "per": "window", "within": "1h", "at_most": 1, "by": ["sho"]}
    guard(drill, place, limits=[named])
    first, second = hosts_of(place, 2)
    state = await drill.hikeshi.start_run("many", {"hosts": [first, second]}, actor=ACTOR, mode="live")

    assert question_of(drill.hikeshi, state.run)["by"] == ["sho"]
    with pytest.raises(MessageNotWanted, match="not among those"):
        await say(drill.hikeshi, state.run, "approve", "ren.abe")
    done = await say(drill.hikeshi, state.run, "approve", "sho")
    assert (done.finished, place.isolated()) == ("succeeded", sorted([first, second]))


async def test_a_required_approval_holds_a_change_that_its_playbook_does_not_ask_about(
    drill: Drill, place: Place
) -> None:
    """By so many people as the rule says, other than the one who started the run; then it goes on by itself."""
    guard(drill, place, approvals=[{"actions": ["edr.isolate_host"], "by": ["role:lead"], "quorum": 2, "why": "audit"}])
    (host,) = hosts_of(place, 1)
    app = drill.hikeshi

    state = await app.start_run("one", {"host": host}, actor=ACTOR, mode="live")

    assert (state.status.value, place.isolated()) == ("waiting", [])
    assert question_of(app, state.run)["question"] == "edr.isolate_host needs consent here: audit"
    state = await say(app, state.run, "approve", "ren.abe")
    assert place.isolated() == []
    state = await say(app, state.run, "approve", "sho")
    assert (state.finished, place.isolated()) == ("succeeded", [host])


async def test_a_required_approval_that_nobody_gives_in_time_rejects(drill: Drill, place: Place) -> None:
    """As if somebody had said no."""
    guard(drill, place, approvals=[{"actions": ["edr.*"], "by": ["role:lead"], "within": "10m"}])
    (host,) = hosts_of(place, 1)
    state = await drill.hikeshi.start_run("one", {"host": host}, actor=ACTOR, mode="live")

    drill.clock.ahead += timedelta(minutes=10)
    done = await drill.hikeshi.go_on(state.run)

    outcome = Outcome(drill.hikeshi, done, run_report(done))
    assert outcome.steps["isolate"]["error"]["message"] == "nobody decided within 10m"
    assert (done.finished, place.isolated()) == ("failed", [])


# --- what no plan could show ------------------------------------------------------------------------------------------

INSTEAD = """
id: instead
inputs: {first: {type: string}, second: {type: string}}
steps:
  - {id: one, action: edr.get_host, with: {name: "{{ inputs.first }}"}}
  - id: cut
    action: edr.isolate_host
    with: {host: "{{ steps.one }}", reason: test}
    retry: {attempts: 1}
    on_error:
      - {id: two, action: edr.get_host, with: {name: "{{ inputs.second }}"}}
      - {id: other, action: edr.isolate_host, with: {host: "{{ steps.two }}", reason: test}}
"""


@pytest.mark.safety(7)
async def test_a_change_of_a_handler_that_the_plan_does_not_show_is_asked_for(drill: Drill, place: Place) -> None:
    """A person sees the target that it is for now; everywhere else such a change stops the run."""
    guard(drill, place)
    drill.hikeshi.park_after_s = 0.5
    drill.add_playbook("instead", INSTEAD)
    first, second, third = hosts_of(place, 3)
    plan = await drill.plan("instead", {"first": first, "second": second})
    records = drill.hikeshi.records(plan.state.run)
    document = await drill.hikeshi.save_plan(plan.state, records, good_for_s=3600, actor=ACTOR)
    refuse = place.order_when("edr.isolate_host", {"product": "crowdstrike", "method": "POST", "status": 403})

    def meanwhile(event: Any, state: Any) -> None:
        refuse(event, state)
        if type(event).__name__ == "ActionIntended" and event.path == "cut":
            here, there = place.host(second), place.host(third)
            here.name, there.name = there.name, here.name

    state = await drill.hikeshi.apply(document, actor=ACTOR, watchers=[meanwhile])

    assert (state.status.value, place.isolated()) == ("waiting", [])
    question = question_of(drill.hikeshi, state.run)
    assert [shown["label"] for shown in question["shows"]] == [second]
    assert "not as the plan shows it" in question["question"]
    done = await say(drill.hikeshi, state.run, "approve", "ren.abe")
    assert (done.finished, place.isolated()) == ("failed", [second])
