"""The lock on an owner's file. The kernel gives it back when the process dies."""

import fcntl
import os
from pathlib import Path


def take(path: Path) -> int:
    """Create the file for its owner only, and return it open and locked. Raises OSError."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if is_at(descriptor, path):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        # Somebody's sweep met the file before it was locked, and removed it.
        os.close(descriptor)


def is_held(descriptor: int, path: Path) -> bool:
    """Tell whether somebody else has the lock of an open file; remove the file if nobody has. Raises OSError."""
    try:
        # Shared, so that two who ask at once don't take each other for the owner.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    path.unlink(missing_ok=True)
    return False


def is_at(descriptor: int, path: Path) -> bool:
    """Tell whether the open file is the one that stands at the path. Raises OSError."""
    opened = os.fstat(descriptor)
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return False
    return (opened.st_dev, opened.st_ino) == (found.st_dev, found.st_ino)
