"""Checks of a whole playbook against the actions there are and the playbooks it runs.

Each check is one function, finds one kind of mistake and stands in one table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from hikeshi.capabilities import Catalogue
from hikeshi.playbook import check_approvals, check_arguments, check_playbooks, check_references, check_values
from hikeshi.playbook.check_context import Context
from hikeshi.playbook.check_shapes import KnownPlaybooks
from hikeshi.playbook.check_support import check_bindings
from hikeshi.playbook.model import Playbook
from hikeshi.playbook.problem import Problem, in_order

__all__ = ["CHECKS", "check_bindings", "check_playbook"]

CHECKS: Mapping[str, Callable[[Context], Iterator[Problem]]] = {
    "unknown-action": check_arguments.actions_exist,
    "not-a-read": check_arguments.polls_are_reads,
    "poll-without-list": check_arguments.polls_give_lists,
    "missing-argument": check_arguments.arguments_suffice,
    "unknown-argument": check_arguments.arguments_are_known,
    "wrong-argument": check_arguments.arguments_fit,
    "unknown-name": check_references.names_exist,
    "unknown-step": check_references.steps_exist,
    "unknown-input": check_references.inputs_exist,
    "unknown-variable": check_references.variables_exist,
    "unknown-field": check_references.fields_exist,
    "wrong-expression": check_references.expressions_work,
    "not-before": check_references.steps_run_before,
    "inside-loop": check_references.not_inside_loops,
    "maybe-missing": check_references.nothing_is_missing,
    "wrong-duration": check_values.durations_are_durations,
    "wrong-at": check_values.instances_are_names,
    "wrong-text": check_values.texts_are_texts,
    "wrong-target": check_values.releases_have_targets,
    "wrong-default": check_values.defaults_fit,
    "variable-twice": check_values.variables_are_set_once,
    "hold-without-change": check_values.holds_are_on_changes,
    "undo-without-change": check_values.undoing_changes_something,
    "hold-without-inverse": check_values.holds_can_end,
    "unknown-cover": check_approvals.approvals_cover_steps,
    "approval-deadlock": check_approvals.approvals_can_be_asked,
    "unknown-playbook": check_playbooks.playbooks_exist,
    "recursion": check_playbooks.nothing_recurs,
    "missing-input": check_playbooks.inputs_suffice,
    "unexpected-input": check_playbooks.inputs_are_known,
    "wrong-input": check_playbooks.inputs_fit,
}
"""What each problem code means is the first line of its function."""


def check_playbook(playbook: Playbook, catalogue: Catalogue, library: KnownPlaybooks) -> list[Problem]:
    """Return everything that is wrong with a playbook, in the order of its text.

    Whether connectors are configured for its actions is for `check_bindings`. Raises nothing.
    """
    context = Context(playbook, catalogue, library)
    found = [problem for check in CHECKS.values() for problem in check(context)]
    return in_order(found)
