"""Sinkholes by a response policy zone: entries are made and deleted by signed DNS updates at the zone's primary server.

The zone is read by transfer, because a query could not tell an entry from the wildcard of a domain above it.
Source: RFC 2136, RFC 5936, RFC 8945; draft-vixie-dnsop-dns-rpz-00; BIND 9.18 as it answered.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from hikeshi.capabilities import Block, Dns, Indicator, supports
from hikeshi.connector import (
    Applied,
    Connector,
    ConnectorError,
    PartialFailure,
    PreviewedRequest,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from hikeshi_connectors.rpz.entries import TARGETS, domain_of, missing, target_of, whole
from hikeshi_connectors.rpz.settings import RpzSettings, host_and_port

if TYPE_CHECKING:
    import dns.tsig
    import dns.update

    from hikeshi_connectors.rpz.server import Server

__all__ = ["Rpz"]

# A message over TCP has room for 65,535 bytes. An owner stands in it at most twice, with two headers of records.
_ROOM_BYTES: Final = 50_000
_BESIDE_A_NAME_BYTES: Final = 40
_NEEDS: Final = "DNS updates need the package dnspython: install hikeshi[dns]"
Wanted = dict[str, list[str]]


class Rpz(Connector, Dns, product="rpz"):
    """One response policy zone. It should be Hikeshi's own: entries do not say whose they are."""

    Settings = RpzSettings
    least_privileges = (
        "allow-transfer of the zone for the key: reading",
        "update-policy { grant KEY zonesub CNAME; } or allow-update for the key: entering and deleting",
    )

    settings: RpzSettings

    @supports(kinds={"domain"})
    async def sinkholes_of(self, domains: list[Indicator]) -> list[Block]:
        """Transfer the zone; a domain counts if both of its entries are there: its own, and that of all names below.

        Entries of a domain above it do not count. The zone keeps no time of expiry.
        """
        records = await self._server.records(self._key())

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
        records = await self._server.records(self._key()) if wanted else {}
        absent, taken = missing(wanted, records)
        refused |= {value: error for domain, error in taken.items() for value in wanted[domain]}
        await self._send(self._addition, absent, wanted, refused)

    @supports(kinds={"domain"})
    async def unsinkhole_domains(self, domains: list[Indicator], reason: str) -> None:  # noqa: ARG002 - see above
        """Delete the entries that `sinkhole_domains` makes, with any action, and none that says something else."""
        wanted, refused = self._sorted(domains)
        standing = whole(wanted, await self._server.records(self._key())) if wanted else {}
        await self._send(partial(self._deletion, standing), list(standing), wanted, refused)

    # --- the server

    @property
    def _server(self) -> Server:
        try:
            from hikeshi_connectors.rpz.server import Server
        except ModuleNotFoundError as exc:
            raise Unsupported(f"{self.name}: {_NEEDS}") from exc
        host, port = host_and_port(self.settings.base_url)
        return Server(self.name, host, port, self.settings.zone, self.settings.timeout_s)

    def _key(self) -> dns.tsig.Key:
        import dns.tsig

        secret = self.reveal(self.settings.tsig_secret)
        try:
            return dns.tsig.Key(f"{self.settings.tsig_name}.", secret, f"{self.settings.tsig_algorithm}.")
        except (binascii.Error, ValueError):
            raise Unauthorized(f"{self.name}: `tsig_secret` is not in base64, as the key of a signature is") from None

    async def _send(
        self,
        message_for: Callable[[Sequence[str]], dns.update.UpdateMessage],
        names: Sequence[str],
        wanted: Wanted,
        refused: dict[str, ConnectorError],
    ) -> None:
        """Send updates one after another until one fails. Raises PartialFailure for its domains and those after it;
        the first one's error as it is, since nothing was accepted then.
        """
        server, lots = self._server, _lots(names)
        for number, lot in enumerate(lots):
            try:
                await self._update(server, message_for(lot), last=number == len(lots) - 1)
            except ConnectorError as error:
                if number == 0 and not refused:
                    raise
                rest = [owner for later in lots[number + 1 :] for owner in later]
                unsent = Unavailable(f"not sent, since the update before failed: {error.message}", applied=Applied.NO)
                refused |= {value: unsent for owner in rest for value in wanted[owner.removeprefix("*.")]}
                refused |= {value: error for owner in lot for value in wanted[owner.removeprefix("*.")]}
                break
        accepted = {value for values in wanted.values() for value in values} - refused.keys()
        if len(refused) == 1 and not accepted:
            raise next(iter(refused.values()))
        if refused:
            raise PartialFailure(refused)

    async def _update(self, server: Server, message: dns.update.UpdateMessage, *, last: bool) -> None:
        from hikeshi_connectors.rpz.updates import lines_of

        key = self._key()
        preview = PreviewedRequest("DNS UPDATE", f"{self.settings.base_url}/{self.settings.zone}", lines_of(message))
        await self.commit(preview, lambda: server.update(message, key), last=last)

    def _addition(self, names: Sequence[str]) -> dns.update.UpdateMessage:
        from hikeshi_connectors.rpz.updates import addition

        return addition(self.settings.zone, names, self._target, self.settings.ttl_s)

    def _deletion(self, targets: Mapping[str, str], names: Sequence[str]) -> dns.update.UpdateMessage:
        from hikeshi_connectors.rpz.updates import deletion

        return deletion(self.settings.zone, {name: targets[name] for name in names})

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


def _lots(names: Sequence[str]) -> list[list[str]]:
    """Return the names in lots that fit into one message each, both of a domain in the same one."""
    lots: list[list[str]] = []
    room = 0
    for name in names:
        needed = len(name) + _BESIDE_A_NAME_BYTES
        follows = bool(lots) and name == f"*.{lots[-1][-1]}"
        if room < needed and not follows:  # a message has some bytes more than that
            lots.append([])
            room = _ROOM_BYTES
        lots[-1].append(name)
        room -= needed
    return lots
