"""Machine actions: what Defender was asked to do to a machine, and what became of it.

The rule: only an action that succeeded counts. One that is pending or under way is neither isolated nor released, and
one that failed, timed out or was cancelled changed nothing. Sources:
https://learn.microsoft.com/defender-endpoint/api/machineaction; MicrosoftDocs/microsoft-365-docs issue 5903 (an
isolation that is asked for twice stays pending and can take effect after its release).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from hikeshi.connector import Invalid

__all__ = ["MachineState", "path_of_action", "state_after"]

State = Literal["normal", "isolating", "isolated", "releasing"]
Action = Mapping[str, Any]
_ACTIVE = frozenset({"pending", "inprogress"})
_WITHOUT_EFFECT = frozenset({"failed", "timeout", "cancelled"})
_SAFE_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class MachineState:
    """What follows from a machine's actions.

    `isolated` is what last succeeded; `isolating` and `releasing` are the IDs of actions that are not finished.
    """

    isolated: bool
    isolating: tuple[str, ...]
    releasing: tuple[str, ...]

    @property
    def name(self) -> State:
        if self.isolating:
            return "isolating"
        if self.releasing:
            return "releasing"
        return "isolated" if self.isolated else "normal"


def state_after(actions: Iterable[Action]) -> MachineState:
    """Return the state that these actions of one machine left it in. Raises Invalid for a status not known here.

    Actions can finish in another order than they were asked for, so the one that finished last decides.
    """
    active: dict[str, list[str]] = {"Isolate": [], "Unisolate": []}
    finished: list[tuple[datetime, str]] = []
    for action in actions:
        kind, status = str(action["type"]), str(action["status"]).lower()
        if kind not in active or status in _WITHOUT_EFFECT:
            continue
        if status in _ACTIVE:
            active[kind].append(str(action["id"]))
        elif status == "succeeded":
            finished.append((_finished_at(action), kind))
        else:
            raise Invalid(f"the machine action {action['id']} has the unknown status {status!r}")
    last = max(finished)[1] if finished else "Unisolate"
    return MachineState(last == "Isolate", tuple(active["Isolate"]), tuple(active["Unisolate"]))


def path_of_action(action_id: str) -> str:
    """Return the path of a machine action. Raises Invalid for an ID that could be more than an ID."""
    if not _SAFE_ID.fullmatch(action_id):
        raise Invalid(f"Defender named a machine action {action_id[:80]!r}, which is no ID; nothing was sent")
    return f"/machineactions/{action_id}"


def _finished_at(action: Action) -> datetime:
    # The documentation has the name in two forms.
    text = action.get("lastUpdateDateTimeUtc") or action.get("lastUpdateTimeUtc") or action["creationDateTimeUtc"]
    return datetime.fromisoformat(str(text))
