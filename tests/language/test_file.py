"""The keys of a playbook's file."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from hikeshi.app import Hikeshi, KeyHeld
from hikeshi.connector.errors import NotFound
from hikeshi.core import RunState
from hikeshi.testing.fake_connector import Call
from hikeshi.testing.run_harness import Outcome, RunHarness

Codes = Callable[..., list[str]]
Project = Callable[[str], Hikeshi]

ONE = "steps: [{set: {a: '1'}}]\n"
POLL = "triggers: [{id: t, poll: {action: edr.get_host, with: {name: a}, every: 1m}}]\n"
HOOK = "inputs: {a: {type: string}}\ntriggers: [{id: t, webhook: w}]\n"


def refuses(key: str, text: str, code: str) -> Any:
    return pytest.param(text, code, id=key, marks=pytest.mark.language("the file", key, refuses=True))


@pytest.mark.parametrize(
    ("text", "code"),
    [
        refuses("id", "id: Big\n" + ONE, "wrong-value"),
        refuses("id", ONE, "missing-key"),
        refuses("name", "id: p\nname: 5\n" + ONE, "wrong-type"),
        refuses("version", "id: p\nversion: 0\n" + ONE, "wrong-value"),
        refuses("version", "id: p\nversion: 1.2\n" + ONE, "wrong-type"),
        refuses("description", "id: p\ndescription: [a]\n" + ONE, "wrong-type"),
        refuses("phase", "id: p\nphase: containn\n" + ONE, "wrong-value"),
        refuses("severity", "id: p\nseverity: hihg\n" + ONE, "wrong-value"),
        refuses("attack", "id: p\nattack: [T14]\n" + ONE, "wrong-value"),
        refuses("owner", "id: p\nowner: 7\n" + ONE, "wrong-type"),
        refuses("tags", "id: p\ntags: [a, a]\n" + ONE, "wrong-value"),
        refuses("references", "id: p\nreferences: []\n" + ONE, "wrong-value"),
        refuses("inputs", "id: p\ninputs: {Host: {type: host}}\n" + ONE, "bad-id"),
        refuses("vars", "id: p\nvars: {b: '{{ vars.c }}', c: 1}\n" + ONE, "not-before"),
        refuses("vars", "id: p\nvars: {b: '{{ steps.x }}'}\n" + ONE, "unknown-name"),
        refuses("triggers", "id: p\ntriggers: [{id: t}]\n" + ONE, "trigger-kind"),
        refuses("triggers", "id: p\ntriggers: [{id: t, schedule: '0 25 * * *'}]\n" + ONE, "wrong-value"),
        refuses("triggers", "id: p\n" + POLL + ONE, "poll-without-list"),
        refuses("triggers", "id: p\n" + HOOK + ONE, "missing-input"),
        refuses("steps", "id: p\n", "missing-key"),
        refuses("steps", "id: p\nsteps: []\n", "empty-list"),
        refuses("on_failure", "id: p\non_failure: []\n" + ONE, "empty-list"),
        refuses("finally", "id: p\nfinally: {a: 1}\n" + ONE, "wrong-type"),
        refuses("outputs", "id: p\noutputs: {b: '{{ steps.nope }}'}\n" + ONE, "unknown-step"),
        refuses("timeout", "id: p\ntimeout: 30\n" + ONE, "wrong-type"),
        refuses("concurrency", "id: p\nconcurrency: queue\n" + ONE, "wrong-type"),
        refuses("concurrency.key", "id: p\nconcurrency: {on_conflict: join}\n" + ONE, "missing-key"),
        refuses("concurrency.key", "id: p\nconcurrency: {key: '{{ steps.x }}'}\n" + ONE, "unknown-name"),
        refuses("concurrency.key", "id: p\nvars: {b: 1}\nconcurrency: {key: '{{ vars.b }}'}\n" + ONE, "unknown-name"),
        refuses("concurrency.key", "id: p\nconcurrency: {key: '{{ run.id }}'}\n" + ONE, "unknown-name"),
        refuses("concurrency.on_conflict", "id: p\nconcurrency: {key: k, on_conflict: wait}\n" + ONE, "wrong-value"),
    ],
)  # fmt: skip
def test_a_file_that_is_written_wrong_is_refused(codes: Codes, text: str, code: str) -> None:
    """One mistake is one problem."""
    assert codes(text) == [code]


def told(outcome: Outcome) -> list[tuple[str, str, str]]:
    """Return what happened after the start, which holds the text itself."""
    return [(record.kind, record.path, repr(record.data)) for record in outcome.records[1:]]


@pytest.mark.language("the file", "id", runs=True)
@pytest.mark.language("the file", "name", runs=True)
@pytest.mark.language("the file", "version", runs=True)
@pytest.mark.language("the file", "description", runs=True)
@pytest.mark.language("the file", "phase", runs=True)
@pytest.mark.language("the file", "severity", runs=True)
@pytest.mark.language("the file", "attack", runs=True)
@pytest.mark.language("the file", "owner", runs=True)
@pytest.mark.language("the file", "tags", runs=True)
@pytest.mark.language("the file", "references", runs=True)
async def test_what_is_for_people_changes_nothing_in_a_run() -> None:
    """It is kept with the run, and the run does exactly the same."""
    body = "id: cut-off\nsteps: [{id: find, action: edr.get_host, with: {name: pc1}}]\n"
    words = (
        "name: Cut it off\nversion: 3\ndescription: Long\nphase: contain\nseverity: high\nattack: [T1486]\n"
        "owner: soc@example.com\ntags: [a]\nreferences: [https://example.com]\n"
    )
    plain, worded = RunHarness(), RunHarness()
    for harness in (plain, worded):
        harness.world.add_host("pc1")

    bare, full = await plain.run(body), await worded.run(body + words)

    assert told(full) == told(bare)
    assert full.events[0].playbook == "cut-off"  # type: ignore[attr-defined]  # it is RunStarted
    kept = worded.programs["run-1"].root
    assert (kept.id, kept.name, kept.version, kept.description) == ("cut-off", "Cut it off", 3, "Long")
    assert (kept.phase, kept.severity, kept.attack, kept.owner) == ("contain", "high", ("T1486",), "soc@example.com")
    assert (kept.tags, kept.references) == (("a",), ("https://example.com",))
    assert (bare.status, full.status) == ("succeeded", "succeeded")


@pytest.mark.language("the file", "inputs", runs=True)
@pytest.mark.language("the file", "vars", runs=True)
@pytest.mark.language("the file", "steps", runs=True)
@pytest.mark.language("the file", "outputs", runs=True)
async def test_a_playbook_goes_from_inputs_to_outputs(harness: RunHarness) -> None:
    """Inputs are normalised once, variables computed in order, outputs at the end."""
    outcome = await harness.run(
        """
id: t
inputs: {host: {type: hostname}, hours: {type: duration, default: 8h}}
vars: {upper: "{{ inputs.host | upper }}", text: "{{ vars.upper }} for {{ inputs.hours }} s"}
steps: [{id: a, set: {said: vars.text}}]
outputs: {said: "{{ steps.a.said }}", hours: "{{ inputs.hours }}"}
""",
        inputs={"host": "PC1."},
    )

    assert outcome.outputs == {"said": "PC1 for 28800 s", "hours": 28800}


@pytest.mark.language("the file", "on_failure", runs=True)
@pytest.mark.language("the file", "finally", runs=True)
@pytest.mark.parametrize(("fails", "expected"), [(True, ["on_failure.sorry", "finally.bye"]), (False, ["finally.bye"])])
async def test_on_failure_runs_after_a_failure_and_finally_always(
    harness: RunHarness, fails: bool, expected: list[str]
) -> None:
    """Each once, in this order."""
    if fails:
        harness.world.script("find_hosts", NotFound("gone"))
    outcome = await harness.run("""
id: t
steps: [{id: find, action: edr.get_host, with: {name: pc1}}]
on_failure: [{id: sorry, set: {a: "1"}}]
finally: [{id: bye, set: {b: "1"}}]
""")

    assert [path for path, status in outcome.steps().items() if path != "find" and status == "succeeded"] == expected
    assert outcome.status == ("failed" if fails else "succeeded")


@pytest.mark.language("the file", "timeout", runs=True)
async def test_a_run_that_takes_too_long_is_cancelled(harness: RunHarness) -> None:
    """Nothing more starts, what waits ends, what was done stays and is listed, and `finally` runs."""
    outcome = await harness.run("""
id: t
timeout: 1h
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: cut, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - {id: long, wait: 2h}
  - {id: never, action: edr.list_alerts}
finally: [{id: bye, set: {a: status.long}}]
""")

    assert outcome.status == "cancelled"
    assert outcome.node("long").status.value == "cancelled"
    assert outcome.node("finally.bye").output == {"a": "cancelled"}
    assert harness.world.called("list_alerts") == []
    assert harness.holds() == {"pc1": "active"}
    assert (outcome.records[-1].at - outcome.records[0].at).total_seconds() == pytest.approx(3600, abs=31)


KEYED = """
id: it
inputs: {name: {type: hostname}, more: {type: integer, default: 0}}
concurrency: {key: "{{ inputs.name }}", on_conflict: CONFLICT}
steps: [{id: find, action: edr.get_host, with: {name: "{{ inputs.name }}"}}]
"""


class Gate:
    """Keeps the first lookup of a host from being answered until it is opened."""

    def __init__(self, harness: RunHarness) -> None:
        self.open, self.reached = asyncio.Event(), asyncio.Event()
        self.asked: list[str] = []
        harness.world.on_call = self.ask

    async def ask(self, call: Call) -> None:
        self.asked.append(call.arguments["name"])
        self.reached.set()
        if len(self.asked) == 1:
            await self.open.wait()

    async def closed_on(self, run: Awaitable[RunState]) -> asyncio.Task[RunState]:
        """Begin a run, and return when it has come to the gate."""
        task = asyncio.ensure_future(run)
        await self.reached.wait()
        return task


@pytest.mark.language("the file", "concurrency", runs=True)
@pytest.mark.language("the file", "concurrency.key", runs=True)
@pytest.mark.language("the file", "concurrency.on_conflict", runs=True)
async def test_a_run_of_the_same_key_waits_for_its_turn(harness: RunHarness, project: Project) -> None:
    """One of another key does not."""
    app, gate = project(KEYED.replace("CONFLICT", "queue")), Gate(harness)
    first = await gate.closed_on(app.start_run("it", {"name": "pc1"}, actor="mei", mode="live"))
    second = asyncio.ensure_future(app.start_run("it", {"name": "pc1"}, actor="mei", mode="live"))

    other = await app.start_run("it", {"name": "pc2"}, actor="mei", mode="live")
    assert other.status.value == "succeeded"
    assert gate.asked == ["pc1", "pc2"]
    gate.open.set()

    assert [state.status.value for state in await asyncio.gather(first, second)] == ["succeeded", "succeeded"]
    assert gate.asked == ["pc1", "pc2", "pc1"]


@pytest.mark.language("the file", "concurrency.on_conflict", runs=True)
async def test_a_run_of_the_same_key_joins_the_one_that_is_under_way(harness: RunHarness, project: Project) -> None:
    """What is asked for again is not done again."""
    app, gate = project(KEYED.replace("CONFLICT", "join")), Gate(harness)
    first = await gate.closed_on(app.start_run("it", {"name": "pc1"}, actor="mei", mode="live"))

    joined = await app.start_run("it", {"name": "pc1"}, actor="ken", mode="live")
    gate.open.set()

    assert (await first).run == joined.run
    assert gate.asked == ["pc1"]


@pytest.mark.language("the file", "concurrency.on_conflict", runs=True)
async def test_a_run_with_other_inputs_joins_none(harness: RunHarness, project: Project) -> None:
    """It is another run, so it waits for its turn."""
    app, gate = project(KEYED.replace("CONFLICT", "join")), Gate(harness)
    first = await gate.closed_on(app.start_run("it", {"name": "pc1"}, actor="mei", mode="live"))

    different = asyncio.ensure_future(app.start_run("it", {"name": "pc1", "more": 1}, actor="ken", mode="live"))
    await asyncio.sleep(0.05)
    assert gate.asked == ["pc1"]
    gate.open.set()

    assert (await different).run != (await first).run
    assert gate.asked == ["pc1", "pc1"]


@pytest.mark.language("the file", "concurrency.on_conflict", runs=True)
async def test_a_run_of_the_same_key_is_rejected(harness: RunHarness, project: Project) -> None:
    """It is not started, and may be when the other one has ended."""
    app, gate = project(KEYED.replace("CONFLICT", "reject")), Gate(harness)
    first = await gate.closed_on(app.start_run("it", {"name": "pc1"}, actor="mei", mode="live"))

    with pytest.raises(KeyHeld):
        await app.start_run("it", {"name": "pc1"}, actor="mei", mode="live")
    gate.open.set()
    await first

    again = await app.start_run("it", {"name": "pc1"}, actor="mei", mode="live")
    assert again.status.value == "succeeded"
    assert gate.asked == ["pc1", "pc1"]
