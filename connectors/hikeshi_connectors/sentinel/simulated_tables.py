"""The estate's traffic, sign-ins, files and detections as tables of a workspace, and as incidents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from hikeshi.testing.estate import Alert, Estate
from hikeshi.testing.service_clock import ServiceClock

__all__ = ["TABLES", "Tables", "incident"]

TABLES = ("CommonSecurityLog", "SigninLogs", "SecurityEvent", "DeviceFileEvents", "SecurityAlert")
_STATUSES = {"new": "New", "in_progress": "Active", "closed": "Closed"}
_SEVERITIES = {"critical": "High"}
Row = Mapping[str, Any]


class Tables:
    """The tables of one workspace over an estate."""

    def __init__(self, estate: Estate, clock: ServiceClock) -> None:
        self._estate = estate
        self._clock = clock
        self._makers: dict[str, Callable[[], Iterator[tuple[datetime, Row]]]] = {
            "CommonSecurityLog": self._traffic,
            "SigninLogs": self._sign_ins,
            "SecurityEvent": self._logons,
            "DeviceFileEvents": self._files,
            "SecurityAlert": self._alerts,
        }

    def rows(self, name: str, since: datetime) -> list[Row] | None:
        """Return the rows of a table from a moment on, by the service's clock; None if there is no such table."""
        if name not in self._makers:
            return None
        earliest = self._clock.meant(since)
        return [
            {"TimeGenerated": self._clock.shown(at), "Type": name, **row}
            for at, row in self._makers[name]()
            if at >= earliest
        ]

    def _host(self, host_id: str | None) -> str:
        host = self._estate.hosts.get(host_id or "")
        return host.name if host else ""

    def _traffic(self) -> Iterator[tuple[datetime, Row]]:
        for each in self._estate.connections:
            yield (
                each.at,
                {
                    "DeviceVendor": "Simulated Firewall",
                    "Computer": self._host(each.host_id),
                    "SourceIP": each.source_ip,
                    "DestinationIP": each.address,
                    "DestinationPort": each.port,
                    "DestinationHostName": each.domain or "",
                    "DeviceAction": each.action,
                    "SentBytes": each.bytes_out,
                },
            )

    def _sign_ins(self) -> Iterator[tuple[datetime, Row]]:
        for user in self._estate.users.values():
            for each in user.sign_ins:
                yield (
                    each.at,
                    {
                        "UserPrincipalName": user.upn,
                        "IPAddress": each.ip,
                        "AppDisplayName": each.app,
                        "ResultType": "0",
                    },
                )

    def _logons(self) -> Iterator[tuple[datetime, Row]]:
        for each in self._estate.logons:
            user = self._estate.users.get(each.user_id)
            name = user.sam if user else each.user_id
            activity = "4624 - An account was successfully logged on."
            yield (
                each.at,
                {"EventID": 4624, "Activity": activity, "Computer": self._host(each.host_id), "Account": name},
            )

    def _files(self) -> Iterator[tuple[datetime, Row]]:
        for each in self._estate.sightings:
            yield each.at, {"DeviceName": self._host(each.host_id), "SHA256": each.sha256, "FolderPath": each.path}

    def _alerts(self) -> Iterator[tuple[datetime, Row]]:
        for each in self._estate.alerts.values():
            row = {
                "AlertName": each.title,
                "AlertSeverity": each.severity.capitalize(),
                "Description": each.description,
            }
            yield each.at, {**row, "CompromisedEntity": each.host_name or self._host(each.host_id)}


def incident(alert: Alert, clock: ServiceClock) -> dict[str, Any]:
    """Return a detection as an incident of Sentinel's."""
    name = str(uuid5(NAMESPACE_OID, alert.id))
    return {
        "id": f"/providers/Microsoft.SecurityInsights/incidents/{name}",
        "name": name,
        "type": "Microsoft.SecurityInsights/incidents",
        "properties": {
            "title": alert.title,
            "description": alert.description,
            "severity": _SEVERITIES.get(alert.severity, alert.severity.capitalize()),
            "status": _STATUSES[alert.status],
            "createdTimeUtc": clock.shown(alert.at),
            "additionalData": {"alertsCount": 1, "techniques": [alert.technique] if alert.technique else []},
        },
    }
