"""Endpoints: what Vision One calls a host, how they are asked for, and whether one is isolated.

Sources: pytmv1 0.11.0 (eiqs/endpoints, endpointSecurity/endpoints/{agentGuid}); trendmicro/vision-one-mcp-server
720730a3 (isolationStatus: on, off, unknown).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hikeshi.capabilities import Host, HostUser
from hikeshi.connector import Invalid
from hikeshi.connector.lent_addresses import still_has_address

__all__ = ["host_of", "is_called", "is_isolated", "path_of", "query_for", "users_of"]

_GUID = re.compile(r"[0-9A-Za-z_-]{8,64}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII | re.IGNORECASE)
_NAME = re.compile(r"[\w.-]{1,253}", re.ASCII)

Endpoint = Mapping[str, Any]


def path_of(agent_guid: str) -> str:
    """Return the path of an endpoint. Raises Invalid for an ID that could be more than an ID."""
    if not _GUID.fullmatch(agent_guid):
        raise Invalid(f"{agent_guid[:80]!r} is not the GUID of an agent; nothing was sent")
    return f"/endpointSecurity/endpoints/{agent_guid}"


def query_for(name: str) -> str:
    """Return a query for the endpoints that may be called so: by address, GUID or name. Raises Invalid for no name.

    Whether names are compared with regard to case is not documented, so the usual spellings are asked for.
    """
    try:
        return f"ip eq '{ipaddress.ip_address(name)}'"
    except ValueError:
        pass
    if not _NAME.fullmatch(name):
        raise Invalid(f"{name[:80]!r} is neither a host name nor an address nor the GUID of an agent")
    spellings = dict.fromkeys((name, name.upper(), name.lower()))
    asked = [f"endpointName eq '{each}'" for each in spellings]
    if _UUID.fullmatch(name):
        asked += [f"agentGuid eq '{each}'" for each in spellings]
    return " or ".join(asked)


def is_called(host: Host, name: str) -> bool:
    """Say whether this is exactly the host's name, GUID or one of its addresses, in any case.

    An address is that of a host which was seen lately.
    """
    try:
        wanted = str(ipaddress.ip_address(name))
    except ValueError:
        wanted = name.casefold()
    else:
        if not still_has_address(host.last_seen):
            return False
    return wanted in {alias.casefold() for alias in host.aliases()}


def host_of(endpoint: Endpoint, connector: str) -> Host:
    """Return an endpoint as a host. Fields of the inventory hold a value and when it was seen."""
    guid = str(endpoint["agentGuid"])
    macs = [str(each) for each in _values(endpoint, "macAddress")]
    seen = [(endpoint.get(field) or {}).get("updatedDateTime") for field in ("endpointName", "ip", "macAddress")]
    name = endpoint.get("endpointName") or {}
    return Host(
        connector=connector,
        id=guid,
        name=str(name.get("value") or guid),
        os=endpoint.get("osDescription") or endpoint.get("osName") or None,
        ips=tuple(dict.fromkeys(str(ipaddress.ip_address(each)) for each in _values(endpoint, "ip") if each)),
        mac=macs[0].replace("-", ":").lower() if macs else None,
        groups=tuple(str(endpoint[key]) for key in ("policyName",) if endpoint.get(key)),
        last_seen=max((datetime.fromisoformat(str(each)) for each in seen if each), default=None),
    )


def is_isolated(endpoint: Endpoint, name: str) -> bool:
    """Say whether an endpoint is isolated. Raises Invalid if Vision One does not know: that is not "no"."""
    status = endpoint.get("isolationStatus")
    if status not in ("on", "off"):
        raise Invalid(f"Vision One does not say whether {name} is isolated (isolationStatus {status!r})")
    return bool(status == "on")


def users_of(endpoint: Endpoint, host: Host, connector: str, since: datetime) -> list[HostUser]:
    """Return the accounts of an endpoint, if the list of them was renewed since then."""
    accounts = endpoint.get("loginAccount") or {}
    at = accounts.get("updatedDateTime")
    if not at or datetime.fromisoformat(str(at)) < since:
        return []
    names = dict.fromkeys(str(each) for each in accounts.get("value") or () if each)
    return [HostUser(connector=connector, host_id=host.id, name=name, last_at=at) for name in names]


def _values(endpoint: Endpoint, field: str) -> list[Any]:
    return list((endpoint.get(field) or {}).get("value") or ())
