"""Which owners of a machine live, asked from outside: without being one, and without leaving a trace."""

import fcntl
import os
import re
from pathlib import Path
from typing import Final

from hikeshi.journal.failure import journal_error
from hikeshi.journal.lease import is_fenced

_LOCK_FILE: Final = re.compile(r"[0-9a-f]{32}\.lock")


def living_owners(folder: Path) -> list[str]:
    """Return the ids of the owners that hold their lock, and that nobody has taken over from.

    A folder that is not there has none. Nothing is written or removed. Raises JournalUnavailable if it can't be known.
    """
    try:
        names = sorted(name for name in os.listdir(folder) if _LOCK_FILE.fullmatch(name))
        return [name.removesuffix(".lock") for name in names if _lives(folder / name)]
    except FileNotFoundError:
        return []
    except OSError as exc:
        raise journal_error(exc, "ask which owners live", str(folder)) from exc


def _lives(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:  # it has ended just now
        return False
    try:
        # Shared, so that two who ask at once don't take each other for the owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return not is_fenced(descriptor)
    finally:
        os.close(descriptor)
    return False
