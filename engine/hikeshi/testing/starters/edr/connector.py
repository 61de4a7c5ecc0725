"""Acme: hosts, and cutting one off."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from hikeshi.capabilities import Edr, Host, Isolation
from hikeshi.connector import (
    Connector,
    ConnectorSettings,
    Response,
    Route,
    Secret,
    all_pages,
    error_of_status,
    json_object,
    objects_under,
    said_in,
    understood,
)


class Acme(Connector, Edr, product="acme"):
    """One Acme tenant."""

    class Settings(ConnectorSettings):
        api_key: Secret

    # Everything that is not listed here is a change, and leaves the process only while a live run makes it.
    read_routes = (Route("GET", "/hosts"), Route("GET", "/hosts/*"))
    least_privileges = ("an API key that may read hosts and isolate them",)

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    def check(self, response: Response) -> None:
        """Judge every answer, before anything else sees it."""
        if response.status >= 400:
            raise error_of_status(response, said_in(response, "error"))
        if response.status != 204:
            json_object(response)

    async def find_hosts(self, name: str) -> list[Host]:
        """Acme finds parts of names; only the very name, ID or address counts."""

        async def page(cursor: str | None) -> tuple[list[dict[str, Any]], str | None]:
            answer = await self.http.get("/hosts", params={"q": name, **({"cursor": cursor} if cursor else {})})
            return objects_under(answer, "hosts"), json_object(answer).get("next")

        entries = await all_pages(page, f"{self.name}: hosts")
        with understood(f"{self.name}: hosts"):
            found = [self._host(entry) for entry in entries]
        return [host for host in found if name.casefold() in {alias.casefold() for alias in host.aliases()}]

    async def isolation_of(self, host: Host) -> Isolation:
        answer = await self.http.get(f"/hosts/{quote(host.id, safe='')}")
        with understood(answer.where):
            return Isolation(connector=self.name, host_id=host.id, state=json_object(answer)["network"])

    async def isolate_host(self, host: Host, reason: str) -> None:
        await self._set(host, "isolated", reason)

    async def release_host(self, host: Host, reason: str) -> None:
        await self._set(host, "normal", reason)

    async def _set(self, host: Host, network: str, reason: str) -> None:
        await self.http.put(f"/hosts/{quote(host.id, safe='')}/network", json={"network": network, "reason": reason})

    def _host(self, entry: Mapping[str, Any]) -> Host:
        return Host(connector=self.name, id=entry["id"], name=entry["name"], os=entry["os"], ips=tuple(entry["ips"]))

    async def _authorization(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.reveal(self.settings.api_key)}"}
