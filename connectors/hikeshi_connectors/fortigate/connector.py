"""FortiGate firewalls, by the REST API of FortiOS.

Single addresses are banned (the "quarantine" of FortiOS): that acts at once, has an end that the firewall keeps itself,
and takes a whole batch in one request. Networks become address objects in a group that a deny policy names.
Sources: Fortinet's OpenAPI files of FortiOS 6.4.14 (monitor: user/banned; cmdb: firewall/address, firewall/addrgrp).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import StringConstraints

from hikeshi.capabilities import Block, Firewall, Indicator, supports
from hikeshi.connector import (
    Applied,
    Conflict,
    Connector,
    ConnectorError,
    ConnectorSettings,
    Invalid,
    NotFound,
    Pace,
    RateLimited,
    Response,
    Route,
    Secret,
    Timeout,
    Unauthorized,
    Unavailable,
    objects_under,
    understood,
)
from hikeshi_connectors.fortigate.addresses import (
    Network,
    address_shown,
    network_shown,
    object_body,
    object_name,
    tables_of,
)
from hikeshi_connectors.fortigate.answers import check_answer
from hikeshi_connectors.fortigate.batch import Batch, sort_indicators

__all__ = ["FortiGate", "FortiGateSettings"]

KINDS = {"ipv4", "ipv6", "cidr"}
_BANNED = "/api/v2/monitor/user/banned"
_WHOLE_NETWORKS = ("ipmask", "ipprefix")
# What would meet every further request as well.
_STOPPING = (Unauthorized, RateLimited, Unavailable, Timeout)
_Objects = tuple[dict[str, Network], set[str]]
ObjectName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,34}$")]


class FortiGateSettings(ConnectorSettings):
    """What hikeshi.yaml says of one FortiGate, or of one virtual domain of it."""

    token: Secret
    vdom: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,31}$")] = "root"
    # A ban stops what an address sends; a group in policies also what is sent to it.
    addresses: Literal["ban", "group"] = "ban"
    address_group: ObjectName = "hikeshi-blocked"
    address_group6: ObjectName = "hikeshi-blocked6"


class FortiGate(Connector, Firewall, product="fortigate"):
    """One FortiGate."""

    Settings = FortiGateSettings
    read_routes = (
        Route("GET", _BANNED),
        Route("GET", "/api/v2/cmdb/firewall/address"),
        Route("GET", "/api/v2/cmdb/firewall/address6"),
        Route("GET", "/api/v2/cmdb/firewall/addrgrp/*"),
        Route("GET", "/api/v2/cmdb/firewall/addrgrp6/*"),
    )
    # Nothing is documented; the management plane of a small model has few workers.
    pace = Pace(at_once=4)
    least_privileges = (
        "admin profile: User & Device (authgrp) read and write, for bans",
        "admin profile: Firewall > Address (fwgrp) read and write, for networks only",
    )

    settings: FortiGateSettings

    def set_up(self) -> None:
        self.http.authorize = self._token

    def check(self, response: Response) -> None:
        """Judge an answer by FortiOS's own code before its HTTP status."""
        check_answer(response)

    @supports(kinds=KINDS)
    async def blocks_of(self, indicators: list[Indicator]) -> list[Block]:
        """Read the bans and the groups. Only the very address or network counts, not one that lies around it.

        `expires_at` is UTC, and None for bans without an end and for all networks.
        """
        batch = self._sorted(indicators)
        banned = await self._banned(batch.bans) if batch.bans else {}
        grouped = await self._grouped({network.version for network in batch.networks})
        ended = {value: banned[ip] for ip, values in batch.bans.items() if ip in banned for value in values}
        inside = {value for network, values in batch.networks.items() if network in grouped for value in values}
        return [
            Block(
                connector=self.name,
                kind=indicator.kind,
                value=indicator.value,
                blocked=indicator.value in ended or indicator.value in inside,
                expires_at=ended.get(indicator.value),
            )
            for indicator in indicators
        ]

    @supports(kinds=KINDS)
    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        """Ban the addresses in one request, then put the networks into the group, one by one.

        FortiOS ends bans itself after `expires_in_s`; networks stay until they are unblocked. Raises PartialFailure for
        networks that are refused, NotFound if the group does not exist: a new one would be in no policy.
        """
        if expires_in_s is not None and expires_in_s < 1:
            raise Invalid(f"a block cannot expire in {expires_in_s} s: FortiOS takes 0 for never")
        batch = self._sorted(indicators)
        objects = await self._look(batch, group_needed=True)
        if batch.bans:
            await self._bans("add_users", {"ip_addresses": list(batch.bans), "expiry": expires_in_s or 0})

        async def block(network: Network) -> None:
            names, members = objects[network.version]
            tables, name = tables_of(network.version), object_name(network)
            if names.get(name, network) != network:
                raise Conflict(f"{self.name}: the address object {name} was changed and is not {network} any more")
            if name not in names:
                await self.http.post(tables.objects, params=self._vdom, json=object_body(network, reason))
            if name not in members:
                group = f"{tables.groups}/{self._group(network.version)}/member"
                await self.http.post(group, params=self._vdom, json={"name": name})

        await self._each(batch, block)

    @supports(kinds=KINDS)
    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:  # noqa: ARG002 - FortiOS keeps none with it
        """End the bans in one request, then take our objects of the networks out of the group.

        Raises as blocking does, and Conflict for a network that somebody keeps in the group under another name.
        """
        batch = self._sorted(indicators)
        objects = await self._look(batch, group_needed=False)
        if batch.bans:
            await self._bans("clear_users", {"ip_addresses": list(batch.bans)})

        async def unblock(network: Network) -> None:
            names, members = objects[network.version]
            tables, group = tables_of(network.version), self._group(network.version)
            name = object_name(network)
            ours = names.get(name) == network
            if ours and name in members:
                await self.http.delete(f"{tables.groups}/{group}/member/{quote(name, safe=':')}", params=self._vdom)
            if ours:
                await self._drop(f"{tables.objects}/{name}")
            others = sorted(each for each in members if each != name and names.get(each) == network)
            if others:
                told = f"{self.name}: {network} stays blocked: the group {group} holds it also as {', '.join(others)}"
                hint = "take that out of the group if nobody needs it"
                raise Conflict(f"{told}; {hint}", applied=Applied.MAYBE if ours else Applied.NO)

        await self._each(batch, unblock)

    # --- requests

    async def _token(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.reveal(self.settings.token)}"}

    async def _bans(self, verb: Literal["add_users", "clear_users"], body: Mapping[str, Any]) -> None:
        """Change bans, always by address: the verb of FortiOS that ends every ban is none of these."""
        await self.http.post(f"{_BANNED}/{verb}", params=self._vdom, json=body)

    async def _drop(self, path: str) -> None:
        """Delete an address object of ours. One that somebody uses elsewhere stays: by itself it blocks nothing."""
        try:
            await self.http.delete(path, params=self._vdom)
        except (Conflict, NotFound):
            return

    async def _each(self, batch: Batch, change: Callable[[Network], Awaitable[None]]) -> None:
        """Change one network after the other; what is refused is told at the end, what stops all stops at once."""
        sent = len(batch.bans)
        stopped: ConnectorError | None = None
        for network, values in batch.networks.items():
            if stopped is not None:
                untried = type(stopped)(f"{network} was not tried: {stopped.message}")
                untried.retry_after_s = stopped.retry_after_s
                batch.refuse(values, untried)
                continue
            try:
                await change(network)
            except _STOPPING as exc:
                if not sent and not batch.refused:
                    raise
                stopped = exc
                batch.refuse(values, exc)
            except ConnectorError as exc:
                batch.refuse(values, exc)
            else:
                sent += 1
        batch.raise_refused(sent)

    async def _banned(self, wanted: Collection[str]) -> dict[str, datetime | None]:
        """Return those of the wanted addresses, canonical, that are banned, with the end of their ban."""
        answer = await self.http.get(_BANNED, params=self._vdom)
        with understood(answer.where):
            listed = {entry["ip_address"]: entry for entry in objects_under(answer, "results")}
            if not listed.keys() >= set(wanted):  # some may be shown in another spelling
                listed = {address_shown(text): entry for text, entry in listed.items()}
            return {address: _end(listed[address]) for address in wanted if address in listed}

    async def _grouped(self, versions: set[int]) -> set[Network]:
        """Return the networks whose objects are in our groups; none where there is no such group."""
        found: set[Network] = set()
        for version in versions:
            try:
                members = await self._members(version)
            except NotFound:
                continue
            found |= {network for name, network in (await self._objects(version)).items() if name in members}
        return found

    async def _look(self, batch: Batch, *, group_needed: bool) -> dict[int, _Objects]:
        """Return the address objects and the members of our group, by address family of the networks in a batch.

        Without a group that is needed, the networks are refused. Raises what was refused if nothing is left.
        """
        found: dict[int, _Objects] = {}
        for version in {network.version for network in batch.networks}:
            objects = await self._objects(version)
            try:
                found[version] = (objects, await self._members(version))
            except NotFound as exc:
                if not group_needed:
                    found[version] = (objects, set())
                    continue
                hint = f"make the group {self._group(version)} with the member 'none' and name it in deny policies"
                for network in [each for each in batch.networks if each.version == version]:
                    batch.refuse(batch.networks.pop(network), NotFound(f"{network}: {exc.message}; {hint}"))
        batch.raise_if_empty()
        return found

    async def _objects(self, version: int) -> dict[str, Network]:
        """Return the address objects that mean one network, by name."""
        tables = tables_of(version)
        params = {**self._vdom, "format": f"name|type|{tables.field}"}
        answer = await self.http.get(tables.objects, params=params)
        with understood(answer.where):
            return {
                str(each["name"]): network
                for each in objects_under(answer, "results")
                if each.get("type") in _WHOLE_NETWORKS and (network := network_shown(each.get(tables.field)))
            }

    async def _members(self, version: int) -> set[str]:
        path = f"{tables_of(version).groups}/{self._group(version)}"
        answer = await self.http.get(path, params=self._vdom)
        with understood(answer.where):
            [group] = objects_under(answer, "results")
            return {str(member["name"]) for member in group["member"]}

    # --- decisions

    @property
    def _vdom(self) -> dict[str, str]:
        return {"vdom": self.settings.vdom}

    def _group(self, version: int) -> str:
        return self.settings.address_group if version == 4 else self.settings.address_group6

    def _sorted(self, indicators: Iterable[Indicator]) -> Batch:
        return sort_indicators(indicators, ban=self.settings.addresses == "ban")


def _end(entry: Mapping[str, Any]) -> datetime | None:
    """Return the end of a ban; one without an end shows 0, or nothing."""
    at = int(entry.get("expires") or 0)
    return datetime.fromtimestamp(at, UTC) if at > 0 else None
