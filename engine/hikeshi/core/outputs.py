"""What a step gives to those that read it. Computed from the tree when somebody asks, never stored twice."""

from __future__ import annotations

from typing import Any

from hikeshi.core.state import ListRun, Node
from hikeshi.core.status import StepStatus
from hikeshi.playbook.model import BlockStep, StopStep
from hikeshi.playbook.unknown import Unknown

__all__ = ["error_of", "has_output", "output_of", "outputs_of_list"]


def output_of(node: Node) -> Any:
    """Return a node's output: see the language's table of what each kind of step gives."""
    if isinstance(node.step, BlockStep) and node.step.repeat is not None and node.group is None:
        return _output_of_while(node)
    if node.is_loop or node.parts:
        if node.output is None or not node.settled:
            node.output = [_outcome(part) for part in _parts(node)]
        return node.output
    if isinstance(node.step, BlockStep) and node.children is not None:
        if node.output is None or not node.settled:
            node.output = outputs_of_list(node.children)
        return node.output
    return node.output


def _output_of_while(node: Node) -> Any:
    if isinstance(node.output, Unknown) or not node.parts:
        return node.output
    last = node.parts[-1].children
    return None if last is None else outputs_of_list(last)


def has_output(node: Node) -> bool:
    """Say whether a node's output may be read. What holds others tells even after a failure what became of each."""
    if node.status is StepStatus.FAILED:
        return node.is_loop or bool(node.parts) or node.children is not None or node.inner is not None
    return node.status is StepStatus.SUCCEEDED


def outputs_of_list(steps: ListRun) -> dict[str, Any]:
    """Return the outputs of a list's steps by ID, of those that have one."""
    return {
        node.step.id: Unknown("output", f"the step {node.step.id!r} may be skipped")
        if node.own_maybe
        else output_of(node)
        for node in steps.nodes.values()
        if node.step.id is not None and has_output(node) and not isinstance(node.step, StopStep)
    }


def error_of(node: Node) -> dict[str, Any] | None:
    """Return a node's error as expressions see it, or None. What holds others gives the first error inside it."""
    at = node
    while at.error is None and at.cause is not None:
        at = at.cause
    if at.error is None:
        return None
    where = "" if at is node else f"{at.path}: "
    return {"kind": at.error.kind, "message": where + at.error.message}


def _parts(node: Node) -> list[Node | Any]:
    if node.items is None:
        return list(node.parts)
    return [*node.parts, *node.items[len(node.parts) :]]


def _outcome(part: Node | Any) -> dict[str, Any]:
    if not isinstance(part, Node):  # an item that was never begun, because too many had failed
        return {"item": part, "status": StepStatus.SKIPPED.value, "output": None, "error": None}
    if part.own_maybe or part.planned:
        why = "the item may be skipped" if part.own_maybe else "it was only planned"
        return {
            "item": part.item,
            "status": Unknown("string", why),
            "output": Unknown("output", why) if part.own_maybe else output_of(part),
            "error": Unknown("error", why),
        }
    return {
        "item": part.item,
        "status": part.status.value,
        "output": output_of(part) if part.status is StepStatus.SUCCEEDED else None,
        "error": error_of(part),
    }
