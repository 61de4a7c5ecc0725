"""Checks of whole playbooks: each kind of mistake, and a twin that has none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest

from hikeshi.capabilities import BUILT_IN, Catalogue, Instance
from hikeshi.playbook import Playbook, Problem, check_bindings, check_playbook, load_playbook
from hikeshi.playbook.check import CHECKS

LANGUAGE = Path(__file__).resolve().parents[3] / "docs" / "language.md"


class Playbooks:
    """Playbooks by ID, from their texts."""

    def __init__(self, *texts: str) -> None:
        self._known = {playbook.id: playbook for playbook in map(load, texts)}

    def playbook(self, playbook_id: str) -> Playbook | None:
        return self._known.get(playbook_id)

    def ids(self) -> Iterable[str]:
        return self._known


def load(text: str) -> Playbook:
    playbook, problems = load_playbook(text, "p.yaml")
    assert [str(problem) for problem in problems] == []
    assert playbook is not None
    return playbook


def catalogue() -> Catalogue:
    found = Catalogue()
    for capability in BUILT_IN:
        found.add(capability.specs())
    return found


def check(text: str, *others: str) -> list[Problem]:
    return check_playbook(load(text), catalogue(), Playbooks(*others))


def codes(text: str, *others: str) -> list[str]:
    return [f"{found.position.line}:{found.position.column} {found.code}" for found in check(text, *others)]


def messages(text: str, *others: str) -> str:
    return "\n".join(map(str, check(text, *others)))


HEAD = """id: p
inputs: {name: {type: hostname}, count: {type: integer, default: 1}, names: {type: list, items: hostname, default: []}}
steps:
"""
FIND = "  - {id: find, action: edr.get_host, with: {name: '{{ inputs.name }}'}}\n"
TICKET = "id: open-ticket\ninputs: {title: {type: string}, size: {type: integer, default: 1}}\n" + (
    "steps: [{id: make, action: ticketing.get_ticket, with: {number: '{{ inputs.title }}'}}]\n"
    "outputs: {number: '{{ steps.make.name }}'}\n"
)


def isolate(host: str = "{{ steps.find }}", more: str = "") -> str:
    return f"  - {{id: cut, action: edr.isolate_host, with: {{host: '{host}', reason: x}}{more}}}\n"


def post(text: str, more: str = "") -> str:
    return f'  - {{action: messaging.post, with: {{channel: c, text: "{text}"}}{more}}}\n'


CASES: list[tuple[str, str, str]] = [
    ("unknown-action", HEAD + "  - {action: edr.isolat_host}", HEAD + FIND),
    (
        "not-a-read",
        HEAD
        + "  - {wait: {action: messaging.post, with: {channel: a, text: b}, until: 'true', every: 1s, at_most: 5s}}",
        HEAD + "  - {wait: {action: edr.list_alerts, until: result | length > 0, every: 1s, at_most: 5s}}",
    ),
    (
        "poll-without-list",
        "id: p\ntriggers: [{id: t, poll: {action: edr.get_host, every: 1m, with: {name: a}}}]\n"
        "steps: [{set: {a: '1'}}]",
        "id: p\ntriggers: [{id: t, poll: {action: edr.find_hosts, every: 1m, with: {name: a}}}]\n"
        "steps: [{set: {a: '1'}}]",
    ),
    ("missing-argument", HEAD + "  - {action: edr.get_host}", HEAD + FIND),
    (
        "unknown-argument",
        HEAD + "  - {action: edr.list_alerts, with: {since: 60}}",
        HEAD + "  - {action: edr.list_alerts, with: {since_s: 60}}",
    ),
    ("wrong-argument", HEAD + isolate("{{ inputs.name }}"), HEAD + FIND + isolate()),
    ("unknown-name", HEAD + post("{{ input.name }}"), HEAD + post("{{ inputs.name }}")),
    ("unknown-step", HEAD + FIND + post("{{ steps.fnd.name }}"), HEAD + FIND + post("{{ steps.find.name }}")),
    ("unknown-input", HEAD + post("{{ inputs.nam }}"), HEAD + post("{{ inputs.name }}")),
    (
        "unknown-variable",
        HEAD + "  - {set: {a: '1'}}\n" + post("{{ vars.b }}"),
        HEAD + "  - {set: {a: '1'}}\n" + post("{{ vars.a }}."),
    ),
    ("unknown-field", HEAD + FIND + post("{{ steps.find.tag }}"), HEAD + FIND + post("{{ steps.find.tags | join }}")),
    ("wrong-expression", HEAD + post("x", ", when: inputs.count"), HEAD + post("x", ", when: inputs.count > 1")),
    ("not-before", HEAD + post("{{ steps.find.name }}") + FIND, HEAD + FIND + post("{{ steps.find.name }}")),
    (
        "inside-loop",
        HEAD
        + "  - {id: loop, for_each: inputs.names, steps: [{id: one, set: {a: item}}]}\n"
        + post("{{ steps.one.a }}"),
        HEAD
        + "  - {id: loop, for_each: inputs.names, steps: [{id: one, set: {a: item}}]}\n"
        + post("{{ steps.loop | map(attribute='output.one.a', default='') | join }}"),
    ),
    (
        "maybe-missing",
        HEAD + FIND[:-2] + ", when: inputs.count > 1}\n" + post("{{ steps.find.name }}"),
        HEAD + FIND[:-2] + ", when: inputs.count > 1}\n" + post("{{ steps.find.name | default('?') }}"),
    ),
    (
        "wrong-duration",
        HEAD + FIND + isolate(more=", hold: '{{ inputs.names }}'"),
        HEAD + FIND + isolate(more=", hold: '{{ inputs.count }}h'"),
    ),
    (
        "wrong-at",
        HEAD + "  - {action: edr.list_alerts, at: inputs.count}",
        HEAD + "  - {action: edr.list_alerts, at: inputs.names}",
    ),
    (
        "wrong-text",
        HEAD + "  - {approve: '{{ inputs.names }}', by: [a], within: 1m}",
        HEAD + "  - {approve: '{{ inputs.names | join }}', by: [a], within: 1m}",
    ),
    ("wrong-target", HEAD + FIND + "  - {release: inputs.name}", HEAD + FIND + "  - {release: steps.find}"),
    (
        "wrong-default",
        "id: p\ninputs: {a: {type: integer, default: x}}\nsteps: [{set: {b: '1'}}]",
        "id: p\ninputs: {a: {type: integer, default: 1}}\nsteps: [{set: {b: '1'}}]",
    ),
    (
        "variable-twice",
        HEAD + "  - {set: {a: '1'}}\n  - {set: {a: '2'}}",
        HEAD + "  - {set: {a: '1'}}\n  - {set: {b: '2'}}",
    ),
    ("hold-without-change", HEAD + FIND[:-2] + ", hold: 1h}", HEAD + FIND + isolate(more=", hold: 1h")),
    (
        "undo-without-change",
        HEAD + FIND + isolate(more=", undo: {action: edr.get_host, with: {name: a}}"),
        HEAD + FIND + isolate(more=", undo: {action: edr.release_host, with: {host: '{{ steps.find }}', reason: x}}"),
    ),
    (
        "hold-without-inverse",
        HEAD + "  - {id: who, action: identity.get_user, with: {name: x}}\n"
        "  - {action: identity.revoke_sessions, with: {user: '{{ steps.who }}', reason: x}, hold: 1h}",
        HEAD + "  - {id: who, action: identity.get_user, with: {name: x}}\n"
        "  - {action: identity.disable_user, with: {user: '{{ steps.who }}', reason: x}, hold: 1h}",
    ),
    (
        "unknown-cover",
        HEAD + FIND + "  - {approve: Go, by: [a], within: 1m, covers: [ct]}\n" + isolate(),
        HEAD + FIND + "  - {approve: Go, by: [a], within: 1m, covers: [cut]}\n" + isolate(),
    ),
    (
        "approval-deadlock",
        HEAD + FIND + "  - {approve: Go, by: [a], within: 1m, needs: [cut]}\n" + isolate(more=", needs: [find]"),
        HEAD + FIND + "  - {approve: Go, by: [a], within: 1m, needs: [find]}\n" + isolate(more=", needs: [find]"),
    ),
    (
        "unknown-playbook",
        HEAD + "  - {playbook: open-tickt, with: {title: a}}",
        HEAD + "  - {playbook: open-ticket, with: {title: a}}",
    ),
    ("recursion", HEAD + "  - {playbook: p, with: {name: a}}", HEAD + "  - {playbook: open-ticket, with: {title: a}}"),
    ("missing-input", HEAD + "  - {playbook: open-ticket}", HEAD + "  - {playbook: open-ticket, with: {title: a}}"),
    (
        "unexpected-input",
        HEAD + "  - {playbook: open-ticket, with: {title: a, siz: 1}}",
        HEAD + "  - {playbook: open-ticket, with: {title: a, size: 1}}",
    ),
    (
        "wrong-input",
        HEAD + "  - {playbook: open-ticket, with: {title: '{{ inputs.names }}'}}",
        HEAD + "  - {playbook: open-ticket, with: {title: '{{ inputs.name }}'}}",
    ),
]


@pytest.mark.parametrize(("code", "bad", "good"), CASES, ids=[case[0] for case in CASES])
def test_each_mistake_is_one_problem_and_its_twin_is_silent(code: str, bad: str, good: str) -> None:
    """A check finds its own mistake, no other check joins in, and the same text without it has none."""
    assert [problem.code for problem in check(bad, TICKET)] == [code]
    assert messages(good, TICKET) == ""


def test_every_check_has_a_case_here() -> None:
    """A check that nobody tests is no check."""
    assert {code for code, _, _ in CASES} == set(CHECKS)


def test_every_problem_code_is_explained_in_the_language_page() -> None:
    """Codes are for people to look up."""
    explained = set(re.findall(r"^\| `([a-z]+(?:-[a-z]+)+|[a-z]+)` \|", LANGUAGE.read_text(), re.MULTILINE))
    source = Path(__file__).resolve().parents[3] / "engine" / "hikeshi" / "playbook"
    used = set(CHECKS)
    for path in [*source.glob("parse*.py"), *source.glob("yaml*.py"), *source.glob("check*.py"), source / "library.py"]:
        used |= set(
            re.findall(
                r'(?:add|unknown|at_\w+|Problem|Fault|_at)\(\s*(?:event, )?"([a-z]+(?:-[a-z]+)*)"', path.read_text()
            )
        )

    assert used <= explained


def test_every_example_of_the_language_page_passes() -> None:
    """The documentation shows nothing that a check refuses."""
    for text in re.findall(r"```yaml\n(.*?)```", LANGUAGE.read_text(), re.DOTALL):
        if "id:" in text:
            assert messages(text) == ""


def test_actions_that_nothing_carries_out_are_named() -> None:
    """Bindings are checked apart, those of the playbooks it runs included."""
    known = catalogue()
    known.instances["falcon"] = Instance("falcon", "crowdstrike", {"edr.find_hosts": None})
    playbook = load(HEAD + FIND + isolate() + "  - {playbook: open-ticket, with: {title: a}}")

    problems = check_bindings(playbook, known, Playbooks(TICKET))

    assert [problem.code for problem in problems] == ["unbound-action", "unbound-action"]
    assert {problem.position.line for problem in problems} == {5, 3}


def test_what_is_to_undo_a_change_needs_a_connector_too() -> None:
    """A hold that nothing could end is found before anything is held."""
    known = catalogue()
    known.instances["falcon"] = Instance("falcon", "crowdstrike", {"edr.isolate_host": None})
    text = HEAD + FIND + isolate(more=", undo: {action: firewall.unblock_indicators}")

    unbound = [str(problem) for problem in check_bindings(load(text), known, Playbooks())]

    assert len(unbound) == 2
    assert "edr.get_host" in unbound[0]
    assert "p.yaml:5:" in unbound[1]
    assert "firewall.unblock_indicators" in unbound[1]


def test_an_instance_may_be_named_instead_of_its_capability() -> None:
    """`instance.verb` is an action if the instance supports it."""
    known = catalogue()
    known.instances["falcon"] = Instance("falcon", "crowdstrike", {"edr.find_hosts": None})
    good = load(HEAD + FIND.replace("edr.get_host", "falcon.get_host"))
    bad = load(HEAD + FIND.replace("edr.get_host", "falcon.get_hots"))

    assert check_playbook(good, known, Playbooks()) == []
    assert [problem.code for problem in check_playbook(bad, known, Playbooks())] == ["unknown-action"]


def test_a_missing_field_says_who_gives_what() -> None:
    """The message names the action, what it gives and the nearest field."""
    text = HEAD + FIND + post("{{ steps.find.nam }}")

    assert messages(text) == ("p.yaml:5:59: edr.get_host gives a Host, which has no 'nam'; did you mean 'name'?")


def test_an_entity_never_comes_from_outside() -> None:
    """Text and maps of the inputs are refused where an entity is needed, and the message says what to do."""
    text = "id: p\ninputs: {h: {type: dict}}\nsteps:\n" + isolate("{{ inputs.h }}")

    assert "look the host up first" in messages(text)


def test_constants_are_checked_by_the_type_itself() -> None:
    """A word that is not among those of the parameter comes with the nearest one."""
    text = HEAD + "  - {action: edr.list_alerts, with: {severity: hihg, since_s: '60'}}"

    assert codes(text) == ["4:48 wrong-argument", "4:63 wrong-argument"]
    assert "did you mean 'high'?" in messages(text)


def test_all_problems_come_in_one_pass_in_the_order_of_the_text() -> None:
    """Mistakes in different steps don't hide each other."""
    text = HEAD + "  - {action: edr.nothing}\n" + post("{{ inputs.nme }} {{ steps.no }}") + isolate("x")

    assert [code.split()[1] for code in codes(text)] == [
        "unknown-action",
        "unknown-input",
        "unknown-step",
        "wrong-argument",
    ]


def test_what_an_unknown_action_gives_is_not_judged() -> None:
    """One mistake is one problem."""
    assert codes(HEAD + "  - {id: a, action: edr.nothing}\n" + post("{{ steps.a.whatever }}")) == [
        "4:21 unknown-action"
    ]


def test_recursion_names_the_whole_circle() -> None:
    """Playbooks that run each other are found from either."""
    one = "id: one\nsteps: [{playbook: two}]"
    two = "id: two\nsteps: [{set: {a: '1'}, on_error: [{playbook: three}]}]"
    three = "id: three\nsteps: [{playbook: one}]"

    assert "one -> two -> three -> one" in messages(one, one, two, three)
    assert "three -> one -> two -> three" in messages(three, one, two, three)


def test_a_playbook_that_runs_a_circle_but_is_not_in_it_is_not_blamed() -> None:
    """Each mistake is reported where it can be mended, and looking at it ends."""
    outer = "id: outer\nsteps: [{playbook: one}]"
    one = "id: one\nsteps: [{id: x, playbook: two}]\noutputs: {a: '{{ steps.x.b }}'}"
    two = "id: two\nsteps: [{id: x, playbook: one}]\noutputs: {b: '{{ steps.x.a }}'}"

    assert codes(outer, outer, one, two) == []


def test_the_outputs_of_another_playbook_are_typed() -> None:
    """What a sub-playbook gives is known by the types of its own steps."""
    text = HEAD + "  - {id: sub, playbook: open-ticket, with: {title: a}}\n"

    assert messages(text + post("{{ steps.sub.number }}"), TICKET) == ""
    assert "has no 'nmber'; did you mean 'number'?" in messages(text + post("{{ steps.sub.nmber }}"), TICKET)


def test_a_trigger_must_give_what_the_playbook_needs() -> None:
    """A run that a trigger starts has nobody to ask."""
    text = "id: p\ntriggers: [{id: t, webhook: w, inputs: {nme: '{{ event.x }}'}}]\n" + HEAD[6:] + FIND

    assert codes(text) == ["2:13 missing-input", "2:41 unexpected-input"]


def test_a_polled_action_is_checked_like_any_other() -> None:
    """It exists, is a read, and its arguments fit."""
    text = (
        "id: p\ntriggers: [{id: t, poll: {action: edr.list_alerts, every: 1m, with: {since: 1}}}]\n"
        "steps: [{set: {a: '1'}}]"
    )

    assert [code.split()[1] for code in codes(text)] == ["unknown-argument"]
    assert [code.split()[1] for code in codes(text.replace("edr.list_alerts", "messaging.page"))] == [
        "missing-argument",
        "missing-argument",
        "not-a-read",
        "unknown-argument",
    ]


def test_inputs_are_accepted_as_they_may_be_written() -> None:
    """An indicator or a duration may be given as text, though it becomes something else."""
    sub = "id: sub\ninputs: {i: {type: list, items: indicator}, d: {type: duration}}\nsteps: [{set: {a: '1'}}]"
    text = HEAD + "  - {playbook: sub, with: {i: '{{ inputs.names }}', d: '{{ inputs.count }}h'}}"

    assert messages(text, sub) == ""
