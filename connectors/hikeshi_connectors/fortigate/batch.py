"""The indicators of one change, sorted by what becomes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from hikeshi.capabilities import Indicator
from hikeshi.connector import ConnectorError, Invalid, PartialFailure
from hikeshi_connectors.fortigate.addresses import Network, address_of, network_of

__all__ = ["Batch", "sort_indicators"]


@dataclass(slots=True)
class Batch:
    """The indicators of one call: addresses to ban and networks to group, each with the values that mean it."""

    bans: dict[str, list[str]] = field(default_factory=dict)
    networks: dict[Network, list[str]] = field(default_factory=dict)
    refused: dict[str, ConnectorError] = field(default_factory=dict)

    def refuse(self, values: Iterable[str], error: ConnectorError) -> None:
        self.refused.update(dict.fromkeys(values, error))

    def raise_if_empty(self) -> None:
        """Raise what was refused, if nothing is left to be sent."""
        if not self.bans and not self.networks:
            self.raise_refused(sent=0)

    def raise_refused(self, sent: int) -> None:
        """Raise what was refused: alone if one error is all there was, else as a part."""
        errors = {id(error): error for error in self.refused.values()}
        if sent == 0 and len(errors) == 1:
            raise next(iter(errors.values()))
        if errors:
            raise PartialFailure(self.refused)


def sort_indicators(indicators: Iterable[Indicator], *, ban: bool) -> Batch:
    """Sort indicators; single addresses are banned, or grouped like networks."""
    batch = Batch()
    for indicator in indicators:
        try:
            if ban and indicator.kind == "ipv4":  # long lists are of such, and a network takes its time to make
                batch.bans.setdefault(address_of(indicator), []).append(indicator.value)
                continue
            network = network_of(indicator)
        except Invalid as exc:
            batch.refuse([indicator.value], exc)
            continue
        if ban and network.prefixlen == network.max_prefixlen:
            batch.bans.setdefault(str(network.network_address), []).append(indicator.value)
        else:
            batch.networks.setdefault(network, []).append(indicator.value)
    return batch
