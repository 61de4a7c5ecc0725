"""Devices: what Falcon calls a host."""

from __future__ import annotations

import contextlib
import ipaddress
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Literal

from hikeshi.capabilities import Host, HostUser
from hikeshi.connector import Invalid

__all__ = ["FIELDS", "host_of", "is_called", "state_of", "users_of"]

# A whole record is some kilobytes; a page of these is asked for.
FIELDS = (
    "device_id", "hostname", "local_ip", "connection_ip", "mac_address", "platform_name", "os_version", "site_name",
    "tags", "groups", "last_seen",
)  # fmt: skip

State = Literal["normal", "isolating", "isolated", "releasing"]
_STATES: dict[str, State] = {
    "normal": "normal",
    "containment_pending": "isolating",
    "contained": "isolated",
    "lift_containment_pending": "releasing",
}


def host_of(device: Mapping[str, Any], connector: str) -> Host:
    """Return a device as a host. Its external IP is left out: that is the address of the network's border."""
    ips = dict.fromkeys(str(device[key]) for key in ("local_ip", "connection_ip") if device.get(key))
    mac = str(device.get("mac_address") or "").replace("-", ":").lower()
    return Host(
        connector=connector,
        id=str(device["device_id"]),
        name=str(device.get("hostname") or device["device_id"]),
        os=device.get("os_version") or device.get("platform_name") or None,
        ips=tuple(ips),
        mac=mac or None,
        site=device.get("site_name") or None,
        tags=tuple(_names_of_tags(device.get("tags") or ())),
        groups=tuple(device.get("groups") or ()),
        last_seen=device.get("last_seen") or None,
    )


def is_called(host: Host, name: str) -> bool:
    """Say whether this is exactly the host's name, ID or address, without regard to case."""
    wanted = name.casefold()
    with contextlib.suppress(ValueError):
        wanted = str(ipaddress.ip_address(name))
    return wanted in {alias.casefold() for alias in host.aliases()}


def state_of(device: Mapping[str, Any]) -> State:
    """Return a device's containment. Raises Invalid for a status that is not known here: it is no answer."""
    status = device.get("status")
    if status not in _STATES:
        raise Invalid(f"device {device.get('device_id')} has the unknown containment status {status!r}")
    return _STATES[status]


def users_of(logins: Iterable[Mapping[str, Any]], host: Host, connector: str) -> list[HostUser]:
    """Return each account once, with its latest sign-in, newest first."""
    latest: dict[str, datetime] = {}
    for login in logins:
        name = str(login.get("user_name") or "")
        at = datetime.fromisoformat(str(login["login_time"]))
        if name and (name not in latest or at > latest[name]):
            latest[name] = at
    newest_first = sorted(latest.items(), key=lambda pair: pair[1], reverse=True)
    return [HostUser(connector=connector, host_id=host.id, name=name, last_at=at) for name, at in newest_first]


def _names_of_tags(tags: Iterable[str]) -> Iterable[str]:
    """Give each tag as Falcon writes it and without its family, so that guardrails may name either."""
    for tag in tags:
        yield tag
        family, _, short = tag.partition("/")
        if family in ("FalconGroupingTags", "SensorGroupingTags") and short:
            yield short
