"""Retention: runs that are over for long are written to an archive, and their bytes are taken out of the journal.

The order is what makes it safe. First the pack is on the disk and verified. Then the journal says what is pruned, and
that is signed and anchored. Only then are bytes taken out. Whoever is stopped in between goes on with the next call.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hikeshi.app.prunable import PrunePlan, PruneRefused
from hikeshi.journal import JournalError
from hikeshi.journal.pruning import RETENTION, RUNS_PRUNED, PrunedRun, Removal

if TYPE_CHECKING:
    from hikeshi.app.service import Hikeshi
    from hikeshi.journal import SqliteJournal

__all__ = ["Pruned", "prune"]

_MOST_RUNS: Final = 100  # in one record, and taken out in one transaction
_MOST_RECORDS: Final = 5_000


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was done: the runs and records that lost their bytes now, and the pack that was made, if one was."""

    runs: int
    records: int
    pack: Path | None
    sha256: str | None


async def prune(app: Hikeshi, plan: PrunePlan, archive: Path, *, actor: str) -> Pruned:
    """Write a pack of what is planned, say so in the journal, have that signed and anchored, and take the bytes out.

    What an earlier call has said and not done is done as well. Raises PruneRefused, JournalError; what was not taken
    out by then is still there.
    """
    pack, sha256 = None, None
    if plan.runs:
        await _rehearse(app, plan, actor)
        pack, sha256 = await asyncio.to_thread(_archived, app, plan, archive)
        await _say(app.journal, app.clock.now(), plan, pack, sha256, actor)
    runs, records = 0, 0
    for removal in await _removals(app, archive):
        records += await app.journal.remove_bytes(removal)
        runs += len(removal.runs)
    return Pruned(runs, records, pack, sha256)


async def _rehearse(app: Hikeshi, plan: PrunePlan, actor: str) -> None:
    """Prune a copy first, and fill its tables anew. Raises PruneRefused if they are not what they were then.

    What is pruned can't be brought back, so no rule about which runs belong together is believed without a trial.
    """
    from hikeshi.journal import SqliteJournal
    from hikeshi.journal.copying import copy_journal
    from hikeshi.runtime.projections import standard_projections

    with tempfile.TemporaryDirectory(dir=app.config.state_folder, prefix="rehearsal-") as folder:
        copy = Path(folder, app.journal_path.name)
        await asyncio.to_thread(copy_journal, app.journal_path, copy)
        journal = SqliteJournal.open(copy, standard_projections())
        try:
            seqs = await _say(journal, app.clock.now(), plan, copy, "", actor)
            before = _tables(journal)
            for seq, runs in seqs.items():
                await journal.remove_bytes(Removal(runs, seq))
            journal.rebuild()
            other = [name for name, digest in _tables(journal).items() if digest != before[name]]
        except JournalError as exc:
            raise PruneRefused(f"tables can't be filled anew without these runs: {exc}; nothing was pruned") from exc
        finally:
            journal.close()
    if other:
        raise PruneRefused(
            f"tables filled anew without these runs would differ ({', '.join(other)}); nothing was pruned"
        )


def _tables(journal: SqliteJournal) -> dict[str, str]:
    """Return a digest of each derived table, whatever the order of its rows."""
    found = {}
    for row in journal.query("SELECT name FROM projection_objects WHERE type = 'table' ORDER BY name"):
        rows = journal.query(f'SELECT * FROM "{row["name"]}"')  # noqa: S608 - a table of ours
        texts = sorted(repr(tuple(each)) for each in rows)
        found[row["name"]] = hashlib.sha256("\n".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    return found


def _archived(app: Hikeshi, plan: PrunePlan, archive: Path) -> tuple[Path, str]:
    """Write the pack and verify it. Return its path and its SHA-256."""
    from hikeshi.audit.pack import write_pack
    from hikeshi.audit.verification import verify_pack

    try:
        archive.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as exc:
        raise PruneRefused(f"{archive}: the folder can't be made: {exc.strerror}") from exc
    pack = archive / f"pruned-{app.clock.now():%Y%m%dT%H%M%SZ}-{os.urandom(4).hex()}.pack"
    key = app.audit.public_key()
    written = write_pack(app.journal_path, pack, key, runs=[each.run for each in plan.runs])
    found = verify_pack(pack, key, app.audit.own_anchor_files(), may_be_older=True)
    if found.status not in ("ok", "ok_unanchored_tail") or written.records != plan.records:
        pack.unlink()
        bad = "" if found.first_bad is None else f": run {found.first_bad.run}, record {found.first_bad.seq}"
        raise PruneRefused(f"the pack does not verify ({found.status}{bad}); see: hikeshi audit verify")
    return pack, _sha256_of(pack)


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


async def _say(
    journal: SqliteJournal, at: datetime, plan: PrunePlan, pack: Path, sha256: str, actor: str
) -> dict[int, list[PrunedRun]]:
    """Record what is pruned, and return which runs each record names, by its number."""
    from hikeshi.journal import append_to_stream

    said = {}
    for runs in _portions(plan.runs):
        data: dict[str, Any] = {
            "by": actor,
            "before": plan.before.isoformat(),
            "pack": pack.name,
            "sha256": sha256,
            "runs": [each._asdict() for each in runs],
            "limits": list(plan.limits),
        }
        said[await append_to_stream(journal, RETENTION, RUNS_PRUNED, data, at)] = runs
    return said


async def _removals(app: Hikeshi, archive: Path) -> list[Removal]:
    """Return what the journal says and nobody has done. Raises PruneRefused unless it is signed, anchored and there."""
    rows = app.journal.query(
        "SELECT * FROM pruned_runs WHERE run NOT IN (SELECT run FROM pruned) ORDER BY seq, run",
    )
    if not rows:
        return []
    for name, sha256 in sorted({(row["pack"], row["sha256"]) for row in rows}):
        path = archive / name
        if not path.is_file() or await asyncio.to_thread(_sha256_of, path) != sha256:
            raise PruneRefused(
                f"{path}: the pack of what is to be taken out is not there as it was; name its --archive"
            )
    _, problems = await app.audit.checkpoint()
    if problems:
        raise PruneRefused(f"that runs are pruned is said, and not anchored: {problems[0]}; nothing was taken out")
    by_seq: dict[int, list[PrunedRun]] = defaultdict(list)
    for row in rows:
        by_seq[row["seq"]].append(PrunedRun(row["run"], row["records"], row["hashes"]))
    return [Removal(portion, seq) for seq, runs in by_seq.items() for portion in _portions(runs)]


def _portions(runs: Iterable[PrunedRun]) -> Iterable[list[PrunedRun]]:
    """Give the runs in portions that hold nobody else up for long."""
    portion: list[PrunedRun] = []
    for each in runs:
        full = len(portion) >= _MOST_RUNS or sum(one.records for one in portion) + each.records > _MOST_RECORDS
        if portion and full:
            yield portion
            portion = []
        portion.append(each)
    if portion:
        yield portion
