"""Microsoft Defender for Endpoint: machines, isolation, hash blocks, alerts and advanced hunting.

Sources: the pages below https://learn.microsoft.com/defender-endpoint/api/ that each module names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar, Literal

from hikeshi.capabilities import (
    Activity,
    Alert,
    Asset,
    Assets,
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
    Conflict,
    Connector,
    ConnectorSettings,
    Invalid,
    NotFound,
    Pace,
    Response,
    Route,
    json_object,
    lots,
    understood,
)
from hikeshi.connector.lent_addresses import ADDRESS_KEPT, still_has_address
from hikeshi_connectors.defender.alert import alert_of, recent
from hikeshi_connectors.defender.answers import HUNTING_PATH, check_answer
from hikeshi_connectors.defender.hunting import Hunting
from hikeshi_connectors.defender.indicators import KINDS, Indicators
from hikeshi_connectors.defender.machine import (
    asset_of,
    filter_for,
    host_of,
    is_address,
    is_called,
    is_machine_id,
    path_of,
)
from hikeshi_connectors.defender.machine_actions import MachineState, path_of_action, state_after
from hikeshi_connectors.microsoft.odata import any_of, collection, quoted
from hikeshi_connectors.microsoft.sign_in import SIGN_IN_ROUTE, AppSettings, app_tokens

__all__ = ["Defender"]

_PAGE = 10_000
_IDS_AT_ONCE = 40  # in one URL, which stays below 4 kB
# Defender's lastSeen is the last full report, which a machine that is there sends every 24 hours.
_REPORTED_WITHIN = ADDRESS_KEPT + timedelta(days=1)
_SHA256_LENGTH = 64
_HEX = frozenset("0123456789abcdef")


class Defender(Connector, Edr, Assets, product="defender"):
    """Defender for Endpoint of one tenant, as an EDR and as an inventory."""

    class Settings(AppSettings):
        base_url: str = "https://api.security.microsoft.com/api"
        scope: str = "https://api.securitycenter.microsoft.com/.default"
        isolation_type: Literal["Full", "Selective"] = "Full"

    settings: Settings
    read_routes = (
        SIGN_IN_ROUTE,
        Route("GET", "/machines"),
        Route("GET", "/machines/*"),
        Route("GET", "/machineactions"),
        Route("GET", "/alerts"),
        Route("GET", "/indicators"),
        Route("GET", "/files/*"),
        Route("POST", HUNTING_PATH),
    )
    volatile = ("expirationTime",)
    # Documented: 100 a minute for most calls. Fewer are allowed for hunting (45) and lists of indicators (30).
    pace = Pace(requests=90, per_s=60.0)
    least_privileges: ClassVar[tuple[str, ...]] = (
        "Machine.Read.All",
        "Machine.Isolate",
        "Alert.Read.All",
        "AdvancedQuery.Read.All",
        "File.Read.All",
        "Ti.ReadWrite.All",
    )

    @classmethod
    def bases(cls, settings: ConnectorSettings) -> Mapping[str, str]:
        """Return the addresses of Defender ("") and of the service that gives tokens ("login")."""
        assert isinstance(settings, cls.Settings)
        return {"": settings.base_url, "login": settings.login_url}

    def set_up(self) -> None:
        tokens = app_tokens(self, self.settings, self.settings.scope)
        self.http.authorize = tokens.headers
        self.http.forget_credentials = tokens.forget
        self._indicators = Indicators(self.http, self.name)
        self._hunting = Hunting(self.http, self.name)

    def check(self, response: Response) -> None:
        check_answer(response)

    # --- hosts

    async def find_hosts(self, name: str) -> list[Host]:
        """Find machines by DNS name, the first label of it, machine ID or, if they report, last IP address."""
        found = await self._machines_called(name.strip())
        with understood(f"{self.name}: machines"):
            hosts = [host_of(machine, self.name) for machine in found]
        lent = is_address(name.strip())
        return [host for host in hosts if not lent or still_has_address(host.last_seen, _REPORTED_WITHIN)]

    async def isolation_of(self, host: Host) -> Isolation:
        """Read what the actions on a machine came to. Raises NotFound if Defender has no such machine."""
        await self._machine(host)
        return Isolation(connector=self.name, host_id=host.id, state=(await self._state(host)).name)

    async def isolate_host(self, host: Host, reason: str) -> None:
        """Isolate a machine. One that is offline is isolated when it next connects, until then it is "isolating"."""
        state = await self._state(host)
        if state.isolated or state.isolating or state.releasing:
            # Defender would take a second request, which can take effect after a later release.
            raise Conflict(f"{self.name}: {host.name} is {state.name} at Defender; nothing was sent")
        body = {"Comment": reason or "isolated by Hikeshi", "IsolationType": self.settings.isolation_type}
        await self.http.post(f"{path_of(host.id)}/isolate", json=body)

    async def release_host(self, host: Host, reason: str) -> None:
        """Release a machine, and cancel isolations that have not happened yet."""
        state = await self._state(host)
        body = {"Comment": reason or "released by Hikeshi"}
        if not state.isolating and (state.releasing or not state.isolated):
            raise Conflict(f"{self.name}: {host.name} is {state.name} at Defender; nothing was sent")
        for action_id in state.isolating:
            await self.http.post(f"{path_of_action(action_id)}/cancel", json=body)
        if state.isolated and not state.releasing:
            await self.http.post(f"{path_of(host.id)}/unisolate", json=body)

    async def _state(self, host: Host) -> MachineState:
        path_of(host.id)  # refuses what is no ID
        params = {"$filter": f"machineId eq {quoted(host.id)}", "$top": str(_PAGE)}
        actions = await self._list("/machineactions", params)
        with understood(f"{self.name}: machine actions"):
            return state_after(each for each in actions if str(each["machineId"]).lower() == host.id.lower())

    # --- alerts and searches

    async def list_alerts(self, since_s: int = 3600, severity: Severity | None = None) -> list[Alert]:
        """List the alerts raised in the last `since_s` seconds, newest first. Defender has none above high."""
        asked = recent(since_s, severity)
        if asked is None:
            return []
        found = await self._list("/alerts", {"$filter": asked, "$expand": "evidence", "$top": str(_PAGE)})
        with understood(f"{self.name}: alerts"):
            alerts = [alert_of(each, self.name) for each in found]
        return sorted(alerts, key=lambda alert: alert.at, reverse=True)

    async def search_connections(self, address: str, since_s: int = 86400) -> list[Activity]:
        """Find machines that connected to an IP address, domain or subpage of one; for at most 30 days back."""
        return await self._hunting.connections(address, since_s)

    async def search_hash(self, sha256: str, since_s: int = 86400) -> list[Activity]:
        """Find machines where a file was seen, by its SHA-256 and by the SHA-1 that Defender knows for it."""
        wanted = sha256.strip().lower()
        if len(wanted) != _SHA256_LENGTH or not _HEX.issuperset(wanted):
            raise Invalid(f"{sha256[:80]!r} is not a SHA-256: {_SHA256_LENGTH} hexadecimal digits")
        return await self._hunting.files(wanted, await self._sha1_of(wanted), since_s)

    async def users_of_host(self, host: Host, since_s: int = 604800) -> list[HostUser]:
        """List the accounts that signed in to a machine, service and system accounts among them."""
        await self._machine(host)
        return await self._hunting.users(host.id, since_s)

    async def _sha1_of(self, sha256: str) -> str | None:
        """Return the SHA-1 of a file. Many events carry that alone; a file that Defender has not seen has none."""
        try:
            file = json_object(await self.http.get(f"/files/{sha256}"))
        except NotFound:
            return None
        sha1 = file.get("sha1")
        if sha1 is not None and not isinstance(sha1, str):
            raise Invalid(f"{self.name}: Defender's answer about the file {sha256} has an unexpected form")
        if "sha256" not in file:
            raise Invalid(f"{self.name}: Defender's answer about the file {sha256} describes no file")
        return sha1 or None

    # --- hash blocks

    @supports(kinds=set(KINDS))
    async def hash_blocks_of(self, hashes: list[Indicator]) -> list[Block]:
        """Read which hashes an indicator blocks on every machine; those for some machine groups do not count."""
        return await self._indicators.blocks(hashes)

    @supports(kinds=set(KINDS))
    async def block_hashes(self, hashes: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        """Add indicators that block these hashes on every machine; Defender lifts them after `expires_in_s`."""
        await self._indicators.block(hashes, reason, expires_in_s)

    @supports(kinds=set(KINDS))
    async def unblock_hashes(self, hashes: list[Indicator], reason: str) -> None:  # noqa: ARG002 - Defender keeps none
        """Delete the indicators that block these hashes on every machine."""
        await self._indicators.unblock(hashes)

    # --- inventory

    async def find_assets(self, name: str) -> list[Asset]:
        """Find machines as assets, with their software. Defender does not know who owns one."""
        return await self._assets(await self._machines_called(name.strip()))

    async def search_assets(
        self, software: str, versions: list[str] | None = None, exposed: bool | None = None
    ) -> list[Asset]:
        """Find machines by software, named as Defender's inventory does (`log4j`, `chrome`), in any case."""
        if not software.strip():
            raise Invalid(f"{self.name}: no software is named")
        ids = await self._hunting.machines_with(software, versions)
        assets = await self._assets(await self._machines_of(ids))
        return [asset for asset in assets if exposed is None or asset.exposed is exposed]

    async def _assets(self, machines: Sequence[Mapping[str, Any]]) -> list[Asset]:
        assets: list[Asset] = []
        for lot in lots(machines, _IDS_AT_ONCE):
            with understood(f"{self.name}: machines"):
                ids = [str(machine["id"]) for machine in lot]
            known = await self._hunting.inventory(ids)
            with understood(f"{self.name}: machines"):
                for machine in lot:
                    row = known.get(str(machine["id"]))
                    facing, programs = (row.facing, row.software) if row else (None, ())
                    assets.append(asset_of(machine, self.name, facing, programs))
        return assets

    # --- machines

    async def _machine(self, host: Host) -> dict[str, Any]:
        machine = json_object(await self.http.get(path_of(host.id)))
        if str(machine.get("id", "")).lower() != host.id.lower():
            raise Invalid(f"{self.name}: Defender's answer does not describe the machine {host.id}")
        return machine

    async def _machines_called(self, name: str) -> list[dict[str, Any]]:
        asked = f"id eq '{name.lower()}'" if is_machine_id(name) else filter_for(name)
        found = await self._machines(asked)
        with understood(f"{self.name}: machines"):
            return [machine for machine in found if is_called(machine, name)]

    async def _machines_of(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for lot in lots(ids, _IDS_AT_ONCE):
            found += await self._machines(any_of("id", lot))
        return found

    async def _machines(self, asked: str) -> list[dict[str, Any]]:
        try:
            return await self._list("/machines", {"$filter": asked, "$top": str(_PAGE)})
        except NotFound:
            return []  # documented: 404 if there are no recent machines

    async def _list(self, path: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
        # Defender's links can name its older host.
        return await collection(self.http, path, params, page_size=_PAGE, own_host=False)
