"""Workbench alerts: what Vision One detected. Source: pytmv1 0.11.0 (model/common.py: SaeAlert, TiAlert)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from hikeshi.capabilities import Alert, Severity

__all__ = ["alert_of", "at_least"]

_LEVELS: tuple[Severity, ...] = get_args(Severity)


def at_least(severity: Severity | None) -> dict[str, str]:
    """Return the header that filters for alerts of this severity and above; none for all."""
    if severity is None or severity == "low":
        return {}
    levels = _LEVELS[_LEVELS.index(severity) :]
    return {"TMV1-Filter": " or ".join(f"severity eq '{level}'" for level in levels)}


def alert_of(alert: Mapping[str, Any], connector: str) -> Alert:
    """Return an alert. Of several hosts or accounts in its scope, the first is named."""
    entities = (alert.get("impactScope") or {}).get("entities") or ()
    host: Mapping[str, Any] = next((each["entityValue"] for each in entities if each["entityType"] == "host"), {})
    user = next((each["entityValue"] for each in entities if each["entityType"] == "account"), None)
    title = str(alert.get("model") or alert["id"])
    return Alert(
        connector=connector,
        id=str(alert["id"]),
        name=title,
        title=title,
        severity=alert["severity"],
        at=alert["createdDateTime"],
        status=alert.get("status") or None,
        host_id=host.get("guid") or None,
        host_name=host.get("name") or None,
        user_name=str(user) if user else None,
        sha256=next(_hashes(alert), None),
        technique=next(_techniques(alert), None),
    )


def _hashes(alert: Mapping[str, Any]) -> Iterator[str]:
    for indicator in alert.get("indicators") or ():
        kind = str(indicator.get("type")).lower().replace("_", "")
        if kind.endswith("sha256") and isinstance(indicator.get("value"), str):
            yield indicator["value"].lower()


def _techniques(alert: Mapping[str, Any]) -> Iterator[str]:
    for rule in alert.get("matchedRules") or ():
        for matched in rule.get("matchedFilters") or ():
            yield from (str(each) for each in matched.get("mitreTechniqueIds") or ())
