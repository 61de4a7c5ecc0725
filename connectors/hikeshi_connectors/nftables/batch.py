"""The indicators of one change, sorted by the set that they belong to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from hikeshi.capabilities import Indicator
from hikeshi.connector import Conflict, ConnectorError, PartialFailure
from hikeshi_connectors.nftables.elements import Network, network_of

__all__ = ["Batch", "refuse_overlapping", "sort_indicators"]


@dataclass
class Batch:
    """Set -> address or network -> the values of the indicators it stands for; and values that are refused, with why.

    Several indicators can come to one element: an address and its /32.
    """

    sets: dict[str, dict[Network, list[str]]] = field(default_factory=dict)
    refused: dict[str, ConnectorError] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    @property
    def network_sets(self) -> list[str]:
        """The sets among them that hold networks."""
        return [name for name, elements in self.sets.items() if any(_is_network(each) for each in elements)]

    def refuse(self, name: str, network: Network, error: ConnectorError) -> None:
        """Take an element out again, and note why."""
        self.refused.update(dict.fromkeys(self.sets[name].pop(network), error))

    def raise_refused(self) -> None:
        """Raise what was refused, if anything was: alone as itself, beside others as PartialFailure."""
        if not self.refused:
            return
        if len(self.asked) == 1:
            raise next(iter(self.refused.values()))
        raise PartialFailure(self.refused)


def sort_indicators(indicators: Iterable[Indicator], set_of: Callable[[Network], str]) -> Batch:
    """Sort indicators; `set_of` names the set for an address or network, or raises a ConnectorError."""
    batch = Batch()
    for indicator in indicators:
        batch.asked.add(indicator.value)
        try:
            network = network_of(indicator)
            batch.sets.setdefault(set_of(network), {}).setdefault(network, []).append(indicator.value)
        except ConnectorError as exc:
            batch.refused[indicator.value] = exc
    return batch


def refuse_overlapping(batch: Batch, name: str, standing: Mapping[tuple[int, int], str]) -> None:
    """Refuse the networks that lie across one that stands in the set, or within a wider one of the batch.

    One of them would make the kernel refuse the whole transaction. The very same network may stand there already.
    """
    others = sorted(standing)  # an interval set holds nothing that overlaps
    for network in list(batch.sets[name]):
        first, last = _bounds(network)
        at = bisect_right(others, (last + 1, 0)) - 1
        if at >= 0 and others[at][1] >= first and others[at] != (first, last):
            text = standing[others[at]]
            batch.refuse(name, network, Conflict(f"{network} lies across {text}, which is in the set {name}"))
    reach, wider = -1, ""
    for network in sorted(batch.sets[name], key=lambda each: (_bounds(each)[0], each.prefixlen)):
        first, last = _bounds(network)
        if first > reach:
            reach, wider = last, str(network)
        else:
            batch.refuse(name, network, Conflict(f"{network} lies in {wider}, which the same request blocks"))


def _bounds(network: Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)


def _is_network(network: Network) -> bool:
    return network.prefixlen < network.max_prefixlen
