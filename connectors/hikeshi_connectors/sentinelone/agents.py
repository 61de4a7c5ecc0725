"""Agents: what SentinelOne calls a host.

The rule: a name from outside is only ever the value of a parameter. SentinelOne searches for parts of names and takes
a comma for the beginning of another one, so a part of the name is asked for and the whole is compared here. Source of
the parameters: https://github.com/Sentinel-One/ai-siem, mgmt-console-api/references/tags/Agents.md.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from hikeshi.capabilities import Host
from hikeshi.connector import Invalid, NotFound, understood
from hikeshi.connector.lent_addresses import still_has_address
from hikeshi_connectors.sentinelone.answers import entries
from hikeshi_connectors.sentinelone.named import API, is_id

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["AGENTS_PATH", "Agents", "State", "state_of"]

AGENTS_PATH: Final = f"{API}/agents"
_UUID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NAME_MOST: Final = 255  # characters; no system allows a longer host name
_UUIDS_AT_ONCE: Final = 80
# Otherwise a computer that was set up anew would be found once for each of its lives.
_PRESENT: Final = {"isDecommissioned": "false", "isUninstalled": "false"}
_ONES_GONE_TOO: Final = {"isDecommissioned": "true,false", "isUninstalled": "true,false"}

State = Literal["normal", "isolating", "isolated", "releasing"]
_STATES: dict[str, State] = {
    "connected": "normal",
    "disconnecting": "isolating",
    "disconnected": "isolated",
    "connecting": "releasing",
}


class Agents:
    """The agents that one SentinelOne instance sees. `scope` are the parameters that limit them to an account."""

    def __init__(self, http: HttpClient, connector: str, scope: Mapping[str, str]) -> None:
        self._http = http
        self._connector = connector
        self._scope = dict(scope)

    async def find(self, name: str) -> list[Host]:
        """Return the hosts of this name, agent ID, agent UUID or IP address, which has to be active lately.

        Raises Invalid for what is no name.
        """
        wanted, lent = _comparable(name), _address(name.strip()) is not None
        found: dict[str, Host] = {}
        for params in _questions(name.strip()):
            for agent in await self._list({**params, **_PRESENT}):
                with understood(f"{self._connector}: agents"):
                    host = host_of(agent, self._connector)
                    if wanted in _names(agent, host) and (not lent or still_has_address(host.last_seen)):
                        found[host.id] = host
        return list(found.values())

    async def record(self, host: Host) -> dict[str, Any]:
        """Return what SentinelOne knows of an agent. Raises NotFound if it has no such agent."""
        if not is_id(host.id):
            raise NotFound(f"{self._connector}: {host.id!r} ({host.name}) is no SentinelOne agent")
        for agent in await self._list({"ids": host.id}):
            if agent.get("id") == host.id:
                return agent
        raise NotFound(f"{self._connector}: SentinelOne has no agent {host.id} ({host.name})")

    async def ids_of(self, uuids: Iterable[str]) -> dict[str, str]:
        """Return the agent ID for each UUID that SentinelOne knows, also of agents that are gone."""
        known: dict[str, str] = {}
        wanted = [each for each in dict.fromkeys(uuids) if _UUID.fullmatch(each)]
        for start in range(0, len(wanted), _UUIDS_AT_ONCE):
            asked = ",".join(wanted[start : start + _UUIDS_AT_ONCE])
            for agent in await self._list({"uuids": asked, **_ONES_GONE_TOO}):
                with understood(f"{self._connector}: agents"):
                    known[str(agent["uuid"])] = str(agent["id"])
        return known

    async def _list(self, params: Mapping[str, str]) -> list[dict[str, Any]]:
        return await entries(self._http, AGENTS_PATH, {**self._scope, **params})


def state_of(agent: Mapping[str, Any]) -> State:
    """Return an agent's isolation. Raises Invalid for a status that is not known here: it is no answer."""
    status = agent.get("networkStatus")
    if status not in _STATES:
        raise Invalid(f"agent {agent.get('id')} has the unknown network status {status!r}")
    return _STATES[status]


def uuid_of(agent: Mapping[str, Any]) -> str:
    """Return an agent's UUID, which is safe to be part of a query. Raises Invalid if it has none."""
    uuid = str(agent.get("uuid") or "")
    if not _UUID.fullmatch(uuid):
        raise Invalid(f"agent {agent.get('id')} has no UUID that events could be searched for ({uuid[:80]!r})")
    return uuid


def host_of(agent: Mapping[str, Any], connector: str) -> Host:
    """Return an agent as a host. Its external IP is left out: that is the address of the network's border."""
    interfaces = agent.get("networkInterfaces") or ()
    ips = dict.fromkeys(
        str(address) for each in interfaces for kind in ("inet", "inet6") for address in each.get(kind) or ()
    )
    macs = [str(each["physical"]).lower() for each in interfaces if each.get("physical")]
    groups = dict.fromkeys(str(agent[key]) for key in ("groupName", "groupId") if agent.get(key))
    return Host(
        connector=connector,
        id=str(agent["id"]),
        name=str(agent.get("computerName") or agent["id"]),
        os=agent.get("osName") or agent.get("osType") or None,
        ips=tuple(ips),
        mac=macs[0] if macs else None,
        site=agent.get("siteName") or None,
        tags=tuple(dict.fromkeys(_tags(agent))),
        groups=tuple(groups),
        last_seen=agent.get("lastActiveDate") or None,
    )


def _questions(name: str) -> Iterator[dict[str, str]]:
    """Yield what to ask for. Each answer may hold more than is wanted, never less.

    Whether the search looks at upper and lower case is not documented, so both are asked for.
    """
    address = _address(name)
    if address is not None:
        yield {"networkInterfaceInet__contains": address}
        return
    part = max((each.strip() for each in name.split(",")), key=len)
    if not part or len(name) > _NAME_MOST:
        raise Invalid(f"{name[:80]!r} is no name of a host: it has between 1 and {_NAME_MOST} characters")
    yield {"computerName__contains": ",".join(dict.fromkeys((part, part.lower(), part.upper())))}
    if is_id(name):
        yield {"ids": name}
    if _UUID.fullmatch(name):
        yield {"uuids": name.lower()}


def _names(agent: Mapping[str, Any], host: Host) -> set[str]:
    return {_comparable(each) for each in (*host.aliases(), str(agent.get("uuid") or host.id))}


def _comparable(name: str) -> str:
    return _address(name.strip()) or name.strip().casefold()


def _address(text: str) -> str | None:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def _tags(agent: Mapping[str, Any]) -> Iterator[str]:
    """Yield each tag in full and by its value alone, so that guardrails may name either."""
    for tag in (agent.get("tags") or {}).get("sentinelone") or ():
        key, value = str(tag.get("key") or ""), str(tag.get("value") or "")
        yield f"{key}:{value}" if key and value else key or value
        if value:
            yield value
