"""Incidents: what Sentinel detected.

Source: Azure/azure-rest-api-specs, securityinsights 2024-03-01, Incidents.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

from hikeshi.capabilities import Alert, Severity

__all__ = ["alert_of", "recent"]

_LEVELS: tuple[Severity, ...] = get_args(Severity)
# Sentinel has no "critical"; what it has below "low" counts as low.
_SEVERITIES: Final[dict[str, Severity]] = {
    "informational": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
}


def recent(since_s: int, severity: Severity | None) -> str | None:
    """Return a filter for the incidents of the last `since_s` seconds that are at least this severe.

    None means that there can be none: Sentinel knows nothing above high.
    """
    since = (datetime.now(UTC) - timedelta(seconds=since_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
    asked = f"properties/createdTimeUtc ge {since}"
    if severity is None or severity == "low":
        return asked
    levels = [level for level in _LEVELS[_LEVELS.index(severity) :] if level in _SEVERITIES.values()]
    if not levels:
        return None
    return f"{asked} and (" + " or ".join(f"properties/severity eq '{level.capitalize()}'" for level in levels) + ")"


def alert_of(incident: Mapping[str, Any], connector: str) -> Alert:
    """Return an incident as a detection. Its entities would have to be asked for one by one, so none is named."""
    properties = incident["properties"]
    title = str(properties.get("title") or incident["name"])
    techniques = (properties.get("additionalData") or {}).get("techniques") or ()
    return Alert(
        connector=connector,
        id=str(incident["name"]),
        name=title,
        title=title,
        severity=_SEVERITIES[str(properties["severity"]).lower()],
        at=properties["createdTimeUtc"],
        status=properties.get("status") or None,
        technique=next(iter(techniques), None),
    )
