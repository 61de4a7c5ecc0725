"""The estate's hosts, alerts and indicators in Falcon's words, and what Falcon demands of a new indicator."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from hikeshi.testing.estate import Alert, Estate, Host, Ioc

__all__ = [
    "ALERT_FIELDS",
    "DEVICE_FIELDS",
    "INDICATOR_FIELDS",
    "alert_record",
    "device_record",
    "indicator_faults",
    "indicator_record",
    "login_name",
]

DEVICE_FIELDS = frozenset(
    {"device_id", "hostname", "local_ip", "connection_ip", "external_ip", "platform_name", "status", "site_name"}
)
ALERT_FIELDS = frozenset({"created_timestamp", "timestamp", "severity", "severity_name", "status", "composite_id"})
INDICATOR_FIELDS = frozenset({"type", "value", "action", "applied_globally", "expired", "deleted", "source"})
_PLATFORM_NAMES = {"windows": "Windows", "linux": "Linux", "macos": "Mac"}
_NUMBERS = {"informational": 10, "low": 30, "medium": 50, "high": 70, "critical": 90}
_FORMS = {
    "md5": re.compile(r"[0-9a-f]{32}"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "ipv4": re.compile(r"[0-9.]{7,15}"),
    "ipv6": re.compile(r"[0-9a-f:.]{2,45}"),
    "domain": re.compile(r".{1,200}"),
}
_ACTIONS = frozenset({"no_action", "allow", "detect", "prevent", "prevent_no_ui"})
_PLATFORMS = frozenset({"windows", "mac", "linux", "ios", "android"})
_KNOWN = frozenset(
    {"type", "value", "action", "severity", "platforms", "applied_globally", "host_groups", "expiration"}
    | {"description", "source", "tags", "mobile_action", "metadata"}
)


def device_record(host: Host) -> dict[str, Any]:
    """Return a host as Falcon's device."""
    address = host.ips[0] if host.ips else ""
    return {
        "device_id": host.id,
        "cid": "simulated",
        "hostname": host.name,
        "local_ip": address,
        "connection_ip": host.ips[-1] if host.ips else "",
        "external_ip": "203.0.113.1",
        "mac_address": host.mac.replace(":", "-"),
        "platform_name": _PLATFORM_NAMES[host.os],
        "os_version": host.os_version,
        "agent_version": host.agent_version,
        "machine_domain": host.domain,
        "site_name": host.site,
        "tags": [f"FalconGroupingTags/{tag}" for tag in sorted(host.tags)],
        "groups": sorted(host.groups),
        "last_seen": _iso(host.last_seen),
        "status": host.isolation,
    }


def alert_record(estate: Estate, alert: Alert) -> dict[str, Any]:
    """Return an alert as Falcon's."""
    host = estate.hosts.get(alert.host_id or "")
    user = estate.users.get(alert.user_id or "")
    record: dict[str, Any] = {
        "composite_id": f"simulated:ind:{alert.host_id or '0'}:{alert.id}",
        "id": f"ind:{alert.id}",
        "agent_id": alert.host_id or "",
        "created_timestamp": alert.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "timestamp": alert.at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "display_name": alert.title,
        "name": alert.title,
        "description": alert.description,
        "severity": _NUMBERS[alert.severity],
        "severity_name": alert.severity.capitalize(),
        "status": alert.status,
        "technique_id": alert.technique or "",
        "product": "epp",
        "sha256": alert.sha256 or "",
        "user_name": user.sam if user else "",
    }
    if host or alert.host_name:
        name = alert.host_name or (host.name if host else "")
        record["device"] = {"device_id": alert.host_id or "", "hostname": name}
    return record


def indicator_record(ioc: Ioc) -> dict[str, Any]:
    """Return an indicator as Falcon's."""
    return {
        "id": ioc.id,
        "type": ioc.type,
        "value": ioc.value,
        "action": ioc.action,
        "severity": ioc.severity or "",
        "description": ioc.description,
        "applied_globally": True,
        "created_on": _iso(ioc.created_at),
        "expired": False,
        "deleted": False,
        "from_parent": False,
        **({"expiration": _iso(ioc.expires_at)} if ioc.expires_at else {}),
        **ioc.details,
    }


def indicator_faults(entry: Mapping[str, Any]) -> str | None:
    """Return what Falcon would not accept in a new indicator, or None."""
    kind, value = str(entry.get("type", "")), str(entry.get("value", ""))
    if unknown := entry.keys() - _KNOWN:
        return f"unknown fields {sorted(unknown)}"
    if kind not in _FORMS:
        return f"Invalid type {kind}"
    if not _FORMS[kind].fullmatch(value.lower()):
        return f"Invalid value for the type {kind}"
    if entry.get("action") not in _ACTIONS:
        return "Invalid action"
    if entry["action"] in ("detect", "prevent") and not entry.get("severity"):
        return "severity is required for this action"
    platforms = entry.get("platforms") or []
    if not platforms or not set(platforms) <= _PLATFORMS:
        return "Invalid platforms"
    if not entry.get("applied_globally") and not entry.get("host_groups"):
        return "applied_globally or host_groups is required"
    return _fault_of_expiration(entry.get("expiration"))


def login_name(estate: Estate, user_id: str) -> str:
    """Return the name a sensor reports for an account."""
    user = estate.users.get(user_id)
    return user.sam if user else user_id


def _fault_of_expiration(text: Any) -> str | None:
    if text is None:
        return None
    try:
        at = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return "Invalid expiration"
    if at.tzinfo is None:
        return "Invalid expiration"
    return None if at > datetime.now(UTC) else "expiration must be in the future"


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
