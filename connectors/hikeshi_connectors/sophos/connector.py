"""Sophos Central: endpoints, isolation, blocked items, alerts and Data Lake searches of one tenant.

Nothing here reads the answer to a change beyond what `judge` says of every answer: whether it took effect is read back
from the endpoint or the blocked items.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import ClassVar, cast

from pydantic import Field

from hikeshi.capabilities import Activity, Alert, Block, Edr, Host, Indicator, Isolation, Severity, supports
from hikeshi.connector import (
    Connector,
    ConnectorSettings,
    Invalid,
    Pace,
    Response,
    Route,
    Secret,
    TokenCache,
    json_object,
    understood,
)
from hikeshi_connectors.sophos.alerts import ALERTS_PATH, alert_of, is_severe
from hikeshi_connectors.sophos.answers import TOKEN_PATH, judge, pages_by_key
from hikeshi_connectors.sophos.blocked_items import BLOCKED_PATH, BlockedItems
from hikeshi_connectors.sophos.data_lake import RUNS_PATH, DataLake
from hikeshi_connectors.sophos.endpoints import ENDPOINTS_PATH, Endpoints, isolation_body, state_of
from hikeshi_connectors.sophos.tenant import WHOAMI_PATH, Tenant

__all__ = ["Sophos"]

_ALERTS_PAGE = 100
_KINDS = {"sha256"}


class SophosSettings(ConnectorSettings):
    """One Sophos tenant. `base_url`, `id_url` and `global_url` are for proxies and simulators."""

    base_url: str = ""
    id_url: str = "https://id.sophos.com"
    global_url: str = "https://api.central.sophos.com"
    region: str = Field(default="eu01", pattern=r"^[a-z]{2}[0-9]{2}$")
    client_id: str
    client_secret: Secret
    tenant_id: str | None = Field(default=None, pattern=r"^[0-9A-Za-z-]{1,64}$")
    search_timeout_s: float = Field(default=300.0, gt=0, le=3600)


class Sophos(Connector, Edr, product="sophos"):
    """Sophos Central as an EDR."""

    Settings = SophosSettings
    read_routes = (
        Route("POST", TOKEN_PATH, base="id"),
        Route("GET", WHOAMI_PATH, base="global"),
        Route("GET", ENDPOINTS_PATH),
        Route("GET", f"{ENDPOINTS_PATH}/*"),
        Route("GET", BLOCKED_PATH),
        Route("GET", ALERTS_PATH),
        Route("POST", RUNS_PATH),
        Route("GET", f"{RUNS_PATH}/*"),
        Route("GET", f"{RUNS_PATH}/*/results"),
    )
    # Third parties name limits of 10 a second and 100 a minute.
    pace = Pace(90, 60.0, at_once=4)
    least_privileges: ClassVar[tuple[str, ...]] = (
        "API credentials with the role 'Service Principal ReadOnly' (find_hosts, isolation_of, hash_blocks_of, alerts)",
        "API credentials with the role 'Service Principal Management' (isolation, hash blocks)",
        "a licence with XDR, for the Data Lake (search_connections, search_hash)",
    )

    @property
    def _settings(self) -> SophosSettings:
        return cast(SophosSettings, self.settings)

    @classmethod
    def bases(cls, settings: ConnectorSettings) -> Mapping[str, str]:
        assert isinstance(settings, SophosSettings)
        return {"": _data_url(settings), "id": settings.id_url, "global": settings.global_url}

    def set_up(self) -> None:
        settings = self._settings
        tokens = TokenCache(self._fetch_token, self.redactor)
        tenant = Tenant(self.http, self.name, tokens, settings.tenant_id, _data_url(settings))
        self.http.authorize = tenant.headers
        self.http.forget_credentials = tokens.forget
        self._endpoints = Endpoints(self.http, self.name)
        self._blocked = BlockedItems(self.http, self.name)
        self._lake = DataLake(self.http, self.name, settings.search_timeout_s)

    def check(self, response: Response) -> None:
        judge(response)

    async def find_hosts(self, name: str) -> list[Host]:
        """Find hosts by name, endpoint ID or IP address; names are compared without regard to case."""
        return await self._endpoints.find(name)

    async def isolation_of(self, host: Host) -> Isolation:
        """Read an endpoint's isolation. Raises NotFound if Sophos has no such endpoint."""
        return Isolation(connector=self.name, host_id=host.id, state=state_of(await self._endpoints.record(host)))

    async def isolate_host(self, host: Host, reason: str) -> None:
        """Isolate an endpoint; the reason is its comment. An offline endpoint is isolated when it next connects."""
        await self.http.post(f"{ENDPOINTS_PATH}/isolation", json=isolation_body(host, reason, enabled=True))

    async def release_host(self, host: Host, reason: str) -> None:
        """Lift an endpoint's isolation by an administrator. One that isolated itself stays isolated."""
        await self.http.post(f"{ENDPOINTS_PATH}/isolation", json=isolation_body(host, reason, enabled=False))

    async def list_alerts(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        """List the open alerts that were raised in the last `since_s` seconds, newest first, of every product."""
        if since_s <= 0:
            raise Invalid(f"an age is a positive number of seconds, not {since_s}")
        since = (datetime.now(UTC) - timedelta(seconds=since_s)).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        params = {"from": since, "sort": "raisedAt:desc", "pageSize": _ALERTS_PAGE}
        items = await pages_by_key(self.http, ALERTS_PATH, params)
        with understood(f"{self.name}: alerts"):
            found = [alert_of(item, self.name) for item in items]
        return [alert for alert in found if is_severe(alert, severity)]

    async def search_connections(self, address: str, since_s: int = 86400) -> list[Activity]:
        """Find hosts that talked to an IP address or a domain: one entry for each, with the last time."""
        return await self._lake.connections(address, since_s)

    async def search_hash(self, sha256: str, since_s: int = 86400) -> list[Activity]:
        """Find hosts that reported a file with this hash: one entry for each, with the last time."""
        return await self._lake.files(sha256, since_s)

    @supports(kinds=_KINDS)
    async def hash_blocks_of(self, hashes: list[Indicator]) -> list[Block]:
        """Read which hashes are blocked items."""
        return await self._blocked.blocks(hashes)

    @supports(kinds=_KINDS)
    async def block_hashes(self, hashes: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:  # noqa: ARG002 - items don't expire
        """Add hashes to the blocked items, one request each. The hold of the step ends it."""
        await self._blocked.block(hashes, reason)

    @supports(kinds=_KINDS)
    async def unblock_hashes(self, hashes: list[Indicator], reason: str) -> None:  # noqa: ARG002 - a deletion has no comment
        """Delete the blocked items of hashes."""
        await self._blocked.unblock(hashes)

    async def _fetch_token(self) -> tuple[str, float]:
        form = {
            "grant_type": "client_credentials",
            "client_id": self._settings.client_id,
            "client_secret": self.reveal(self._settings.client_secret),
            "scope": "token",
        }
        answer = json_object(await self.http.post(TOKEN_PATH, base="id", form=form, auth=False))
        try:
            return str(answer["access_token"]), float(answer["expires_in"])
        except (KeyError, TypeError, ValueError):
            raise Invalid(f"{self.name}: Sophos's answer to the token request holds no token") from None


def _data_url(settings: SophosSettings) -> str:
    return settings.base_url or f"https://api-{settings.region}.central.sophos.com"
