"""`action`: calling an action, and the keys that only such a step has."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest

from hikeshi.app import Hikeshi
from hikeshi.connector.errors import Unavailable
from hikeshi.core.events import ActionFailed, Event, HoldsOpened, RetryScheduled, StepSkipped
from hikeshi.testing.fake_connector import Fault, fake_connector
from hikeshi.testing.run_harness import Outcome, RunHarness
from hikeshi.testing.virtual_loop import run_virtually

Codes = Callable[..., list[str]]
Project = Callable[[str], Hikeshi]

CUT = "action: edr.isolate_host\nwith: {host: '{{ steps.find }}', reason: r}\n"
READ = "action: edr.list_alerts\n"
BACK = "{host: '{{ steps.find }}', reason: r}"


def refuses(key: str, text: str, code: str) -> Any:
    return pytest.param(text, code, id=key or "action", marks=pytest.mark.language("action", key, refuses=True))


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        refuses("", "action: edr.isolat_host", "unknown-action"),
        refuses("", "action: isolate", "wrong-value"),
        refuses("with", "action: edr.get_host", "missing-argument"),
        refuses("with", "action: edr.get_host\nwith: {name: a, nam: b}", "unknown-argument"),
        refuses("with", "action: edr.isolate_host\nwith: {host: '{{ inputs.name }}', reason: r}", "wrong-argument"),
        refuses("retry", READ + "retry: 3", "wrong-type"),
        refuses("retry", "set: {a: '1'}\nretry: {attempts: 2}", "misplaced-key"),
        refuses("retry.attempts", READ + "retry: {attempts: 0}", "wrong-value"),
        refuses("retry.wait", READ + "retry: {wait: 5}", "wrong-type"),
        refuses("retry.factor", READ + "retry: {factor: 0.5}", "wrong-value"),
        refuses("retry.max_wait", READ + "retry: {max_wait: 8 minutes}", "wrong-value"),
        refuses("retry.kinds", READ + "retry: {kinds: [time_out]}", "wrong-value"),
        refuses("timeout", READ + "timeout: 30", "wrong-type"),
        refuses("timeout", READ + "timeout: 2d", "wrong-value"),
        refuses("timeout", "wait: 1m\ntimeout: 30s", "misplaced-key"),
        refuses("hold", CUT + "hold: 8", "wrong-type"),
        refuses("hold", READ + "hold: 8h", "hold-without-change"),
        refuses("hold", CUT + "hold: '{{ inputs.names }}'", "wrong-duration"),
        refuses("hold", CUT + "hold: 8h\nundo: none", "hold-without-inverse"),
        refuses("hold", "steps: [{set: {a: '1'}}]\nhold: 8h", "misplaced-key"),
        refuses("undo", CUT + "undo: nothing", "wrong-value"),
        refuses("undo", READ + "undo: none", "hold-without-change"),
        refuses("undo.action", CUT + "undo: {with: {}}", "missing-key"),
        refuses("undo.action", CUT + "undo: {action: edr.get_host, with: {name: a}}", "undo-without-change"),
        refuses("undo.action", CUT + "undo: {action: messaging.page, with: {to: a, text: b}}", "undo-without-change"),
        refuses("undo.action", CUT + f"undo: {{action: edr.relase_host, with: {BACK}}}", "unknown-action"),
        refuses("undo.with", CUT + "undo: {action: edr.release_host, with: {reason: r}}", "missing-argument"),
        refuses("at", READ + "at: inputs.count", "wrong-at"),
        refuses("at", "approve: Go?\nby: [mei]\nwithin: 1m\nat: inputs.name", "misplaced-key"),
        refuses("if_unsupported", READ + "if_unsupported: ignore", "wrong-value"),
        refuses("if_unsupported", "wait: 1m\nif_unsupported: skip", "misplaced-key"),
        refuses("for_each", READ + "for_each: inputs.count", "wrong-expression"),
    ],
)
def test_an_action_that_is_written_wrong_is_refused(codes_of_step: Codes, keys: str, code: str) -> None:
    """One mistake is one problem."""
    assert codes_of_step(keys) == [code]


@pytest.mark.language("action", "hold", refuses=True)
def test_a_change_that_cannot_be_undone_is_not_held(codes_of_step: Codes) -> None:
    """Sessions that are revoked stay revoked; a duration would promise what nobody keeps."""
    text = "action: identity.revoke_sessions\nwith: {user: '{{ steps.who }}', reason: r}\nneeds: [who]\nhold: 1h"
    who = "  - {id: who, action: identity.get_user, with: {name: mei}, needs: []}\n"

    assert codes_of_step(text, who) == ["hold-without-inverse"]
    assert codes_of_step(text.replace("revoke_sessions", "disable_user"), who) == []


FIND = "- {id: find, action: edr.get_host, with: {name: pc1}}"
ISOLATE = "id: cut, action: edr.isolate_host, with: {host: '{{ steps.find }}', reason: r}"


def times_of(outcome: Outcome, kind: type[Event]) -> Iterator[tuple[Any, datetime]]:
    """Give the events of one kind, each with the time of its record."""
    for event, record in zip(outcome.events, outcome.records, strict=True):
        if isinstance(event, kind):
            yield event, record.at


@pytest.mark.language("action", runs=True)
@pytest.mark.language("action", "with", runs=True)
async def test_an_action_is_called_with_its_arguments(harness: RunHarness) -> None:
    """Each keeps its type, and the output is the action's model."""
    outcome = await harness.run(
        f"id: t\nsteps:\n  {FIND}\n  - {{{ISOLATE}}}\noutputs: {{s: '{{{{ steps.cut.state }}}}'}}\n"
    )

    assert outcome.outputs == {"s": "isolated"}
    sent = harness.world.sent("isolate_host")
    assert [(call.arguments["host"].id, call.arguments["reason"]) for call in sent] == [("id-pc1", "r")]


@pytest.mark.language("action", "retry", runs=True)
@pytest.mark.language("action", "retry.attempts", runs=True)
@pytest.mark.language("action", "retry.wait", runs=True)
@pytest.mark.language("action", "retry.factor", runs=True)
@pytest.mark.language("action", "retry.max_wait", runs=True)
async def test_an_action_is_tried_again_as_it_says(harness: RunHarness) -> None:
    """So many attempts, waits that grow by the factor up to the longest, a fifth more or less."""
    harness.world.script("list_alerts", *[Unavailable("busy")] * 5)
    policy = "{attempts: 4, wait: 10s, factor: 3, max_wait: 50s}"
    outcome = await harness.run(f"id: t\nsteps: [{{id: a, action: edr.list_alerts, retry: {policy}}}]\n")

    waits = [(event.due_at - at).total_seconds() for event, at in times_of(outcome, RetryScheduled)]
    assert [round(wait / usual, 1) for wait, usual in zip(waits, (10, 30, 50), strict=True)] == pytest.approx(
        [1, 1, 1], abs=0.2
    )
    assert len(harness.world.called("list_alerts")) == 4
    assert outcome.node("a").status.value == "failed"


@pytest.mark.language("action", "retry.kinds", runs=True)
@pytest.mark.parametrize(("kinds", "attempts"), [("[unavailable]", 2), ("[rate_limited]", 1)])
async def test_only_the_kinds_that_are_named_are_retried(harness: RunHarness, kinds: str, attempts: int) -> None:
    """Another error fails the step at once."""
    harness.world.script("list_alerts", Unavailable("busy"))
    await harness.run(f"id: t\nsteps: [{{action: edr.list_alerts, retry: {{kinds: {kinds}}}}}]\n")

    assert len(harness.world.called("list_alerts")) == attempts


@pytest.mark.language("action", "timeout", runs=True)
def test_an_attempt_lasts_no_longer_than_its_timeout() -> None:
    """What never answers has failed with `timeout`, and is tried again as such."""

    async def main() -> tuple[Outcome, float]:
        clock = asyncio.get_running_loop().clock  # type: ignore[attr-defined]  # of the world it runs in
        harness = RunHarness(clock=clock)
        harness.world.script("list_alerts", *[Fault("hang")] * 2)
        text = "id: t\nsteps: [{id: a, action: edr.list_alerts, timeout: 40s, retry: {attempts: 2, wait: 1s}}]\n"
        return await harness.run(text), clock.real_s

    outcome, took_s = run_virtually(main())

    assert outcome.node("a").status.value == "failed"
    assert [event.error.kind for event in outcome.of(ActionFailed)] == ["timeout", "timeout"]
    assert 80 < took_s < 83


@pytest.mark.language("action", "hold", runs=True)
@pytest.mark.parametrize("hold", ["8h", "'{{ inputs.hours }}h'"])
async def test_a_held_change_has_an_end(harness: RunHarness, hold: str) -> None:
    """The time is counted from when the change was about to be sent, and kept with the hold."""
    head = "id: t\ninputs: {hours: {type: integer, default: 8}}\n"
    outcome = await harness.run(f"{head}steps:\n  {FIND}\n  - {{{ISOLATE}, hold: {hold}}}\n")

    opened = [(event.expires_at - at).total_seconds() for event, at in times_of(outcome, HoldsOpened)]
    assert opened == [pytest.approx(8 * 3600, abs=1)]
    assert harness.holds() == {"pc1": "active"}


@pytest.mark.language("action", "hold", runs=True)
async def test_a_held_change_is_undone_when_its_time_is_over(harness: RunHarness, project: Project) -> None:
    """By the declared inverse, by whoever works for the project then, and not before."""
    app = project(f"id: it\nsteps:\n  {FIND}\n  - {{{ISOLATE}, hold: 8h}}\n")
    await app.start_run("it", {}, actor="mei", mode="live")
    app.clock.advance(7 * 3600)
    assert app.due().holds == []

    app.clock.advance(3600)
    for hold in app.due().holds:
        await app.release_due([hold])

    assert [call.verb for call in harness.world.sent()] == ["isolate_host", "release_host"]
    assert harness.world.isolation["fake", "id-pc1"] == "normal"
    assert app.due().holds == []


@pytest.mark.language("action", "undo", runs=True)
async def test_a_change_that_is_not_to_be_undone_is_done(harness: RunHarness) -> None:
    """`undo: none` keeps no hold, so nothing offers to release it."""
    await harness.run(f"id: t\nsteps:\n  {FIND}\n  - {{{ISOLATE}, undo: none}}\n")

    assert harness.holds() == {"pc1": "done"}


@pytest.mark.language("action", "undo", runs=True)
@pytest.mark.language("action", "undo.action", runs=True)
@pytest.mark.language("action", "undo.with", runs=True)
async def test_a_change_can_name_what_undoes_it(harness: RunHarness) -> None:
    """Its arguments can read what the change gave; a release then calls that instead of the declared inverse."""
    undo = "{action: edr.release_host, with: {host: '{{ steps.find }}', reason: 'was {{ steps.cut.state }}'}}"
    outcome = await harness.run(
        f"id: t\nsteps:\n  {FIND}\n  - {{{ISOLATE}, undo: {undo}}}\n  - {{id: free, release: steps.find}}\n"
    )

    assert outcome.status == "succeeded"
    assert [call.arguments["reason"] for call in harness.world.sent("release_host")] == ["was isolated"]


@pytest.mark.language("action", "at", runs=True)
@pytest.mark.parametrize(("at", "asked"), [("'north'", ["north"]), ("['north', 'south']", ["north", "south"])])
async def test_at_limits_an_action_to_instances(at: str, asked: list[str]) -> None:
    """The others are not asked."""
    harness = RunHarness()
    harness.instances = {name: fake_connector(harness.world) for name in ("north", "south", "west")}
    outcome = await harness.run(f'id: t\nsteps: [{{action: edr.list_alerts, at: "{at}"}}]\n')

    assert outcome.status == "succeeded"
    assert sorted(call.instance for call in harness.world.called("list_alerts")) == asked


async def test_at_takes_a_tag_of_the_project() -> None:
    """`tag:plant` stands for every instance that the project gives this word; an unknown one names the known."""
    harness = RunHarness(tags={"north": ("plant",), "south": ("plant", "japan"), "west": ()})
    harness.instances = {name: fake_connector(harness.world) for name in ("north", "south", "west")}
    outcome = await harness.run("id: t\nsteps: [{action: edr.list_alerts, at: \"'tag:plant'\"}]\n")

    assert outcome.status == "succeeded"
    assert sorted(call.instance for call in harness.world.called("list_alerts")) == ["north", "south"]
    outcome = await harness.run("id: t\nsteps: [{id: a, action: edr.list_alerts, at: \"'tag:plants'\"}]\n", run="run-2")
    assert outcome.status == "failed"
    assert "tag:japan, tag:plant" in str(outcome.node("a").error)


SKIPPING = """id: t
steps:
  - {id: who, action: identity.get_user, with: {name: mei}}
  - {id: end, action: identity.revoke_sessions, with: {user: "{{ steps.who }}", reason: r}, if_unsupported: skip}
  - {id: off, action: identity.disable_user, with: {user: "{{ steps.who }}", reason: r}}
"""


@pytest.mark.language("action", "if_unsupported", runs=True)
@pytest.mark.parametrize("others", [False, True])
async def test_what_a_product_cannot_do_is_skipped_if_the_step_says_so(others: bool) -> None:
    """Whether nobody here can do it or only another one could: the reason is recorded, and the run goes on."""
    harness = RunHarness()
    harness.instances = {"ad": fake_connector(harness.world, "ad", without=("revoke_sessions",))}
    if others:
        harness.instances["entra"] = fake_connector(harness.world, "entra")
    harness.world.add_user("mei", instance="ad")
    outcome = await harness.run(SKIPPING)

    assert outcome.status == "succeeded"
    assert outcome.steps() == {"who": "succeeded", "end": "skipped", "off": "succeeded"}
    assert [event.reason for event in outcome.of(StepSkipped)] == [
        "ad does not support identity.revoke_sessions"
        if others
        else "no connector of this project supports identity.revoke_sessions"
    ]
    assert harness.world.sent("revoke_sessions") == []


async def test_the_owner_that_can_do_it_does_it() -> None:
    """`if_unsupported: skip` skips nothing where the product that owns the account supports the action."""
    harness = RunHarness()
    harness.instances = {
        "ad": fake_connector(harness.world, "ad", without=("revoke_sessions",)),
        "entra": fake_connector(harness.world, "entra"),
    }
    harness.world.add_user("mei", instance="entra")
    outcome = await harness.run(SKIPPING)

    assert outcome.steps() == {"who": "succeeded", "end": "succeeded", "off": "succeeded"}
    assert [call.instance for call in harness.world.sent("revoke_sessions")] == ["entra"]


async def test_without_the_key_a_product_that_cannot_do_it_fails_the_step() -> None:
    """Nothing is skipped silently."""
    harness = RunHarness()
    harness.instances = {
        "ad": fake_connector(harness.world, "ad", without=("revoke_sessions",)),
        "entra": fake_connector(harness.world, "entra"),
    }
    harness.world.add_user("mei", instance="ad")
    outcome = await harness.run(SKIPPING.replace(", if_unsupported: skip", ""))

    assert outcome.status == "failed"
    assert outcome.steps()["end"] == "failed"


def test_the_output_of_a_step_that_may_be_skipped_needs_care(codes_of_step: Codes) -> None:
    """Reading it as if it were surely there is refused."""
    who = "  - {id: who, action: identity.get_user, with: {name: mei}, needs: []}\n"
    end = "  - {id: end, action: identity.revoke_sessions, with: {user: '{{ steps.who }}', reason: r}, needs: [who]"
    reads = "set: {from: steps.end.valid_from}\nneeds: [end]"

    assert codes_of_step(reads, who + end + "}\n") == []
    assert codes_of_step(reads, who + end + ", if_unsupported: skip}\n") == ["maybe-missing"]
