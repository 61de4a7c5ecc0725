"""Playbooks as Mermaid flowcharts."""

from __future__ import annotations

import pytest

from hikeshi.playbook import load_playbook, mermaid


def draw(text: str) -> str:
    playbook, problems = load_playbook(text, "p.yaml")
    assert problems == []
    assert playbook is not None
    return mermaid(playbook)


def test_a_playbook_is_drawn_whole() -> None:
    """Blocks are frames, approvals diamonds, conditions labels, handlers dotted, loops marked."""
    chart = draw("""
id: p
name: Isolate
steps:
  - {id: find, action: edr.get_host, with: {name: x}}
  - {approve: Go?, by: [role:lead], within: 5m, when: inputs.a}
  - action: edr.isolate_host
    on_error: [{action: messaging.page}]
  - name: Sweep
    for_each: inputs.l
    parallel: [{playbook: other}, {set: {a: "1"}, when: "true"}]
finally:
  - {action: messaging.post}
""")

    assert (
        chart
        == """flowchart TD
  start(["Isolate"])
  n1["find: edr.get_host"]
  n2{"approval by role:lead"}
  n3["edr.isolate_host"]
  subgraph n4["if it fails"]
    n5["messaging.page"]
  end
  n3 -.-> n4
  subgraph n6["Sweep (all at once) ↻ for each item in inputs.l"]
    n7[["playbook other"]]
    n8["set a"]
    n8_when>"when true"] -.- n8
  end
  start --> n1
  n1 -->|"when inputs.a"| n2
  n2 --> n3
  n3 --> n6
  done(["end"])
  n6 --> done
  subgraph n9["finally"]
    n10["messaging.post"]
  end
  done --> n9
"""
    )


def test_steps_without_an_order_go_on_beside_each_other() -> None:
    """Arrows follow `needs`, not the lines of the file."""
    chart = draw(
        "id: p\nsteps: [{id: a, set: {a: '1'}}, {id: b, set: {b: '1'}, needs: []}, {set: {c: '1'}, needs: [a, b]}]"
    )

    assert [line.strip() for line in chart.splitlines() if "-->" in line] == [
        "start --> n1", "start --> n2", "n1 --> n3", "n2 --> n3", "n3 --> done",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        '"] --> evil',
        "<script>alert(1)</script>",
        "a`b`",
        "%%{init: {}}%%",
        "end",
        "x\n  click n1 javascript:alert(1)",
        "#quot;",
        "`**md**`",
        "\\",
        "[]{}()|&;",
    ],
)
def test_no_name_breaks_out_of_its_label(name: str) -> None:
    """Whatever a file calls its steps, the chart has the same lines, and quotes only around labels."""
    import json

    plain = draw("id: p\nname: ok\nsteps: [{name: ok, set: {a: '1'}}]")
    chart = draw(f"id: p\nname: {json.dumps(name)}\nsteps: [{{name: {json.dumps(name)}, set: {{a: '1'}}}}]")

    assert len(chart.splitlines()) == len(plain.splitlines())
    for line in chart.splitlines():
        assert line.count('"') in (0, 2)
        label = line.split('"')[1] if '"' in line else ""
        assert not set(label) & set('<>"`{}[]|%&\\\n')


def test_long_texts_are_cut() -> None:
    """A chart is an overview."""
    chart = draw(f"id: p\nsteps: [{{name: {'long ' * 50}, set: {{a: '1'}}}}]")

    assert max(map(len, chart.splitlines())) < 100
