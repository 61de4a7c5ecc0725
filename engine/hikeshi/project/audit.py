"""`audit` in hikeshi.yaml: how often the audit log is signed, and where its checkpoints are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hikeshi.quick_dataclass import dataclass

__all__ = ["ANCHOR_KEYS", "AUDIT_KEYS", "AnchorSettings", "AuditSettings"]

AUDIT_KEYS: Final = ("checkpoint_every", "checkpoint_after_idle_s", "anchors")

ANCHOR_KEYS: Final[Mapping[str, Mapping[str, str]]] = {
    "file": {"path": "path!", "leaves": "bool"},
    "syslog": {
        "host": "text!",
        "port": "port",
        "ca": "path",
        "certificate": "path",
        "key": "path",
        "timeout_s": "seconds",
    },
    "timestamp": {"url": "url!", "ca": "path", "timeout_s": "seconds"},
}
"""What each type of anchor is told, and the kind of each value; `!` marks what has to be there."""


@dataclass(frozen=True, slots=True)
class AnchorSettings:
    """Where checkpoints are sent: a type of ANCHOR_KEYS, and its values; paths are those of the file system."""

    type: str
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AuditSettings:
    """A checkpoint is made after so many records at the latest, and after so many seconds in which none was made."""

    checkpoint_every: int = 1_000
    checkpoint_after_idle_s: float = 300.0
    anchors: tuple[AnchorSettings, ...] = ()
