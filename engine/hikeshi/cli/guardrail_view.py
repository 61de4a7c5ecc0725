"""Guardrails on one line each, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["line_of"]

_UNSAID: tuple[object, ...] = (None, "", [], ["*"])


def line_of(entry: Mapping[str, Any]) -> str:
    """Return what a rule says on one line; where it stands is left to the caller."""
    said = [_said(key, value) for key, value in entry.items() if key != "rule" and value not in _UNSAID]
    return "; ".join(said)


def _said(key: str, value: Any) -> str:
    match key:
        case "lists":
            return ", ".join(_shown(each) for each in value)
        case "why" | "matched":
            return str(value)
        case "most":
            return f"at most {value}"
        case "at_most_per_cent":
            return f"at most {value} per cent"
        case "within_s":
            return f"within {_time(value)}"
        case "lift":
            return f"lifted by {value}"
    return f"{key.replace('_', ' ')} {', '.join(value) if isinstance(value, list) else value}"


def _shown(listed: Mapping[str, Any]) -> str:
    first: Sequence[str] = listed["first"]
    more = listed["count"] - len(first)
    source = f" of {listed['file']}" if listed["file"] else ""
    return f"{listed['kind']}{source} {', '.join(first)}{f' and {more} more' if more else ''}"


def _time(seconds: int) -> str:
    from hikeshi.playbook.durations import format_duration

    return format_duration(seconds)
