"""Playbooks that ask people who are not there."""

from __future__ import annotations

import pytest

from hikeshi.playbook import Playbook, check_people, load_playbook
from hikeshi.project import Person

PEOPLE = {
    "mei": Person("mei", "mkobayashi", "Mei Kobayashi", ("soc_lead", "analyst")),
    "ken": Person("ken", "ken", "Ken Ito", ("analyst",)),
}


def load(text: str) -> Playbook:
    playbook, problems = load_playbook(text, "p.yaml")
    assert playbook is not None, [str(problem) for problem in problems]
    return playbook


def check(text: str, people: dict[str, Person] = PEOPLE) -> list[str]:
    """Return the problems as `line:column code: message`."""
    found = check_people(load(text), people)
    return [f"{entry.position.line}:{entry.position.column} {entry.code}: {entry.message}" for entry in found]


def approve(by: str, more: str = "") -> str:
    return f"id: p\nsteps:\n  - {{approve: Go?, within: 5m, by: {by}{more}}}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            approve("[role:soc_lad]"),
            "3:37 nobody-may-decide: 'role:soc_lad' names nobody in hikeshi.yaml: nobody has the role 'soc_lad'; "
            "did you mean 'role:soc_lead'?",
        ),
        (
            approve("[mei, kenn]"),
            "3:42 nobody-may-decide: 'kenn' names nobody in hikeshi.yaml: it is no person's ID; did you mean 'ken'?",
        ),
        (approve("[soc_lead]"), "did you mean 'role:soc_lead'?"),
        (approve("[role:mei]"), "nobody has the role 'mei'; did you mean 'mei'?"),
        (approve("[mkobayashi]"), "'mkobayashi' names nobody in hikeshi.yaml: it is no person's ID"),
        (
            approve("[mei]", ", escalate: {to: [ken, role:ciso], within: 5m}"),
            "3:64 nobody-may-decide: 'role:ciso' names nobody",
        ),
        (approve("[role:analyst]", ", quorum: 3"), "3:60 nobody-may-decide: 3 must approve, and only 2 may: ken, mei"),
        (approve("[mei, role:soc_lead]", ", quorum: 2"), "2 must approve, and only 1 may: mei"),
        (
            "id: p\nsteps:\n  - {ask: What?, within: 5m, by: [ana], form: {x: {type: string}}}\n",
            "3:35 nobody-may-decide: 'ana' names nobody",
        ),
        (
            "id: p\nsteps:\n  - {set: {a: '1'}, on_error: [{approve: Go?, within: 5m, by: [ana]}]}\n",
            "'ana' names nobody",
        ),
        (
            "id: p\ntriggers: [{id: t, webhook: w, mode: plan, by: [ana]}]\nsteps: [{set: {a: '1'}}]\n",
            "2:49 nobody-may-decide: 'ana' names nobody",
        ),
    ],
)
def test_people_who_are_not_there_are_named(text: str, expected: str) -> None:
    """Wherever a playbook asks, each entry must mean somebody, and there must be enough of them."""
    found = check(text)

    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize(
    "text",
    [
        approve("[role:soc_lead]"),
        approve("[mei, ken]", ", quorum: 2"),
        approve("[mei]", ", quorum: 2, escalate: {to: [role:analyst], within: 5m}"),
        "id: p\nsteps: [{set: {a: '1'}}]\n",
    ],
)
def test_people_who_are_there_are_fine(text: str) -> None:
    """Those who are asked later count, because they join the others."""
    assert check(text) == []


def test_without_people_the_file_to_mend_is_named() -> None:
    """One problem for each question, not for each entry."""
    assert check(approve("[mei, role:soc_lead]", ", quorum: 2"), {}) == [
        "3:32 nobody-may-decide: nobody could answer: hikeshi.yaml has no 'people'; name them there, with their roles"
    ]
    assert check("id: p\nsteps: [{set: {a: '1'}}]\n", {}) == []


def test_the_nearest_name_is_offered_to_tools_too() -> None:
    """An editor can put it in."""
    assert [problem.suggestion for problem in check_people(load(approve("[role:analist]")), PEOPLE)] == ["role:analyst"]
