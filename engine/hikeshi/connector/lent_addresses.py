"""IP addresses as names of hosts: an address is lent, so it names a host only while that host is there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["ADDRESS_KEPT", "still_has_address"]

ADDRESS_KEPT: Final = timedelta(days=1)
"""How long the last known address of a silent host counts as its own: as long as a usual DHCP lease. An EDR's record
keeps the address for as long as it keeps the record, while the network has given it to another computer."""


def still_has_address(last_seen: datetime | None, kept: timedelta = ADDRESS_KEPT) -> bool:
    """Say whether a host that was last seen then (UTC if it says no zone) can be meant by its address.

    One that does not say counts as there: two answers are better than the wrong one. `kept` is longer where a product
    hears of a host that is there less often.
    """
    if last_seen is None:
        return True
    at = last_seen if last_seen.tzinfo else last_seen.replace(tzinfo=UTC)
    return datetime.now(UTC) - at <= kept
