"""Insights: what Cloud SIEM makes of signals that belong together.

Source: https://api.sumologic.com/docs/sec/ (GetInsights).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, get_args

from hikeshi.capabilities import Alert, Severity

__all__ = ["INSIGHTS", "alert_of", "at_least"]

INSIGHTS: Final = "/sec/v1/insights"
_LEVELS: Final[tuple[Severity, ...]] = get_args(Severity)
_NAMED: Final[dict[str, Severity]] = {each: each for each in _LEVELS}
_TECHNIQUE: Final = "_mitreAttackTechnique:"


def alert_of(insight: Mapping[str, Any], connector: str) -> Alert:
    """Return an insight as a detection. It is about one entity, which may be a host or a user."""
    title = str(insight["name"])
    entity = insight.get("entity") or {}
    kind, name = str(entity.get("entityType", "")).lstrip("_"), entity.get("name") or None
    at = datetime.fromisoformat(insight["created"])
    tags = [str(tag) for tag in insight.get("tags") or ()]
    return Alert(
        connector=connector,
        id=str(insight["id"]),
        name=str(insight.get("readableId") or title),
        title=title,
        severity=_NAMED[str(insight["severity"]).lower()],
        at=at if at.tzinfo else at.replace(tzinfo=UTC),
        status=(insight.get("status") or {}).get("name"),
        host_name=name if kind == "hostname" else None,
        user_name=name if kind == "username" else None,
        technique=next((tag.removeprefix(_TECHNIQUE) for tag in tags if tag.startswith(_TECHNIQUE)), None),
    )


def at_least(alert: Alert, severity: Severity | None) -> bool:
    return severity is None or _LEVELS.index(alert.severity) >= _LEVELS.index(severity)
