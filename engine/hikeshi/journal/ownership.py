"""Which process drives a run on one machine, told by locks that the kernel takes back when a process dies.

No clock is involved: a stopped process keeps its lock, so its runs are not taken from it.
"""

import fcntl
import os
import re
import weakref
from pathlib import Path
from typing import Final
from uuid import uuid4

from hikeshi.journal.errors import JournalMisused, JournalUnavailable
from hikeshi.journal.failure import journal_error

_OWNER_ID: Final = re.compile(r"[0-9a-f]{32}")


class Ownership:
    """The sign of life of one owner of runs: a locked file in a folder that all owners of a machine share."""

    def __init__(self, folder: Path) -> None:
        """Take a new owner's lock. Raises JournalUnavailable if the folder can't be written."""
        self.owner_id = uuid4().hex
        self._folder = folder.absolute()
        self._path = self._lock_file(self.owner_id)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor: int | None = _take(self._path)
        except OSError as exc:
            raise journal_error(exc, "take an owner's lock", str(self._path)) from exc
        _held.add(self)
        try:
            self._sweep()
        except BaseException:
            self.close()
            raise

    def is_alive(self, owner_id: str) -> bool:
        """Tell whether the process that is this owner still runs, stopped or not. Removes what a dead one left.

        Raises JournalUnavailable if that can't be known: then nobody's runs may be taken over.
        """
        if not _OWNER_ID.fullmatch(owner_id):
            raise JournalMisused("This is not the id of an owner", repr(owner_id), "Use the owner_id of an Ownership")
        path = self._lock_file(owner_id)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            self._check_folder()
            return False
        except OSError as exc:
            raise journal_error(exc, "ask whether an owner lives", str(path)) from exc
        try:
            # Shared, so that two who ask at once don't take each other for the owner.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            path.unlink(missing_ok=True)
        except BlockingIOError:
            return True
        except OSError as exc:
            raise journal_error(exc, "ask whether an owner lives", str(path)) from exc
        finally:
            os.close(descriptor)
        return False

    def close(self) -> None:
        """Give the lock back: from now on everybody sees this owner as dead. Does nothing the second time."""
        if self._descriptor is None:
            return
        _held.discard(self)
        # Removed while it is locked: whoever asks sees the lock or no file, never a file without its owner.
        self._path.unlink(missing_ok=True)
        os.close(self._descriptor)
        self._descriptor = None

    def _sweep(self) -> None:
        for path in self._folder.glob("*.lock"):
            if _OWNER_ID.fullmatch(path.stem):
                self.is_alive(path.stem)

    def _check_folder(self) -> None:
        """Raise JournalUnavailable unless our own lock is where it was: an emptied folder proves nobody's death."""
        if self._descriptor is not None and _is_at(self._descriptor, self._path):
            return
        raise JournalUnavailable(
            "Cannot tell which owners live: this owner's own lock is gone",
            str(self._path),
            "Restart this process; leave the files of the folder alone while processes run",
        )

    def _lock_file(self, owner_id: str) -> Path:
        return self._folder / f"{owner_id}.lock"

    def _leave_to_parent(self) -> None:
        """In a forked child: the lock is the parent's, and must not outlive it here."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_held: Final[weakref.WeakSet[Ownership]] = weakref.WeakSet()


def _leave_all_to_parent() -> None:
    for ownership in list(_held):
        ownership._leave_to_parent()


os.register_at_fork(after_in_child=_leave_all_to_parent)


def _take(path: Path) -> int:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Somebody's sweep met the file before it was locked, and removed it.
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    opened = os.fstat(descriptor)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    return (opened.st_dev, opened.st_ino) == (found.st_dev, found.st_ino)
