"""Reading `audit` of hikeshi.yaml into its types, with every problem of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from hikeshi.project.audit import ANCHOR_KEYS, AUDIT_KEYS, AnchorSettings, AuditSettings

__all__ = ["audit_settings"]

_EXAMPLE = "{type: file, path: /mnt/elsewhere/hikeshi.anchor}"


class _Problems(Protocol):
    def add(self, where: tuple[Any, ...], text: str) -> None: ...
    def unknown(self, key: Any, known: tuple[str, ...], above: tuple[Any, ...] = ()) -> None: ...


def audit_settings(raw: Any, folder: Path, problems: _Problems) -> AuditSettings:
    """Return what `audit` says; relative paths are those of the project's folder."""
    if raw is None:
        return AuditSettings()
    if not isinstance(raw, dict):
        problems.add(("audit",), f"'audit' is a map with the keys {', '.join(AUDIT_KEYS)}")
        return AuditSettings()
    for key in raw:
        problems.unknown(key, AUDIT_KEYS, ("audit",))
    default = AuditSettings()
    every = raw.get("checkpoint_every", default.checkpoint_every)
    if type(every) is not int or not 1 <= every <= 1_000_000:
        problems.add(("audit", "checkpoint_every"), "'checkpoint_every' is a number of records from 1 to 1000000")
    idle_s = raw.get("checkpoint_after_idle_s", default.checkpoint_after_idle_s)
    if not _is_seconds(idle_s):
        problems.add(("audit", "checkpoint_after_idle_s"), "'checkpoint_after_idle_s' is a number of seconds above 0")
    listed = raw.get("anchors") or []
    if not isinstance(listed, list):
        problems.add(("audit", "anchors"), f"'anchors' is a list, such as [{_EXAMPLE}]")
        return default
    anchors = [_anchor(each, number, folder, problems) for number, each in enumerate(listed, 1)]
    return AuditSettings(every, idle_s, tuple(each for each in anchors if each is not None))


def _anchor(raw: Any, number: int, folder: Path, problems: _Problems) -> AnchorSettings | None:
    where = ("audit", "anchors")
    kind = raw.get("type") if isinstance(raw, dict) else None
    if not isinstance(kind, str) or kind not in ANCHOR_KEYS:
        known = ", ".join(ANCHOR_KEYS)
        problems.add(where, f"anchor {number} needs a 'type' ({known}), such as {_EXAMPLE}")
        return None
    kinds = ANCHOR_KEYS[kind]
    values: dict[str, Any] = {}
    for key in raw.keys() - {"type", *kinds}:
        problems.add(where, f"anchor {number} of type {kind!r} has no key {key!r} (known: {', '.join(kinds)})")
    for key, form in kinds.items():
        if raw.get(key) is None:
            if form.endswith("!"):
                problems.add(where, f"anchor {number} of type {kind!r} needs {key!r}")
            continue
        is_right, meant = _FORMS[form.rstrip("!")]
        if is_right(raw[key]):
            values[key] = folder / Path(raw[key]).expanduser() if form.startswith("path") else raw[key]
        else:
            problems.add(where, f"{key!r} of anchor {number} is {meant}")
    if "key" in values and "certificate" not in values:
        problems.add(where, f"anchor {number} has a 'key', and no 'certificate' that it belongs to")
    return AnchorSettings(kind, values)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def _is_url(value: Any) -> bool:
    if not _is_text(value):
        return False
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.username is None


def _is_port(value: Any) -> bool:
    return type(value) is int and 1 <= value <= 65_535


def _is_seconds(value: Any) -> bool:
    return type(value) in (int, float) and 0 < value <= 1_000_000_000


_FORMS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "text": (_is_text, "text"),
    "path": (_is_text, "the path of a file"),
    "bool": (lambda value: isinstance(value, bool), "true or false"),
    "port": (_is_port, "a port from 1 to 65535"),
    "seconds": (_is_seconds, "a number of seconds above 0"),
    "url": (_is_url, "an address that begins with https:// or http://, without a user in it"),
}
