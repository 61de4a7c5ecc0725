"""Approvals that could never be asked, and what `covers` may name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest

from hikeshi.capabilities import BUILT_IN, Catalogue
from hikeshi.playbook import Playbook, check_playbook, load_playbook

CATALOGUE = Catalogue()
for _capability in BUILT_IN:
    CATALOGUE.add(_capability.specs())


class Playbooks:
    def __init__(self, known: Mapping[str, Playbook]) -> None:
        self._known = known

    def playbook(self, playbook_id: str) -> Playbook | None:
        return self._known.get(playbook_id)

    def ids(self) -> Iterable[str]:
        return self._known


def load(text: str) -> Playbook:
    playbook, problems = load_playbook(text, "p.yaml")
    assert [str(problem) for problem in problems] == []
    assert playbook is not None
    return playbook


def check(text: str, *others: str) -> list[str]:
    """Return the problems of a playbook as `line:column code: message`."""
    known = {playbook.id: playbook for playbook in map(load, others)}
    found = check_playbook(load(text), CATALOGUE, Playbooks(known))
    return [f"{entry.position.line}:{entry.position.column} {entry.code}: {entry.message}" for entry in found]


def codes(text: str, *others: str) -> list[str]:
    return [found.split(": ")[0].split()[1] for found in check(text, *others)]


FIND = "{id: find, action: edr.get_host, with: {name: pc1}}"
TELL = "{id: tell, action: messaging.post, with: {channel: c, text: x}}"
WHO = "{id: who, action: identity.get_user, with: {name: mei}}"


def steps(*lines: str) -> str:
    text = f"id: p\ninputs: {{names: {{type: list, default: []}}}}\nsteps:\n  - {FIND}\n"
    return text + "".join(f"  - {line}\n" for line in lines)


def approve(more: str = "", name: str = "ok") -> str:
    return f"{{id: {name}, approve: Go?, by: [mei], within: 5m{more}}}"


def cut(more: str = "", name: str = "cut") -> str:
    return f"{{id: {name}, action: edr.isolate_host, with: {{host: '{{{{ steps.find }}}}', reason: x}}{more}}}"


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([approve(", needs: [cut]"), cut(", needs: [find]")], id="directly"),
        pytest.param(
            [approve(", needs: [then]"), cut(", needs: [find]"), "{id: then, set: {a: '1'}}"], id="through a sibling"
        ),
        pytest.param(
            [approve(", needs: [block]"), f"{{id: block, needs: [find], steps: [{cut()}]}}"], id="through a block"
        ),
        pytest.param(
            [f"{{id: block, needs: [find, cut], steps: [{approve(', covers: [cut]')}]}}", cut(", needs: [find]")],
            id="because of the block that it stands in",
        ),
        pytest.param([cut(), approve(", covers: [cut]")], id="by name"),
        pytest.param(
            [f"{{id: block, steps: [{cut()}, {approve(', covers: [block]')}]}}"], id="by the name of its own block"
        ),
        pytest.param(
            [f"{{id: odd, set: {{a: '1 / 0'}}, on_error: [{cut()}]}}", approve(", covers: [odd]")], id="in a handler"
        ),
        pytest.param(["{id: free, release: steps.find}", approve(", covers: [free]")], id="a release"),
        pytest.param(["{id: sub, playbook: cuts}", approve(", covers: [sub]")], id="another playbook"),
    ],
)
def test_an_approval_that_waits_for_what_it_covers_is_refused(lines: list[str]) -> None:
    """The approval waits for the change, and the change for the approval."""
    cuts = f"id: cuts\nsteps: [{{id: inner, playbook: cut-one}}, {FIND}]"
    assert codes(steps(*lines), cuts, f"id: cut-one\nsteps: [{FIND}, {cut()}]") == ["approval-deadlock"]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([approve(), cut()], id="the usual order"),
        pytest.param([approve(), cut(", needs: [find]")], id="a change that needs only what is before"),
        pytest.param(
            [approve(", needs: [who]"), WHO.replace("}}", "}, needs: [find]}")], id="a read that is written after"
        ),
        pytest.param([TELL, approve(", covers: [tell]")], id="a message, which waits for no approval"),
        pytest.param([approve(", needs: [sum]"), "{id: sum, needs: [find], set: {a: '1'}}"], id="a value"),
        pytest.param([approve(", needs: [sub]"), "{id: sub, needs: [find], playbook: reads}"], id="only reads inside"),
        pytest.param([f"{{parallel: [{approve(', covers: [cut]')}, {cut()}]}}"], id="all at once"),
        pytest.param([f"{{id: block, steps: [{approve(', covers: [block]')}, {cut()}]}}"], id="its own block"),
        pytest.param([approve(", on_error: [" + cut(name="back") + "]"), cut()], id="its own handler"),
        pytest.param([approve(", covers: [late]"), cut(name="late")], id="by name"),
    ],
)
def test_an_approval_that_can_be_asked_first_is_fine(lines: list[str]) -> None:
    """Reads that it needs do not wait for it, wherever they are written."""
    assert check(steps(*lines), f"id: reads\nsteps: [{FIND}]") == []


def test_a_deadlock_says_what_waits_for_what() -> None:
    """The change is named, and the place is that of the approval."""
    assert check(steps(approve(", needs: [cut]"), cut(", needs: [find]"))) == [
        "5:14 approval-deadlock: the approval 'ok' waits for 'cut', which waits for the approval: "
        "neither would ever go on"
    ]


def test_two_approvals_that_wait_for_each_others_changes_are_found() -> None:
    """No approval waits for its own change, and yet none could be given."""
    text = steps(
        f"{{parallel: [{approve(', needs: [two], covers: [one]', 'first')}, {cut('', 'one')}, "
        f"{approve(', needs: [one], covers: [two]', 'second')}, {cut('', 'two')}]}}"
    )

    assert codes(text) == ["approval-deadlock", "approval-deadlock"]
    assert (
        "'first' waits for 'two', which waits for the approval 'second', which waits for 'one', "
        "which waits for the approval"
    ) in check(text)[0]


def test_an_approval_at_the_end_cannot_cover_what_runs_before() -> None:
    """`finally` waits for all of the steps."""
    text = steps(cut()) + f"finally: [{approve(', covers: [cut]')}]\n"

    assert codes(text) == ["approval-deadlock"]


LOOP = "{{id: loop, for_each: inputs.names, steps: [{inside}]}}"


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([approve(", covers: [ct]"), cut()], "there is no step 'ct'; did you mean 'cut'?"),
        ([approve(", covers: [ok]"), cut()], "the approval 'ok' can't cover itself"),
        (
            [LOOP.format(inside=approve(", covers: [cut]")), cut()],
            "'cut' stands outside of 'loop', where this is asked for each pass",
        ),
        (
            [f"{{id: again, while: 'false', at_most: 2, steps: [{approve(', covers: [cut]')}]}}", cut()],
            "'cut' stands outside of 'again'",
        ),
        (
            [LOOP.format(inside=approve(", covers: [loop]"))],
            "'loop' stands outside of 'loop'",
        ),
        (
            [f"{{id: bad, set: {{a: '1'}}, on_error: [{approve(', covers: [cut]')}]}}", cut()],
            "'cut' stands outside of the handler of 'bad', where this is asked only if that fails",
        ),
        (
            [cut(", on_error: [" + approve(", covers: [cut]") + "]")],
            "'cut' stands outside of the handler of 'cut'",
        ),
        (
            [f"{{id: maybe, when: 'true', steps: [{approve(', covers: [cut]')}]}}", cut()],
            "'cut' stands outside of 'maybe', which may be skipped",
        ),
    ],
)
def test_an_approval_covers_only_what_it_is_asked_for(lines: list[str], says: str) -> None:
    """What it names is there, is another step, and does not run where the approval is not asked."""
    found = check(steps(*lines))

    assert [entry.split(": ")[0].split()[1] for entry in found] == ["unknown-cover"]
    assert says in found[0]


def test_an_approval_after_a_failure_covers_only_what_runs_after_it() -> None:
    """Without a failure it is never asked, and the step would wait."""
    text = steps(cut()) + f"on_failure: [{approve(', covers: [cut]')}]\n"

    assert codes(text) == ["unknown-cover"]
    assert "stands outside of 'on_failure'" in check(text)[0]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param([approve(", covers: [cut]"), LOOP.format(inside=cut())], id="from outside into a loop"),
        pytest.param([LOOP.format(inside=approve(", covers: [cut]") + ", " + cut())], id="in the same loop"),
        pytest.param(
            [LOOP.format(inside=f"{{steps: [{approve(', covers: [cut]')}]}}, {cut()}")], id="blocks do not matter"
        ),
        pytest.param(
            [f"{{id: maybe, when: 'true', steps: [{approve(', covers: [cut]')}, {cut()}]}}"], id="in the same block"
        ),
        pytest.param([approve(", when: 'true', covers: [cut]"), cut()], id="an approval with a condition"),
    ],
)
def test_an_approval_may_cover_what_runs_whenever_it_is_asked(lines: list[str]) -> None:
    """Its own condition is no obstacle: if it is false, nobody needs to be asked."""
    assert check(steps(*lines)) == []
