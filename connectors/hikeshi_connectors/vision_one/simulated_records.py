"""The estate's endpoints, alerts and activities in Vision One's words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from hikeshi.testing.estate import Alert, Estate, Host
from hikeshi.testing.service_clock import ServiceClock

__all__ = ["Records"]

_OS_NAMES = {"windows": "Windows", "linux": "Linux", "macos": "macOS"}
_STATUSES = {"new": "Open", "in_progress": "In Progress", "closed": "Closed"}


class Records:
    """What one instance knows of an estate."""

    def __init__(self, estate: Estate, clock: ServiceClock) -> None:
        self._estate = estate
        self._clock = clock
        self._guids: dict[str, str] = {}
        self._hosts: dict[str, str] = {}

    def guid(self, host_id: str) -> str:
        """Return the GUID of the agent on a host."""
        if host_id not in self._guids:
            self._guids[host_id] = str(uuid5(NAMESPACE_OID, host_id))
        return self._guids[host_id]

    def host(self, guid: str) -> Host | None:
        """Return the host with an agent, or None."""
        if len(self._hosts) != len(self._estate.hosts):
            self._hosts = {self.guid(each): each for each in self._estate.hosts}
        return self._estate.hosts.get(self._hosts.get(guid.lower(), ""))

    def forget(self) -> None:
        """Forget which endpoints there were."""
        self._hosts = {}

    def searchable(self, host: Host) -> dict[str, tuple[str, ...]]:
        """Return the fields that a search for endpoints compares."""
        return {"agentGuid": (self.guid(host.id),), "endpointName": (host.name,), "ip": tuple(host.ips)}

    def endpoint(self, host: Host) -> dict[str, Any]:
        """Return a host as the inventory of searches has it: values with the times when they were seen."""
        seen = self._clock.shown(host.last_seen)
        logons = [each for each in self._estate.logons if each.host_id == host.id]
        accounts = list(dict.fromkeys(self._account(each.user_id) for each in logons))
        at = self._clock.shown(max(each.at for each in logons)) if logons else seen
        return {
            "agentGuid": self.guid(host.id),
            "loginAccount": {"updatedDateTime": at, "value": accounts},
            "endpointName": {"updatedDateTime": seen, "value": host.name},
            "macAddress": {"updatedDateTime": seen, "value": [host.mac]},
            "ip": {"updatedDateTime": seen, "value": list(host.ips)},
            "osName": _OS_NAMES[host.os],
            "osVersion": host.os_version,
            "osDescription": f"{_OS_NAMES[host.os]} {host.os_version}",
            "productCode": "xes",
            "policyName": next(iter(sorted(host.groups)), ""),
        }

    def details(self, host: Host) -> dict[str, Any]:
        """Return a host as the endpoint inventory has it."""
        isolated = host.isolation in ("contained", "lift_containment_pending")
        return {
            "agentGuid": self.guid(host.id),
            "endpointName": host.name,
            "type": "server" if host.kind != "workstation" else "desktop",
            "isolationStatus": "on" if isolated else "off",
            "edrSensor": {"connectivity": "connected" if host.online else "disconnected", "status": "enabled"},
        }

    def alert(self, alert: Alert) -> dict[str, Any]:
        """Return an alert as a workbench alert."""
        entities: list[dict[str, Any]] = []
        host = self._estate.hosts.get(alert.host_id or "")
        if alert.host_id:
            name = alert.host_name or (host.name if host else "")
            value = {"guid": self.guid(alert.host_id), "name": name, "ips": host.ips if host else []}
            entities.append({"entityId": value["guid"], "entityType": "host", "entityValue": value})
        if alert.user_id:
            account = self._account(alert.user_id)
            entities.append({"entityId": account, "entityType": "account", "entityValue": account})
        techniques = [alert.technique] if alert.technique else []
        indicators = [{"id": 1, "type": "file_sha256", "value": alert.sha256}] if alert.sha256 else []
        return {
            "schemaVersion": "1.12",
            "id": f"WB-{alert.id}",
            "status": _STATUSES[alert.status],
            "model": alert.title,
            "alertProvider": "SAE",
            "severity": "low" if alert.severity == "informational" else alert.severity,
            "createdDateTime": self._clock.shown(alert.at),
            "description": alert.description,
            "impactScope": {"entities": entities},
            "matchedRules": [{"matchedFilters": [{"mitreTechniqueIds": techniques}]}],
            "indicators": indicators,
        }

    def activities(self) -> Iterator[dict[str, Any]]:
        """Yield what sensors recorded: connections, then files."""
        for each in self._estate.connections:
            yield {
                **self._event(each.host_id, each.at, 204),
                "src": each.source_ip,
                "dst": each.address,
                "dpt": each.port,
                "hostName": each.domain or "",
            }
        for sighting in self._estate.sightings:
            yield {
                **self._event(sighting.host_id, sighting.at, 101),
                "objectFileHashSha256": sighting.sha256.upper(),
                "objectFilePath": sighting.path,
            }

    def _event(self, host_id: str, at: datetime, kind: int) -> Mapping[str, Any]:
        host = self._estate.hosts.get(host_id)
        shown = self._clock.shown(at)
        return {
            "endpointGuid": self.guid(host_id),
            "endpointHostName": host.name if host else "",
            "endpointIp": list(host.ips) if host else [],
            "eventSubId": kind,
            "eventTimeDT": shown,
            "eventTime": int(datetime.fromisoformat(shown).timestamp() * 1000),
        }

    def _account(self, user_id: str) -> str:
        user = self._estate.users.get(user_id)
        return f"CORP\\{user.sam}" if user else user_id
