"""SentinelOne Singularity: hosts, isolation, threats, event search and the blocklist.

Nothing here reads the answer to a change beyond what `judge` says of every answer: whether it took effect is read back
from the agent or the blocklist. Source: https://github.com/Sentinel-One/ai-siem (generated from the vendor's
specification of API 2.1); each path below is theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Literal, cast
from urllib.parse import urlsplit

from pydantic import Field

from hikeshi.capabilities import (
    Activity,
    Alert,
    Block,
    Edr,
    Host,
    HostUser,
    Indicator,
    Isolation,
    Severity,
    supports,
)
from hikeshi.connector import Connector, ConnectorSettings, Invalid, Pace, Response, Route, Secret, understood
from hikeshi.connector.route import SeenRequest
from hikeshi_connectors.sentinelone.agents import AGENTS_PATH, Agents, state_of
from hikeshi_connectors.sentinelone.answers import entries, judge
from hikeshi_connectors.sentinelone.blocklist import BLOCKLIST_PATH, KINDS, Blocklist
from hikeshi_connectors.sentinelone.event_search import EventSearch
from hikeshi_connectors.sentinelone.named import QUERIES_PATH, action_body, refuse_unnamed
from hikeshi_connectors.sentinelone.threats import THREATS_PATH, alert_of, is_severe

__all__ = ["SentinelOne"]

System = Literal["windows", "macos", "linux", "windows_legacy"]
_KINDS = set(KINDS)


class SentinelOneSettings(ConnectorSettings):
    """One SentinelOne console, or one account of it. `base_url` is the console's address."""

    api_token: Secret
    account_id: str | None = Field(default=None, pattern=r"^[1-9][0-9]{17,18}$")
    os_types: tuple[System, ...] = Field(default=("windows", "macos", "linux"), min_length=1)
    search_timeout_s: float = Field(default=120.0, gt=0, le=3600)


class SentinelOne(Connector, Edr, product="sentinelone"):
    """SentinelOne Singularity as an EDR."""

    Settings = SentinelOneSettings
    read_routes = (
        Route("GET", AGENTS_PATH),
        Route("GET", THREATS_PATH),
        Route("GET", BLOCKLIST_PATH),
        Route("POST", QUERIES_PATH),
        Route("GET", f"{QUERIES_PATH}/*"),
    )
    # The console allows 25 requests a second for agents, and 10 for threats with a burst of 50.
    # Source: ratelimit.go in https://github.com/s1buildpartners/sentinelone-go-sdk.
    pace = Pace(20, 1.0, at_once=8)
    least_privileges: ClassVar[tuple[str, ...]] = (
        "Endpoints.view (find_hosts, isolation_of, searches)",
        "Endpoints.disconnectFromNetwork, Endpoints.reconnectToNetwork (isolate_host, release_host)",
        "Threats.view (list_alerts)",
        "Blacklist.view (hash_blocks_of)",
        "Blacklist.create, Blacklist.delete (block_hashes, unblock_hashes)",
        "Event Search in the Singularity Data Lake (search_connections, search_hash, users_of_host)",
    )

    @property
    def _settings(self) -> SentinelOneSettings:
        return cast(SentinelOneSettings, self.settings)

    def set_up(self) -> None:
        self.http.sign = self._credentials
        settings = self._settings
        self._account = {} if settings.account_id is None else {"accountIds": settings.account_id}
        self._agents = Agents(self.http, self.name, self._account)
        self._blocklist = Blocklist(self.http, self.name, settings.account_id, settings.os_types)
        self._events = EventSearch(self.http, self.name, self._agents, settings.account_id, settings.search_timeout_s)

    def check(self, response: Response) -> None:
        judge(response)

    async def find_hosts(self, name: str) -> list[Host]:
        """Find hosts by name, agent ID, agent UUID or local IP address; names are compared without regard to case."""
        return await self._agents.find(name)

    async def isolation_of(self, host: Host) -> Isolation:
        """Read an agent's network status. Raises NotFound if SentinelOne has no such agent."""
        return Isolation(connector=self.name, host_id=host.id, state=state_of(await self._agents.record(host)))

    async def isolate_host(self, host: Host, reason: str) -> None:  # noqa: ARG002 - SentinelOne keeps none
        """Disconnect an agent from the network. An offline agent does it when it next connects."""
        await self.http.post(f"{AGENTS_PATH}/actions/disconnect", json=action_body([host.id]))

    async def release_host(self, host: Host, reason: str) -> None:  # noqa: ARG002 - SentinelOne keeps none
        """Connect an agent to the network again."""
        await self.http.post(f"{AGENTS_PATH}/actions/connect", json=action_body([host.id]))

    async def list_alerts(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        """List the threats that the console recorded in the last `since_s` seconds, newest first."""
        if since_s <= 0:
            raise Invalid(f"an age is a positive number of seconds, not {since_s}")
        since = (datetime.now(UTC) - timedelta(seconds=since_s)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        params = {**self._account, "createdAt__gte": since, "sortBy": "createdAt", "sortOrder": "desc"}
        with understood(f"{self.name}: threats"):
            found = [alert_of(each, self.name) for each in await entries(self.http, THREATS_PATH, params)]
        return [alert for alert in found if is_severe(alert, severity)]

    async def search_connections(self, address: str, since_s: int = 86400) -> list[Activity]:
        """Find hosts that talked to an IP address or asked for a domain: one entry for each, with the last time."""
        return await self._events.connections(address, since_s)

    async def search_hash(self, sha256: str, since_s: int = 86400) -> list[Activity]:
        """Find hosts whose agent recorded a file with this hash: one entry for each, with the last time."""
        return await self._events.files(sha256, since_s)

    async def users_of_host(self, host: Host, since_s: int = 604800) -> list[HostUser]:
        """List the accounts that signed in, but for services and batch jobs, newest first."""
        return await self._events.users_of(host, since_s)

    @supports(kinds=_KINDS)
    async def hash_blocks_of(self, hashes: list[Indicator]) -> list[Block]:
        """Read which hashes the blocklist has for every operating system of the settings."""
        return await self._blocklist.blocks(hashes)

    @supports(kinds=_KINDS)
    async def block_hashes(self, hashes: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:  # noqa: ARG002 - entries don't expire
        """Put hashes on the blocklist, an entry for each operating system. The hold of the step ends it."""
        await self._blocklist.block(hashes, reason)

    @supports(kinds=_KINDS)
    async def unblock_hashes(self, hashes: list[Indicator], reason: str) -> None:  # noqa: ARG002 - a deletion has no comment
        """Take hashes off the blocklist: the entries made here, or all where none was made here."""
        await self._blocklist.unblock(hashes)

    async def _credentials(self, seen: SeenRequest) -> Mapping[str, str]:
        """Return the header with the token, whose scheme depends on the API; and look at what is about to leave."""
        refuse_unnamed(seen)
        scheme = "Bearer" if QUERIES_PATH in urlsplit(seen.url).path else "ApiToken"
        return {"authorization": f"{scheme} {self.reveal(self._settings.api_token)}"}
