"""How much memory this process has needed: `peak_mib`."""

from __future__ import annotations

from pathlib import Path

__all__ = ["peak_mib"]


def peak_mib() -> float:
    """Return the most memory that this program has had resident, in MiB; Linux only.

    `getrusage` would not do: its figure is handed on to children, so a test with a large parent measures the parent.
    """
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == "VmHWM":
            return int(value.split()[0]) / 1024
    raise OSError("/proc/self/status has no VmHWM: this system does not say how much memory was needed.")
