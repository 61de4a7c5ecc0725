"""Acme: the addresses and domains that it blocks."""

from collections.abc import Mapping
from typing import Any

from hikeshi.capabilities import Block, Firewall, Indicator, supports
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

KINDS = {"ipv4", "ipv6", "cidr", "domain"}


class Acme(Connector, Firewall, product="acme"):
    """One Acme firewall."""

    class Settings(ConnectorSettings):
        api_key: Secret

    # Everything that is not listed here is a change, and leaves the process only while a live run makes it.
    read_routes = (Route("GET", "/blocks"),)
    volatile = ("expires_in_s",)  # what is left of a duration differs each time it is sent
    least_privileges = ("an API key with the role 'block list editor'",)

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    def check(self, response: Response) -> None:
        """Judge every answer, before anything else sees it."""
        if response.status >= 400:
            raise error_of_status(response, said_in(response, "error"))
        if response.status != 204:
            json_object(response)

    @supports(kinds=KINDS)
    async def blocks_of(self, indicators: list[Indicator]) -> list[Block]:
        standing = {str(entry.get("value")): entry for entry in await self._entries()}
        with understood(f"{self.name}: blocks"):
            return [self._block(indicator, standing.get(indicator.value)) for indicator in indicators]

    @supports(kinds=KINDS)
    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:
        entries = [{"value": each.value, "reason": reason, "expires_in_s": expires_in_s} for each in indicators]
        await self.http.post("/blocks", json={"entries": entries})

    @supports(kinds=KINDS)
    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:
        await self.http.delete("/blocks", json={"values": [each.value for each in indicators], "reason": reason})

    async def _entries(self) -> list[dict[str, Any]]:
        async def page(cursor: str | None) -> tuple[list[dict[str, Any]], str | None]:
            answer = await self.http.get("/blocks", params={"cursor": cursor} if cursor else None)
            return objects_under(answer, "entries"), json_object(answer).get("next")

        return await all_pages(page, f"{self.name}: blocks")

    def _block(self, asked: Indicator, entry: Mapping[str, Any] | None) -> Block:
        return Block.model_validate(
            {
                "connector": self.name,
                "kind": asked.kind,
                "value": asked.value,
                "blocked": entry is not None,
                "expires_at": None if entry is None else entry["expires_at"],
            }
        )

    async def _authorization(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.reveal(self.settings.api_key)}"}
