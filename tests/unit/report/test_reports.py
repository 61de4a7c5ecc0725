"""What people read afterwards: result, plan, timeline and the list of what was changed."""

import json

from hikeshi.connector import Forbidden
from hikeshi.core import events as ev
from hikeshi.report import changes, plan_report, run_report, timeline, tree
from hikeshi.testing.fake_connector import Fault
from hikeshi.testing.run_harness import RunHarness

TEXT = """
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - id: block
    steps:
      - {id: skipped, when: "false", set: {x: "1"}}
      - {id: tell, action: messaging.post, with: {channel: c, text: hi}}
finally:
  - {id: last, set: {y: "status.iso"}}
outputs: {state: "{{ steps.iso.state }}"}
"""


async def test_the_result_of_a_run_has_every_step_in_the_order_of_the_playbook(harness: RunHarness) -> None:
    """Parents come first, and the whole is plain JSON."""
    outcome = await harness.run(TEXT)
    report = run_report(outcome.state)
    assert list(report["steps"]) == [
        "find",
        "iso",
        "block",
        "block.skipped",
        "block.tell",
        "block.tell[fake]",
        "finally.last",
    ]
    assert (report["status"], report["outputs"], report["failures"], report["error"]) == (
        "succeeded",
        {"state": "isolated"},
        [],
        None,
    )
    assert report["steps"]["block.skipped"]["reason"] == "`when: false` is false"
    assert json.loads(json.dumps(report)) == report


async def test_an_error_that_a_later_attempt_overcame_is_not_shown(harness: RunHarness) -> None:
    """It is history; the timeline has it."""
    from hikeshi.connector import Unavailable

    harness.world.script("find_hosts", Unavailable("busy"))
    outcome = await harness.run(TEXT)
    step = run_report(outcome.state)["steps"]["find"]
    assert (step["status"], step["attempts"], step["error"]) == ("succeeded", 2, None)
    assert any("attempt 1 failed: busy" in entry.text for entry in timeline(outcome.records))


async def test_a_failure_says_what_did_and_did_not_happen(harness: RunHarness) -> None:
    """The step that failed, its error, and what was blocked by it."""
    harness.world.script("isolate_host", Fault("before", Forbidden("not allowed")))
    report = run_report((await harness.run(TEXT)).state)
    assert report["failures"] == ["iso"]
    assert report["steps"]["iso"]["error"] == {"kind": "forbidden", "message": "not allowed", "candidates": []}
    assert report["steps"]["block"]["status"] == "blocked"


async def test_the_timeline_has_one_line_for_each_record(harness: RunHarness) -> None:
    """In order, with the time of each, of a live run and of a plan."""
    for outcome in (await harness.run(TEXT), await harness.plan(TEXT)):
        entries = list(timeline(outcome.records))
        assert [entry.seq for entry in entries] == [record.seq for record in outcome.records]
        assert all(entry.text for entry in entries)
        assert entries[-1].text.startswith("run succeeded")


async def test_the_tree_gives_each_node_once_with_its_depth(harness: RunHarness) -> None:
    """Also of what is nested, fanned out and handled."""
    outcome = await harness.run(TEXT)
    found = [(depth, node.path) for depth, node in tree(outcome.state)]
    assert (1, "block.tell") in found
    assert (2, "block.tell[fake]") in found
    assert sorted(path for _, path in found) == sorted(outcome.state.nodes)


async def test_the_changes_of_a_run_are_what_became_of_each_target(harness: RunHarness) -> None:
    """Done, and told."""
    outcome = await harness.run(TEXT)
    found = [(change.path, change.target, change.outcome) for change in changes(outcome.state, outcome.records)]
    assert found == [("iso", "pc1", "done"), ("block.tell[fake]", "c", "done")]


async def test_a_change_that_a_person_resolved_has_the_outcome_that_was_found_out(harness: RunHarness) -> None:
    """`unknown` does not stay in the list of what was done."""
    harness.world.script("isolate_host", Fault("ignored"))
    waiting = await harness.run(TEXT)
    assert next(changes(waiting.state, waiting.records)).outcome == "unknown"
    outcome = await harness.go_on("run-1", ev.StepResolved("iso", True, "kei", {"state": "isolated"}))
    assert next(changes(outcome.state, outcome.records)).outcome == "done"


async def test_a_plan_of_a_playbook_that_may_stop_has_a_timeline(harness: RunHarness) -> None:
    """Even where its message is not known."""
    outcome = await harness.plan("""
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: pc1}}
  - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
  - {id: halt, stop: {status: failed, message: "{{ steps.iso.state }}"}}
""")
    assert any("stops the playbook as failed" in entry.text for entry in timeline(outcome.records))
    assert plan_report(outcome.state)["status"] == "failed"
