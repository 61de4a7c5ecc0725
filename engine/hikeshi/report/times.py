"""How long the steps of a run took, or are taking: from the times of its events."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from hikeshi.core import Node, StepStatus
from hikeshi.core.status import ENDED
from hikeshi.journal import Record

__all__ = ["Times"]

_NOT_BEGUN = frozenset({"ApprovalHeld", "StepSkipped"})
_AFTERWARDS = frozenset({"StepResolved", "HoldReleased"})  # what people did to a step that may have been over
_NO_TIME = frozenset({StepStatus.WAITING, StepStatus.SKIPPED, StepStatus.BLOCKED})
_JOINT = re.compile(r"[.\[]")


class Times:
    """When each path of a run was first and last spoken of; what is inside of a path counts for it too."""

    def __init__(self, records: Iterable[Record] = ()) -> None:
        self._first: dict[str, datetime] = {}
        self._last: dict[str, datetime] = {}
        self.read(records)

    def read(self, records: Iterable[Record]) -> None:
        """Take stored events into account."""
        for record in records:
            self.note(record.kind, record.path, record.at)

    def note(self, kind: str, path: str, at: datetime) -> None:
        """Take an event of a path into account; events come in their order."""
        if kind in _NOT_BEGUN or kind in _AFTERWARDS or not path:
            return
        for each in (*(path[: joint.start()] for joint in _JOINT.finditer(path)), path):
            self._first.setdefault(each, at)
            self._last[each] = at

    def took_s(self, node: Node, now: datetime) -> float | None:
        """Return the seconds that a step took, or has taken until now; None if it has not begun or did not run."""
        begun = self._first.get(node.path)
        if begun is None or node.status in _NO_TIME:
            return None
        until = self._last[node.path] if node.status in ENDED else now
        return max(0.0, (until - begun).total_seconds())
