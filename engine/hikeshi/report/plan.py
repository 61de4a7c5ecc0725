"""A plan as people and programs read it: every action that would be taken, with its target and requests."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from hikeshi.core import Node, RunState, StepStatus
from hikeshi.playbook.unknown import to_json
from hikeshi.report.result import error_report
from hikeshi.report.tree import tree

__all__ = ["plan_report"]


def plan_report(state: RunState) -> dict[str, Any]:
    """Return the plan that a dry run made.

    Shape: `{plan, digest, playbook, status, inputs, actions: [{path, action, connector, effect, certainty, condition,
    target, requests: [{method, url, body, volatile}], complete, not_checked, already}], reads, problems}`. `digest` is
    the SHA-256 of the playbook texts, inputs and actions without volatile fields, so two plans that would do the same
    have the same one.
    """
    assert state.root is not None
    actions = [_action(node) for _, node in tree(state) if node.plan is not None]
    digests = {name: playbook.digest for name, playbook in sorted(state.program.playbooks.items())}
    inputs = to_json(state.root.inputs)
    relied_on = {"playbooks": digests, "inputs": inputs, "actions": [_lasting(action) for action in actions]}
    canonical = json.dumps(relied_on, sort_keys=True, separators=(",", ":"))
    return {
        "plan": state.run,
        "digest": hashlib.sha256(canonical.encode()).hexdigest(),
        "playbook": state.program.main,
        "status": state.status.value,
        "inputs": inputs,
        "actions": actions,
        "reads": [_read(node) for _, node in tree(state) if _is_read(node)],
        "problems": [_problem(node) for _, node in tree(state) if node.error is not None and node.plan is None],
        "error": error_report(state.error),
    }


def _action(node: Node) -> dict[str, Any]:
    plan = node.plan
    assert plan is not None
    return {
        "path": node.path,
        "action": plan.action,
        "connector": plan.connector,
        "effect": plan.effect,
        "certainty": "maybe" if node.maybe else "certain",
        "condition": _condition(node),
        "target": plan.target,
        "requests": plan.requests,
        "complete": plan.complete,
        "not_checked": plan.not_checked,
        "already": plan.already,
    }


def _lasting(action: dict[str, Any]) -> dict[str, Any]:
    """Return an action without the fields of its requests that differ each time they are made."""
    requests = [{**request, "body": _without(request["volatile"], request["body"])} for request in action["requests"]]
    return {**action, "requests": requests}


def _without(volatile: list[str], body: Any) -> Any:
    if isinstance(body, dict):
        return {key: _without(volatile, value) for key, value in body.items() if key not in volatile}
    return [_without(volatile, entry) for entry in body] if isinstance(body, list) else body


def _condition(node: Node) -> str | None:
    """Return what decides whether a `maybe` happens, in words."""
    at: Node | None = node
    while at is not None:
        siblings = at.siblings
        if siblings is not None and siblings.role == "on_error":
            assert siblings.owner is not None
            return f"if {siblings.owner.path} failed"
        if siblings is not None and siblings.role == "on_failure":
            return "if something failed"
        if at.own_maybe:
            if at.step.when is not None:
                return f"if {at.step.when.text}"
            return "for items that are not known yet" if at.is_loop else "if the playbook was not stopped before"
        at = at.parent
    return None


def _is_read(node: Node) -> bool:
    return node.action is not None and node.plan is None and not node.parts and node.status is StepStatus.SUCCEEDED


def _read(node: Node) -> dict[str, Any]:
    return {"path": node.path, "action": node.action, "when": "before the changes"}


def _problem(node: Node) -> dict[str, Any]:
    return {"path": node.path, "error": error_report(node.error)}
