"""Alerts: what Defender detected. Source: https://learn.microsoft.com/defender-endpoint/api/alerts"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

from hikeshi.capabilities import Alert, Severity

__all__ = ["alert_of", "recent"]

_LEVELS: tuple[Severity, ...] = get_args(Severity)
# Defender has no "critical"; what it has below "low" counts as low.
_SEVERITIES: dict[str, Severity] = {
    "unspecified": "low",
    "informational": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
}


def recent(since_s: int, severity: Severity | None) -> str | None:
    """Return a filter for the alerts of the last `since_s` seconds that are at least this severe.

    None means that there can be none: Defender knows nothing above high.
    """
    since = (datetime.now(UTC) - timedelta(seconds=since_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    asked = f"alertCreationTime ge {since}"
    if severity is None or severity == "low":
        return asked
    levels = [level for level in _LEVELS[_LEVELS.index(severity) :] if level in _SEVERITIES.values()]
    if not levels:
        return None
    return f"{asked} and (" + " or ".join(f"severity eq '{level.capitalize()}'" for level in levels) + ")"


def alert_of(alert: Mapping[str, Any], connector: str) -> Alert:
    """Return an alert. `at` is when Defender raised it."""
    user = alert.get("relatedUser") or {}
    evidence = alert.get("evidence") or ()
    hashes = (each.get("sha256") for each in evidence if each.get("entityType") in ("File", "Process"))
    title = str(alert.get("title") or alert["id"])
    return Alert(
        connector=connector,
        id=str(alert["id"]),
        name=title,
        title=title,
        severity=_SEVERITIES[str(alert["severity"]).lower()],
        at=alert["alertCreationTime"],
        status=alert.get("status") or None,
        host_id=alert.get("machineId") or None,
        host_name=alert.get("computerDnsName") or None,
        user_name=user.get("userName") or None,
        sha256=next((each for each in hashes if each), None),
        technique=next(iter(alert.get("mitreTechniques") or ()), None),
    )
