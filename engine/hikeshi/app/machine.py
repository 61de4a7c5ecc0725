"""Whether the machine is fit for a project: its disk, its clock, its limits, and who may read what is kept there."""

from __future__ import annotations

import ctypes
import os
import resource
import shutil
import stat
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from hikeshi.app.finding import Finding, fine, problem, warning

__all__ = ["check_clock_sync", "check_disk", "check_extras", "check_file_limit", "check_permissions"]

_MIB: Final = 1024 * 1024
_TOO_LITTLE_BYTES: Final = 100 * _MIB
_LITTLE_BYTES: Final = 1024 * _MIB
_FEW_FILES: Final = 1024
_MOUNTS: Final = Path("/proc/self/mountinfo")
_NETWORKS: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "fuse.sshfs", "fuse.s3fs"}
)
_PASSING: Final = frozenset({"tmpfs", "ramfs", "overlay"})
_UNSYNCHRONISED: Final = 0x40  # STA_UNSYNC of adjtimex(2)
_TIMEX_BYTES, _STATUS_AT = 256, 40
_EXTRAS: Final = {
    "server": ("fastapi", "nicegui"),
    "audit": ("rfc3161_client",),
    "keyring": ("keyring",),
    "otel": ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http"),
}
"""The optional parts of the package, and the modules by which it is seen that they are there."""


def check_permissions(folder: Path, private: Sequence[Path], secret: Sequence[Path]) -> Iterator[Finding]:
    """Say whether others may read what a project keeps. `secret` files are their owner's alone."""
    found = False
    for path in (folder, *private, *secret):
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        wanted = "0700" if path == folder else "0600"
        mend = f"chmod {wanted} {path}"
        if path in secret and mode & 0o077:
            found = True
            yield problem("permissions", f"others may read a key (mode {mode:04o})", str(path), mend)
        elif mode & 0o007:
            found = True
            yield problem("permissions", f"everybody on this machine may open it (mode {mode:04o})", str(path), mend)
        elif mode & 0o070:
            found = True
            text = f"its group may open it (mode {mode:04o})"
            yield warning("permissions", text, str(path), f"if nobody of that group runs or approves here: {mend}")
    if not found:
        yield fine("permissions", "only their owner may open journal and keys", str(folder))


def check_disk(folder: Path, journal_bytes: int) -> Iterator[Finding]:
    """Say whether the disk is a local one, and has room."""
    kind = file_system_of(folder)
    if kind in _NETWORKS:
        text = f"it is on a network file system ({kind}), which does not lock reliably"
        yield problem("file system", text, str(folder), "move the project to a local disk; the journal can be damaged")
    elif kind in _PASSING:
        text = f"it is on {kind}, which may be gone when the machine or container starts again"
        yield warning("file system", text, str(folder), "keep the project on a disk or a volume that stays")
    else:
        yield fine("file system", f"local ({kind or 'of a kind that this system does not tell'})", str(folder))
    free = shutil.disk_usage(folder).free
    shown = f"{free // _MIB:,} MiB free"
    if free < _TOO_LITTLE_BYTES:
        yield problem("disk", shown, str(folder), "free some space: without it no change may start")
    elif free < max(_LITTLE_BYTES, journal_bytes):
        yield warning("disk", shown, str(folder), "free some space: a copy of the journal may not fit any more")
    else:
        yield fine("disk", shown, str(folder))


def file_system_of(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the kind of file system that a path is on, or None where the system does not say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    real, best, kind = os.path.realpath(path), "", None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields = before.split()
        if len(fields) < 5 or not after:
            continue
        point = fields[4].replace("\\040", " ")
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # what is mounted later hides what was there
            best, kind = point, after.split()[0]
    return kind


def check_file_limit() -> Finding:
    """Say whether a service may open enough files: each connection and each request takes one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < _FEW_FILES:
        text = f"this process may open {soft} files at once"
        return warning("open files", text, "ulimit -n", f"allow {_FEW_FILES} at least (systemd: LimitNOFILE=)")
    return fine("open files", "no limit" if soft == resource.RLIM_INFINITY else f"up to {soft} at once")


def check_clock_sync() -> Finding:
    """Say whether the system's clock is kept right by somebody. Asks the kernel, and nobody on the network."""
    is_kept = _clock_is_kept()
    if is_kept is None:
        return warning("clock", "this system does not say whether its clock is kept right", "", "see that it is (NTP)")
    if not is_kept:
        text = "nobody keeps this machine's clock right"
        return warning("clock", text, "timedatectl", "let it follow a time server (NTP): deadlines depend on it")
    return fine("clock", "kept right by a time server, as the kernel says")


def _clock_is_kept() -> bool | None:
    if not sys.platform.startswith("linux"):
        return None
    try:
        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
    except (OSError, AttributeError):
        return None
    told = ctypes.create_string_buffer(_TIMEX_BYTES)  # zeroed: it asks, and sets nothing
    if adjtimex(told) < 0:
        return None
    status = int.from_bytes(told.raw[_STATUS_AT : _STATUS_AT + 4], sys.byteorder)
    return not status & _UNSYNCHRONISED


def check_extras(needed: Sequence[str]) -> Iterator[Finding]:
    """Say which optional parts are installed. Those that are `needed` by what is configured have to be."""
    there = [name for name, modules in _EXTRAS.items() if all(map(_is_there, modules))]
    for name in needed:
        if name not in there:
            text = f"what is configured needs the optional part {name!r}"
            yield problem("extras", text, sys.prefix, f"python -m pip install 'hikeshi[{name}]'")
    yield fine("extras", f"installed: {', '.join(there) or 'none'}", sys.prefix)


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False
