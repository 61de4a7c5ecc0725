"""The database file on disk: creating it for its owner only, and noticing that it was taken away."""

import os
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final, TypeAlias

from hikeshi.journal.errors import JournalUnavailable

# Closing any descriptor of a database file drops this process's POSIX locks on it, SQLite's included. So the file
# is opened by hand only while nobody else in the process can have it open: before it exists.
_CREATING: Final = Lock()

Identity: TypeAlias = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True, slots=True)
class JournalFile:
    """Where a journal lives. The path is absolute, with links resolved, as SQLite names the files beside it."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> "JournalFile":
        return cls(Path(os.path.realpath(path)))

    @property
    def wal(self) -> Path:
        return Path(self._wal)

    @property
    def _wal(self) -> str:
        return f"{self.path}-wal"

    def uri(self, mode: str) -> str:
        return f"{self.path.as_uri()}?{mode}"

    def create_if_missing(self) -> None:
        """Create the file for its owner only, and its folder if there is none. SQLite copies the mode to -wal, -shm."""
        with _CREATING:
            if self.path.exists():
                return
            create_folder(self.path.parent)
            try:
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            except FileExistsError:
                return  # another process was faster
            _make_durable(self.path.parent)

    def identity(self) -> Identity:
        """Return which files stand at the paths now. Raises OSError if one does not."""
        # Asked twice for each commit, and with texts this takes a third of the time that it takes with paths.
        database, wal = os.stat(str(self.path)), os.stat(self._wal)
        return (database.st_dev, database.st_ino), (wal.st_dev, wal.st_ino)

    def check_in_place(self, opened: Identity) -> None:
        """Raise JournalUnavailable unless the files opened still stand at their paths.

        SQLite goes on writing to a deleted file without an error, and all of it would be lost.
        """
        try:
            if self.identity() == opened:
                return
        except OSError:
            pass
        raise JournalUnavailable(
            "Cannot write the journal: its file was deleted, moved or replaced while it was open",
            str(self.path),
            "Put the file back with its -wal file, or stop every process that uses it and restore a backup",
        )


def create_folder(folder: Path) -> None:
    """Create a folder, and those above it that are missing, for their owner only. Raises OSError."""
    if folder.exists():
        return
    create_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _make_durable(folder.parent)


def _make_durable(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
