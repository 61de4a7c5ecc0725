"""The lease in an owner's lock file: until when the owner may act, and whether somebody has taken its place.

The file has two parts of a fixed size. The lease is written by its owner alone, with one pwrite; the fence by whoever
takes the owner's place, once and for ever. Both are written under the takeover lock.
"""

import errno
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

_LEASE: Final = re.compile(rb"(hikeshi lease 1 boot=(\S+) +ends=(\S+) attempt=(\S+) )check=([0-9a-f]{8})\n")
_LEASE_BYTES: Final = 128
_NO_BOOT_ID: Final = "-"
_FENCED: Final = b"fenced"
_FENCE_BYTES: Final = 64

_BOOT_ID_FILE: Final = Path("/proc/sys/kernel/random/boot_id")
_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


@dataclass(frozen=True, slots=True)
class Lease:
    """Until when an owner may begin to send something, and how long that may then take, in seconds.

    The clock is the one of this boot of the machine. `boot_id` is empty where the system does not say.
    """

    boot_id: str
    ends_s: float
    longest_attempt_s: float

    def is_over(self, boot_id: str, now_s: float) -> bool:
        """Tell whether nothing of the owner can be under way any more."""
        if self.boot_id and boot_id and self.boot_id != boot_id:
            return True
        return now_s > self.ends_s + self.longest_attempt_s


def boot_clock() -> float:
    """Return the seconds since the machine was started, those included in which it was suspended."""
    return time.clock_gettime(_CLOCK)


def boot_id() -> str:
    """Return what tells this boot of the machine from others; an empty text where the system does not say."""
    try:
        return _BOOT_ID_FILE.read_text(encoding="ascii").strip()[:36]
    except (OSError, ValueError):
        return ""


def write_first_lease(descriptor: int, lease: Lease) -> None:
    """Write the lease, and the room for the fence, so that a full disk can't keep anybody from fencing."""
    _write(descriptor, _encoded(lease) + b" " * (_FENCE_BYTES - 1) + b"\n", 0)


def write_lease(descriptor: int, lease: Lease) -> None:
    """Write the lease over the one before. Raises OSError."""
    _write(descriptor, _encoded(lease), 0)


def read_lease(descriptor: int) -> Lease | None:
    """Return the lease; None if there is none, as with an owner of a version without leases, or it can't be read."""
    found = _LEASE.fullmatch(os.pread(descriptor, _LEASE_BYTES, 0))
    if found is None or int(found[5], 16) != crc32(found[1]):
        return None
    boot = found[2].decode("ascii", "replace")
    return Lease("" if boot == _NO_BOOT_ID else boot, float(found[3]), float(found[4]))


def write_fence(descriptor: int, by: str) -> None:
    """Take this owner's place, for ever. `by` is the id of the owner that does. Raises OSError."""
    _write(descriptor, _FENCED + f" by {by}".encode(), _LEASE_BYTES)


def is_fenced(descriptor: int) -> bool:
    """Tell whether somebody has taken this owner's place."""
    return os.pread(descriptor, len(_FENCED), _LEASE_BYTES) == _FENCED


def _encoded(lease: Lease) -> bytes:
    boot = lease.boot_id or _NO_BOOT_ID
    text = f"hikeshi lease 1 boot={boot:36} ends={lease.ends_s:020.6f} attempt={lease.longest_attempt_s:020.6f} "
    return text.encode() + f"check={crc32(text.encode()):08x}\n".encode()


def _write(descriptor: int, content: bytes, offset: int) -> None:
    if os.pwrite(descriptor, content, offset) != len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
