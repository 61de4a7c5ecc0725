"""Which runs may be pruned: those that are over for long, hold nothing, and belong to no run that stays."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from hikeshi.journal import JournalError
from hikeshi.journal.pruning import PrunedRun, digest_of

if TYPE_CHECKING:
    from hikeshi.app.service import Hikeshi

__all__ = ["SHORTEST_S", "PrunePlan", "PruneRefused", "plan_prune"]

SHORTEST_S: Final = 8 * 86_400.0
"""Nothing younger is pruned: a saved plan may be applied for a week, and needs its run."""

_HOLDS: Final = "it holds something, or may"
_UNKNOWN: Final = "the outcome of a change is unknown"
_RECENT: Final = "something happened in it since"
_LINKED: Final = "it belongs together with a run that stays: one undid, extended or goes on with the other"
_LIMITS: Final = "a limit still counts what it changed"
_NOT_SIGNED: Final = "it is not signed yet"
_NOT_ANCHORED: Final = "an anchor has not got it yet"
_BROKEN: Final = "it can't be read"


class PruneRefused(Exception):
    """Nothing more is pruned, for a reason that the operator can do something about."""


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What may be pruned: for each run its records and the digest of their hashes; and why how many others stay."""

    before: datetime
    runs: tuple[PrunedRun, ...]
    limits: tuple[str, ...] = ()
    stays: Mapping[str, int] = field(default_factory=dict)

    @property
    def records(self) -> int:
        return sum(each.records for each in self.runs)


@dataclass(slots=True)
class _Candidate:
    """A run that is over for long enough: what its records say."""

    run: PrunedRun
    limits: set[str] = field(default_factory=set)
    linked: set[str] = field(default_factory=set)


def plan_prune(app: Hikeshi, older_than_s: float) -> PrunePlan:
    """Return which runs may be pruned, and why others that are old enough may not. Changes nothing.

    Raises PruneRefused for less than eight days, JournalError.
    """
    if older_than_s < SHORTEST_S:
        raise PruneRefused(f"nothing that is younger than {SHORTEST_S / 86_400:g} days is pruned")
    before = app.clock.now() - timedelta(seconds=older_than_s)
    stays: Counter[str] = Counter()
    found: dict[str, _Candidate] = {}
    barred, (signed, anchored) = _barred(app), _signed_to(app)
    rows = app.journal.query(
        "SELECT run FROM runs WHERE finished_at IS NOT NULL AND finished_at < ? ORDER BY finished_at, run",
        (before.isoformat(),),
    )
    for row in rows:
        run = str(row["run"])
        why = barred.get(run)
        candidate = None
        if why is None:
            candidate, why = _read(app, run, before, older_than_s, signed, anchored)
        if candidate is None:
            stays[str(why)] += 1
        else:
            found[run] = candidate
    whole = _closed(app, found)
    stays[_LINKED] += len(found) - len(whole)
    chosen = [found[run] for run in found if run in whole]
    limits = sorted({key for each in chosen for key in each.limits})
    return PrunePlan(before, tuple(each.run for each in chosen), tuple(limits), {k: n for k, n in stays.items() if n})


def _barred(app: Hikeshi) -> dict[str, str]:
    """Return the runs that may not be pruned whatever their age, and why."""
    query = app.journal.query
    found = {str(row["run"]): _UNKNOWN for row in query("SELECT run FROM run_unknown")}
    kept = query("SELECT DISTINCT run FROM holds WHERE status IN ('opening', 'active', 'unknown')")
    found |= {str(row["run"]): _HOLDS for row in kept}
    for row in query("SELECT run, retry_of FROM runs WHERE finished_at IS NULL"):
        first = next(iter(app.journal.read(row["run"])), None)
        needs = {row["retry_of"], None if first is None else first.data.get("plan")}
        found |= {str(run): _LINKED for run in needs if run is not None}
    return found


def _read(
    app: Hikeshi, run: str, before: datetime, older_than_s: float, signed: int, anchored: int
) -> tuple[_Candidate | None, str]:
    """Return what the records of a run say, or None and why it may not be pruned."""
    rows = app.journal.query("SELECT id, hash FROM records WHERE run = ? ORDER BY seq", (run,))
    if rows[-1]["id"] > signed:
        return None, _NOT_SIGNED
    if rows[-1]["id"] > anchored:
        return None, _NOT_ANCHORED
    candidate = _Candidate(PrunedRun(run, len(rows), digest_of(row["hash"] for row in rows)))
    try:
        for record in app.journal.read(run):
            if record.at >= before:
                return None, _RECENT
            data: Mapping[str, Any] = record.data
            if record.kind == "HoldExtended":
                candidate.linked.add(str(data["hold"]))
            if record.kind != "TargetsCounted":
                continue
            for use in data["uses"]:
                candidate.limits.add(use["key"])
                if use["within_s"] is not None and use["within_s"] > older_than_s:
                    return None, _LIMITS
    except JournalError:
        return None, _BROKEN
    return candidate, ""


def _signed_to(app: Hikeshi) -> tuple[int, int]:
    """Return up to which record the journal is signed, and up to which every anchor has got it."""
    state = app.audit.state()
    return state["signed"], min([state["signed"], *state["anchors"].values()])


def _closed(app: Hikeshi, found: Mapping[str, _Candidate]) -> set[str]:
    """Return the runs that may go without changing what others mean.

    A hold that one run opened and another one ended, extended or passed on belongs to both. With one of them alone the
    tables, filled anew, would say that something is contained that is not, or the other way round.
    """
    links: dict[str, set[str]] = defaultdict(set)
    rows = app.journal.query("SELECT hold, run, closed_by, release_run, passed_to FROM holds")
    owner = {row["hold"]: str(row["run"]) for row in rows}
    pairs = [(str(row["run"]), row[key]) for row in rows for key in ("closed_by", "release_run")]
    pairs += [(str(row["run"]), owner.get(row["passed_to"])) for row in rows]
    pairs += [(run, owner.get(hold)) for run, each in found.items() for hold in each.linked]
    pairs += [(run, owner.get(hold)) for run, hold in _extended(app, found)]
    for one, other in pairs:
        if other is not None:
            links[one].add(str(other))
            links[str(other)].add(one)
    stays = _reached((run for run in links if run not in found), links)
    return set(found) - stays


def _extended(app: Hikeshi, found: Mapping[str, _Candidate]) -> Iterable[tuple[str, str]]:
    """Give the runs that extended a hold and stay, with the hold."""
    for row in app.journal.query("SELECT run FROM runs WHERE playbook = 'extend'"):
        if row["run"] not in found:
            for record in app.journal.read(row["run"]):
                if record.kind == "HoldExtended":
                    yield str(row["run"]), str(record.data["hold"])


def _reached(begin: Iterable[str], links: Mapping[str, Collection[str]]) -> set[str]:
    seen, left = set[str](), list(begin)
    while left:
        run = left.pop()
        if run not in seen:
            seen.add(run)
            left += links.get(run, ())
    return seen
