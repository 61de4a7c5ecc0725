"""Sinkholes by a response policy zone on a PowerDNS Authoritative Server, by its HTTP API.

Resolvers get the zone by transfer. A change is one request with all record sets: all of it takes effect, or nothing.
Source: https://doc.powerdns.com/authoritative/http-api/zone.html; PowerDNS 4.7.3 as it answered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

from pydantic import Field, StringConstraints

from hikeshi.capabilities import Block, Dns, Indicator, supports
from hikeshi.connector import (
    Applied,
    Connector,
    ConnectorError,
    ConnectorSettings,
    Invalid,
    PartialFailure,
    Response,
    Route,
    Secret,
    Unavailable,
    error_of_status,
    objects_under,
    understood,
)
from hikeshi_connectors.rpz.entries import TARGETS, Records, domain_of, missing, target_of, whole
from hikeshi_connectors.rpz.settings import DomainName

__all__ = ["PowerDns"]

# PowerDNS takes bodies up to 2 MB (webserver-max-bodysize); a record set is 400 bytes at most.
_RECORD_SETS_A_REQUEST: Final = 4_000
_SAID_MOST: Final = 300
Wanted = dict[str, list[str]]


class PowerDnsSettings(ConnectorSettings):
    """What hikeshi.yaml says of one zone."""

    api_key: Secret
    zone: DomainName
    server_id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]+$")] = "localhost"
    # What the resolvers do instead of resolving: no such name, no such record, or no answer at all.
    action: Literal["nxdomain", "nodata", "drop"] = "nxdomain"
    ttl_s: int = Field(default=60, ge=1, le=86400)


class PowerDns(Connector, Dns, product="powerdns"):
    """One response policy zone. It should be Hikeshi's own: entries do not say whose they are."""

    Settings = PowerDnsSettings
    read_routes = (Route("GET", "/api/v1/servers/*/zones/*"),)
    least_privileges = ("the server's API key: PowerDNS has no smaller one",)

    settings: PowerDnsSettings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    def check(self, response: Response) -> None:
        """Judge an answer. A change is answered 204, with nothing in it."""
        if response.status >= 400:
            raise error_of_status(response, _said(response))
        if response.method != "GET" and response.status != 204:
            raise Invalid(f"{response.where}, and a change is answered 204", applied=Applied.MAYBE)

    @supports(kinds={"domain"})
    async def sinkholes_of(self, domains: list[Indicator]) -> list[Block]:
        """Read the zone; a domain counts if both of its entries are there: its own, and that of all names below.

        Entries of a domain above it do not count. The zone keeps no time of expiry.
        """
        records = await self._records()

        def is_there(indicator: Indicator) -> bool:
            try:
                domain = domain_of(indicator, self.settings.zone)
            except ConnectorError:
                return False  # what cannot be entered here is not sinkholed here
            return target_of(domain, records) is not None

        return [
            Block(connector=self.name, kind=each.kind, value=each.value, blocked=is_there(each)) for each in domains
        ]

    @supports(kinds={"domain"})
    async def sinkhole_domains(self, domains: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:  # noqa: ARG002 - a zone has room for neither
        """Enter each domain and all names below it, if nothing else stands there.

        DNS has no entries that end: the engine's hold deletes them. Raises PartialFailure for what is no domain, and,
        as Conflict, for a domain that has another entry, such as one that lets it pass.
        """
        wanted, refused = self._sorted(domains)
        records = await self._records() if wanted else {}
        absent, taken = missing(wanted, records)
        refused |= {value: error for domain, error in taken.items() for value in wanted[domain]}
        await self._send(self._entered, absent, wanted, refused)

    @supports(kinds={"domain"})
    async def unsinkhole_domains(self, domains: list[Indicator], reason: str) -> None:  # noqa: ARG002 - see above
        """Delete the entries that `sinkhole_domains` makes, with any action, and none that says something else."""
        wanted, refused = self._sorted(domains)
        records = await self._records() if wanted else {}
        await self._send(self._deleted, list(whole(wanted, records)), wanted, refused)

    # --- requests

    async def _authorization(self) -> Mapping[str, str]:
        return {"x-api-key": self.reveal(self.settings.api_key)}

    @property
    def _path(self) -> str:
        return f"/api/v1/servers/{self.settings.server_id}/zones/{self.settings.zone}."

    async def _records(self) -> Records:
        """Return everything that stands in the zone, by owner relative to it. Disabled records do not stand in it."""
        response = await self.http.get(self._path)
        suffix = f".{self.settings.zone}."
        found: dict[str, frozenset[tuple[str, str]]] = {}
        sets = objects_under(response, "rrsets")
        with understood(response.where):
            for each in sets:
                owner = str(each["name"]).lower().removesuffix(suffix)
                live = {(each["type"], str(one["content"]).lower()) for one in each["records"] if not one["disabled"]}
                found[owner] = found.get(owner, frozenset()) | live
        return found

    async def _send(
        self,
        record_set: Callable[[str], dict[str, Any]],
        names: Sequence[str],
        wanted: Wanted,
        refused: dict[str, ConnectorError],
    ) -> None:
        """Send requests one after another until one fails. Raises PartialFailure for its domains and those after it;
        the first one's error as it is, since nothing was accepted then.
        """
        for start in range(0, len(names), _RECORD_SETS_A_REQUEST):
            lot = names[start : start + _RECORD_SETS_A_REQUEST]
            try:
                await self.http.patch(self._path, json={"rrsets": [record_set(owner) for owner in lot]})
            except ConnectorError as error:
                if start == 0 and not refused:
                    raise
                unsent = Unavailable(f"not sent, since the request before failed: {error.message}", applied=Applied.NO)
                for owner in reversed(names[start:]):
                    why = error if owner in lot else unsent
                    refused |= dict.fromkeys(wanted[owner.removeprefix("*.")], why)
                break
        accepted = {value for values in wanted.values() for value in values} - refused.keys()
        if len(refused) == 1 and not accepted:
            raise next(iter(refused.values()))
        if refused:
            raise PartialFailure(refused)

    def _entered(self, owner: str) -> dict[str, Any]:
        records = [{"content": self._target, "disabled": False}]
        return {**self._named(owner), "ttl": self.settings.ttl_s, "changetype": "REPLACE", "records": records}

    def _deleted(self, owner: str) -> dict[str, Any]:
        return {**self._named(owner), "changetype": "DELETE"}

    def _named(self, owner: str) -> dict[str, Any]:
        return {"name": f"{owner}.{self.settings.zone}.", "type": "CNAME"}

    # --- decisions

    @property
    def _target(self) -> str:
        return TARGETS[self.settings.action]

    def _sorted(self, indicators: Iterable[Indicator]) -> tuple[Wanted, dict[str, ConnectorError]]:
        """Return domains with the values of their indicators, and the values that are refused."""
        wanted: Wanted = {}
        refused: dict[str, ConnectorError] = {}
        for indicator in indicators:
            try:
                wanted.setdefault(domain_of(indicator, self.settings.zone), []).append(indicator.value)
            except ConnectorError as exc:
                refused[indicator.value] = exc
        return wanted, refused


def _said(response: Response) -> str:
    """Return PowerDNS's own words: a text, or JSON with an error."""
    try:
        said = response.json()["error"]
    except (ConnectorError, KeyError, TypeError):
        said = "" if "html" in response.headers.get("content-type", "") else response.text
    return str(said)[:_SAID_MOST]
