"""What a plan is aimed at, in a few lines: for a dialog that asks once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.console.elements import tag
from hikeshi.console.frame import Page

__all__ = ["labels_of", "targets_in_short"]

_MOST = 10


def labels_of(action: Mapping[str, Any]) -> list[str]:
    """Return what people call the targets of a planned action."""
    target = action["target"]
    if target is None:
        return []
    return [str(each["label"]) for each in (target if isinstance(target, list) else [target])]


def targets_in_short(page: Page, report: Mapping[str, Any]) -> None:
    """Show each action of a plan with its targets on one line."""
    with tag("ul", "", "short"):
        for action in report["actions"][:_MOST]:
            if not action["already"]:
                labels = ", ".join(labels_of(action)[:5])
                tag("li", f"{action['action']}  {labels}  ({action['connector'] or page.say('plan.not_known')})")
        if len(report["actions"]) > _MOST:
            tag("li", page.say("common.more", count=len(report["actions"]) - _MOST))
