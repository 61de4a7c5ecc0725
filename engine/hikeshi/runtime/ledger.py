"""The ledger of holds, as the runtime asks it: what is kept on a target, and what would undo it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from hikeshi.journal import Journal
from hikeshi.playbook.unknown import from_json
from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.holds_projection import LOOKS_AFTER

__all__ = ["CLEARLY", "IN_ONE_CALL", "Hold", "Ledger", "Tally", "released_together"]

_MOST_DUE = 5000
IN_ONE_CALL = 500
"""How many targets one call undoes at most; what playbooks send at once as well."""
CLEARLY = timedelta(minutes=2)
"""By how much a product's own end lies before another time to count as before it: products round theirs."""
_KEPT = frozenset({"opening", "active", "unknown"})
# The first ones are what somebody should look at, as `documents.holds.status_of` names it: overdue, not released,
# perhaps lifted by the product. Takes two times: now, and up to which a look that is due means that.
_RANK = (
    "CASE WHEN status = 'active' AND expires_at <= ? THEN 0"
    " WHEN status = 'active' AND look_at < ? THEN 2"
    " WHEN status = 'active' AND release_error IS NOT NULL THEN 1"
    " WHEN status = 'unknown' THEN 3 ELSE 4 END"
)
_IS_KEPT = "status IN ('opening', 'active', 'unknown')"  # as the index has it


@dataclass(frozen=True, slots=True)
class Hold:
    """One change of one target. `undo` is `{action, arguments}`, or None if it has none.

    `prior` is what was there before, and `state` what was read back after the change; both as plain data. `release_*`
    tell of the last try to release it. Times are UTC.
    """

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
    state: Any = None
    closed_at: datetime | None = None
    closed_by: str | None = None
    passed_to: str | None = None
    undoing: str | None = None
    releasing: str | None = None
    release_tries: int = 0
    release_run: str | None = None
    release_error: str | None = None
    retry_at: datetime | None = None
    of_list: bool = False  # its inverse takes a list, so that several holds can be undone by one call

    @property
    def is_kept(self) -> bool:
        """Say whether its target is contained, or may be."""
        return self.status in _KEPT

    @property
    def lifted_at(self) -> datetime | None:
        """Return when the product itself lifts it, or None if it said no such time."""
        return _end_of(self.state)

    def prior_left_s(self, now: datetime) -> float | None:
        """Return how long what was there before still had, in seconds and at least a minute; None if it had no end."""
        end = _end_of(self.prior)
        return None if end is None else max(60.0, (end - now).total_seconds())

    @property
    def under_release(self) -> str | None:
        """Return the run that is releasing it now, or None."""
        return self.undoing or self.releasing

    def is_overdue(self, now: datetime) -> bool:
        """Say whether it should have ended by now."""
        return self.status == "active" and self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class Tally:
    """How many holds are kept; of them, how many are over, could not be released, or are to be looked at at all."""

    kept: int
    overdue: int
    release_failed: int
    worrying: int


def released_together(holds: Sequence[Hold]) -> list[list[Hold]]:
    """Return holds as they are best released: those of one step on one instance together, if one call undoes them.

    The groups stand in the order of their first hold.
    """
    groups: dict[tuple[Any, ...], list[Hold]] = {}
    for hold in holds:
        alone = None if hold.of_list else hold.hold
        groups.setdefault((hold.run, hold.path, hold.connector, hold.release_tries, alone), []).append(hold)
    return [group[at : at + IN_ONE_CALL] for group in groups.values() for at in range(0, len(group), IN_ONE_CALL)]


class Ledger:
    """Reads the projection of holds."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def get(self, hold: str) -> Hold | None:
        """Return a hold by its ID, whatever became of it."""
        return next(self._select("hold = ?", (hold,)), None)

    def kept(self, *, after: str | None = None, limit: int = -1) -> list[Hold]:
        """Return what is contained now, or may be, oldest first; all of it unless a limit is given.

        `after` is the `opened_at` and the `hold`, on two lines, of the one after which the list goes on.
        """
        opened_at, _, hold = (after or "").partition("\n")
        where = f"{_IS_KEPT} AND (opened_at, hold) > (?, ?) ORDER BY opened_at, hold LIMIT ?"
        return list(self._select(where, (opened_at, hold, limit)))

    def kept_of(self, run: str) -> list[Hold]:
        """Return what is contained now, or may be, by this run, in the order in which it was changed."""
        return list(self._select(f"run = ? AND {_IS_KEPT} ORDER BY rowid", (run,)))

    def first(self, now: datetime, limit: int) -> list[Hold]:
        """Return some of what is kept: what somebody should look at first, then what ends first.

        That is what is overdue, what could not be released, what a product may have lifted, what nobody knows.
        """
        where = f"{_IS_KEPT} ORDER BY {_RANK}, expires_at IS NULL, expires_at, opened_at, rowid LIMIT ?"
        return list(self._select(where, (*_ranked_at(now), limit)))

    def tally(self, now: datetime) -> Tally:
        """Count what is kept."""
        ranked = f"SELECT release_error, {_RANK} AS rank FROM holds WHERE {_IS_KEPT}"  # noqa: S608 - our own texts
        counts = (
            "COUNT(*) AS kept, COUNT(release_error) AS failed, COUNT(CASE WHEN rank = 0 THEN 1 END) AS overdue,"
            " COUNT(CASE WHEN rank < 3 THEN 1 END) AS worrying"
        )
        (row,) = self._journal.query(f"SELECT {counts} FROM ({ranked})", _ranked_at(now))  # noqa: S608 - our own texts
        return Tally(row["kept"], row["overdue"], row["failed"], row["worrying"])

    def connectors(self) -> set[str]:
        """Return the instances on which something is kept."""
        rows = self._journal.query(f"SELECT DISTINCT connector FROM holds WHERE {_IS_KEPT}")  # noqa: S608 - our own
        return {row["connector"] for row in rows}

    def of_run(self, run: str) -> list[Hold]:
        """Return every change of a run that was recorded as intended, whatever became of it, the newest first."""
        return list(self._select("run = ? ORDER BY rowid DESC", (run,)))

    def overrides(self, run: str) -> bool:
        """Say whether a person started this run to undo changes even where somebody else has changed the target."""
        return bool(self._journal.query("SELECT 1 FROM releases WHERE run = ? AND overrides", (run,)))

    def active_on(self, action: str, connector: str, target: str) -> Hold | None:
        """Return the oldest active hold that this action has on a target of a connector instance."""
        where = "target = ? AND connector = ? AND action = ? AND status = 'active' ORDER BY opened_at, hold LIMIT 1"
        return next(self._select(where, (target, connector, action)), None)

    def is_ours(self, action: str, connector: str, target: str, besides: str) -> bool:
        """Say whether another hold of this action on a target is active, or about to be, or nobody knows of it."""
        rows = self._journal.query(
            "SELECT 1 FROM holds WHERE target = ? AND connector = ? AND action = ? AND hold <> ?"
            " AND status IN ('active', 'opening', 'unknown') LIMIT 1",
            (target, connector, action, besides),
        )
        return bool(rows)

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
        """Return the holds whose time is over and that nobody is releasing, the one that is due first before others.

        Of very many the first; the others come when those are being released.

        What a product was to lift by itself is among them some time after that: a release then finds it lifted and
        closes it, or lifts it.
        """
        where = (
            "status = 'active' AND (expires_at <= ? OR (expires_at IS NULL AND look_at <= ?))"
            " AND (retry_at IS NULL OR retry_at <= ?) AND releasing IS NULL AND undoing IS NULL"
            " ORDER BY COALESCE(expires_at, look_at), hold LIMIT ?"
        )
        return list(self._select(where, (*(_text(now),) * 3, _MOST_DUE)))

    def next_due_at(self) -> datetime | None:
        """Return when the next hold is due, or None."""
        rows = self._journal.query(
            "SELECT MIN(MAX(COALESCE(expires_at, look_at), COALESCE(retry_at, expires_at, look_at))) AS due FROM holds"
            " WHERE status = 'active' AND COALESCE(expires_at, look_at) IS NOT NULL AND releasing IS NULL"
            " AND undoing IS NULL"
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
            yield _hold(row)


def _hold(row: Any) -> Hold:
    return Hold(
        row["hold"],
        row["run"],
        row["path"],
        row["action"],
        row["connector"],
        row["target"],
        row["label"],
        from_json(json.loads(row["prior"])),
        _undo(row),
        row["status"],
        datetime.fromisoformat(row["opened_at"]),
        _time(row["expires_at"]),
        None if row["state"] is None else from_json(json.loads(row["state"])),
        _time(row["closed_at"]),
        row["closed_by"],
        row["passed_to"],
        row["undoing"],
        row["releasing"],
        row["release_tries"],
        row["release_run"],
        row["release_error"],
        _time(row["retry_at"]),
        row["own"] is not None,
    )


def _undo(row: Any) -> Mapping[str, Any] | None:
    undo: Any = from_json(json.loads(row["undo"]))
    if undo is None or "each" not in undo:
        return undo
    own = from_json(json.loads(row["own"]))
    return {"action": undo["action"], "arguments": {**undo["arguments"], undo["each"]: [own]}}


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _end_of(state: Any) -> datetime | None:
    at = state.get("expires_at") if isinstance(state, Mapping) else None
    return _time(at) if isinstance(at, str) else None


def _ranked_at(now: datetime) -> tuple[str, str]:
    return _text(now), _text(now - CLEARLY + LOOKS_AFTER)


def _text(at: datetime) -> str:
    return at.isoformat()
