"""Plans: the same core, in which what cannot be known is never decided."""

from typing import Any

import pytest

from hikeshi.core import events as ev
from hikeshi.playbook.unknown import Unknown
from hikeshi.testing.run_harness import Outcome, RunHarness

pytestmark = pytest.mark.safety(5)

FIND = "- {id: find, action: edr.get_host, with: {name: pc1}}"
ISOLATE = '- {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}'


def planned(outcome: Outcome) -> dict[str, ev.ActionPlanned]:
    return {event.path: event for event in outcome.of(ev.ActionPlanned)}


async def test_reads_are_made_and_changes_and_notifications_are_not(harness: RunHarness) -> None:
    """Rule 1: only reads leave; what would be sent is recorded with its request and target."""
    outcome = await harness.plan(f"""
id: t
steps:
  {FIND}
  {ISOLATE}
  - {{id: tell, action: messaging.post, with: {{channel: c, text: hi}}}}
""")
    assert harness.world.sent() == []
    assert harness.world.isolation == {}
    assert harness.world.messages == []
    iso = planned(outcome)["iso"]
    assert (iso.connector, iso.target) == ("fake", {"identity": "fake:host:id-pc1", "label": "pc1"})
    assert [request["url"] for request in iso.requests] == ["http://fake.invalid/isolate_host"]
    assert list(planned(outcome)) == ["iso", "tell[fake]"]
    assert outcome.of(ev.ActionIntended) == []
    assert outcome.status == "succeeded"


async def test_the_output_of_a_planned_change_is_unknown(harness: RunHarness) -> None:
    """Rule 4: it is never guessed."""
    outcome = await harness.plan(f"""
id: t
steps:
  {FIND}
  {ISOLATE}
outputs: {{iso: "{{{{ steps.iso }}}}", state: "{{{{ steps.iso.state == 'isolated' }}}}"}}
""")
    assert isinstance(outcome.outputs["iso"], Unknown)
    assert isinstance(outcome.outputs["state"], Unknown)


async def test_a_goal_that_is_reached_already_is_known(harness: RunHarness) -> None:
    """Nothing would be sent, so its output is what was read."""
    harness.world.isolation["fake", "id-pc1"] = "isolated"
    outcome = await harness.plan(f"id: t\nsteps:\n  {FIND}\n  {ISOLATE}\noutputs: {{s: '{{{{ steps.iso.state }}}}'}}\n")
    iso = planned(outcome)["iso"]
    assert (iso.already, iso.requests, iso.complete, iso.not_checked) == (True, [], True, [])
    assert outcome.outputs == {"s": "isolated"}


async def test_an_unknown_condition_is_maybe_and_says_its_text(harness: RunHarness) -> None:
    """Rule 5: it is shown, never decided."""
    from hikeshi.report import plan_report

    outcome = await harness.plan(f"""
id: t
steps:
  {FIND}
  {ISOLATE}
  - id: tell
    when: "steps.iso.state == 'isolated'"
    action: messaging.post
    with: {{channel: c, text: hi}}
""")
    assert outcome.node("tell").maybe is True
    shown = {action["path"]: action for action in plan_report(outcome.state)["actions"]}
    assert (shown["tell[fake]"]["certainty"], shown["iso"]["certainty"]) == ("maybe", "certain")
    assert shown["tell[fake]"]["condition"] == "if steps.iso.state == 'isolated'"


async def test_a_loop_over_an_unknown_list_is_one_maybe_pass(harness: RunHarness) -> None:
    """What it does is shown once, for an unknown item; an action with an unknown argument is not called."""
    outcome = await harness.plan(f"""
id: t
steps:
  {FIND}
  {ISOLATE}
  - id: loop
    for_each: "[steps.iso.host_id] if steps.iso.state == 'isolated' else []"
    action: messaging.post
    with: {{channel: "{{{{ item }}}}", text: hi}}
outputs: {{loop: "{{{{ steps.loop }}}}"}}
""")
    assert outcome.of(ev.LoopStarted)[0].more_unknown is True
    only = planned(outcome)["loop[0][fake]"]
    assert (only.requests, only.complete) == ([], False)
    assert outcome.node("loop").maybe is True
    assert isinstance(outcome.outputs["loop"], Unknown)


async def test_an_unknown_list_in_batches_is_one_batch_of_one_unknown(harness: RunHarness) -> None:
    """An item of a batched loop stays a list."""
    outcome = await harness.plan(f"""
id: t
steps:
  {FIND}
  {ISOLATE}
  - id: loop
    for_each: "steps.iso.host_id"
    batch: 5
    steps: [{{id: s, set: {{n: "item"}}}}]
""")
    (item,) = outcome.of(ev.LoopStarted)[0].items
    assert isinstance(item, list)
    assert isinstance(item[0], Unknown)


async def test_an_action_with_an_unknown_argument_is_not_called(harness: RunHarness) -> None:
    """Not even a read: asking for something unknown is asking for something else."""
    outcome = await harness.plan(f"""
id: t
steps:
  {FIND}
  {ISOLATE}
  - {{id: again, action: edr.find_hosts, with: {{name: "{{{{ steps.iso.host_id }}}}"}}}}
""")
    assert len(harness.world.called("find_hosts")) == 1
    assert planned(outcome)["again"].complete is False
    assert "name is not known yet" in planned(outcome)["again"].not_checked[0]


async def test_a_read_of_an_altered_target_is_unknown_and_others_are_read(harness: RunHarness) -> None:
    """Under any of its names, in any argument and spelling."""
    outcome = await harness.plan(f"""
id: t
steps:
  {FIND}
  {ISOLATE}
  - {{id: same, action: edr.isolation_of, with: {{host: "{{{{ steps.find }}}}"}}}}
  - {{id: byname, action: edr.find_hosts, with: {{name: PC1}}}}
  - {{id: other, action: edr.find_hosts, with: {{name: pc2}}}}
outputs: {{same: "{{{{ steps.same }}}}", byname: "{{{{ steps.byname }}}}", other: "{{{{ steps.other | length }}}}"}}
""")
    assert isinstance(outcome.outputs["same"], Unknown)
    assert isinstance(outcome.outputs["byname"], Unknown)
    assert outcome.outputs["other"] == 1
    assert [call.arguments["name"] for call in harness.world.called("find_hosts")] == ["pc1", "pc2"]


async def test_the_state_before_a_second_change_of_a_target_is_not_read(harness: RunHarness) -> None:
    """It would be the state before the first, so the plan says that it was not checked."""
    outcome = await harness.plan(f"""
id: t
steps:
  {FIND}
  {ISOLATE}
  - {{id: back, action: edr.release_host, with: {{host: "{{{{ steps.find }}}}", reason: r}}}}
""")
    back = planned(outcome)["back"]
    assert back.already is False
    assert any("an earlier step of this plan changes it" in line for line in back.not_checked)
    assert len(harness.world.called("isolation_of")) == 1


async def test_handlers_and_on_failure_are_planned_as_if_failed(harness: RunHarness) -> None:
    """They are shown with what would set them off, and their steps are maybe."""
    from hikeshi.report import plan_report

    outcome = await harness.plan(f"""
id: t
steps:
  {FIND}
  - id: iso
    action: edr.isolate_host
    with: {{host: "{{{{ steps.find }}}}", reason: r}}
    on_error: [{{id: tell, action: messaging.post, with: {{channel: c, text: "{{{{ error.message }}}}"}}}}]
on_failure: [{{id: alarm, action: messaging.post, with: {{channel: c, text: alarm}}}}]
finally: [{{id: last, action: messaging.post, with: {{channel: c, text: last}}}}]
""")
    shown = {
        action["path"]: (action["certainty"], action["condition"]) for action in plan_report(outcome.state)["actions"]
    }
    assert shown == {
        "iso": ("certain", None),
        "iso.on_error.tell[fake]": ("maybe", "if iso failed"),
        "on_failure.alarm[fake]": ("maybe", "if something failed"),
        "finally.last[fake]": ("certain", None),
    }
    assert planned(outcome)["iso.on_error.tell[fake]"].requests == []


async def test_no_handler_is_planned_for_a_step_that_is_surely_skipped(harness: RunHarness) -> None:
    """What does not run cannot fail."""
    outcome = await harness.plan("""
id: t
steps:
  - {id: a, when: "false", set: {x: "1"}, on_error: [{id: h, set: {y: "1"}}]}
""")
    assert outcome.steps() == {"a": "skipped"}


async def test_a_stop_that_may_happen_makes_the_rest_maybe(harness: RunHarness) -> None:
    """What comes after it is shown, under its condition; `finally` is certain."""
    from hikeshi.report import plan_report

    outcome = await harness.plan(f"""
id: t
steps:
  {FIND}
  {ISOLATE}
  - {{id: halt, when: "steps.iso.state == 'normal'", stop: {{status: failed}}}}
  - {{id: tell, action: messaging.post, with: {{channel: c, text: hi}}}}
  - {{id: loop, for_each: "['a', 'b']", action: messaging.post, with: {{channel: "{{{{ item }}}}", text: hi}}}}
""")
    shown = {
        action["path"]: (action["certainty"], action["condition"]) for action in plan_report(outcome.state)["actions"]
    }
    maybe = ("maybe", "if the playbook was not stopped before")
    assert shown == {
        "iso": ("certain", None),
        "tell[fake]": maybe,
        "loop[0][fake]": maybe,
        "loop[1][fake]": maybe,
    }
    assert outcome.status == "succeeded"


async def test_now_and_the_run_are_unknown(harness: RunHarness) -> None:
    """They will be others when the plan is carried out; the actor is who asks."""
    outcome = await harness.plan("""
id: t
steps: [{id: a, set: {now: "now", id: "run.id", at: "run.started_at", who: "run.actor"}}]
outputs: {a: "{{ steps.a }}"}
""")
    values = outcome.outputs["a"]
    assert [isinstance(values[name], Unknown) for name in ("now", "id", "at")] == [True, True, True]
    assert values["who"] == "tester"


BRANCH = f"""
id: t
steps:
  {FIND}
  {ISOLATE}
  - id: branch
    when: "steps.iso.state == 'isolated'"
    steps:
      - {{id: read, action: edr.get_host, with: {{name: pc2}}}}
      - {{id: inside, set: {{seen: "steps.read.name"}}}}
      - {{id: own, set: {{var: "vars.seen"}}}}
  - {{id: after, set: {{out: "EXPRESSION"}}}}
outputs: {{out: "{{{{ steps.after.out }}}}", inside: "{{{{ steps.inside.seen | default('-') }}}}"}}
"""


async def test_inside_a_branch_that_may_be_skipped_its_steps_are_known(harness: RunHarness) -> None:
    """Seen from the same branch, an output is what it is."""
    outcome = await harness.plan(BRANCH.replace("EXPRESSION", "1"))
    assert outcome.of(ev.ValuesSet, "branch.inside")[0].values == {"seen": "pc2"}
    assert outcome.of(ev.ValuesSet, "branch.own")[0].values == {"var": "pc2"}


@pytest.mark.parametrize(
    "expression",
    [
        "steps.read.name | default('-')",
        "steps.inside.seen | default('-')",
        "steps.branch | default('-')",
        "vars.seen | default('-')",
        "status.read",
        "status.branch",
        "errors.read is none",
    ],
)
async def test_from_outside_a_branch_that_may_be_skipped_is_unknown(harness: RunHarness, expression: str) -> None:
    """Rule 4: outputs, variables, statuses and errors alike."""
    outcome = await harness.plan(BRANCH.replace("EXPRESSION", expression))
    assert isinstance(outcome.outputs["out"], Unknown)


@pytest.mark.parametrize(
    ("step", "expression"),
    [
        ('{id: s, when: "COND", set: {v: "1"}}', "steps.s.v | default(0)"),
        ('{id: s, when: "COND", set: {v: "1"}}', "vars.v | default(0)"),
        ('{id: s, when: "COND", set: {v: "1"}}', "status.s"),
        ('{id: s, when: "COND", stop: {status: succeeded}}', "status.s"),
        ('{id: b, steps: [{id: s, when: "COND", set: {v: "1"}}]}', "steps.b.s.v | default(0)"),
        ('{id: b, for_each: "[1]", when: "COND", steps: [{id: s, set: {v: "1"}}]}', "steps.b[0].status"),
        ('{id: b, for_each: "[1]", when: "COND", steps: [{id: s, set: {v: "1"}}]}', "steps.b[0].output is none"),
        (
            '{id: b, for_each: "[1]", steps: [{id: s, when: "COND", set: {v: "1"}}]}',
            "steps.b[0].output.s.v | default(0)",
        ),
        ('{id: p, when: "COND", playbook: inner}', "steps.p.o | default(0)"),
        (
            '{id: a, set: {x: "1"}, on_error: {then: continue, steps: [{id: s, set: {v: "1"}}]}}',
            "steps.s.v | default(0)",
        ),
        ('{id: a, set: {x: "1"}, on_error: {then: continue, steps: [{id: s, set: {v: "1"}}]}}', "vars.v | default(0)"),
    ],
)
async def test_what_a_plan_cannot_know_to_have_run_is_unknown_outside(
    harness: RunHarness, step: str, expression: str
) -> None:
    """Rules 4 and 5, for every kind of step that may or may not run, and for handlers."""
    outcome = await harness.plan(
        f"""
id: t
steps:
  {FIND}
  {ISOLATE}
  - {step.replace("COND", "steps.iso.state == 'isolated'")}
outputs: {{out: "{{{{ {expression} }}}}"}}
""",
        'id: inner\nsteps: [{id: x, set: {y: "1"}}]\noutputs: {o: "{{ steps.x.y }}"}\n',
    )
    assert outcome.status == "succeeded"
    assert isinstance(outcome.outputs["out"], Unknown)


@pytest.mark.parametrize(
    "expression",
    [
        "status.iso",
        "status.block",
        "errors.block is none",
        "steps.loop[0].status",
        "steps.loop | selectattr('status', 'eq', 'succeeded') | length",
        "steps.loop[0].error is none",
        "status.loop",
        "status.call",
    ],
)
async def test_whether_a_planned_change_succeeds_is_unknown_through_all_that_holds_it(
    harness: RunHarness, expression: str
) -> None:
    """A block, loop or playbook with a planned action in it has no known status either."""
    outcome = await harness.plan(
        f"""
id: t
steps:
  {FIND}
  {ISOLATE}
  - {{id: block, steps: [{{id: inner, action: edr.release_host, with: {{host: "{{{{ steps.find }}}}", reason: r}}}}]}}
  - {{id: loop, for_each: "['a']", action: messaging.post, with: {{channel: c, text: "{{{{ item }}}}"}}}}
  - {{id: call, playbook: inner}}
outputs: {{out: "{{{{ {expression} }}}}"}}
""",
        "id: inner\nsteps: [{id: tell, action: messaging.post, with: {channel: c, text: x}}]\n",
    )
    assert isinstance(outcome.outputs["out"], Unknown)


async def test_what_is_known_stays_known_in_a_plan(harness: RunHarness) -> None:
    """Reads, variables and loops over them that surely run are exact."""
    outcome = await harness.plan("""
id: t
steps:
  - {id: loop, for_each: "['pc1', 'pc2']", action: edr.get_host, with: {name: "{{ item }}"}}
  - {id: skipped, when: "false", set: {v: "1"}}
  - {id: s, set: {names: "steps.loop | map(attribute='output') | map(attribute='name')", st: "status.skipped"}}
outputs: {names: "{{ vars.names }}", first: "{{ steps.loop[0].status }}", st: "{{ steps.s.st }}"}
""")
    assert outcome.outputs == {"names": ["pc1", "pc2"], "first": "succeeded", "st": "skipped"}


async def test_a_read_that_fails_in_a_plan_blocks_what_needs_it(harness: RunHarness) -> None:
    """A plan shows the problem instead of what cannot be planned."""
    from hikeshi.report import plan_report

    outcome = await harness.plan("""
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: nobody}}
  - {id: iso, action: edr.isolate_host, with: {host: "{{ steps.find }}", reason: r}}
""")
    report: dict[str, Any] = plan_report(outcome.state)
    assert outcome.steps() == {"find": "failed", "iso": "blocked"}
    assert report["actions"] == []
    assert [problem["path"] for problem in report["problems"]] == ["find"]


async def test_two_plans_that_would_do_the_same_have_the_same_digest(harness: RunHarness) -> None:
    """And one that would do something else has another."""
    from hikeshi.report import plan_report

    text = f"id: t\nsteps:\n  {FIND}\n  {ISOLATE}\n"
    first = await harness.run(text, mode="plan", run="p1")
    second = await harness.run(text, mode="plan", run="p2")
    third = await harness.run(text.replace("reason: r", "reason: another"), mode="plan", run="p3")
    digests = [plan_report(outcome.state)["digest"] for outcome in (first, second, third)]
    assert digests[0] == digests[1] != digests[2]
