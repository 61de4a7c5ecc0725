"""Endpoints: what Sophos calls a host.

The rule: a name from outside is only ever the value of a parameter; what is found is compared here. A path holds
nothing but an endpoint's ID, which has the form of a UUID.

Source: https://github.com/sophos/sophos-central-apis-postman at b421160 (202 for an isolation that was accepted, 409
while one is under way).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from hikeshi.capabilities import Host
from hikeshi.connector import Invalid, NotFound, json_object, understood
from hikeshi.connector.lent_addresses import still_has_address
from hikeshi_connectors.sophos.answers import pages_by_key

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["ENDPOINTS_PATH", "Endpoints", "State", "is_id", "isolation_body", "state_of"]

ENDPOINTS_PATH: Final = "/endpoint/v1/endpoints"
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAME_MOST: Final = 255  # characters; no system allows a longer host name
_PAGE: Final = 500
_COMMENT_MOST: Final = 250  # characters

State = Literal["normal", "isolating", "isolated", "releasing"]


class Endpoints:
    """The endpoints of one Sophos tenant."""

    def __init__(self, http: HttpClient, connector: str) -> None:
        self._http = http
        self._connector = connector

    async def find(self, name: str) -> list[Host]:
        """Return the hosts of this name, ID or IP address, which has to be seen lately. Raises Invalid for no name."""
        wanted, lent = _comparable(name), _address(name.strip()) is not None
        found: dict[str, Host] = {}
        for params in _questions(name.strip()):
            items = await pages_by_key(self._http, ENDPOINTS_PATH, {**params, "view": "full", "pageSize": _PAGE})
            with understood(f"{self._connector}: endpoints"):
                hosts = [host_of(item, self._connector) for item in items]
            named = [host for host in hosts if wanted in {_comparable(each) for each in host.aliases()}]
            found |= {host.id: host for host in named if not lent or still_has_address(host.last_seen)}
        return list(found.values())

    async def record(self, host: Host) -> dict[str, Any]:
        """Return what Sophos knows of an endpoint. Raises NotFound if there is no such endpoint."""
        if not is_id(host.id):
            raise NotFound(f"{self._connector}: {host.id[:80]!r} ({host.name}) is no Sophos endpoint")
        answer = await self._http.get(f"{ENDPOINTS_PATH}/{host.id}", params={"view": "full"})
        body = json_object(answer)
        if str(body.get("id") or "").lower() != host.id.lower():
            raise Invalid(f"{answer.where}: the answer is about another endpoint ({body.get('id')!r})")
        return body


def is_id(text: str) -> bool:
    """Say whether a text has the form of an endpoint's ID."""
    return bool(_ID.fullmatch(text))


def isolation_body(host: Host, reason: str, *, enabled: bool) -> dict[str, Any]:
    """Return the body that isolates exactly this endpoint, or lifts it. Raises Invalid for what is no ID."""
    if not is_id(host.id):
        raise Invalid(f"{host.id[:80]!r} is not the ID of a Sophos endpoint; nothing was sent")
    return {"enabled": enabled, "ids": [host.id], "comment": (reason or "Hikeshi")[:_COMMENT_MOST]}


def state_of(endpoint: Mapping[str, Any]) -> State:
    """Return an endpoint's isolation: what it says it is, beside what an administrator wants it to be.

    One that only isolated itself is releasing: it ends that by itself once its health is back, so that nobody who
    wants it isolated can rely on it, and it is not normal either.
    Raises Invalid where Sophos does not say: not every kind of endpoint can be isolated.
    """
    isolation = endpoint.get("isolation")
    status = isolation.get("status") if isinstance(isolation, dict) else None
    if not isinstance(isolation, dict) or status not in ("isolated", "notIsolated"):
        raise Invalid(
            f"endpoint {endpoint.get('id')} ({endpoint.get('hostname')}) has the unknown isolation status {status!r}"
        )
    wanted = bool(isolation.get("adminIsolated"))
    if status == "isolated":
        return "isolated" if wanted else "releasing"
    return "isolating" if wanted else "normal"


def host_of(endpoint: Mapping[str, Any], connector: str) -> Host:
    """Return an endpoint as a host."""
    system = endpoint.get("os") or {}
    macs = [str(mac).replace("-", ":").lower() for mac in endpoint.get("macAddresses") or ()]
    ips = (*(endpoint.get("ipv4Addresses") or ()), *(endpoint.get("ipv6Addresses") or ()))
    group = endpoint.get("group") or {}
    return Host(
        connector=connector,
        id=str(endpoint["id"]),
        name=str(endpoint.get("hostname") or endpoint["id"]),
        os=system.get("name") or system.get("platform") or None,
        ips=tuple(dict.fromkeys(str(ip) for ip in ips)),
        mac=macs[0] if macs else None,
        tags=tuple(dict.fromkeys(_tags(endpoint))),
        groups=tuple(str(group[key]) for key in ("name", "id") if group.get(key)),
        last_seen=endpoint.get("lastSeenAt") or None,
    )


def _tags(endpoint: Mapping[str, Any]) -> Iterator[str]:
    for tag in endpoint.get("tags") or ():
        name = tag.get("name") if isinstance(tag, dict) else tag
        if name:
            yield str(name)


def _questions(name: str) -> Iterator[dict[str, str]]:
    """Yield what to ask for. Each answer may hold more than is wanted, never less."""
    if not name or len(name) > _NAME_MOST:
        raise Invalid(f"{name[:80]!r} is no name of a host: it has between 1 and {_NAME_MOST} characters")
    address = _address(name)
    if address is not None:
        yield {"ipAddresses": address}
        return
    yield {"hostnameContains": name}
    if is_id(name):
        yield {"ids": name.lower()}


def _comparable(name: str) -> str:
    return _address(name.strip()) or name.strip().casefold()


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None
