"""Backups of a project's journal, made while it is used, and putting one back while it is not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from hikeshi.journal import JournalError, JournalLocked, JournalUnavailable, Verification, verify

if TYPE_CHECKING:
    from hikeshi.app.service import Hikeshi
    from hikeshi.journal.copying import JournalHead

__all__ = ["RESTORED", "Backup", "BackupRefused", "Restored", "back_up", "restore"]

RESTORED: Final = "JournalRestored"
"""The kind of the record that says so, in the journal's records about itself."""

_MOST_RUNS: Final = 1000


class BackupRefused(Exception):
    """A backup is not made, or not put back, for a reason that the operator can do something about."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy that was written: what stands at its end, and what checking all of its records gave."""

    path: Path
    size_bytes: int
    head: JournalHead
    checked: Verification


@dataclass(frozen=True, slots=True)
class Restored:
    """What a project has now. `aside` is the journal that it had; `older_than` gives for anchors how much they know.

    `lost` are the runs of which the journal that was replaced knew more, each with the changes that were begun since.
    """

    head: JournalHead
    aside: Path | None
    older_than: Mapping[str, int] = field(default_factory=dict)
    lost: Mapping[str, int] = field(default_factory=dict)


def back_up(app: Hikeshi, target: Path) -> Backup:
    """Write a copy of the journal as it is now, and check every record of it. Others may work meanwhile.

    What is wrong with the journal is wrong with the copy, which is kept all the same: see `checked`. Blocks for as long
    as copying and checking take. Raises BackupRefused, JournalError.
    """
    from hikeshi.journal.copying import copy_journal

    if not app.journal_path.exists():
        raise BackupRefused(f"{app.journal_path}: there is no journal yet; nothing ran in this project")
    if os.path.lexists(target):
        raise BackupRefused(f"{target}: the file exists; a backup is never written over another one")
    if not target.parent.is_dir():
        raise BackupRefused(f"{target.parent}: there is no such folder")
    needed, free = _size_of(app.journal_path), shutil.disk_usage(target.parent).free
    if needed > free:
        raise BackupRefused(f"{target.parent}: {needed:,} bytes are needed, and {free:,} are free")
    temporary = target.with_name(f".{target.name}.{os.urandom(4).hex()}")
    try:
        head = copy_journal(app.journal_path, temporary)
        checked = verify(temporary)
        os.link(temporary, target)  # whole or not at all, and never over another one
    except FileExistsError as exc:
        raise BackupRefused(f"{target}: somebody made a file of this name meanwhile") from exc
    except OSError as exc:
        raise JournalUnavailable(f"Cannot write the backup: {exc.strerror}", str(target), "Check the disk") from exc
    finally:
        temporary.unlink(missing_ok=True)
    return Backup(target, target.stat().st_size, head, checked)


async def restore(app: Hikeshi, source: Path, *, replace: bool, actor: str) -> Restored:
    """Put a backup in the place of the project's journal, and record that. The one that was there keeps its contents.

    Raises BackupRefused while somebody works, if the backup is not intact, or if the journal that is there may know
    more and `replace` does not say that it may be set aside; JournalError. Nothing was changed then.
    """
    from hikeshi.journal.copying import copy_journal, fold_log, replace_journal, stamp_of

    head = _checked_head(app, source)
    folder, path = app.config.state_folder, app.journal_path
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _refuse_owners(folder)
    fresh = path.with_name(f"{path.name}.restoring-{os.urandom(4).hex()}")
    aside_name = f"{path.name}.replaced-{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}"
    try:
        copy_journal(source, fresh)
        with _alone(path):
            pass  # whoever works is told so before anything is looked at
        if path.exists():
            fold_log(path)
        stamp = stamp_of(path)
        _refuse_newer(path, fresh, replace=replace)
        with _alone(path):
            if stamp_of(path) != stamp:
                raise BackupRefused(f"{path}: somebody wrote it just now; stop everybody who works here")
            aside = replace_journal(path, fresh, aside_name)
    finally:
        fresh.unlink(missing_ok=True)
    older, lost = _known_elsewhere(app, head, aside), _lost(path, aside)
    await _record(app, source, head, aside, actor)
    return Restored(head, aside, older, lost)


def _checked_head(app: Hikeshi, source: Path) -> JournalHead:
    from hikeshi.audit.errors import KeyNotUsable
    from hikeshi.audit.keys import KEY_FILE, load_key
    from hikeshi.audit.verification import verify_journal
    from hikeshi.journal.copying import head_of

    if not source.is_file():
        raise BackupRefused(f"{source}: there is no such file")
    try:
        key = load_key(app.config.state_folder / KEY_FILE).verifier
    except (FileNotFoundError, KeyNotUsable):
        key = None
    # One that an older key has signed is no reason to refuse: the change to this key may have come after the backup.
    checked = verify_journal(source, key, may_be_older=True)
    if checked.first_bad is not None:
        bad = checked.first_bad
        raise BackupRefused(
            f"{source}: it is not intact: run {bad.run}, record {bad.seq} {bad.what}; take an older backup"
        )
    return head_of(source)


def _refuse_owners(folder: Path) -> None:
    from hikeshi.journal.roll_call import living_owners

    living = living_owners(folder / "owners")
    if living:
        raise BackupRefused(
            f"{len(living)} processes work on this project (files in {folder / 'owners'} are locked); "
            "stop hikeshi serve, work --stay and runs first"
        )


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    from hikeshi.journal.copying import nobody_uses

    try:
        with nobody_uses(path):
            yield
    except JournalLocked as exc:
        raise BackupRefused(str(exc)) from exc


def _refuse_newer(path: Path, fresh: Path, *, replace: bool) -> None:
    """Raise BackupRefused unless the journal is known to hold nothing that the backup has not, or may be replaced."""
    from hikeshi.journal.copying import goes_on_from, head_of

    if replace or not path.exists():
        return
    how = "to set it aside under another name: --replace"
    try:
        own, known = head_of(path), goes_on_from(fresh, path)
    except JournalError as exc:
        raise BackupRefused(
            f"{path}: whether it is newer can't be told, for it can't be read ({exc.what}); {how}"
        ) from exc
    if not known:
        raise BackupRefused(
            f"{path}: the journal that is there has {own.records} records, some not in the backup; {how}"
        )


def _known_elsewhere(app: Hikeshi, head: JournalHead, aside: Path | None) -> dict[str, int]:
    """Return the anchors that know of more records than the backup, and of how many, as far as is known here."""
    from hikeshi.audit.anchor_file import read_anchors
    from hikeshi.audit.anchors import FileAnchor
    from hikeshi.audit.errors import AuditError, NoteError
    from hikeshi.audit.note import read_note
    from hikeshi.audit.tree_head import TreeHead

    known = _receipts(aside) if aside is not None else {}
    for each in app.config.audit.anchors:
        if each.type != "file" or not each.values["path"].is_file():
            continue
        name = FileAnchor(each.values["path"]).name
        try:
            for note in read_anchors([each.values["path"]]).notes:
                size = TreeHead.parse(read_note(note, name).text, name).size
                known[name] = max(known.get(name, 0), size)
        except (AuditError, NoteError):
            continue
    return {name: size for name, size in sorted(known.items()) if size > head.records}


def _receipts(journal: Path) -> dict[str, int]:
    from hikeshi.journal import SqliteJournal

    try:
        old = SqliteJournal.open(journal, read_only=True)
    except JournalError:
        return {}
    try:
        rows = old.query("SELECT anchor, max(size) AS size FROM receipts GROUP BY anchor")
        return {str(row["anchor"]): int(row["size"]) for row in rows}
    except JournalError:
        return {}
    finally:
        old.close()


def _lost(path: Path, aside: Path | None) -> dict[str, int]:
    """Return the runs of which the journal that was set aside knows more, with the changes begun in what is lost."""
    from hikeshi.journal import SqliteJournal

    if aside is None:
        return {}
    try:
        old = SqliteJournal.open(aside, read_only=True)
    except JournalError:
        return {}
    now = SqliteJournal.open(path)  # which brings the tables of an older one up to date
    try:
        ends = {row["run"]: row["seq"] for row in now.query("SELECT run, seq FROM heads")}
        heads = old.query("SELECT run, seq FROM heads ORDER BY run")
        more = [row["run"] for row in heads if row["seq"] > ends.get(row["run"], 0)]
        return {
            run: sum(record.kind == "ActionIntended" for record in old.read(run, after=ends.get(run, 0)))
            for run in more[:_MOST_RUNS]
        }
    except JournalError:
        return {}
    finally:
        old.close()
        now.close()


async def _record(app: Hikeshi, source: Path, head: JournalHead, aside: Path | None, actor: str) -> None:
    from hikeshi.audit.stream import append_own

    data: dict[str, Any] = {
        "by": actor,
        "from": source.name,
        "records": head.records,
        "aside": None if aside is None else aside.name,
    }
    await append_own(app.journal, RESTORED, data, app.clock.now())


def _size_of(path: Path) -> int:
    log = path.with_name(path.name + "-wal")
    return path.stat().st_size + (log.stat().st_size if log.exists() else 0)
