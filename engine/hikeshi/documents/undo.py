"""What an undo would do, as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hikeshi.app.undo_plan import Inverse, UndoPlan
    from hikeshi.runtime.ledger import Hold

__all__ = ["inverse_name", "plan_document"]


def plan_document(plan: UndoPlan) -> dict[str, Any]:
    """Return a plan as plain data.

    Shape: `{undoes, inverses: [{hold, path, action, inverse, connector, target, label, does, why, prior, state}]}`.
    """
    return {"undoes": plan.run, "inverses": [_document(each) for each in plan.inverses]}


def _document(inverse: Inverse) -> dict[str, Any]:
    hold = inverse.hold
    return {
        "hold": hold.hold,
        "path": hold.path,
        "action": hold.action,
        "inverse": inverse_name(hold) or None,
        "connector": hold.connector,
        "target": hold.target,
        "label": hold.label,
        "does": inverse.does,
        "why": inverse.why,
        "prior": _plain(hold.prior),
        "state": inverse.state,
    }


def _plain(value: Any) -> Any:
    from hikeshi.playbook.unknown import to_json

    return to_json(value)


def inverse_name(hold: Hold) -> str:
    """Return the action that undoes what a hold holds, or nothing."""
    return "" if hold.undo is None else str(hold.undo["action"])
