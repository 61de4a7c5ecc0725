"""Which process drives a run on one machine, told by a lock and a lease of each.

The kernel takes the lock back when a process dies, however it dies. A process that is stopped, or hangs for ever, keeps
it. So each owner has a lease as well and sends nothing after its end; some time later its runs can be taken over.
"""

import math
import os
import re
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

from hikeshi.journal.errors import JournalMisused, JournalUnavailable, LeaseLost, LeaseOver
from hikeshi.journal.failure import journal_error
from hikeshi.journal.file import create_folder
from hikeshi.journal.lease import (
    Lease,
    boot_clock,
    boot_id,
    is_fenced,
    read_lease,
    write_fence,
    write_first_lease,
    write_lease,
)
from hikeshi.journal.owner_lock import is_at, is_held, take
from hikeshi.journal.takeover_lock import takeover_lock

_OWNER_ID: Final = re.compile(r"[0-9a-f]{32}")
_LONGEST_S: Final = 10 * 365 * 86_400.0
_LEASE_S: Final = 30.0
_LONGEST_ATTEMPT_S: Final = 120.0


class Ownership:
    """The sign of life of one owner of runs: a locked file in a folder that all owners of a machine share.

    `lease_s` is how long the owner may act without renewing its lease: renew three times as often. What was begun
    within the lease has come to its end, or can do nothing any more, `longest_attempt_s` after it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        lease_s: float = _LEASE_S,
        longest_attempt_s: float = _LONGEST_ATTEMPT_S,
        boot_clock: Callable[[], float] = boot_clock,
    ) -> None:
        """Take a new owner's lock and lease. Raises JournalUnavailable if the folder can't be written.

        `boot_clock` gives seconds that count while the machine is suspended, the same for all owners of a machine.
        """
        _check_durations(lease_s, longest_attempt_s)
        self.owner_id = uuid4().hex
        self.lease_s = lease_s
        self._longest_attempt_s = longest_attempt_s
        self._clock = boot_clock
        self._boot_id = boot_id()
        self._folder = folder.absolute()
        self._path = self._lock_file(self.owner_id)
        self._descriptor: int | None = None
        self._lost = ""  # why, for ever
        self._ends_s = -math.inf
        self._changing = threading.Lock()  # a descriptor that is closed in between could be another file's next
        self._begin()

    def renew(self) -> None:
        """Extend the lease to `lease_s` from now, also when it is over already.

        Raises LeaseLost if another process has taken over or may have; JournalUnavailable if the file can't be
        written now, and then the lease is what it was. Waits a quarter of a second at most for others that renew.
        """
        with self._changing:
            self._check_not_lost()
            try:
                with takeover_lock(self._folder):
                    self._extend()
            except OSError as exc:
                raise journal_error(exc, "renew an owner's lease", str(self._path)) from exc

    def check(self) -> None:
        """Return if the lease still runs: the last thing to do before the bytes of a change leave.

        Raises LeaseOver if it does not, and LeaseLost once it is lost. Looks at the clock and at nothing else.
        """
        if self._clock() <= self._ends_s:
            return
        self._check_not_lost()
        raise LeaseOver(
            f"The lease of this process ended {self._clock() - self._ends_s:.1f} s ago, so it may send no change",
            str(self._path),
            "Renew it; if this stays, the process was stopped, or it is too busy to renew in time",
        )

    def is_alive(self, owner_id: str) -> bool:
        """Tell whether the process that is this owner still runs, stopped or not, and nobody has taken its place.

        Removes what a dead one left. Raises JournalUnavailable if it can't be known, and JournalMisused for what is
        no owner id.
        """
        with self._lock_held_by(owner_id) as descriptor:
            return descriptor is not None and not is_fenced(descriptor)

    def may_take_over(self, owner_id: str) -> bool:
        """Tell whether this owner's runs may be driven by us now: True for nobody (""), and never for ourselves.

        They may if its process is dead, or if its lease and the longest attempt after it are over; such an owner is
        fenced first, and can't renew any more. Several processes may be told True at the same time: the one that
        appends first has the run. Raises LeaseLost if our own lease is lost, and else as is_alive does.
        """
        self._check_not_lost()
        if owner_id in ("", self.owner_id):
            return not owner_id
        with self._lock_held_by(owner_id) as descriptor:
            return descriptor is None or self._fences(descriptor)

    def close(self) -> None:
        """Give the lock back: from now on everybody sees this owner as dead. Does nothing the second time."""
        with self._changing:
            if self._descriptor is None:
                return
            self._lose("This owner was closed")
            _held.discard(self)
            # Removed while it is locked: whoever asks sees the lock or no file, never a file without its owner.
            self._path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = None

    def _begin(self) -> None:
        try:
            create_folder(self._folder)
            self._descriptor = take(self._path)
            _held.add(self)
            lease = self._new_lease()
            write_first_lease(self._descriptor, lease)
            self._ends_s = lease.ends_s
            self._sweep()
        except BaseException as exc:
            self.close()
            if isinstance(exc, OSError):
                raise journal_error(exc, "take an owner's lock", str(self._path)) from exc
            raise

    def _new_lease(self) -> Lease:
        return Lease(self._boot_id, self._clock() + self.lease_s, self._longest_attempt_s)

    def _extend(self) -> None:
        assert self._descriptor is not None
        self._check_not_taken(self._descriptor)
        lease = self._new_lease()
        write_lease(self._descriptor, lease)
        self._check_not_taken(self._descriptor)  # by somebody who did not get the lock, and did not wait for ever
        self._ends_s = lease.ends_s

    def _check_not_taken(self, descriptor: int) -> None:
        if is_fenced(descriptor):
            self._lose("Another process has taken over the runs of this one, whose lease was over")
        elif not is_at(descriptor, self._path):
            self._lose("The lock file of this process is gone, so others may have taken over its runs")
        self._check_not_lost()

    def _lose(self, why: str) -> None:
        self._lost = self._lost or why
        self._ends_s = -math.inf

    def _check_not_lost(self) -> None:
        if self._lost:
            raise LeaseLost(self._lost, str(self._path), "Restart this process; until then it drives no run")

    def _fences(self, descriptor: int) -> bool:
        """Take the place of an owner whose lock is held, if its time is over."""
        if not self._is_over(descriptor):
            return False
        try:
            with takeover_lock(self._folder):
                if not self._is_over(descriptor):
                    return False
                write_fence(descriptor, self.owner_id)
                return self._is_over(descriptor)  # else it has renewed without the lock, and loses at its next renewal
        except OSError as exc:
            raise journal_error(exc, "take over from an owner", str(self._folder)) from exc

    def _is_over(self, descriptor: int) -> bool:
        lease = read_lease(descriptor)
        return lease is not None and lease.is_over(self._boot_id, self._clock())

    @contextmanager
    def _lock_held_by(self, owner_id: str) -> Iterator[int | None]:
        """Give the open lock file of an owner that has its lock; None if it is dead, whose file is removed then."""
        if not _OWNER_ID.fullmatch(owner_id):
            raise JournalMisused("This is not the id of an owner", repr(owner_id), "Use the owner_id of an Ownership")
        path = self._lock_file(owner_id)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            self._check_folder()
            yield None
            return
        except OSError as exc:
            raise journal_error(exc, "ask whether an owner lives", str(path)) from exc
        try:
            yield descriptor if is_held(descriptor, path) else None
        except OSError as exc:
            raise journal_error(exc, "ask whether an owner lives", str(path)) from exc
        finally:
            os.close(descriptor)

    def _sweep(self) -> None:
        for path in self._folder.glob("*.lock"):
            if _OWNER_ID.fullmatch(path.stem):
                self.is_alive(path.stem)

    def _check_folder(self) -> None:
        """Raise JournalUnavailable unless our own lock is where it was: an emptied folder proves nobody's death."""
        if self._descriptor is not None and is_at(self._descriptor, self._path):
            return
        raise JournalUnavailable(
            "Cannot tell which owners live: this owner's own lock is gone",
            str(self._path),
            "Restart this process; leave the files of the folder alone while processes run",
        )

    def _lock_file(self, owner_id: str) -> Path:
        return self._folder / f"{owner_id}.lock"

    def _leave_to_parent(self) -> None:
        """In a forked child: the lock and the lease are the parent's, and must not outlive it here."""
        self._changing = threading.Lock()  # a thread that is not in the child may have had it
        self._lose("This process was forked from the one that has the lease")
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


_held: Final[weakref.WeakSet[Ownership]] = weakref.WeakSet()


def _leave_all_to_parent() -> None:
    for ownership in list(_held):
        ownership._leave_to_parent()


os.register_at_fork(after_in_child=_leave_all_to_parent)


def _check_durations(lease_s: float, longest_attempt_s: float) -> None:
    if not 0 < lease_s <= _LONGEST_S or not 0 <= longest_attempt_s <= _LONGEST_S:
        raise JournalMisused(
            "A lease has to be longer than 0 s, and the longest attempt can't be negative",
            f"lease of {lease_s} s, attempt of {longest_attempt_s} s",
            "Mend the durations",
        )
