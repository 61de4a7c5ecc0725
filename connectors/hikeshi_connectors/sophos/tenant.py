"""Whose data this is: an access token, and the tenant and region that Sophos says it belongs to.

Source: the vendor's package sophos-central-api-connector 0.1.6 (sophos_central_api_auth.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from hikeshi.connector import Invalid, TokenCache, json_object, understood

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["WHOAMI_PATH", "Tenant"]

WHOAMI_PATH: Final = "/whoami/v1"


class Tenant:
    """Gives the headers that every request to a tenant's data carries.

    `tenant_id` is needed for credentials of a partner or an organization, which have many tenants; those of one tenant
    say it themselves, and where its data is. `data_url` is where this instance is configured to look for it.
    """

    def __init__(
        self, http: HttpClient, connector: str, tokens: TokenCache, tenant_id: str | None, data_url: str
    ) -> None:
        self._http = http
        self._connector = connector
        self._tokens = tokens
        self._wanted = tenant_id
        self._data_url = data_url
        self._known: str | None = None
        self._turn = asyncio.Lock()

    async def headers(self) -> Mapping[str, str]:
        """Return the headers. Raises what fetching a token raises; Invalid for another tenant or region."""
        bearer = await self._tokens.headers()
        async with self._turn:
            if self._known is None:
                self._known = await self._ask(bearer)
        return {**bearer, "x-tenant-id": self._known}

    async def _ask(self, bearer: Mapping[str, str]) -> str:
        answer = await self._http.get(WHOAMI_PATH, base="global", headers=bearer, auth=False)
        with understood(answer.where):
            body = json_object(answer)
            own_id, kind = str(body["id"]), str(body["idType"])
        if kind != "tenant":
            if self._wanted is None:
                raise Invalid(
                    f"{self._connector}: these are the credentials of a Sophos {kind}; set tenant_id to the tenant "
                    "that is meant, or use credentials of that tenant alone"
                )
            return self._wanted
        if self._wanted not in (None, own_id):
            raise Invalid(f"{self._connector}: the credentials belong to the tenant {own_id}, not to {self._wanted}")
        with understood(answer.where):
            data_url = str(body["apiHosts"]["dataRegion"])
        if _place(data_url) != _place(self._data_url):
            raise Invalid(
                f"{self._connector}: Sophos keeps this tenant's data at {data_url}; set region accordingly "
                f"(api-REGION.central.sophos.com) instead of asking {self._data_url}"
            )
        return own_id


def _place(url: str) -> tuple[str | None, int | None]:
    parts = urlsplit(url)
    return parts.hostname, parts.port
