"""Trend Vision One: endpoints, isolation, suspicious hashes, workbench alerts and activity search (API v3.0).

Sources: pytmv1 0.11.0, Trend's own client; trendmicro/vision-one-mcp-server 720730a3, Trend's own too;
https://automation.trendmicro.com/xdr/Guides
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Literal

from pydantic import Field

from hikeshi.capabilities import Activity, Alert, Block, Edr, Host, HostUser, Indicator, Isolation, Severity, supports
from hikeshi.connector import (
    Conflict,
    Connector,
    ConnectorSettings,
    Invalid,
    NotFound,
    Pace,
    Response,
    Route,
    Secret,
    json_object,
    understood,
)
from hikeshi_connectors.vision_one.activity import ACTIVITIES_PATH, ActivitySearch
from hikeshi_connectors.vision_one.alert import alert_of, at_least
from hikeshi_connectors.vision_one.answers import check_answer, collection, entries_of, error_in, task_in
from hikeshi_connectors.vision_one.endpoint import host_of, is_called, is_isolated, path_of, query_for, users_of
from hikeshi_connectors.vision_one.moment import moment
from hikeshi_connectors.vision_one.objects import KINDS, OBJECTS_PATH, SuspiciousObjects
from hikeshi_connectors.vision_one.response_task import TASKS_PATH, State, follow, state_with, waiting_tasks

__all__ = ["VisionOne"]

_ENDPOINTS_PATH = "/eiqs/endpoints"
_ALERTS_PATH = "/workbench/alerts"
_BASE_URLS = {"us": "https://api.xdr.trendmicro.com/v3.0", "jp": "https://api.xdr.trendmicro.co.jp/v3.0"}


class VisionOne(Connector, Edr, product="vision_one"):
    """One Vision One instance as an EDR."""

    class Settings(ConnectorSettings):
        base_url: str = ""
        region: Literal["us", "jp", "eu", "sg", "au", "in", "mea", "uk"] = "us"
        api_key: Secret
        task_wait_s: float = Field(default=20.0, ge=0, le=300)

    settings: Settings
    read_routes = (
        Route("GET", _ENDPOINTS_PATH),
        Route("GET", "/endpointSecurity/endpoints/*"),
        Route("GET", TASKS_PATH),
        Route("GET", f"{TASKS_PATH}/*"),
        Route("GET", _ALERTS_PATH),
        Route("GET", ACTIVITIES_PATH),
        Route("GET", OBJECTS_PATH),
    )
    # The limits differ for each kind of call and are not published; a request too many costs a minute.
    pace = Pace(requests=60, per_s=60.0)
    least_privileges: ClassVar[tuple[str, ...]] = (
        "Endpoint Inventory: View",
        "Search: View, filter, and search",
        "Workbench: View, filter, and search",
        "Response Management: View, filter, and search (Task List tab); Isolate endpoint",
        "Suspicious Object Management: View, filter, and search; Manage lists and configure settings",
    )

    @classmethod
    def bases(cls, settings: ConnectorSettings) -> Mapping[str, str]:
        assert isinstance(settings, cls.Settings)
        usual = _BASE_URLS.get(settings.region, f"https://api.{settings.region}.xdr.trendmicro.com/v3.0")
        return {"": settings.base_url or usual}

    def set_up(self) -> None:
        self.http.authorize = self._authorization
        self._objects = SuspiciousObjects(self.http, self.name)
        self._activities = ActivitySearch(self.http, self.name)

    async def _authorization(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.reveal(self.settings.api_key)}"}

    def check(self, response: Response) -> None:
        check_answer(response)

    # --- hosts

    async def find_hosts(self, name: str) -> list[Host]:
        """Find endpoints by name, agent GUID or IP address."""
        asked = name.strip()
        found = await self._endpoints(query_for(asked))
        with understood(f"{self.name}: endpoints"):
            hosts = [host_of(endpoint, self.name) for endpoint in found]
        return [host for host in hosts if is_called(host, asked)]

    async def isolation_of(self, host: Host) -> Isolation:
        """Read whether an endpoint is isolated; one whose task waits or runs is "isolating" or "releasing".

        Raises Conflict while a task waits for a person's approval in Vision One.
        """
        return Isolation(connector=self.name, host_id=host.id, state=await self._state(host))

    async def isolate_host(self, host: Host, reason: str) -> None:
        """Isolate an endpoint. Raises OutcomeUnknown if the task waits for a person's approval in Vision One."""
        state = await self._state(host)
        if state in ("isolated", "isolating"):
            raise Conflict(f"{self.name}: {host.name} is {state} at Vision One; nothing was sent")
        await self._act("isolate", host, reason)

    async def release_host(self, host: Host, reason: str) -> None:
        """Restore an endpoint's connection; an isolation that still waits for it is followed by the restoration."""
        path_of(host.id)  # refuses what is no GUID
        await self._act("restore", host, reason)

    async def _act(self, action: str, host: Host, reason: str) -> None:
        entry = {"agentGuid": host.id, "description": reason or f"{action} by Hikeshi"}
        answer = await self.http.post(f"/response/endpoints/{action}", json=[entry], last=True)
        what = f"{self.name}: {action} {host.name}"
        (accepted,) = entries_of(answer, 1)
        error = error_in(accepted, what)
        if error is not None:
            raise error
        await follow(self.http, task_in(accepted), what, self.settings.task_wait_s)

    async def _state(self, host: Host) -> State:
        endpoint = json_object(await self.http.get(path_of(host.id)))
        if str(endpoint.get("agentGuid", "")).lower() != host.id.lower():
            raise Invalid(f"{self.name}: Vision One's answer does not describe the endpoint {host.id}")
        isolated = is_isolated(endpoint, host.name)
        return state_with(isolated, await waiting_tasks(self.http, host.id))

    async def _endpoints(self, query: str) -> list[dict[str, Any]]:
        return await collection(self.http, _ENDPOINTS_PATH, {}, {"TMV1-Query": query})

    # --- alerts and searches

    async def list_alerts(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        """List the workbench alerts created in the last `since_s` seconds, newest first."""
        params = {"startDateTime": moment(since_s), "endDateTime": moment(), "orderBy": "createdDateTime desc"}
        found = await collection(self.http, _ALERTS_PATH, params, at_least(severity))
        with understood(f"{self.name}: alerts"):
            alerts = [alert_of(alert, self.name) for alert in found]
        return sorted(alerts, key=lambda alert: alert.at, reverse=True)

    async def search_connections(self, address: str, since_s: int = 86400) -> list[Activity]:
        """Find endpoints that talked to an IP address, in either direction, or to a domain."""
        return await self._activities.connections(address, since_s)

    async def search_hash(self, sha256: str, since_s: int = 86400) -> list[Activity]:
        """Find endpoints where a file or process with this SHA-256 was seen."""
        return await self._activities.files(sha256, since_s)

    async def users_of_host(self, host: Host, since_s: int = 604800) -> list[HostUser]:
        """List the accounts that the inventory has for an endpoint; all carry the time when their list was renewed."""
        path_of(host.id)  # refuses what is no GUID
        found = await self._endpoints(f"agentGuid eq '{host.id}'")
        since = datetime.now(UTC) - timedelta(seconds=since_s)
        with understood(f"{self.name}: endpoints"):
            for endpoint in found:
                if str(endpoint["agentGuid"]).lower() == host.id.lower():
                    return users_of(endpoint, host, self.name, since)
        raise NotFound(f"{self.name}: Vision One has no endpoint {host.id} ({host.name})")

    # --- hash blocks

    @supports(kinds=set(KINDS))
    async def hash_blocks_of(self, hashes: list[Indicator]) -> list[Block]:
        """Read which hashes a suspicious object blocks; one on the list of exceptions as well is let through."""
        return await self._objects.blocks(hashes)

    @supports(kinds=set(KINDS))
    async def block_hashes(self, hashes: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        """Add suspicious objects that block these hashes; Vision One lifts them after whole days."""
        await self._objects.block(hashes, reason, expires_in_s)

    @supports(kinds=set(KINDS))
    async def unblock_hashes(self, hashes: list[Indicator], reason: str) -> None:  # noqa: ARG002 - no place for it
        """Delete the suspicious objects that block these hashes."""
        await self._objects.unblock(hashes)
