"""The ledger of holds, as the runtime asks it: what is kept on a target, and what would undo it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from hikeshi.journal import Journal
from hikeshi.playbook.unknown import from_json
from hikeshi.quick_dataclass import dataclass

__all__ = ["Hold", "Ledger"]


@dataclass(frozen=True, slots=True)
class Hold:
    """One change of one target that has not been undone. `undo` is `{action, arguments}`, or None if it has none."""

    hold: str
    run: str
    path: str
    action: str
    connector: str
    target: str
    label: str
    prior: Any
    undo: Mapping[str, Any] | None
    status: str
    opened_at: datetime
    expires_at: datetime | None


class Ledger:
    """Reads the projection of holds."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def get(self, hold: str) -> Hold | None:
        """Return a hold by its ID, whatever became of it."""
        return next(self._select("hold = ?", (hold,)), None)

    def kept(self) -> list[Hold]:
        """Return what is contained now, or may be, oldest first."""
        return list(self._select("status IN ('opening', 'active', 'unknown') ORDER BY opened_at, hold", ()))

    def active_on(self, action: str, connector: str, target: str) -> Hold | None:
        """Return the oldest active hold that this action has on a target of a connector instance."""
        where = "target = ? AND connector = ? AND action = ? AND status = 'active' ORDER BY opened_at, hold LIMIT 1"
        return next(self._select(where, (target, connector, action)), None)

    def keeper_besides(self, hold: str) -> str | None:
        """Return another active hold of the same action on the same target, which goes on when this one ends."""
        rows = self._journal.query(
            "SELECT other.hold FROM holds own JOIN holds other ON other.target = own.target"
            " AND other.connector = own.connector AND other.action = own.action AND other.hold <> own.hold"
            " AND other.status = 'active'"
            " WHERE own.hold = ? ORDER BY other.opened_at, other.hold LIMIT 1",
            (hold,),
        )
        return rows[0]["hold"] if rows else None

    def on_targets(self, targets: Sequence[Any]) -> list[Hold]:
        """Return the holds on these targets, newest first, each once.

        A target is an entity or an indicator as plain data, the ID of a hold, or a text that a change was made for.
        """
        found: dict[str, Hold] = {}
        for target in targets:
            for hold in self._on(target):
                found[hold.hold] = hold
        return sorted(found.values(), key=lambda hold: (hold.opened_at, hold.hold), reverse=True)

    def due(self, now: datetime) -> list[Hold]:
        """Return the holds whose time is over and that nobody is releasing, the one that is due first before others."""
        where = (
            "status = 'active' AND expires_at <= ? AND (retry_at IS NULL OR retry_at <= ?) AND releasing IS NULL"
            " ORDER BY expires_at, hold"
        )
        return list(self._select(where, (_text(now), _text(now))))

    def next_due_at(self) -> datetime | None:
        """Return when the next hold is due, or None."""
        rows = self._journal.query(
            "SELECT MIN(MAX(expires_at, COALESCE(retry_at, expires_at))) AS due FROM holds"
            " WHERE status = 'active' AND expires_at IS NOT NULL AND releasing IS NULL"
        )
        return None if rows[0]["due"] is None else datetime.fromisoformat(rows[0]["due"])

    def tries(self, hold: str) -> int:
        """Return how often its release has been tried."""
        rows = self._journal.query("SELECT release_tries FROM holds WHERE hold = ?", (hold,))
        return int(rows[0]["release_tries"]) if rows else 0

    def _on(self, target: Any) -> Iterator[Hold]:
        kept = "status IN ('active', 'unknown')"
        if isinstance(target, str):
            yield from self._select(f"hold = ? AND {kept}", (target,))
            yield from self._select(f"target = ? AND {kept}", (f"text:{target}",))
        elif isinstance(target, Mapping) and "kind" in target and "value" in target:
            yield from self._select(f"target = ? AND {kept}", (f"{target['kind']}:{target['value']}",))
        elif isinstance(target, Mapping) and "connector" in target and "id" in target:
            # An entity's identity names its kind too, which plain data does not tell.
            own = re.compile(
                rf"{re.escape(str(target['connector']))}:[a-z_]+:{re.escape(str(target['id']))}(/.*)?", re.S
            )
            for hold in self._select(f"connector = ? AND {kept}", (str(target["connector"]),)):
                if own.fullmatch(hold.target):
                    yield hold

    def _select(self, where: str, parameters: Sequence[Any]) -> Iterator[Hold]:
        for row in self._journal.query(f"SELECT * FROM holds WHERE {where}", parameters):  # noqa: S608 - our own texts
            expires_at = row["expires_at"]
            yield Hold(
                row["hold"],
                row["run"],
                row["path"],
                row["action"],
                row["connector"],
                row["target"],
                row["label"],
                from_json(json.loads(row["prior"])),
                from_json(json.loads(row["undo"])),  # type: ignore[arg-type]  # a map, as we wrote it
                row["status"],
                datetime.fromisoformat(row["opened_at"]),
                None if expires_at is None else datetime.fromisoformat(expires_at),
            )


def _text(at: datetime) -> str:
    return at.isoformat()
