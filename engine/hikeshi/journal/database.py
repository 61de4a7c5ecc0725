"""Connections to a journal's database: recognised, migrated and set up, or refused with the reason."""

import sqlite3
import stat
import time
from typing import Final

from hikeshi.journal.errors import JournalForeign, JournalNewer, JournalUnavailable
from hikeshi.journal.failure import journal_error
from hikeshi.journal.file import JournalFile
from hikeshi.journal.statements import migrations, run_script, statements

_APPLICATION_ID: Final = 0x48494B45  # "HIKE" in the header of the file
_WAL_KEPT_BYTES: Final = 64 * 1024 * 1024
_RETRY_S: Final = 0.01
_CHECKPOINT_PATIENCE_MS: Final = 50
_SMALLEST_DATABASE_BYTES: Final = 512


def connect_writer(file: JournalFile, busy_timeout_s: float) -> sqlite3.Connection:
    """Return a connection that writes, to a journal of this version. Raises JournalError."""
    try:
        file.create_if_missing()
        _check_kind(file)
        connection = _connect(file.uri("mode=rw"), busy_timeout_s)
        try:
            _recognise(connection, file, may_be_empty=True)
            _set_up(connection, file, busy_timeout_s)
            _migrate(connection, file)
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError) as exc:
        raise journal_error(exc, "open the journal", str(file.path)) from exc
    return connection


def connect_reader(file: JournalFile, busy_timeout_s: float, *, may_be_older: bool = False) -> sqlite3.Connection:
    """Return a connection that cannot write, to an existing journal. Raises JournalError."""
    try:
        _check_kind(file)
        try:
            return _reader(file, "mode=ro", busy_timeout_s, may_be_older)
        except sqlite3.OperationalError as exc:
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN or file.wal.exists():
                raise
            # In a folder that can't be written SQLite has no place for -shm. Without a -wal file it needs none.
            return _reader(file, "mode=ro&immutable=1", busy_timeout_s, may_be_older)
    except FileNotFoundError as exc:
        what_next = "Check the path, or start a run first"
        raise JournalUnavailable("There is no journal", str(file.path), what_next) from exc
    except (sqlite3.Error, OSError) as exc:
        raise journal_error(exc, "read the journal", str(file.path)) from exc


def _reader(file: JournalFile, mode: str, busy_timeout_s: float, may_be_older: bool) -> sqlite3.Connection:
    connection = _connect(file.uri(mode), busy_timeout_s)
    try:
        _recognise(connection, file, may_be_empty=False)
        if not may_be_older:
            _check_current(connection, file)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(uri: str, busy_timeout_s: float) -> sqlite3.Connection:
    # Transactions are begun by hand, and each connection's owner takes care of one thread at a time.
    return sqlite3.connect(uri, uri=True, timeout=busy_timeout_s, isolation_level=None, check_same_thread=False)


def _check_kind(file: JournalFile) -> None:
    found = file.path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise JournalUnavailable("The journal's path is not that of a file", str(file.path), "Give the path of a file")
    if 0 < found.st_size < _SMALLEST_DATABASE_BYTES:  # SQLite would take it for an empty file, and overwrite it
        raise JournalForeign(
            "The file is not a database", str(file.path), "Check the path in the configuration; it was not changed"
        )


def _recognise(connection: sqlite3.Connection, file: JournalFile, *, may_be_empty: bool) -> None:
    application_id, version, objects = _marks(connection)
    if application_id == _APPLICATION_ID:
        if version > len(migrations()):
            raise JournalNewer(
                f"The journal has schema {version}, this program knows {len(migrations())}",
                str(file.path),
                "Use the version of the program that wrote it, or a newer one",
            )
        return
    if not may_be_empty or application_id or version or objects:
        raise JournalForeign(
            "The file is a database of another program" if objects else "The file is an empty database",
            str(file.path),
            "Check the path in the configuration; the file was not changed",
        )


def _marks(connection: sqlite3.Connection) -> tuple[int, int, int]:
    """Return the application's ID, the version, and for a file that is no journal how many objects there are.

    All are of one state: somebody may be making the file at this moment.
    """
    began = not connection.in_transaction
    if began:
        connection.execute("BEGIN")
    try:
        application_id, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
        if application_id == _APPLICATION_ID:
            return application_id, version, 0
        return application_id, version, connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    finally:
        if began and connection.in_transaction:
            connection.execute("ROLLBACK")


def _check_current(connection: sqlite3.Connection, file: JournalFile) -> None:
    version = _pragma(connection, "user_version")
    if version < len(migrations()):
        raise JournalUnavailable(
            f"The journal has schema {version} of an older version, this program needs {len(migrations())}",
            str(file.path),
            "Open it once for writing: that brings it up to date",
        )


def _set_up(connection: sqlite3.Connection, file: JournalFile, busy_timeout_s: float) -> None:
    if _switch_to_wal(connection, busy_timeout_s) != "wal":
        raise JournalUnavailable(
            "This file system has no shared memory for write-ahead logging",
            str(file.path),
            "Keep the journal on a local disk",
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA recursive_triggers = ON")  # REPLACE, too, then meets the trigger against deleting
    connection.execute("PRAGMA wal_autocheckpoint = 0")  # see checkpoint()
    connection.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT_BYTES}")


def _switch_to_wal(connection: sqlite3.Connection, busy_timeout_s: float) -> str:
    deadline = time.monotonic() + busy_timeout_s
    while True:
        try:
            return str(connection.execute("PRAGMA journal_mode = WAL").fetchone()[0])
        except sqlite3.OperationalError as exc:
            # Two processes that create the file together: SQLite does not wait here, to avoid a deadlock.
            if exc.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_S)


def _migrate(connection: sqlite3.Connection, file: JournalFile) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        _recognise(connection, file, may_be_empty=True)
        for number, script in enumerate(migrations(), 1):
            if number > _pragma(connection, "user_version"):
                run_script(connection, script)
                connection.execute(f"PRAGMA user_version = {number}")
                connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        # On a file that can only be read, BEGIN IMMEDIATE succeeds; a statement that could write does not.
        connection.execute(statements()["change_nothing"])
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def checkpoint(connection: sqlite3.Connection) -> None:
    """Copy the write-ahead log into the database, as far as readers allow. Raises sqlite3.Error; nothing is lost then.

    Done by hand and in FULL mode, which holds the write lock: before 3.51.3, SQLite can damage a database when one
    connection restarts the log while another one's checkpoint runs (https://sqlite.org/wal.html#walresetbug).
    FULL also waits for readers of older states; appends would wait with it, so it may not wait for long.
    """
    (busy_timeout_ms,) = connection.execute("PRAGMA busy_timeout").fetchone()
    connection.execute(f"PRAGMA busy_timeout = {_CHECKPOINT_PATIENCE_MS}").fetchall()
    try:
        connection.execute("PRAGMA wal_checkpoint(FULL)").fetchall()
    finally:
        connection.execute(f"PRAGMA busy_timeout = {busy_timeout_ms}").fetchall()


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])
