"""Firewalls of Linux, by nftables: addresses and networks as elements of named sets, which the kernel lets run out.

Reads run `nft -j list set` and nothing else. A change is one transaction in libnftables' JSON on the standard input of
`nft -j -f -`: all of it takes effect, or nothing. Source: nft(8), libnftables-json(5), and nft 1.0.6 on Linux 6.18.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from hikeshi.capabilities import Block, Firewall, Indicator, supports
from hikeshi.connector import Connector, ConnectorError, Invalid, NotFound, PreviewedRequest, Unsupported, understood
from hikeshi_connectors.nftables.batch import Batch, refuse_overlapping, sort_indicators
from hikeshi_connectors.nftables.elements import (
    KINDS,
    bounds_of,
    element_of,
    is_network,
    key_of,
    listed_key,
    network_of,
)
from hikeshi_connectors.nftables.program import Program
from hikeshi_connectors.nftables.settings import NftablesSettings

__all__ = ["Nftables"]

_TRANSACTION = ("-j", "-f", "-")


class Nftables(Connector, Firewall, product="nftables"):
    """The sets of one table on one machine, or in one of its network namespaces."""

    Settings = NftablesSettings
    least_privileges = (
        "CAP_NET_ADMIN in the firewall's network namespace, for the command that is configured",
        "by sudo: 'nft -j list set *' and 'nft -j -f -', without a password",
    )

    settings: NftablesSettings

    def set_up(self) -> None:
        self.clock: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._program = Program(self.name, self.settings.command, self.settings.timeout_s)

    @supports(kinds=KINDS)
    async def blocks_of(self, indicators: list[Indicator]) -> list[Block]:
        """List the sets that these indicators belong to; only the very address or network counts.

        `expires_at` is UTC, and rounded up to a full minute: the kernel tells how long an element still has, not until
        when. Raises NotFound if a set does not exist: then nothing is known.
        """
        places = [self._place(indicator) for indicator in indicators]
        wanted: dict[str, set[str]] = {}
        for place in places:
            if place is not None:
                wanted.setdefault(place[0], set()).add(place[1])
        listed = {name: await self._left(name, keys) for name, keys in wanted.items()}
        now = self.clock()
        return [self._block(indicator, place, listed, now) for indicator, place in zip(indicators, places, strict=True)]

    @supports(kinds=KINDS)
    async def block_indicators(self, indicators: list[Indicator], reason: str, expires_in_s: int | None = None) -> None:  # noqa: ARG002 - an element has a comment only if the set was made so
        """Add elements that the kernel takes out again after `expires_in_s`; without it they stay.

        An element that is there already gets the new end (since Linux 6.13; before, it keeps its own). Raises
        PartialFailure for what is refused: no address, no set for it, or a network that lies across a blocked one.
        """
        if expires_in_s is not None and expires_in_s < 1:
            raise Invalid(f"a block cannot expire in {expires_in_s} s")
        batch = sort_indicators(indicators, self._set_of)
        for name in batch.network_sets:
            refuse_overlapping(batch, name, await self._bounds(name))
        await self._send(batch, [("add", expires_in_s)])

    @supports(kinds=KINDS)
    async def unblock_indicators(self, indicators: list[Indicator], reason: str) -> None:  # noqa: ARG002 - see above
        """Take elements out; one that is not there is none the worse for it.

        To delete a missing element would undo the whole transaction, and one can run out at any moment. So each is
        added before it is deleted, in the same transaction. A network that is not there is left out: it could lie
        across another.
        """
        batch = sort_indicators(indicators, self._set_of)
        for name in batch.network_sets:
            there = await self._left(name, batch.sets[name])
            batch.sets[name] = {key: values for key, values in batch.sets[name].items() if key in there}
        await self._send(batch, [("add", None), ("delete", None)])

    # --- the program

    async def _send(self, batch: Batch, verbs: Sequence[tuple[str, int | None]]) -> None:
        """Send one transaction with each verb for each set, then raise what was refused before."""
        commands = [
            {verb: {"element": self._elements(name, keys, timeout_s)}}
            for name, keys in batch.sets.items()
            if keys
            for verb, timeout_s in verbs
        ]
        if commands:
            transaction = {"nftables": commands}
            content = json.dumps(transaction, separators=(",", ":")).encode()
            preview = PreviewedRequest("NFT", shlex.join([*self.settings.command, *_TRANSACTION]), transaction)
            await self.commit(preview, lambda: self._program.run(*_TRANSACTION, given=content), last=True)
        batch.raise_refused()

    def _elements(self, name: str, keys: Iterable[str], timeout_s: int | None) -> dict[str, Any]:
        place = {"family": self.settings.family, "table": self.settings.table, "name": name}
        return {**place, "elem": [element_of(key, timeout_s) for key in keys]}

    async def _listed(self, name: str) -> list[Any]:
        """Return the elements of a set as nft tells them. Raises ConnectorError; Invalid for an answer without it."""
        settings = self.settings
        try:
            told = await self._program.run("-j", "list", "set", settings.family, settings.table, name)
        except NotFound as exc:
            where = f"{self.name}: there is no set {name!r} in the table {settings.family} {settings.table}"
            raise NotFound(f"{where}, or no such table ({exc.message})") from exc
        with understood(f"{self.name}: nft list set {name}"):
            (found,) = (each["set"] for each in json.loads(told)["nftables"] if "set" in each)
            if found["name"] != name:
                raise ValueError(name)
            elements = found.get("elem", [])
            return elements if isinstance(elements, list) else [elements]

    async def _left(self, name: str, wanted: Container[str]) -> dict[str, int | None]:
        """Return those of the wanted keys that are in a set, with the seconds each still has, or None for no end."""
        elements = await self._listed(name)
        with understood(f"{self.name}: elements of {name}"):
            # Long sets are listed whole, again and again, so nothing is made of an element that nobody asks about.
            return {key: _left_s(each) for each in elements if (key := listed_key(_value(each))) in wanted}

    async def _bounds(self, name: str) -> Mapping[tuple[int, int], str]:
        elements = await self._listed(name)
        with understood(f"{self.name}: elements of {name}"):
            return bounds_of(map(_value, elements))

    # --- decisions

    def _set_of(self, key: str) -> str:
        setting = f"{'networks' if is_network(key) else 'addresses'}{6 if ':' in key else 4}"
        name: str | None = getattr(self.settings, setting)
        if name is None:
            raise Unsupported(f"{self.name} has no set for {network_of(key)}: `{setting}` is null in hikeshi.yaml")
        return name

    def _place(self, indicator: Indicator) -> tuple[str, str] | None:
        """Return the set and the key of an indicator; None for what cannot be blocked here, and so is not."""
        try:
            key = key_of(indicator)
            return self._set_of(key), key
        except ConnectorError:
            return None

    def _block(
        self,
        indicator: Indicator,
        place: tuple[str, str] | None,
        listed: Mapping[str, Mapping[str, int | None]],
        now: datetime,
    ) -> Block:
        left = {} if place is None else listed[place[0]]
        key = "" if place is None else place[1]
        expires_at = None if (left_s := left.get(key)) is None else _end(left_s, now)
        return Block(
            connector=self.name,
            kind=indicator.kind,
            value=indicator.value,
            blocked=place is not None and key in left,
            expires_at=expires_at,
        )


@lru_cache(maxsize=1024)  # many elements of one reading have the same time left
def _end(left_s: int, now: datetime) -> datetime:
    """Return an end, rounded up to a minute so that readings of one element hardly differ."""
    at = now + timedelta(seconds=left_s)
    return at.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _value(element: Any) -> Any:
    return element["elem"]["val"] if isinstance(element, dict) and "elem" in element else element


def _left_s(element: Any) -> int | None:
    if isinstance(element, dict) and "elem" in element and "expires" in element["elem"]:
        return int(element["elem"]["expires"])
    return None
