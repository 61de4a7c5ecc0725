"""What an expression sees: inputs, vars, steps, status, errors, error, item, run, now."""

from hikeshi.core import events as ev
from hikeshi.testing.run_harness import RunHarness


async def test_every_name_that_a_step_can_read(harness: RunHarness) -> None:
    """Inputs, variables, outputs, statuses, errors, the run and the time, in one place."""
    outcome = await harness.run(
        """
id: t
inputs: {a: {type: integer}, b: {type: string, default: dee}, c: {type: string, required: false}}
vars: {sum: "{{ inputs.a + 1 }}", next: "{{ vars.sum + 1 }}"}
steps:
  - {id: good, set: {x: "vars.next"}}
  - {id: skipped, when: "false", set: {y: "1"}}
  - {id: bad, action: edr.get_host, with: {name: nobody}, on_error: continue}
  - id: all
    set:
      inputs: "[inputs.a, inputs.b, inputs.c]"
      variable: "vars.x"
      step: "steps.good.x"
      statuses: "[status.good, status.skipped, status.bad]"
      errors: "[errors.good, errors.bad.kind]"
      run: "[run.id, run.actor, run.started_at]"
      now: "now"
outputs: {all: "{{ steps.all }}"}
""",
        inputs={"a": 1},
    )
    assert outcome.outputs["all"] == {
        "inputs": [1, "dee", None],
        "variable": 3,
        "step": 3,
        "statuses": ["succeeded", "skipped", "failed"],
        "errors": [None, "not_found"],
        "run": ["run-1", "tester", "2026-03-02T09:00:00Z"],
        "now": "2026-03-02T09:00:00Z",
    }


async def test_now_is_the_time_of_the_record_that_led_to_the_decision(harness: RunHarness) -> None:
    """A replay gives the same time, because it is in the journal."""
    harness.world.script("find_hosts", None)

    async def slow(_: object) -> None:
        await harness.clock.sleep(90)

    harness.world.on_call = slow
    outcome = await harness.run("""
id: t
steps:
  - {id: a, action: edr.find_hosts, with: {name: pc1}}
  - {id: b, set: {at: "now"}}
outputs: {at: "{{ steps.b.at }}"}
""")
    assert outcome.outputs == {"at": "2026-03-02T09:01:30Z"}


async def test_a_step_after_a_block_sees_the_steps_inside_it(harness: RunHarness) -> None:
    """Steps inside earlier blocks are read by their ID, and by the block's output."""
    outcome = await harness.run("""
id: t
steps:
  - id: block
    parallel:
      - id: deep
        steps: [{id: leaf, set: {x: "1"}}]
  - {id: after, set: {direct: "steps.leaf.x", through: "steps.block.deep.leaf.x"}}
outputs: {after: "{{ steps.after }}"}
""")
    assert outcome.outputs == {"after": {"direct": 1, "through": 1}}


async def test_two_loops_deep_a_step_sees_its_own_items_and_their_steps(harness: RunHarness) -> None:
    """The innermost item wins where two loops use the same name."""
    outcome = await harness.run("""
id: t
steps:
  - id: outer
    for_each: "[1, 2]"
    steps:
      - {id: o, set: {x: "item"}}
      - id: inner
        for_each: "[10 * item, 20 * item]"
        steps:
          - {id: i, set: {y: "item", up: "steps.o.x"}}
          - {id: j, set: {z: "steps.i.y + steps.o.x"}}
""")
    read = {event.path: event.values["z"] for event in outcome.of(ev.ValuesSet) if event.path.endswith(".j")}
    assert read == {
        "outer[0].inner[0].j": 11,
        "outer[0].inner[1].j": 21,
        "outer[1].inner[0].j": 22,
        "outer[1].inner[1].j": 42,
    }


async def test_a_handler_inside_a_loop_sees_the_item_and_its_own_steps(harness: RunHarness) -> None:
    """A handler belongs to the item whose step failed."""
    outcome = await harness.run("""
id: t
steps:
  - id: loop
    for_each: "['x', 'pc1', 'y']"
    max_failures: 3
    steps:
      - {id: before, set: {name: "item"}}
      - id: find
        action: edr.get_host
        with: {name: "{{ item }}"}
        on_error:
          - {id: h1, set: {why: "error.kind ~ ' ' ~ item ~ ' ' ~ steps.before.name"}}
          - {id: h2, set: {again: "steps.h1.why"}}
""")
    said = {event.path: event.values["again"] for event in outcome.of(ev.ValuesSet) if event.path.endswith("h2")}
    assert said == {"loop[0].find.on_error.h2": "not_found x x", "loop[2].find.on_error.h2": "not_found y y"}


async def test_a_handler_inside_a_handler_sees_its_own_error(harness: RunHarness) -> None:
    """`error` is that of the innermost step that failed."""
    outcome = await harness.run("""
id: t
steps:
  - id: a
    action: edr.get_host
    with: {name: nobody}
    on_error:
      - id: b
        set: {x: "1 / 0"}
        on_error: [{id: c, set: {kind: "error.kind"}}]
""")
    assert outcome.of(ev.ValuesSet, "a.on_error.b.on_error.c")[0].values == {"kind": "expression"}


async def test_finally_sees_what_was_not_reached_as_missing(harness: RunHarness) -> None:
    """A step that never began gives nothing, and `default` takes that."""
    outcome = await harness.run("""
id: t
steps:
  - {id: a, set: {x: "1 / 0"}}
  - {id: block, steps: [{id: inside, set: {y: "1"}}]}
finally:
  - {id: z, set: {seen: "[steps.a | default('-'), steps.inside | default('-'), status.block]"}}
""")
    assert outcome.of(ev.ValuesSet, "finally.z")[0].values == {"seen": ["-", "-", "blocked"]}


async def test_the_item_of_a_loop_can_be_named(harness: RunHarness) -> None:
    """`as` gives the item a name of its own in arguments, conditions and handlers."""
    outcome = await harness.run("""
id: t
steps:
  - id: loop
    for_each: "['pc1', 'pc2']"
    as: computer
    when: "computer != 'pc1'"
    action: edr.get_host
    with: {name: "{{ computer }}"}
""")
    assert [call.arguments["name"] for call in harness.world.calls] == ["pc2"]
    assert outcome.status == "succeeded"


async def test_text_from_outside_is_never_evaluated(harness: RunHarness) -> None:
    """What a product says stays text, whatever it contains (rule 30)."""
    harness.world.add_host("{{ 1 + 1 }}", id_="evil")
    outcome = await harness.run("""
id: t
steps:
  - {id: find, action: edr.get_host, with: {name: evil}}
  - {id: copy, set: {name: "steps.find.name"}}
  - {id: again, set: {name2: "steps.copy.name ~ '!'"}}
outputs: {name: "{{ steps.again.name2 }}"}
""")
    assert outcome.outputs == {"name": "{{ 1 + 1 }}!"}


async def test_a_step_that_never_began_has_the_status_of_what_kept_it(harness: RunHarness) -> None:
    """What is inside of a skipped block counts as skipped, and inside of a blocked one as blocked."""
    outcome = await harness.run("""
        id: t
        steps:
          - id: not_now
            when: "1 == 2"
            steps: [{id: inner, set: {a: "1"}}]
          - {id: broken, set: {b: "1 + 'x'"}}
          - id: after
            steps: [{id: late, set: {c: "1"}}]
        finally:
          - {id: told, set: {inner: "status.inner", late: "status.late"}}
        """)
    assert outcome.node("finally.told").output == {"inner": "skipped", "late": "blocked"}
