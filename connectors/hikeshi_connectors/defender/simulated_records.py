"""The estate's machines, alerts and events in Defender's words."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from hikeshi.testing.estate import Alert, Estate, Host
from hikeshi.testing.service_clock import ServiceClock

__all__ = ["Records"]

_PLATFORMS = {"windows": "Windows11", "linux": "Linux", "macos": "macOS"}
_PROGRAMS = {
    "windows": (("microsoft", "edge_chromium-based", "142.0.3595.94"), ("7-zip", "7-zip", "24.08")),
    "linux": (("openssl", "openssl", "3.0.13"), ("openbsd", "openssh", "9.6")),
    "macos": (("google", "chrome", "142.0.7444.176"),),
}
_SEVERITIES = {
    "informational": "Informational",
    "low": "Low",
    "medium": "Medium",
    "high": "High",
    "critical": "High",
}
_STATUSES = {"new": "New", "in_progress": "InProgress", "closed": "Resolved"}
Row = Mapping[str, Any]


class Records:
    """What one tenant knows of an estate.

    `product_state["defender"]` may say more: `software` (host ID to a list of [vendor, name, version]), `facing` (IDs
    of hosts that face the internet), and `only_sha1` (True: events carry no SHA-256).
    """

    def __init__(self, estate: Estate, clock: ServiceClock) -> None:
        self._estate = estate
        self._clock = clock
        self._hosts: dict[str, str] = {}

    def machine_id(self, host_id: str) -> str:
        """Return the machine ID of a host: like Defender's, 40 hexadecimal digits."""
        return hashlib.sha1(host_id.encode(), usedforsecurity=False).hexdigest()

    def host(self, machine_id: str) -> Host | None:
        """Return the host with a machine ID, or None."""
        if len(self._hosts) != len(self._estate.hosts):
            self._hosts = {self.machine_id(each): each for each in self._estate.hosts}
        return self._estate.hosts.get(self._hosts.get(machine_id.lower(), ""))

    def forget(self) -> None:
        """Forget which machines there were."""
        self._hosts = {}

    def machine(self, host: Host) -> dict[str, Any]:
        """Return a host as a machine."""
        mac = host.mac.replace(":", "").replace("-", "").upper()
        cards = [{"ipAddress": ip, "macAddress": mac, "operationalStatus": "Up"} for ip in host.ips]
        return {
            "id": self.machine_id(host.id),
            "computerDnsName": self._dns_name(host),
            "lastSeen": self._clock.shown(host.last_seen),
            "osPlatform": _PLATFORMS[host.os],
            "version": host.os_version,
            "lastIpAddress": host.ips[0] if host.ips else None,
            "lastExternalIpAddress": "203.0.113.1",
            "healthStatus": "Active" if host.online else "Inactive",
            "onboardingStatus": "Onboarded",
            "deviceValue": "High" if "tier-0" in host.tags else "Normal",
            "rbacGroupName": next(iter(sorted(host.groups)), None),
            "machineTags": sorted(host.tags),
            "ipAddresses": cards,
        }

    def machine_getter(self, host: Host) -> Callable[[str], Any]:
        """Return a function that gives the properties that a filter may name."""
        quick: dict[str, Callable[[], Any]] = {
            "id": lambda: self.machine_id(host.id),
            "computerDnsName": lambda: self._dns_name(host),
            "lastIpAddress": lambda: host.ips[0] if host.ips else None,
        }
        return lambda name: quick[name]() if name in quick else self.machine(host).get(name)

    def alert(self, alert: Alert) -> dict[str, Any]:
        """Return an alert as Defender's, with its evidence."""
        host = self._estate.hosts.get(alert.host_id or "")
        user = self._estate.users.get(alert.user_id or "")
        evidence = [{"entityType": "File", "sha256": alert.sha256, "sha1": None}] if alert.sha256 else []
        return {
            "id": f"da{alert.id}",
            "severity": _SEVERITIES[alert.severity],
            "status": _STATUSES[alert.status],
            "title": alert.title,
            "description": alert.description,
            "alertCreationTime": self._clock.shown(alert.at),
            "machineId": self.machine_id(alert.host_id) if alert.host_id else None,
            "computerDnsName": alert.host_name or (self._dns_name(host) if host else None),
            "mitreTechniques": [alert.technique] if alert.technique else [],
            "relatedUser": {"userName": user.sam, "domainName": "CORP"} if user else None,
            "evidence": evidence,
        }

    def sha1_of(self, sha256: str) -> str | None:
        """Return the SHA-1 of a file that was seen, or None. It is invented, but always the same."""
        if not any(each.sha256 == sha256 for each in self._estate.sightings):
            return None
        return hashlib.sha1(sha256.encode(), usedforsecurity=False).hexdigest()

    def table(self, name: str) -> Sequence[Row] | None:
        """Return the rows of a hunting table, or None for one that is not simulated."""
        tables: dict[str, Callable[[], Iterator[Row]]] = {
            "DeviceNetworkEvents": self._connections,
            "DeviceFileEvents": self._files,
            "DeviceProcessEvents": lambda: iter(()),
            "DeviceImageLoadEvents": lambda: iter(()),
            "DeviceLogonEvents": self._logons,
            "DeviceInfo": self._infos,
            "DeviceTvmSoftwareInventory": self._programs,
        }
        return list(tables[name]()) if name in tables else None

    @property
    def _state(self) -> Mapping[str, Any]:
        return self._estate.product_state.get("defender", {})

    def _dns_name(self, host: Host) -> str:
        return f"{host.name}.{host.domain}".lower() if host.domain else host.name.lower()

    def _of(self, host_id: str) -> Row:
        host = self._estate.hosts.get(host_id)
        return {"DeviceId": self.machine_id(host_id), "DeviceName": self._dns_name(host) if host else ""}

    def _connections(self) -> Iterator[Row]:
        for each in self._estate.connections:
            yield {
                "Timestamp": self._clock.shown(each.at),
                **self._of(each.host_id),
                "ActionType": "ConnectionSuccess" if each.action == "allow" else "ConnectionFailed",
                "RemoteIP": each.address,
                "RemotePort": each.port,
                "RemoteUrl": f"https://{each.domain}/" if each.domain else "",
            }

    def _files(self) -> Iterator[Row]:
        for each in self._estate.sightings:
            yield {
                "Timestamp": self._clock.shown(each.at),
                **self._of(each.host_id),
                "SHA256": "" if self._state.get("only_sha1") else each.sha256,
                "SHA1": self.sha1_of(each.sha256),
                "FolderPath": each.path,
                "FileName": each.path.replace("\\", "/").rpartition("/")[2],
            }

    def _logons(self) -> Iterator[Row]:
        for each in self._estate.logons:
            user = self._estate.users.get(each.user_id)
            yield {
                "Timestamp": self._clock.shown(each.at),
                **self._of(each.host_id),
                "ActionType": "LogonSuccess",
                "AccountDomain": "corp",
                "AccountName": user.sam if user else each.user_id,
            }

    def _infos(self) -> Iterator[Row]:
        facing = self._state.get("facing", ())
        for host in self._estate.hosts.values():
            yield {
                "Timestamp": self._clock.shown(host.last_seen),
                **self._of(host.id),
                "OSPlatform": _PLATFORMS[host.os],
                # Numbers, as the older API writes booleans.
                "IsInternetFacing": int(host.id in facing),
            }

    def _programs(self) -> Iterator[Row]:
        given = self._state.get("software", {})
        for host in self._estate.hosts.values():
            for vendor, name, version in given.get(host.id, _PROGRAMS[host.os]):
                yield {
                    **self._of(host.id),
                    "SoftwareVendor": vendor,
                    "SoftwareName": name,
                    "SoftwareVersion": version,
                }
