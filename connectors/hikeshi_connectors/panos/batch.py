"""The indicators of one change, sorted by what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from hikeshi.capabilities import Indicator
from hikeshi.connector import ConnectorError, PartialFailure, Unsupported
from hikeshi_connectors.panos.addresses import ADDRESS_KINDS, registered_form
from hikeshi_connectors.panos.sites import SITE_KINDS

__all__ = ["Batch", "sort_indicators"]


@dataclass
class Batch:
    """What is sent -> the values of the indicators it stands for; and the values that are refused, with the reason.

    Several indicators can come to one thing: a URL of http and of https, an address and its /32.
    """

    addresses: dict[str, list[str]] = field(default_factory=dict)
    sites: dict[str, list[str]] = field(default_factory=dict)
    refused: dict[str, ConnectorError] = field(default_factory=dict)

    def refuse(self, what: Mapping[str, list[str]], error: ConnectorError) -> None:
        """Refuse every indicator of `what`, for one reason."""
        self.refused.update((value, error) for values in what.values() for value in values)

    def raise_if_empty(self) -> None:
        """Raise what was refused, if nothing is left to be sent."""
        if self.addresses or self.sites or not self.refused:
            return
        if len(self.refused) == 1:
            raise next(iter(self.refused.values()))
        raise PartialFailure(self.refused)


def sort_indicators(indicators: Iterable[Indicator], site_entry: Callable[[Indicator], str]) -> Batch:
    """Sort indicators; `site_entry` gives the form in which a domain or URL is sent, or raises a ConnectorError.

    Raises what was refused if nothing can be sent at all.
    """
    batch = Batch()
    for indicator in indicators:
        try:
            if indicator.kind in ADDRESS_KINDS:
                batch.addresses.setdefault(registered_form(indicator), []).append(indicator.value)
            elif indicator.kind in SITE_KINDS:
                batch.sites.setdefault(site_entry(indicator), []).append(indicator.value)
            else:
                raise Unsupported(f"a firewall does not block indicators of the kind {indicator.kind}")
        except ConnectorError as exc:
            batch.refused[indicator.value] = exc
    batch.raise_if_empty()
    return batch
