"""The diagram of a run: every step with its status, and no name that becomes anything but a name."""

import re

import pytest

from hikeshi.console.chart import label, playbooks_chart
from hikeshi.playbook.model import Playbook
from hikeshi.playbook.parse import load_playbook

LINE = re.compile(
    r"flowchart TD|end|direction TB|\w+ --> \w+|class n\d+ is-[a-z]+"
    r'|subgraph n\d+\["[^"\[\]<>|&`]*"\]|\w+[\[({/]+"[^"\[\]<>|&`]*"[\])}/]+'
)
HOSTILE = [
    '"]; click n1 callback',
    "<script>alert(1)</script>",
    '"]\nclick n1 "javascript:alert(1)"',
    "%%{init: {'securityLevel': 'loose'}}%%",
    "`**bold**` & <img src=x onerror=alert(1)>",
    "end",
    "#quot;#93;",
]


def playbook(text: str, id: str = "main") -> Playbook:
    found, problems = load_playbook(text, id)
    assert found is not None, problems
    return found


def chart(steps: str, statuses: dict[str, str], others: dict[str, Playbook] | None = None, name: str = "Main") -> str:
    main = playbook(f"id: main\nname: {name!r}\nsteps:\n{steps}")
    drawn = playbooks_chart(main, {"main": main, **(others or {})}, statuses)
    assert drawn is not None
    return drawn


TWO = """\
  - {id: find, action: edr.get_host, with: {name: a}}
  - {id: isolate, name: Isolate it, action: edr.isolate_host, with: {host: "{{ steps.find }}"}}
"""


def test_each_step_shows_its_status_by_a_sign_and_a_class() -> None:
    """Nobody has to see colours to read the diagram."""
    drawn = chart(TWO, {"find": "succeeded", "isolate": "unknown"})

    assert 'n1["✓ edr.get_host"]' in drawn
    assert 'n2["? Isolate it"]' in drawn
    assert "class n1 is-good" in drawn
    assert "class n2 is-bad" in drawn
    assert "n1 --> n2" in drawn


def test_a_step_that_is_not_reached_has_no_status() -> None:
    """What has not begun looks as if it has not."""
    drawn = chart(TWO, {"find": "running"})

    assert 'n2["Isolate it"]' in drawn
    assert "class n2" not in drawn


def test_the_steps_of_a_called_playbook_are_drawn_inside_of_its_step() -> None:
    """A run of playbooks in playbooks is seen whole."""
    inner = playbook(f"id: inner\nname: Inner\nsteps:\n{TWO}", "inner")

    drawn = chart("  - {id: call, name: Call, playbook: inner}\n", {"call.find": "failed"}, {"inner": inner})

    assert 'subgraph n1["Call"]' in drawn
    assert 'n2["✕ edr.get_host"]' in drawn


def test_a_large_run_is_drawn_without_the_steps_of_what_it_calls() -> None:
    """A diagram that nobody can read helps nobody."""
    inner = playbook("id: inner\nname: Inner\nsteps:\n" + TWO.replace("isolate", "again") * 1, "inner")
    calls = "".join(f"  - {{id: call{number}, playbook: inner}}\n" for number in range(8))

    drawn = chart(calls, {"call0": "running"}, {"inner": inner})

    assert "subgraph" not in drawn
    assert 'n8[["call7"]]' in drawn


def test_a_run_of_very_many_steps_is_not_drawn() -> None:
    """The table shows it; a browser that draws thousands of nodes shows nothing for long."""
    many = "".join(f"  - {{id: s{number}, set: {{v{number}: '1'}}}}\n" for number in range(130))
    main = playbook(f"id: main\nname: Main\nsteps:\n{many}")

    assert playbooks_chart(main, {}, {}) is None


def test_handlers_are_drawn_when_they_have_begun() -> None:
    """What a failure set off is part of what happened."""
    steps = TWO.replace("name: a}}", "name: a}, on_error: {steps: [{id: tell, name: Tell, set: {x: '1'}}]}}")

    assert "Tell" not in chart(steps, {"find": "succeeded"})
    assert 'subgraph n2["on_error"]' in chart(steps, {"find": "failed", "find.on_error.tell": "running"})


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_brings_anything_but_text_into_the_diagram(name: str) -> None:
    """Every line of the diagram is one that we write, whatever a playbook calls itself and its steps."""
    quoted = "'" + name.replace("'", "''").replace("\n", " ") + "'"
    steps = f"  - {{id: one, name: {quoted}, action: edr.get_host, with: {{name: a}}}}\n"
    main = playbook(f"id: main\nname: {quoted}\nsteps:\n{steps}")

    drawn = playbooks_chart(main, {}, {"one": "failed"})

    assert drawn is not None
    for line in drawn.splitlines():
        assert LINE.fullmatch(line), line


def test_a_label_keeps_letters_of_every_language_and_numbers_the_rest() -> None:
    """People read their own language, and Mermaid reads nothing of it."""
    assert label("端末を隔離 – “now”") == "端末を隔離 – #8220;now#8221;"
    assert label("x" * 100).endswith("…")
