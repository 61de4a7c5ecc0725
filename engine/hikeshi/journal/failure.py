"""The door for foreign errors: what sqlite3 and the operating system raise becomes a JournalError here."""

import errno
import sqlite3
from typing import Final

from hikeshi.journal.errors import (
    JournalBroken,
    JournalError,
    JournalForeign,
    JournalLocked,
    JournalUnavailable,
)

_FREE_SPACE: Final = "Free some space; the journal works again by itself, and until then no change may start"
_CHECK_RIGHTS: Final = "Check the owner and the mode of the file and its folder, and how the disk is mounted"

# From SQLite's primary result code to what happened and what to do next.
_UNAVAILABLE: Final = {
    sqlite3.SQLITE_FULL: ("the disk is full", _FREE_SPACE),
    sqlite3.SQLITE_IOERR: ("the disk refused (it may be full, lost or damaged)", "Check the disk and the system's log"),
    sqlite3.SQLITE_READONLY: ("it can only be read", _CHECK_RIGHTS),
    sqlite3.SQLITE_PERM: ("permission was refused", _CHECK_RIGHTS),
    sqlite3.SQLITE_AUTH: ("permission was refused", _CHECK_RIGHTS),
    sqlite3.SQLITE_CANTOPEN: ("it cannot be opened", _CHECK_RIGHTS),
    sqlite3.SQLITE_NOMEM: ("there is no memory left", "Free some memory, then try again"),
    sqlite3.SQLITE_PROTOCOL: ("its lock protocol failed", "Keep the journal on a local disk, then try again"),
    sqlite3.SQLITE_INTERRUPT: ("it was interrupted", "Try again"),
    sqlite3.SQLITE_NOLFS: ("the file is too large for this system", "Move the journal to another file system"),
}
_LOCKED: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_FROM_OUTSIDE: Final = frozenset(_UNAVAILABLE) | _LOCKED | {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_NO_RIGHTS: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def comes_from_outside(exc: sqlite3.Error) -> bool:
    """Tell whether disk, locks or the file are to blame, rather than a statement or the values given to it."""
    return _code(exc) in _FROM_OUTSIDE


def is_locked(exc: sqlite3.Error) -> bool:
    """Tell whether another connection holds the lock that was wanted."""
    return _code(exc) in _LOCKED


def journal_error(exc: Exception, doing: str, where: str) -> JournalError:
    """Return what an error of SQLite or of the system means for somebody who was doing this, here."""
    if isinstance(exc, JournalError):
        return exc
    if isinstance(exc, OSError):
        return _from_system(exc, doing, where)
    if not isinstance(exc, sqlite3.Error):
        return JournalUnavailable(
            f"Cannot {doing}: {type(exc).__name__}", where, "This is a bug; please report it with the traceback"
        )
    code = _code(exc)
    if code in _LOCKED:
        return JournalLocked(
            f"Cannot {doing}: another process keeps it locked",
            where,
            "Find the process that holds the file open (lsof, fuser) and let it finish or end it; then try again",
        )
    if code == sqlite3.SQLITE_NOTADB:
        return JournalForeign(
            f"Cannot {doing}: the file is not a database",
            where,
            "Check the path in the configuration; if this was a journal, restore it from a backup",
        )
    if code == sqlite3.SQLITE_CORRUPT:
        return JournalBroken(
            f"Cannot {doing}: the file is damaged",
            where,
            "Keep a copy of it as it is, verify it, then restore it from a backup",
        )
    # Only SQLite's own name of the error is quoted: its text may hold values of the statement.
    name = getattr(exc, "sqlite_errorname", type(exc).__name__)
    what, what_next = _UNAVAILABLE.get(code, (f"SQLite refused ({name})", "Try again; report it if it stays"))
    return JournalUnavailable(f"Cannot {doing}: {what}", where, what_next)


def _from_system(exc: OSError, doing: str, where: str) -> JournalUnavailable:
    if exc.errno in _NO_SPACE:
        return JournalUnavailable(f"Cannot {doing}: the disk is full", where, _FREE_SPACE)
    reason = exc.strerror or type(exc).__name__
    what_next = _CHECK_RIGHTS if exc.errno in _NO_RIGHTS else "Check the path and the disk, then try again"
    return JournalUnavailable(f"Cannot {doing}: {reason}", where, what_next)


def _code(exc: sqlite3.Error) -> int:
    return getattr(exc, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
