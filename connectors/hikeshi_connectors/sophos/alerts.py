"""Alerts of Sophos Central, of every product that a tenant has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from hikeshi.capabilities import Alert, Severity
from hikeshi.connector import Invalid
from hikeshi_connectors.sophos.answers import moment

__all__ = ["ALERTS_PATH", "alert_of", "is_severe"]

ALERTS_PATH: Final = "/common/v1/alerts"
_LEVELS: tuple[Severity, ...] = get_args(Severity)
_HOSTS: Final = frozenset({"computer", "server", "endpoint", "securityVm"})


def is_severe(alert: Alert, least: Severity | None) -> bool:
    """Say whether an alert is at least this severe. Sophos has none that is critical."""
    return least is None or _LEVELS.index(alert.severity) >= _LEVELS.index(least)


def alert_of(item: Mapping[str, Any], connector: str) -> Alert:
    """Return an alert. Raises Invalid for a severity that is not known here."""
    severity = item.get("severity")
    if severity not in _LEVELS:
        raise Invalid(f"alert {item.get('id')} has the unknown severity {severity!r}")
    agent, person = item.get("managedAgent") or {}, item.get("person") or {}
    title = str(item.get("description") or item.get("type") or item["id"])
    return Alert(
        connector=connector,
        id=str(item["id"]),
        name=title,
        title=title,
        severity=severity,
        at=moment(item["raisedAt"]),
        host_id=agent.get("id") if agent.get("type") in _HOSTS else None,
        host_name=agent.get("name") or None,
        user_name=person.get("name") or None,
    )
