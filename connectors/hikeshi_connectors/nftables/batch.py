"""The indicators of one change, sorted by the set that they belong to."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from hikeshi.capabilities import Indicator
from hikeshi.connector import Conflict, ConnectorError, PartialFailure
from hikeshi_connectors.nftables.elements import Network, is_network, key_of, network_of

__all__ = ["Batch", "refuse_overlapping", "sort_indicators"]


@dataclass
class Batch:
    """Set -> key of an element -> the values of the indicators it stands for; and values that are refused, with why.

    Several indicators can come to one element: an address and its /32.
    """

    sets: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    refused: dict[str, ConnectorError] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set)

    @property
    def network_sets(self) -> list[str]:
        """The sets among them that hold networks."""
        return [name for name, elements in self.sets.items() if any(map(is_network, elements))]

    def refuse(self, name: str, key: str, error: ConnectorError) -> None:
        """Take an element out again, and note why."""
        self.refused.update(dict.fromkeys(self.sets[name].pop(key), error))

    def raise_refused(self) -> None:
        """Raise what was refused, if anything was: alone as itself, beside others as PartialFailure."""
        if not self.refused:
            return
        if len(self.asked) == 1:
            raise next(iter(self.refused.values()))
        raise PartialFailure(self.refused)


def sort_indicators(indicators: Iterable[Indicator], set_of: Callable[[str], str]) -> Batch:
    """Sort indicators; `set_of` names the set for the key of an element, or raises a ConnectorError."""
    batch = Batch()
    for indicator in indicators:
        batch.asked.add(indicator.value)
        try:
            key = key_of(indicator)
            batch.sets.setdefault(set_of(key), {}).setdefault(key, []).append(indicator.value)
        except ConnectorError as exc:
            batch.refused[indicator.value] = exc
    return batch


def refuse_overlapping(batch: Batch, name: str, standing: Mapping[tuple[int, int], str]) -> None:
    """Refuse the networks that lie across one that stands in the set, or within a wider one of the batch.

    One of them would make the kernel refuse the whole transaction. The very same network may stand there already.
    """
    others = sorted(standing)  # an interval set holds nothing that overlaps
    for key, network in _networks(batch, name):
        first, last = _bounds(network)
        at = bisect_right(others, (last + 1, 0)) - 1
        if at >= 0 and others[at][1] >= first and others[at] != (first, last):
            text = standing[others[at]]
            batch.refuse(name, key, Conflict(f"{network} lies across {text}, which is in the set {name}"))
    reach, wider = -1, ""
    for key, network in sorted(_networks(batch, name), key=lambda each: (_bounds(each[1])[0], each[1].prefixlen)):
        first, last = _bounds(network)
        if first > reach:
            reach, wider = last, str(network)
        else:
            batch.refuse(name, key, Conflict(f"{network} lies in {wider}, which the same request blocks"))


def _networks(batch: Batch, name: str) -> list[tuple[str, Network]]:
    return [(key, network_of(key)) for key in batch.sets[name]]


def _bounds(network: Network) -> tuple[int, int]:
    return int(network.network_address), int(network.broadcast_address)
