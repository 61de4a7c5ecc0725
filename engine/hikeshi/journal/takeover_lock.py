"""The lock under which a lease is renewed or its owner fenced: of two that try at the same time exactly one succeeds.

A process that is stopped while it has the lock must not stop all the others. So nobody waits for it for long, and the
order of writing and reading keeps two from succeeding without it: the owner reads the fence once more after it has
written its lease, and the other one reads the lease once more after it has written the fence.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from hikeshi.journal.owner_lock import is_at

_PATIENCE_S: Final = 0.25
_RETRY_S: Final = 0.000_2


@contextmanager
def takeover_lock(folder: Path) -> Iterator[None]:
    """Keep other renewals and takeovers out for a moment; after a quarter of a second go on without. Raises OSError."""
    descriptor = _lock_or_give_up(folder / "takeover.lock")
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)  # closing is not enough if a child was forked meanwhile
        os.close(descriptor)


def _lock_or_give_up(path: Path) -> int:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if (_has_locked(descriptor) and is_at(descriptor, path)) or time.monotonic() > deadline:
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
        time.sleep(_RETRY_S)


def _has_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
