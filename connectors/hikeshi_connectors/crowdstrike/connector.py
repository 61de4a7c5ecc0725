"""CrowdStrike Falcon: hosts, alerts, event search and hash blocks through its OAuth2 API.

Nothing here reads the answer to a change: whether it took effect is read back from the device or the indicators.
Sources: CrowdStrike/gofalcon 14348e46 and CrowdStrike/falconpy 322ff0a6, both generated from the vendor's
specification; each path below is theirs.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal, cast

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
from hikeshi.connector import (
    Connector,
    ConnectorSettings,
    Invalid,
    NotFound,
    Response,
    Route,
    Secret,
    TokenCache,
    all_pages,
    understood,
)
from hikeshi.connector.lent_addresses import still_has_address
from hikeshi_connectors.crowdstrike.answer import TOKEN_PATH, judge, next_after, resources
from hikeshi_connectors.crowdstrike.detection import alert_of, recent
from hikeshi_connectors.crowdstrike.device import FIELDS, host_of, is_called, state_of, users_of
from hikeshi_connectors.crowdstrike.event_search import EventSearch
from hikeshi_connectors.crowdstrike.filter import age, hosts_that_may_be
from hikeshi_connectors.crowdstrike.indicators import ENTITIES_PATH, SEARCH_PATH, Indicators

__all__ = ["Falcon"]

Region = Literal["us-1", "us-2", "us-3", "eu-1", "gov-1", "gov-2"]
# Source: falcon/cloud.go in gofalcon.
_BASE_URLS: dict[Region, str] = {
    "us-1": "https://api.crowdstrike.com",
    "us-2": "https://api.us-2.crowdstrike.com",
    "us-3": "https://api.us-3.crowdstrike.com",
    "eu-1": "https://api.eu-1.crowdstrike.com",
    "gov-1": "https://api.laggar.gcw.crowdstrike.com",
    "gov-2": "https://api.us-gov-2.crowdstrike.mil",
}
_DEVICES_PATH = "/devices/combined/devices/v1"
_DEVICE_PATH = "/devices/entities/devices/v2"
_LOGINS_PATH = "/devices/combined/devices/login-history/v2"
_ACTIONS_PATH = "/devices/entities/devices-actions/v2"
_ALERTS_PATH = "/alerts/combined/alerts/v1"
_DEVICES_PAGE = 1000
_ALERTS_PAGE = 1000
_LOGINS_MOST = 100
_KINDS = {"md5", "sha256"}


class FalconSettings(ConnectorSettings):
    """One Falcon customer (CID). `base_url` is for proxies and simulators; otherwise the region says it."""

    base_url: str = ""
    region: Region = "us-1"
    client_id: str
    client_secret: Secret
    member_cid: str | None = None
    repository: str = Field(default="search-all", pattern=r"^[A-Za-z0-9_-]+$")
    search_timeout_s: float = Field(default=120.0, gt=0, le=3600)


class Falcon(Connector, Edr, product="crowdstrike"):
    """CrowdStrike Falcon as an EDR."""

    Settings = FalconSettings
    read_routes = (
        Route("POST", TOKEN_PATH),
        Route("GET", _DEVICES_PATH),
        Route("POST", _DEVICE_PATH),
        Route("POST", _LOGINS_PATH),
        Route("POST", _ALERTS_PATH),
        Route("GET", SEARCH_PATH),
        Route("POST", "/humio/api/v1/repositories/*/queryjobs"),
        Route("GET", "/humio/api/v1/repositories/*/queryjobs/*"),
    )
    # A deletion with a filter ignores its IDs and takes whatever the filter fits.
    never = (Route("DELETE", ENTITIES_PATH, where={"query:filter": "*"}),)
    volatile = ("expiration",)
    least_privileges: ClassVar[tuple[str, ...]] = (
        "Hosts: read (find_hosts, isolation_of, users_of_host)",
        "Hosts: write (isolate_host, release_host)",
        "Alerts: read (list_alerts)",
        "IOC Management: read (hash_blocks_of)",
        "IOC Management: write (block_hashes, unblock_hashes)",
        "NGSIEM: read and write (search_connections, search_hash); starting a search counts as a write",
    )

    @property
    def _settings(self) -> FalconSettings:
        return cast(FalconSettings, self.settings)

    @classmethod
    def bases(cls, settings: ConnectorSettings) -> Mapping[str, str]:
        assert isinstance(settings, FalconSettings)
        return {"": settings.base_url or _BASE_URLS[settings.region]}

    def set_up(self) -> None:
        tokens = TokenCache(self._fetch_token, self.redactor)
        self.http.authorize = tokens.headers
        self.http.forget_credentials = tokens.forget
        self._indicators = Indicators(self.http, self.name)
        self._events = EventSearch(self.http, self.name, self._settings.repository, self._settings.search_timeout_s)

    def check(self, response: Response) -> None:
        judge(response)

    async def find_hosts(self, name: str) -> list[Host]:
        """Find hosts by name, agent ID (AID) or local IP address; names are compared without regard to case."""
        asked = hosts_that_may_be(name.strip())
        with understood(f"{self.name}: hosts"):
            found = [host_of(device, self.name) for device in await self._devices(asked)]
        lent = name.strip() in {ip for host in found for ip in host.ips}
        return [
            host for host in found if is_called(host, name.strip()) and (not lent or still_has_address(host.last_seen))
        ]

    async def isolation_of(self, host: Host) -> Isolation:
        """Read a device's containment status. Raises NotFound if Falcon has no such device."""
        answer = await self.http.post(_DEVICE_PATH, json={"ids": [host.id]})
        for device in resources(answer):
            if device.get("device_id") == host.id:
                return Isolation(connector=self.name, host_id=host.id, state=state_of(device))
        raise NotFound(f"{self.name}: Falcon has no device {host.id} ({host.name})")

    async def isolate_host(self, host: Host, reason: str) -> None:  # noqa: ARG002 - Falcon keeps none
        """Contain a device. An offline device is contained when it next connects."""
        await self._act("contain", host)

    async def release_host(self, host: Host, reason: str) -> None:  # noqa: ARG002 - Falcon keeps none
        """Lift a device's containment."""
        await self._act("lift_containment", host)

    async def list_alerts(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        """List the alerts that Falcon recorded in the last `since_s` seconds, newest first, of every Falcon product."""
        body: dict[str, Any] = {
            "filter": recent(since_s, severity),
            "limit": _ALERTS_PAGE,
            "sort": "created_timestamp|desc",
        }

        async def page(after: str | None) -> tuple[list[Alert], str | None]:
            answer = await self.http.post(_ALERTS_PATH, json={**body, **({"after": after} if after else {})})
            found = resources(answer)
            with understood(f"{self.name}: alerts"):
                return [alert_of(alert, self.name) for alert in found], next_after(answer) if found else None

        return await all_pages(page, f"{self.name}: alerts")

    async def search_connections(self, address: str, since_s: int = 86400) -> list[Activity]:
        """Find hosts that talked to an IP address or asked for a domain: one entry for each, with the last time."""
        return await self._events.connections(address, since_s)

    async def search_hash(self, sha256: str, since_s: int = 86400) -> list[Activity]:
        """Find hosts whose sensor recorded a file with this hash: one entry for each, with the last time."""
        return await self._events.files(sha256, since_s)

    async def users_of_host(self, host: Host, since_s: int = 604800) -> list[HostUser]:
        """List the accounts that signed in interactively, with their latest sign-in, newest first."""
        with understood(f"{self.name}: sign-ins of {host.name}"):
            logins = [login async for login in self._logins(host, f"now-{age(since_s)}")]
            return users_of(logins, host, self.name)

    @supports(kinds=_KINDS)
    async def hash_blocks_of(self, hashes: list[Indicator]) -> list[Block]:
        """Read which hashes an indicator keeps from running on every host."""
        return await self._indicators.blocks(hashes)

    @supports(kinds=_KINDS)
    async def block_hashes(self, hashes: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        """Add indicators that prevent these hashes on every host; Falcon lifts them after `expires_in_s`."""
        await self._indicators.block(hashes, reason, expires_in_s)

    @supports(kinds=_KINDS)
    async def unblock_hashes(self, hashes: list[Indicator], reason: str) -> None:
        """Delete the indicators that prevent these hashes on every host."""
        await self._indicators.unblock(hashes, reason)

    async def _act(self, action: str, host: Host) -> None:
        await self.http.post(_ACTIONS_PATH, params={"action_name": action}, json={"ids": [host.id]})

    async def _devices(self, asked: str) -> list[dict[str, Any]]:
        params: dict[str, Any] = {"filter": asked, "fields": ",".join(FIELDS), "limit": _DEVICES_PAGE}

        async def page(offset: str | None) -> tuple[list[dict[str, Any]], str | None]:
            more = {"offset": offset} if offset else {}
            answer = await self.http.get(_DEVICES_PATH, params={**params, **more})
            found = resources(answer)
            return found, next_after(answer, "next") if found else None

        return await all_pages(page, f"{self.name}: devices")

    async def _logins(self, host: Host, since: str) -> AsyncIterator[dict[str, Any]]:
        """Give all sign-ins. Falcon gives the newest hundred of a time span, so earlier ones are asked for again."""
        params: dict[str, Any] = {"from": since, "limit": _LOGINS_MOST}
        while True:
            answer = await self.http.post(_LOGINS_PATH, params=params, json={"ids": [host.id]})
            logins = [login for device in resources(answer) for login in device.get("recent_logins") or ()]
            for login in logins:
                yield login
            if len(logins) < _LOGINS_MOST:
                return
            earliest = min((str(login["login_time"]) for login in logins), key=datetime.fromisoformat)
            if params.get("to") == earliest:
                raise Invalid(f"{self.name}: {host.name} has over {_LOGINS_MOST} sign-ins at {earliest}; ask for less")
            params["to"] = earliest

    async def _fetch_token(self) -> tuple[str, float]:
        settings = self._settings
        form = {"client_id": settings.client_id, "client_secret": self.reveal(settings.client_secret)}
        if settings.member_cid:
            form["member_cid"] = settings.member_cid
        answer = (await self.http.post(TOKEN_PATH, form=form, auth=False)).json()
        try:
            return str(answer["access_token"]), float(answer["expires_in"])
        except (KeyError, TypeError, ValueError):
            raise Invalid(f"{self.name}: Falcon's answer to the token request holds no token") from None
