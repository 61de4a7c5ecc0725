"""The estate's hosts and alerts in Sophos's words."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from hikeshi.testing.estate import Alert, Estate, Host

__all__ = ["alert_item", "endpoint_id", "endpoint_item", "iso"]

_SEVERITIES = {"critical": "high", "high": "high", "medium": "medium"}
_CUT_OFF = ("contained", "lift_containment_pending")


@lru_cache(maxsize=200_000)
def endpoint_id(host_id: str) -> str:
    """Return the UUID that Central gives an endpoint, the same each time."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, host_id))


def endpoint_item(host: Host, *, is_unwell: bool = False) -> dict[str, Any]:
    """Return a host as an endpoint in full view. An unwell one has isolated itself."""
    group = sorted(host.groups)[0] if host.groups else ""
    return {
        "id": endpoint_id(host.id),
        "type": "server" if host.kind == "server" else "computer",
        "tenant": {"id": "simulated-tenant"},
        "hostname": host.name,
        "os": {"platform": host.os, "name": host.os_version, "isServer": host.kind == "server"},
        "ipv4Addresses": [ip for ip in host.ips if ":" not in ip],
        "ipv6Addresses": [ip for ip in host.ips if ":" in ip],
        "macAddresses": [host.mac.upper()],
        "tamperProtectionEnabled": True,
        "online": host.online,
        "lastSeenAt": iso(host.last_seen),
        "isolation": {
            "status": "isolated" if is_unwell or host.isolation in _CUT_OFF else "notIsolated",
            "adminIsolated": host.isolation in ("containment_pending", "contained"),
            "selfIsolated": is_unwell,
        },
        "tags": [{"name": tag} for tag in sorted(host.tags)],
        **({"group": {"id": endpoint_id(group), "name": group}} if group else {}),
    }


def alert_item(estate: Estate, alert: Alert) -> dict[str, Any]:
    """Return an alert of the common API."""
    host, user = estate.hosts.get(alert.host_id or ""), estate.users.get(alert.user_id or "")
    item: dict[str, Any] = {
        "id": endpoint_id(alert.id),
        "category": "malware",
        "description": alert.title,
        "groupKey": "simulated",
        "product": "endpoint",
        "raisedAt": iso(alert.at).removesuffix("Z"),
        "severity": _SEVERITIES.get(alert.severity, "low"),
        "tenant": {"id": "simulated-tenant", "name": estate.name},
        "type": "Event::Endpoint::Threat::Detected",
        "allowedActions": ["acknowledge"],
    }
    if alert.host_id:
        name = alert.host_name or (host.name if host else "")
        item["managedAgent"] = {"id": endpoint_id(alert.host_id), "type": "computer", "name": name}
    if user:
        item["person"] = {"id": user.id, "name": user.sam}
    return item


def iso(at: datetime) -> str:
    """Return a moment as Central writes it."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
