"""What a failure does: it blocks what needs it, calls handlers, and lets everything else run."""

from hikeshi.connector import Forbidden
from hikeshi.core import StepStatus
from hikeshi.core import events as ev
from hikeshi.testing.fake_connector import Call
from hikeshi.testing.run_harness import Outcome, RunHarness

BAD = 'set: {bad: "1 / 0"}'


def started(outcome: Outcome, kind: type[ev.Event]) -> list[str]:
    return [event.path for event in outcome.of(kind)]


async def test_a_failed_step_blocks_what_needs_it_directly_or_not(harness: RunHarness) -> None:
    """Blocking is transitive, and a blocked step says whom it needed."""
    outcome = await harness.run(f"""
id: t
steps:
  - {{id: a, {BAD}}}
  - {{id: b, set: {{x: "1"}}}}
  - {{id: c, set: {{y: "1"}}}}
  - {{id: d, needs: [], set: {{z: "1"}}}}
""")
    assert outcome.steps() == {"a": "failed", "b": "blocked", "c": "blocked", "d": "succeeded"}
    assert outcome.node("b").reason == "needs 'a', which failed"
    assert (outcome.status, outcome.state.failures) == ("failed", ["a"])


async def test_siblings_under_way_are_never_cancelled(harness: RunHarness) -> None:
    """A failure lets what runs beside it run to its end, and what needs that start."""

    async def slow(call: Call) -> None:
        await harness.clock.sleep(60)

    harness.world.on_call = slow
    outcome = await harness.run(f"""
id: t
steps:
  - id: both
    parallel:
      - {{id: bad, {BAD}}}
      - id: good
        steps:
          - {{id: one, action: edr.get_host, with: {{name: pc1}}}}
          - {{id: two, action: edr.get_host, with: {{name: pc2}}}}
  - {{id: after, set: {{x: "1"}}}}
""")
    assert outcome.steps() == {
        "both": "failed",
        "both.bad": "failed",
        "both.good": "succeeded",
        "both.good.one": "succeeded",
        "both.good.two": "succeeded",
        "after": "blocked",
    }


async def test_continue_lets_dependents_run_and_the_run_ends_failed(harness: RunHarness) -> None:
    """`on_error: continue` is no success: it only blocks nothing."""
    outcome = await harness.run(f"""
id: t
steps:
  - {{id: a, {BAD}, on_error: continue}}
  - {{id: b, set: {{x: "errors.a.kind"}}}}
outputs: {{kind: "{{{{ steps.b.x }}}}"}}
""")
    assert outcome.steps() == {"a": "failed", "b": "succeeded"}
    assert outcome.outputs == {"kind": "expression"}
    assert outcome.status == "failed"


async def test_continue_on_a_blocked_step_does_not_unblock_what_needs_it(harness: RunHarness) -> None:
    """`continue` speaks of the step's own failure, not of one before it that nobody continued."""
    outcome = await harness.run(f"""
id: t
steps:
  - {{id: safety, {BAD}}}
  - {{id: tell, action: messaging.post, with: {{channel: c, text: x}}, on_error: continue}}
  - {{id: isolate, set: {{x: "1"}}}}
""")
    assert outcome.steps() == {"safety": "failed", "tell": "blocked", "isolate": "blocked"}


async def test_a_handler_sees_the_error_and_the_step_stays_failed(harness: RunHarness) -> None:
    """`on_error` steps run with `error`; what needs the step stays blocked."""
    outcome = await harness.run("""
id: t
steps:
  - id: find
    action: edr.get_host
    with: {name: nobody}
    on_error:
      - {id: note, set: {text: "error.kind ~ ': ' ~ error.message"}}
      - {id: again, set: {more: "steps.note.text | length"}}
  - {id: after, set: {x: "1"}}
""")
    assert outcome.status_of("find") is StepStatus.FAILED
    assert outcome.status_of("after") is StepStatus.BLOCKED
    noted = outcome.of(ev.ValuesSet, "find.on_error.note")[0].values["text"]
    assert noted == "not_found: no host 'nobody' in fake"
    assert outcome.status_of("find.on_error.again") is StepStatus.SUCCEEDED


async def test_a_handler_then_continue_lets_dependents_run_after_it(harness: RunHarness) -> None:
    """With `then: continue` what needs the step waits for the handler, then runs."""
    outcome = await harness.run(f"""
id: t
steps:
  - id: a
    {BAD}
    on_error:
      then: continue
      steps: [{{id: h, action: edr.get_host, with: {{name: pc1}}}}]
  - {{id: b, set: {{x: "steps.h.name | default('none')"}}}}
""")
    paths = [event.path for event in outcome.events]
    assert outcome.status_of("b") is StepStatus.SUCCEEDED
    assert paths.index("b") > max(at for at, path in enumerate(paths) if path == "a.on_error.h")
    assert outcome.status == "failed"


async def test_a_handler_does_not_run_for_a_step_that_succeeded_was_skipped_or_blocked(harness: RunHarness) -> None:
    """Only a failure of the step itself calls its handler."""
    outcome = await harness.run(f"""
id: t
steps:
  - {{id: good, set: {{x: "1"}}, on_error: [{{set: {{h1: "1"}}}}]}}
  - {{id: skipped, when: "false", set: {{y: "1"}}, on_error: [{{set: {{h2: "1"}}}}]}}
  - {{id: bad, {BAD}}}
  - {{id: blocked, set: {{z: "1"}}, on_error: [{{set: {{h3: "1"}}}}]}}
""")
    assert outcome.of(ev.HandlerStarted) == []
    assert outcome.steps() == {"good": "succeeded", "skipped": "skipped", "bad": "failed", "blocked": "blocked"}


async def test_a_failing_handler_keeps_the_error_of_the_step(harness: RunHarness) -> None:
    """The handler's own failure is one more failure, and does not hide the first."""
    outcome = await harness.run(f"""
id: t
steps:
  - {{id: a, action: edr.get_host, with: {{name: nobody}}, on_error: [{{id: h, {BAD}}}]}}
""")
    assert outcome.state.failures == ["a", "a.on_error.h"]
    assert outcome.node("a").error is not None
    assert outcome.node("a").error.kind == "not_found"  # type: ignore[union-attr]


async def test_a_handler_of_a_loop_runs_once_after_all_items(harness: RunHarness) -> None:
    """`on_error` of a loop belongs to the loop, not to each item."""
    outcome = await harness.run("""
id: t
steps:
  - id: loop
    for_each: "[0, 1, 2]"
    steps: [{id: s, set: {x: "1 / (item - item)"}}]
    on_error: [{id: h, set: {kind: "error.kind"}}]
""")
    assert started(outcome, ev.HandlerStarted) == ["loop"]
    assert outcome.of(ev.ValuesSet, "loop.on_error.h")[0].values == {"kind": "expression"}
    paths = [event.path for event in outcome.events]
    assert paths.index("loop.on_error.h") > paths.index("loop[2].s")


async def test_a_failed_notification_blocks_nothing_and_the_run_ends_failed(harness: RunHarness) -> None:
    """A dead chat server can't stop a containment."""
    harness.world.script("post", Forbidden("no"))
    outcome = await harness.run("""
id: t
steps:
  - {id: tell, action: messaging.post, with: {channel: c, text: hello}}
  - {id: host, action: edr.get_host, with: {name: pc1}}
  - {id: isolate, action: edr.isolate_host, with: {host: "{{ steps.host }}", reason: r}}
""")
    assert outcome.status_of("tell") is StepStatus.FAILED
    assert outcome.status_of("isolate") is StepStatus.SUCCEEDED
    assert (outcome.status, outcome.state.failures) == ("failed", ["tell[fake]"])


async def test_a_failed_notification_inside_a_block_or_loop_blocks_nothing_either(harness: RunHarness) -> None:
    """What holds nothing but a failed notification does not block what needs it."""
    harness.world.script("post", Forbidden("no"), Forbidden("no"), Forbidden("no"))
    outcome = await harness.run("""
id: t
steps:
  - id: block
    steps: [{id: tell, action: messaging.post, with: {channel: c, text: one}}]
  - id: loop
    for_each: "[1, 2]"
    action: messaging.post
    with: {channel: c, text: "{{ item }}!"}
  - {id: after, set: {x: "1"}}
""")
    assert outcome.status_of("block") is StepStatus.FAILED
    assert outcome.status_of("loop") is StepStatus.FAILED
    assert outcome.status_of("after") is StepStatus.SUCCEEDED
    assert outcome.status == "failed"


async def test_a_block_with_a_failed_notification_and_a_failed_step_blocks(harness: RunHarness) -> None:
    """The notification excuses itself only."""
    harness.world.script("post", Forbidden("no"))
    outcome = await harness.run(f"""
id: t
steps:
  - parallel:
      - {{action: messaging.post, with: {{channel: c, text: one}}}}
      - {{{BAD}}}
  - {{id: after, set: {{x: "1"}}}}
""")
    assert outcome.status_of("after") is StepStatus.BLOCKED


async def test_on_failure_runs_once_and_at_once(harness: RunHarness) -> None:
    """At the first failure that nothing continued, `on_failure` runs beside what still runs."""

    async def slow(call: Call) -> None:
        if call.verb == "find_hosts":
            await harness.clock.sleep(600)

    harness.world.on_call = slow
    outcome = await harness.run(f"""
id: t
steps:
  - parallel:
      - {{id: bad1, {BAD}}}
      - {{id: bad2, set: {{other: "1 / 0"}}}}
      - {{id: slow, action: edr.find_hosts, with: {{name: pc1}}}}
on_failure:
  - {{id: alarm, action: messaging.post, with: {{channel: c, text: help}}}}
finally:
  - {{id: end, set: {{x: "status.slow"}}}}
""")
    paths = [event.path for event in outcome.events]
    assert started(outcome, ev.OnFailureStarted) == [""]
    told = paths.index("on_failure.alarm[fake]")
    slow_answered = max(at for at, path in enumerate(paths) if path == "steps[0].slow")
    assert told < slow_answered
    assert outcome.of(ev.ValuesSet, "finally.end")[0].values == {"x": "succeeded"}
    assert outcome.state.failures == ["steps[0].bad1", "steps[0].bad2"]


async def test_on_failure_does_not_run_for_a_failure_that_is_continued(harness: RunHarness) -> None:
    """What `continue` continued, a loop's limit allowed, or a block's `continue` covers calls no `on_failure`."""
    outcome = await harness.run(f"""
id: t
steps:
  - {{id: a, {BAD}, on_error: continue}}
  - {{id: loop, for_each: "[0, 1]", max_failures: 1, steps: [{{set: {{x: "1 / item"}}}}]}}
  - id: block
    on_error: continue
    steps: [{{set: {{y: "1 / 0"}}}}]
on_failure: [{{id: alarm, set: {{z: "1"}}}}]
""")
    assert outcome.of(ev.OnFailureStarted) == []
    assert outcome.status == "failed"


async def test_on_failure_runs_when_a_loop_has_failed_at_its_end(harness: RunHarness) -> None:
    """A loop decides at its end whether it has failed, and then it counts."""
    outcome = await harness.run("""
id: t
steps:
  - {id: loop, for_each: "[0, 1, 2]", concurrency: 1, steps: [{id: s, set: {x: "1 / item"}}]}
on_failure: [{id: alarm, set: {z: "1"}}]
""")
    paths = [event.path for event in outcome.events]
    assert paths.index("on_failure.alarm") > paths.index("loop[2].s")
    assert len(outcome.of(ev.OnFailureStarted)) == 1


async def test_finally_runs_after_success_failure_and_on_failure(harness: RunHarness) -> None:
    """`finally` runs at the end, always, and after `on_failure`."""
    for bad, end in (("1", "succeeded"), ("1 / 0", "failed")):
        outcome = await harness.run(
            f"""
id: t
steps: [{{id: a, set: {{x: "{bad}"}}}}]
on_failure: [{{id: h, action: edr.get_host, with: {{name: pc1}}}}]
finally: [{{id: z, set: {{y: "status.a"}}}}]
""",
            run=f"run-{end}",
        )
        assert outcome.of(ev.ValuesSet, "finally.z")[0].values == {"y": end}
        assert [type(event).__name__ for event in outcome.events][-2:] == ["ValuesSet", "RunFinished"]
        assert outcome.status == end


async def test_a_failing_finally_makes_the_run_fail(harness: RunHarness) -> None:
    """What fails at the end is a failure too, and does not run `on_failure`."""
    outcome = await harness.run(f"""
id: t
steps: [{{id: a, set: {{x: "1"}}}}]
on_failure: [{{id: h, set: {{y: "1"}}}}]
finally: [{{id: z, {BAD}}}]
""")
    assert (outcome.status, outcome.state.failures) == ("failed", ["finally.z"])
    assert outcome.of(ev.OnFailureStarted) == []


async def test_an_output_that_cannot_be_computed_fails_a_run_that_was_good(harness: RunHarness) -> None:
    """A wrong output is an error with its name; the other outputs are still given."""
    outcome = await harness.run("""
id: t
steps: [{id: a, set: {x: "0"}}]
outputs: {good: "{{ steps.a.x }}", bad: "{{ 1 / steps.a.x }}"}
""")
    assert outcome.status == "failed"
    assert outcome.outputs == {"good": 0, "bad": None}
    assert outcome.state.error is not None
    assert "output 'bad' of 't'" in outcome.state.error.message


async def test_after_a_failure_an_output_that_cannot_be_computed_is_null(harness: RunHarness) -> None:
    """The failure is told once, by its cause."""
    outcome = await harness.run("""
id: t
steps: [{id: a, action: edr.get_host, with: {name: nobody}}]
outputs: {host: "{{ steps.a.name }}"}
""")
    assert (outcome.status, outcome.outputs, outcome.state.error) == ("failed", {"host": None}, None)


async def test_variables_that_cannot_be_computed_start_no_step_and_finally_runs(harness: RunHarness) -> None:
    """A playbook whose own variables fail does nothing but its `finally`."""
    outcome = await harness.run("""
id: t
vars: {x: "{{ 1 / 0 }}"}
steps: [{id: a, set: {y: "1"}}]
finally: [{id: z, set: {w: "1"}}]
""")
    assert outcome.steps() == {"a": "skipped", "finally.z": "succeeded"}
    assert outcome.status == "failed"
    assert outcome.state.error is not None
    assert "variable 'x' of 't'" in outcome.state.error.message


async def test_a_decision_that_cannot_be_stored_fails_its_step_and_not_the_run(harness: RunHarness) -> None:
    """Values grow deeper from step to step; the one that is too deep has failed, and the run goes on."""
    lines = ["id: t", "steps:", '  - {id: s0, set: {v0: "1"}}']
    for n in range(1, 8):
        lines.append(
            f'  - {{id: s{n}, on_error: continue, set: {{v{n}: "{"[" * 15}vars.v{n - 1} | default(1){"]" * 15}"}}}}'
        )
    lines += ["  - {id: last, set: {z: '1'}}", 'outputs: {deep: "{{ [[[[[[[[[[[vars.v6]]]]]]]]]]] }}"}']
    outcome = await harness.run("\n".join(lines))
    assert outcome.status_of("s6") is StepStatus.SUCCEEDED
    assert outcome.status_of("s7") is StepStatus.FAILED
    assert "nested deeper than 100 levels" in str(outcome.node("s7").error)
    assert outcome.status_of("last") is StepStatus.SUCCEEDED
    assert (outcome.status, outcome.outputs) == ("failed", {"deep": None})
