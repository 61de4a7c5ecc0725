"""Alerts: what Falcon detected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from hikeshi.capabilities import Alert, Severity
from hikeshi_connectors.crowdstrike.filter import age, any_of

__all__ = ["alert_of", "recent"]

_LEVELS: tuple[Severity, ...] = get_args(Severity)
_FROM: tuple[tuple[int, Severity], ...] = ((80, "critical"), (60, "high"), (40, "medium"), (0, "low"))


def recent(since_s: int, severity: Severity | None) -> str:
    """Return a filter for the alerts of the last `since_s` seconds that are at least this severe.

    Falcon's "Informational" counts as low.
    """
    asked = f"created_timestamp:>='now-{age(since_s)}'"
    if severity is None or severity == "low":
        return asked
    names = [level.capitalize() for level in _LEVELS[_LEVELS.index(severity) :]]
    return f"{asked}+{any_of('severity_name', names)}"


def alert_of(alert: Mapping[str, Any], connector: str) -> Alert:
    """Return an alert. `at` is when Falcon recorded it, the time its lists are ordered by."""
    device = alert.get("device") or {}
    title = str(alert.get("display_name") or alert.get("name") or alert["composite_id"])
    return Alert(
        connector=connector,
        id=str(alert["composite_id"]),
        name=title,
        title=title,
        severity=_severity(alert),
        at=alert["created_timestamp"],
        status=alert.get("status") or None,
        host_id=device.get("device_id") or alert.get("agent_id") or None,
        host_name=device.get("hostname") or None,
        user_name=alert.get("user_name") or None,
        sha256=alert.get("sha256") or None,
        technique=alert.get("technique_id") or alert.get("technique") or None,
    )


def _severity(alert: Mapping[str, Any]) -> Severity:
    name = str(alert.get("severity_name") or "").lower()
    if name in _LEVELS:
        return name
    if name == "informational":
        return "low"
    number = int(alert.get("severity") or 0)
    return next(level for least, level in _FROM if number >= least)
