"""Taking secrets out of an event before it is stored, such that the engine can still read it back."""

from __future__ import annotations

from typing import Any

from hikeshi.secrets import Redactor

__all__ = ["without_secrets"]

# What the engine wrote itself and reads back; everything else in an event may have come from outside.
_OWN = frozenset(
    {"playbook", "sources", "digests", "mode", "routes", "engine", "owner", "action", "effect", "connector", "instance"}
    | {"at", "key", "hold", "target", "outcome", "each", "status", "due_at", "failures"}
    | {"kind", "digest", "by", "decision", "approval", "signals", "wake_at", "expires_at", "holder", "to", "request"}
)
_OWN_INSIDE = {
    "error": ("kind", "applied"),
    "prior": ("target",),
    "targets": ("identity", "action", "connector", "target", "path"),
    "shows": ("action", "connector", "target", "path"),
    "holds": ("hold", "action", "at", "target"),
    "fields": ("name", "type", "required"),
    "undo": ("action",),
    "opened": ("hold", "target"),
    "settled": ("target", "outcome", "hold"),
}


def without_secrets(redactor: Redactor, name: str, value: Any) -> Any:
    """Return a field of an event with secrets masked."""
    if name in _OWN:
        return redactor.names(value)
    if isinstance(value, list) and name in _OWN_INSIDE:
        return [without_secrets(redactor, name, entry) for entry in value]
    if isinstance(value, dict) and name in _OWN_INSIDE:
        own = _OWN_INSIDE[name]
        return {key: _inside(redactor, key, item, own) for key, item in value.items()}
    return redactor.data(value)


def _inside(redactor: Redactor, key: str, item: Any, own: tuple[str, ...]) -> Any:
    if key in own:
        return redactor.names(item)
    return without_secrets(redactor, key, item) if key == "error" else redactor.data(item)
