"""Threats: what SentinelOne detected, as alerts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from hikeshi.capabilities import Alert, Severity
from hikeshi_connectors.sentinelone.named import API

__all__ = ["THREATS_PATH", "alert_of", "is_severe"]

THREATS_PATH: Final = f"{API}/threats"
_LEVELS: tuple[Severity, ...] = get_args(Severity)
# A threat has no severity of its own: SentinelOne says how sure it is, and of what kind.
_BY_CONFIDENCE: dict[str, Severity] = {"malicious": "high", "suspicious": "medium"}


def is_severe(alert: Alert, least: Severity | None) -> bool:
    """Say whether an alert is at least this severe."""
    return least is None or _LEVELS.index(alert.severity) >= _LEVELS.index(least)


def alert_of(threat: Mapping[str, Any], connector: str) -> Alert:
    """Return a threat as an alert. `at` is when the console recorded it, the time its lists are ordered by."""
    info, agent = threat["threatInfo"], threat.get("agentRealtimeInfo") or {}
    name = str(info.get("threatName") or threat["id"])
    kind = info.get("classification")
    return Alert(
        connector=connector,
        id=str(threat["id"]),
        name=name,
        title=f"{kind}: {name}" if kind else name,
        severity=_severity(info),
        at=info["createdAt"],
        status=info.get("incidentStatus") or None,
        host_id=agent.get("agentId") or None,
        host_name=agent.get("agentComputerName") or None,
        user_name=info.get("processUser") or None,
        sha256=info.get("sha256") or None,
        technique=_technique(threat),
    )


def _severity(info: Mapping[str, Any]) -> Severity:
    if str(info.get("classification") or "").casefold() == "ransomware":
        return "critical"
    return _BY_CONFIDENCE.get(str(info.get("confidenceLevel") or ""), "low")


def _technique(threat: Mapping[str, Any]) -> str | None:
    names = (
        technique.get("name")
        for indicator in threat.get("indicators") or ()
        for tactic in indicator.get("tactics") or ()
        for technique in tactic.get("techniques") or ()
    )
    return next((str(name) for name in names if name), None)
