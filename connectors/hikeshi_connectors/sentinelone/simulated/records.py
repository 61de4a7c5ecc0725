"""The estate's hosts and alerts in SentinelOne's words."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from hikeshi.testing.estate import Alert, Estate, Host

__all__ = ["ACCOUNT_ID", "agent_id", "agent_record", "agent_uuid", "iso", "threat_record"]

ACCOUNT_ID = "225494730938493804"
_STATUSES = {
    "normal": "connected",
    "containment_pending": "disconnecting",
    "contained": "disconnected",
    "lift_containment_pending": "connecting",
}
_CONFIDENCE = {"critical": "malicious", "high": "malicious", "medium": "suspicious"}


@lru_cache(maxsize=200_000)
def agent_id(host_id: str) -> str:
    """Return the number that the console gives an agent: 18 digits, the same each time."""
    return str(10**17 + int(hashlib.sha256(host_id.encode()).hexdigest()[:14], 16))


@lru_cache(maxsize=200_000)
def agent_uuid(host_id: str) -> str:
    """Return an agent's UUID."""
    return hashlib.sha1(host_id.encode(), usedforsecurity=False).hexdigest()


def agent_record(host: Host) -> dict[str, Any]:
    """Return a host as an agent of the console."""
    group = sorted(host.groups)[0] if host.groups else "Default Group"
    tags = [{"key": "tier", "value": tag, "id": agent_id(tag)} for tag in sorted(host.tags)]
    return {
        "id": agent_id(host.id),
        "uuid": agent_uuid(host.id),
        "accountId": ACCOUNT_ID,
        "computerName": host.name,
        "osType": host.os,
        "osName": host.os_version,
        "agentVersion": host.agent_version,
        "domain": host.domain,
        "siteName": host.site,
        "groupName": group,
        "groupId": agent_id(group),
        "externalIp": "203.0.113.1",
        "isActive": host.online,
        "isDecommissioned": False,
        "isUninstalled": False,
        "networkStatus": _STATUSES[host.isolation],
        "networkInterfaces": [
            {
                "id": agent_id(host.mac),
                "name": "eth0",
                "physical": host.mac.replace("-", ":"),
                "inet": [ip for ip in host.ips if ":" not in ip],
                "inet6": [ip for ip in host.ips if ":" in ip],
            }
        ],
        "tags": {"sentinelone": tags},
        "lastActiveDate": iso(host.last_seen),
    }


def threat_record(estate: Estate, alert: Alert) -> dict[str, Any]:
    """Return an alert as a threat of the console."""
    host, user = estate.hosts.get(alert.host_id or ""), estate.users.get(alert.user_id or "")
    at = iso(alert.at)
    techniques = [{"name": alert.technique, "link": ""}] if alert.technique else []
    return {
        "id": agent_id(alert.id),
        "agentDetectionInfo": {"agentVersion": host.agent_version if host else None},
        "agentRealtimeInfo": {
            "accountId": ACCOUNT_ID,
            "agentId": agent_id(alert.host_id) if alert.host_id else None,
            "agentComputerName": alert.host_name or (host.name if host else None),
        },
        "indicators": [
            {"category": "General", "description": alert.description, "tactics": [{"techniques": techniques}]}
        ],
        "threatInfo": {
            "threatId": agent_id(alert.id),
            "threatName": alert.title,
            "classification": "Ransomware" if alert.severity == "critical" else "Malware",
            "confidenceLevel": _CONFIDENCE.get(alert.severity, "n/a"),
            "createdAt": at,
            "identifiedAt": at,
            "updatedAt": at,
            "incidentStatus": {"new": "unresolved", "in_progress": "in_progress", "closed": "resolved"}[alert.status],
            "processUser": f"{host.domain}\\{user.sam}" if host and user else None,
            "sha1": None,
            "sha256": alert.sha256,
        },
    }


def iso(at: datetime) -> str:
    """Return a moment as the console writes it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
