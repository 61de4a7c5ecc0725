"""What a connector's author writes has to type-check as it stands: this file is read by mypy, never run."""

from typing import assert_type

from hikeshi.capabilities import Edr, Host, Isolation, change, read, supports
from hikeshi.connector import Connector, ConnectorSettings, NotFound, Response, Route, Secret, TokenCache


class AcmeSettings(ConnectorSettings):
    token: Secret
    region: str = "eu"


class Acme(Connector, Edr, product="acme"):
    Settings = AcmeSettings
    settings: AcmeSettings
    read_routes = (Route("GET", "/hosts/**"), Route("POST", "/search", where={"form:type": "read"}))

    def set_up(self) -> None:
        cache = TokenCache(self._fetch, self.redactor)
        self.http.authorize = cache.headers
        self.http.forget_credentials = cache.forget

    async def _fetch(self) -> tuple[str, float]:
        return self.reveal(self.settings.token), 3600.0

    async def find_hosts(self, name: str) -> list[Host]:
        response = await self.http.get("/hosts", params={"name": name})
        assert_type(response, Response)
        if response.status == 404:
            raise NotFound(f"{self.name}: no host {name!r}")
        return [Host(connector=self.name, id="1", name=name)]

    async def isolation_of(self, host: Host) -> Isolation:
        return Isolation(connector=self.name, host_id=host.id, state="normal")

    async def isolate_host(self, host: Host, reason: str) -> None:
        await self.http.post(f"/hosts/{host.id}/isolate", json={"reason": reason}, last=True)

    @read
    async def battery_of(self, host: Host) -> int:
        return 100

    @supports(kinds={"sha256"})
    @change(target="host", undo=None, because="a reboot cannot be taken back")
    async def reboot(self, host: Host) -> None:
        await self.http.post(f"/hosts/{host.id}/reboot")


async def use(acme: Acme, host: Host) -> None:
    assert_type(await acme.find_hosts("pc7"), list[Host])
    assert_type(await acme.battery_of(host), int)
