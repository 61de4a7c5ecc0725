"""Machines: what Defender calls a host, and what it knows of one as an asset.

Source: https://learn.microsoft.com/defender-endpoint/api/machine
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from hikeshi.capabilities import Asset, Host, Software
from hikeshi.connector import Invalid

__all__ = ["asset_of", "filter_for", "host_of", "is_address", "is_called", "is_machine_id", "path_of"]

_MACHINE_ID = re.compile(r"[0-9a-f]{40}", re.ASCII | re.IGNORECASE)
_SAFE_ID = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_NAME = re.compile(r"[\w.-]{1,253}", re.ASCII)
_WORTH: dict[str, Literal["low", "medium", "high"]] = {"Low": "low", "Normal": "medium", "High": "high"}

Machine = Mapping[str, Any]


def is_machine_id(text: str) -> bool:
    """Say whether a text has the form of a machine's ID: 40 hexadecimal digits."""
    return _MACHINE_ID.fullmatch(text) is not None


def is_address(text: str) -> bool:
    """Say whether a text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def path_of(machine_id: str) -> str:
    """Return the path of a machine. Raises Invalid for an ID that could be more than an ID."""
    if not _SAFE_ID.fullmatch(machine_id):
        raise Invalid(f"{machine_id[:80]!r} is not the ID of a machine; nothing was sent")
    return f"/machines/{machine_id}"


def filter_for(name: str) -> str:
    """Return a filter for the machines that may be called so, by name or address. Raises Invalid for no name.

    A name is looked for at the beginning of the DNS name; Defender writes those in lower case.
    """
    if is_address(name):
        return f"lastIpAddress eq '{ipaddress.ip_address(name)}'"
    if not _NAME.fullmatch(name):
        raise Invalid(f"{name[:80]!r} is neither a host name nor an address nor the ID of a machine")
    return f"startswith(computerDnsName,'{name.lower()}')"


def host_of(machine: Machine, connector: str) -> Host:
    """Return a machine as a host. Its external address is left out: that is the network's border."""
    return Host(
        connector=connector,
        id=_id(machine),
        name=_name(machine),
        os=_os(machine),
        ips=_ips(machine),
        mac=next((_mac(each) for each in _cards(machine) if each.get("macAddress")), None),
        tags=tuple(machine.get("machineTags") or ()),
        groups=tuple(str(machine[key]) for key in ("rbacGroupName",) if machine.get(key)),
        last_seen=machine.get("lastSeen") or None,
    )


def asset_of(machine: Machine, connector: str, exposed: bool | None, software: Iterable[Software]) -> Asset:
    """Return a machine as an asset. A device that was only discovered has no agent."""
    status = str(machine.get("onboardingStatus") or "").lower()
    return Asset(
        connector=connector,
        id=_id(machine),
        name=_name(machine),
        os=_os(machine),
        ips=_ips(machine),
        criticality=_WORTH.get(str(machine.get("deviceValue"))),
        exposed=exposed,
        has_edr={"onboarded": True, "canbeonboarded": False, "unsupported": False}.get(status),
        software=tuple(software),
    )


def is_called(machine: Machine, name: str) -> bool:
    """Say whether this is the machine's DNS name, the first label of it, its ID or an address, in any case."""
    wanted = name.casefold()
    dns_name = str(machine.get("computerDnsName") or "").casefold()
    try:
        wanted = str(ipaddress.ip_address(name))
    except ValueError:
        if wanted in (dns_name, dns_name.partition(".")[0]):
            return True
    return wanted == str(machine.get("id")).casefold() or wanted in _ips(machine)


def _id(machine: Machine) -> str:
    return str(machine["id"])


def _name(machine: Machine) -> str:
    return str(machine.get("computerDnsName") or machine["id"])


def _os(machine: Machine) -> str | None:
    parts = (machine.get("osPlatform"), machine.get("version"))
    return " ".join(str(part) for part in parts if part) or None


def _cards(machine: Machine) -> Iterable[Mapping[str, Any]]:
    return machine.get("ipAddresses") or ()


def _ips(machine: Machine) -> tuple[str, ...]:
    given = (machine.get("lastIpAddress"), *(each.get("ipAddress") for each in _cards(machine)))
    return tuple(dict.fromkeys(str(ipaddress.ip_address(each)) for each in given if each))


def _mac(card: Mapping[str, Any]) -> str:
    digits = re.sub(r"[^0-9a-f]", "", str(card["macAddress"]).lower())
    return ":".join(digits[at : at + 2] for at in range(0, len(digits), 2))
