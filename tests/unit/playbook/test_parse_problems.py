"""What is wrong with a playbook's text: each kind of problem, and a twin that has none."""

from __future__ import annotations

import pytest

from hikeshi.playbook import load_playbook


def found(text: str) -> list[str]:
    _, problems = load_playbook(text, "p.yaml")
    return [f"{problem.position.line}:{problem.position.column} {problem.code}" for problem in problems]


def messages(text: str) -> str:
    return "\n".join(str(problem) for problem in load_playbook(text, "p.yaml")[1])


def steps(text: str) -> str:
    """Return a playbook with one more step, in line 4."""
    return f"id: p\nsteps:\n  - {{id: first, set: {{one: '1'}}}}\n  - {text}\n"


CASES = [
    (
        "unknown-key at the top",
        "id: p\nstepz: []\nsteps: [{set: {a: '1'}}]",
        "2:1 unknown-key",
        "id: p\nsteps: [{set: {a: '1'}}]",
    ),
    (
        "unknown-key of a step",
        steps("{set: {a: '1'}, whn: 'true'}"),
        "4:21 unknown-key",
        steps("{set: {a: '1'}, when: 'true'}"),
    ),
    (
        "unknown-key for the kind",
        steps("{acton: edr.list_alerts}"),
        "4:6 unknown-key",
        steps("{action: edr.list_alerts}"),
    ),
    (
        "unknown-key in retry",
        steps("{action: a.b, retry: {atempts: 3}}"),
        "4:27 unknown-key",
        steps("{action: a.b, retry: {attempts: 3}}"),
    ),
    ("missing-key at the top", "steps: [{set: {a: '1'}}]", "1:1 missing-key", "id: p\nsteps: [{set: {a: '1'}}]"),
    (
        "missing-key by",
        steps("{approve: Go?, within: 1m}"),
        "4:5 missing-key",
        steps("{approve: Go?, within: 1m, by: [a]}"),
    ),
    (
        "missing-key at_most",
        steps("{steps: [{set: {a: '1'}}], while: 'true'}"),
        "4:32 missing-key",
        steps("{steps: [{set: {a: '1'}}], while: 'true', at_most: 2}"),
    ),
    (
        "missing-key of a wait",
        steps("{wait: {event: x}}"),
        "4:12 missing-key",
        steps("{wait: {event: x, at_most: 1h}}"),
    ),
    ("wrong-type of a playbook", "[a]", "1:1 wrong-type", "id: p\nsteps: [{set: {a: '1'}}]"),
    (
        "wrong-type of a duration",
        steps("{action: a.b, timeout: 30}"),
        "4:28 wrong-type",
        steps("{action: a.b, timeout: 30s}"),
    ),
    (
        "wrong-type of text",
        "id: p\nname: 5\nsteps: [{set: {a: '1'}}]",
        "2:7 wrong-type",
        "id: p\nname: '5'\nsteps: [{set: {a: '1'}}]",
    ),
    ("wrong-type of with", steps("{action: a.b, with: [1]}"), "4:25 wrong-type", steps("{action: a.b, with: {c: 1}}")),
    ("wrong-type of a step", steps("just text"), "4:5 wrong-type", steps("{action: a.b}")),
    ("wrong-type of steps", "id: p\nsteps: {a: 1}", "2:8 wrong-type", "id: p\nsteps: [{action: a.b}]"),
    (
        "wrong-type of on_error",
        steps("{action: a.b, on_error: go on}"),
        "4:29 wrong-type",
        steps("{action: a.b, on_error: continue}"),
    ),
    ("wrong-type of undo", steps("{action: a.b, undo: [1]}"), "4:25 wrong-type", steps("{action: a.b, undo: none}")),
    ("wrong-type of wait", steps("{wait: {every: 1m}}"), "4:12 wrong-type", steps("{wait: 1m}")),
    (
        "wrong-type of for_each",
        steps("{action: a.b, for_each: [1, 2]}"),
        "4:29 wrong-type",
        steps("{action: a.b, for_each: '[1, 2]'}"),
    ),
    (
        "wrong-type of max_failures",
        steps("{action: a.b, for_each: '[1]', max_failures: 200%}"),
        "4:50 wrong-type",
        steps("{action: a.b, for_each: '[1]', max_failures: 20%}"),
    ),
    (
        "wrong-value of a word",
        "id: p\nseverity: hihg\nsteps: [{action: a.b}]",
        "2:11 wrong-value",
        "id: p\nseverity: high\nsteps: [{action: a.b}]",
    ),
    (
        "wrong-value of a number",
        steps("{action: a.b, retry: {attempts: 0}}"),
        "4:37 wrong-value",
        steps("{action: a.b, retry: {attempts: 1}}"),
    ),
    (
        "wrong-value of a duration",
        steps("{action: a.b, timeout: 5 minutes}"),
        "4:28 wrong-value",
        steps("{action: a.b, timeout: 5m}"),
    ),
    ("wrong-value of an action", steps("{action: isolate}"), "4:14 wrong-value", steps("{action: edr.isolate}")),
    (
        "wrong-value of a technique",
        "id: p\nattack: [1486, T1486x]\nsteps: [{action: a.b}]",
        "2:10 wrong-type",
        "id: p\nattack: [T1486]\nsteps: [{action: a.b}]",
    ),
    (
        "wrong-value: nobody",
        steps("{approve: Go?, within: 1m, by: []}"),
        "4:36 wrong-value",
        steps("{approve: Go?, within: 1m, by: [a]}"),
    ),
    (
        "wrong-value: a form without fields",
        steps("{ask: What?, within: 1m, by: [a], form: {}}"),
        "4:45 wrong-value",
        steps("{ask: What?, within: 1m, by: [a], form: {x: {type: string}}}"),
    ),
    (
        "wrong-value: then",
        steps("{action: a.b, on_error: {steps: [{action: a.b}], then: stop}}"),
        "4:60 wrong-value",
        steps("{action: a.b, on_error: {steps: [{action: a.b}], then: continue}}"),
    ),
    (
        "wrong-value: default and required",
        "id: p\ninputs: {a: {type: string, default: x, required: true}}\nsteps: [{action: a.b}]",
        "2:40 wrong-value",
        "id: p\ninputs: {a: {type: string, default: x}}\nsteps: [{action: a.b}]",
    ),
    (
        "wrong-value: cron",
        "id: p\ntriggers: [{id: t, schedule: 0 25 * * *}]\nsteps: [{action: a.b}]",
        "2:30 wrong-value",
        "id: p\ntriggers: [{id: t, schedule: 0 23 * * *}]\nsteps: [{action: a.b}]",
    ),
    (
        "wrong-limit",
        "id: p\ninputs: {a: {type: boolean, minimum: 1}}\nsteps: [{action: a.b}]",
        "2:13 wrong-limit",
        "id: p\ninputs: {a: {type: integer, minimum: 1}}\nsteps: [{action: a.b}]",
    ),
    (
        "bad-id of an input",
        "id: p\ninputs: {Host: {type: host}}\nsteps: [{action: a.b}]",
        "2:10 bad-id",
        "id: p\ninputs: {host: {type: host}}\nsteps: [{action: a.b}]",
    ),
    ("bad-id of a variable", steps("{set: {Big: '1'}}"), "4:12 bad-id", steps("{set: {big: '1'}}")),
    (
        "wrong-value of a step ID",
        steps("{id: isolate-it, action: a.b}"),
        "4:10 wrong-value",
        steps("{id: isolate_it, action: a.b}"),
    ),
    (
        "bad-expression",
        steps("{action: a.b, when: 'inputs.a =='}"),
        "4:37 bad-expression",
        steps("{action: a.b, when: 'inputs.a == 1'}"),
    ),
    (
        "bad-expression in braces",
        steps('{action: a.b, with: {c: "x {{ 1 + }}"}}'),
        "4:38 bad-expression",
        steps('{action: a.b, with: {c: "x {{ 1 + 1 }}"}}'),
    ),
    (
        "bad-expression with braces",
        steps('{action: a.b, when: "{{ inputs.a }}"}'),
        "4:26 bad-expression",
        steps('{action: a.b, when: "inputs.a"}'),
    ),
    (
        "misplaced-key retry",
        steps("{set: {a: '1'}, retry: {attempts: 2}}"),
        "4:21 misplaced-key",
        steps("{action: a.b, retry: {attempts: 2}}"),
    ),
    (
        "misplaced-key batch",
        steps("{action: a.b, batch: 5}"),
        "4:19 misplaced-key",
        steps("{action: a.b, for_each: '[1]', batch: 5}"),
    ),
    (
        "misplaced-key while",
        steps("{action: a.b, while: 'true'}"),
        "4:19 misplaced-key",
        steps("{steps: [{action: a.b}], while: 'true', at_most: 5}"),
    ),
    (
        "misplaced-key: two loops",
        steps("{steps: [{action: a.b}], for_each: '[1]', while: 'true', at_most: 5}"),
        "4:47 misplaced-key",
        steps("{steps: [{action: a.b}], for_each: '[1]'}"),
    ),
    (
        "misplaced-key of a trigger",
        "id: p\ntriggers: [{id: t, webhook: w, timezone: UTC}]\nsteps: [{action: a.b}]",
        "2:32 misplaced-key",
        "id: p\ntriggers: [{id: t, schedule: 0 2 * * *, timezone: UTC}]\nsteps: [{action: a.b}]",
    ),
    ("step-kind: none", steps("{name: nothing}"), "4:5 step-kind", steps("{name: something, action: a.b}")),
    ("step-kind: two", steps("{action: a.b, set: {a: '1'}}"), "4:19 step-kind", steps("{action: a.b}")),
    (
        "trigger-kind",
        "id: p\ntriggers: [{id: t}]\nsteps: [{action: a.b}]",
        "2:12 trigger-kind",
        "id: p\ntriggers: [{id: t, webhook: w}]\nsteps: [{action: a.b}]",
    ),
    ("empty-list", steps("{parallel: []}"), "4:16 empty-list", steps("{parallel: [{action: a.b}]}")),
    ("reserved-id", steps("{id: on_error, action: a.b}"), "4:10 reserved-id", steps("{id: on_errors, action: a.b}")),
    ("duplicate-id", steps("{id: first, action: a.b}"), "4:10 duplicate-id", steps("{id: second, action: a.b}")),
    (
        "duplicate-id of a trigger",
        "id: p\ntriggers: [{id: t, webhook: w}, {id: t, webhook: v}]\nsteps: [{action: a.b}]",
        "2:38 duplicate-id",
        "id: p\ntriggers: [{id: t, webhook: w}, {id: u, webhook: v}]\nsteps: [{action: a.b}]",
    ),
    (
        "unknown-need",
        steps("{action: a.b, needs: [frist]}"),
        "4:27 unknown-need",
        steps("{action: a.b, needs: [first]}"),
    ),
    (
        "cycle",
        steps("{id: me, action: a.b, needs: [me]}"),
        "4:35 cycle",
        steps("{id: me, action: a.b, needs: [first]}"),
    ),
    (
        "misplaced-stop in parallel",
        steps("{parallel: [{stop: {status: failed}}]}"),
        "4:18 misplaced-stop",
        steps("{steps: [{stop: {status: failed}}]}"),
    ),
    (
        "misplaced-stop in a loop",
        steps("{steps: [{steps: [{stop: {status: failed}}]}], for_each: '[1]'}"),
        "4:24 misplaced-stop",
        steps("{steps: [{steps: [{stop: {status: failed}}]}]}"),
    ),
    (
        "misplaced-stop in a handler",
        steps("{action: a.b, on_error: [{stop: {status: failed}}]}"),
        "4:31 misplaced-stop",
        steps("{action: a.b, on_error: [{action: a.b}]}"),
    ),
    ("yaml-duplicate-key", steps("{action: a.b, action: c.d}"), "4:19 yaml-duplicate-key", steps("{action: a.b}")),
]


def test_an_item_is_not_called_like_a_name_of_the_language() -> None:
    """It would hide what expressions read by that name."""
    assert found(steps("{action: a.b, for_each: '[1]', as: inputs}")) == ["4:40 reserved-id"]


def test_a_missing_space_behind_a_colon_is_named() -> None:
    """In YAML `{type:string}` is one word."""
    assert "put a space after the ':'" in messages("id: p\ninputs: {a: {type:string}}\nsteps: [{action: a.b}]")


@pytest.mark.parametrize(("bad", "expected", "good"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_each_mistake_is_found_at_its_place_and_its_twin_is_silent(bad: str, expected: str, good: str) -> None:
    """A mistake is one problem with line and column first; the same text without it has none."""
    assert expected in found(bad)
    assert found(good) == []


@pytest.mark.parametrize(
    ("bad", "hint"),
    [
        ("id: p\nsteps: [{action: a.b, tiemout: 5s}]", "did you mean 'timeout'?"),
        ("id: p\nseverity: hihg\nsteps: [{action: a.b}]", "did you mean 'high'?"),
        ("id: p\ninputs: {a: {type: hostnme}}\nsteps: [{action: a.b}]", "did you mean 'hostname'?"),
        (steps("{action: a.b, needs: [frist]}"), "did you mean 'first'?"),
        (steps("{paralel: [{action: a.b}]}"), "did you mean 'parallel'?"),
        (steps("{action: a.b, retry: {kinds: [time_out]}}"), "did you mean 'timeout'?"),
    ],
)
def test_an_unknown_word_comes_with_the_nearest_known_one(bad: str, hint: str) -> None:
    """The author need not look the name up."""
    assert hint in messages(bad)


def test_a_cycle_is_named_whole_and_once() -> None:
    """Three steps that wait for each other are one mistake."""
    text = """id: p
steps:
  - {id: a, action: a.b, needs: [c]}
  - {id: b, action: a.b}
  - {id: c, action: a.b}
  - {id: d, action: a.b, needs: [a]}
"""

    assert found(text) == ["3:34 cycle"]
    assert "a -> c -> b -> a" in messages(text)


def test_two_cycles_are_two_problems() -> None:
    """One cycle does not hide another."""
    text = """id: p
steps:
  - {id: a, action: a.b, needs: [b]}
  - {id: b, action: a.b, needs: [a]}
  - {id: c, action: a.b, needs: [d]}
  - {id: d, action: a.b, needs: [c, a]}
"""

    assert found(text) == ["3:34 cycle", "5:34 cycle"]


def test_both_places_of_a_duplicate_id_are_named() -> None:
    """IDs are unique over blocks, handlers and lists."""
    text = """id: p
steps:
  - {id: same, action: a.b}
finally:
  - steps:
      - {id: same, action: a.b}
"""

    assert found(text) == ["6:14 duplicate-id"]
    assert "p.yaml:3:10" in messages(text)


def test_all_problems_of_a_file_come_in_one_pass_in_the_order_of_the_text() -> None:
    """Nothing hides behind the first mistake, not even in steps that do nothing."""
    text = """id: Big
name: 5
inputs: {a: {type: strin}}
steps:
  - {action: edr, retry: {attempts: many}}
  - {name: nothing, on_error: [{acton: a.b}]}
  - {id: x, when: "1 +", set: {}}
outputs: {b: "{{ 1 + }}"}
"""

    assert found(text) == [
        "1:5 wrong-value",
        "2:7 wrong-type",
        "3:20 wrong-value",
        "5:14 wrong-value",
        "5:37 wrong-type",
        "6:5 step-kind",
        "6:33 unknown-key",
        "7:23 bad-expression",
        "7:31 wrong-value",
        "8:21 bad-expression",
    ]


def test_what_an_alias_repeats_is_reported_once() -> None:
    """One mistake is one problem, however often it is used."""
    text = "id: p\nvars: {x: &x '{{ 1 + }}', y: *x}\nsteps: [{action: a.b}]"

    assert found(text) == ["2:11 bad-expression"]


def test_text_where_a_number_is_meant_says_how_to_write_it() -> None:
    """The message has an example of what is expected."""
    assert "90s, 15m, 8h" in messages(steps("{action: a.b, timeout: 30}"))


def test_a_number_where_text_is_meant_says_to_quote_it() -> None:
    """YAML reads an unquoted number as a number."""
    assert "in quotes" in messages("id: p\nname: 2026\nsteps: [{action: a.b}]")
