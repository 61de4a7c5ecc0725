"""A plan as people and programs read it: every action that would be taken, and what it would ask and wait for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from hikeshi.core import Node, RunState, StepStatus, decode_event
from hikeshi.core import events as ev
from hikeshi.core.cover import approvals_over
from hikeshi.core.lasting import lasting_request, lasting_state
from hikeshi.journal import Record
from hikeshi.playbook.durations import format_duration
from hikeshi.playbook.model import ApproveStep, AskStep, EventWait, ReadWait, ReleaseStep, WaitStep
from hikeshi.playbook.unknown import to_json
from hikeshi.report.result import error_report
from hikeshi.report.tree import tree

__all__ = ["lasting_action", "plan_report"]


def plan_report(state: RunState, records: Iterable[Record] = ()) -> dict[str, Any]:
    """Return the plan that a dry run made. Its `records` have the words of what it would ask.

    Shape: `{plan, digest, playbook, status, inputs, actions: [{path, action, connector, effect, certainty, condition,
    target, requests: [{method, url, body, volatile}], complete, not_checked, already, prior, hold_s, approvals,
    consents: [{rule, why, by, quorum, within_s, targets}]}], approvals:
    [{path, question, by, quorum, within_s, escalate, certainty, condition, covers}], forms: [{path, question, by,
    within_s, fields, certainty, condition}], waits: [{path, until, at_most_s, certainty, condition}], releases: [{path,
    targets, approvals, certainty, condition}], reads, problems}`. `digest` is the SHA-256 of the playbook texts, inputs
    and actions without volatile fields, so two plans that would do the same have the same one.
    """
    assert state.root is not None
    actions = [_action(state, node) for _, node in tree(state) if node.plan is not None]
    digests = {name: playbook.digest for name, playbook in sorted(state.program.playbooks.items())}
    inputs = to_json(state.root.inputs)
    relied_on = {"playbooks": digests, "inputs": inputs, "actions": [lasting_action(action) for action in actions]}
    canonical = json.dumps(relied_on, sort_keys=True, separators=(",", ":"))
    return {
        "plan": state.run,
        "digest": hashlib.sha256(canonical.encode()).hexdigest(),
        "playbook": state.program.main,
        "status": state.status.value,
        "inputs": inputs,
        "actions": actions,
        **_waiting(state, _planned(records), actions),
        "reads": [_read(node) for _, node in tree(state) if _is_read(node)],
        "problems": [_problem(node) for _, node in tree(state) if node.error is not None and node.plan is None],
        "error": error_report(state.error),
    }


def lasting_action(action: Mapping[str, Any]) -> dict[str, Any]:
    """Return an action without the fields of its requests that differ each time they are made."""
    return {**action, "requests": [lasting_request(request) for request in action["requests"]]}


def _action(state: RunState, node: Node) -> dict[str, Any]:
    plan = node.plan
    assert plan is not None
    return {
        "path": node.path,
        "action": plan.action,
        "connector": plan.connector,
        "effect": plan.effect,
        **_likelihood(node),
        "target": plan.target,
        "requests": plan.requests,
        "complete": plan.complete,
        "not_checked": plan.not_checked,
        "already": plan.already,
        "prior": to_json(lasting_state(plan.prior)),
        "hold_s": to_json(node.hold_s),
        "approvals": _approvals(state, node) if plan.effect == "change" else [],
        "consents": list(plan.consents),
    }


def _likelihood(node: Node) -> dict[str, Any]:
    return {"certainty": "maybe" if node.maybe else "certain", "condition": _condition(node)}


def _approvals(state: RunState, node: Node) -> list[str]:
    """Return the approvals that would have to be given first."""
    return [path for path, standing in approvals_over(state, node) if standing in ("given", "open")]


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


# --- what people, time and the outside decide -------------------------------------------------------------


def _planned(records: Iterable[Record]) -> dict[str, dict[str, Any]]:
    """Return what each step that waits would show, by its path."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        if record.kind == "StepPlanned":
            event = decode_event(record.kind, record.path, record.data)
            assert isinstance(event, ev.StepPlanned)
            found[record.path] = {key: value for shown in event.shows for key, value in shown.items()}
    return found


def _waiting(
    state: RunState, shown: dict[str, dict[str, Any]], actions: list[dict[str, Any]]
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {"approvals": [], "forms": [], "waits": [], "releases": []}
    for _, node in tree(state):
        if node.plan is not None or not node.planned or node.status is not StepStatus.SUCCEEDED:
            continue
        common = {"path": node.path, **_likelihood(node)}
        said = shown.get(node.path, {})
        match node.step:
            case ApproveStep() as step:
                found["approvals"].append(common | _approval(step, said, node.path, actions))
            case AskStep() as step:
                text = said.get("ask", step.label)
                asked = {"question": text, "by": list(step.by), "within_s": step.within_s, "fields": list(step.form)}
                found["forms"].append(common | asked)
            case WaitStep() as step:
                found["waits"].append(common | _wait(step))
            case ReleaseStep() as step:
                targets = said.get("release", step.targets.text)
                found["releases"].append(common | {"targets": targets, "approvals": _approvals(state, node)})
    return found


def _approval(step: ApproveStep, said: dict[str, Any], path: str, actions: list[dict[str, Any]]) -> dict[str, Any]:
    escalate = step.escalate
    return {
        "question": said.get("approve", step.label),
        "by": list(step.by),
        "quorum": step.quorum,
        "within_s": step.within_s,
        "escalate": None if escalate is None else {"to": list(escalate.to), "within_s": escalate.within_s},
        "covers": [action["path"] for action in actions if path in action["approvals"]],
    }


def _wait(step: WaitStep) -> dict[str, Any]:
    match step.wait:
        case ReadWait(action=action, until=until, at_most_s=at_most_s):
            return {"until": f"{action} gives: {until.text}", "at_most_s": at_most_s}
        case EventWait(event=name, when=when, at_most_s=at_most_s):
            return {
                "until": f"the signal {name!r}" + (f" for which {when.text}" if when else ""),
                "at_most_s": at_most_s,
            }
        case float() | int() as seconds:
            return {"until": f"{format_duration(seconds)} are over", "at_most_s": seconds}
        case _:
            return {"until": "a time that the playbook computes", "at_most_s": None}


def _is_read(node: Node) -> bool:
    return node.action is not None and node.plan is None and not node.parts and node.status is StepStatus.SUCCEEDED


def _read(node: Node) -> dict[str, Any]:
    answer = json.dumps(to_json(lasting_state(node.output)), sort_keys=True, separators=(",", ":"))
    return {
        "path": node.path,
        "action": node.action,
        "when": "before the changes",
        "answer_sha256": hashlib.sha256(answer.encode()).hexdigest(),
    }


def _problem(node: Node) -> dict[str, Any]:
    return {"path": node.path, "error": error_report(node.error)}
