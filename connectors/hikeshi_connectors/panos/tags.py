"""Registered addresses and their tags, as a page of them is shown.

Long lists are read whole, again and again, so nothing is made of an entry that nobody asks about.
Source: http://api-lab.paloaltonetworks.com/registered-ip.html (registered-ip objects).
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import lru_cache
from xml.etree import ElementTree as ET

from hikeshi.capabilities import Indicator
from hikeshi.connector import Invalid, Unsupported
from hikeshi_connectors.panos.addresses import ADDRESS_KINDS, canonical, registered_form

__all__ = ["registered_forms", "tagged_in"]


def registered_forms(indicators: Iterable[Indicator]) -> set[str]:
    """Return the addresses and networks among indicators as they are registered, without those that cannot be."""
    found: set[str] = set()
    for indicator in indicators:
        if indicator.kind in ADDRESS_KINDS:
            with suppress(Unsupported, Invalid):
                found.add(registered_form(indicator))
    return found


def tagged_in(
    entries: Iterable[ET.Element], tag: str, wanted: Container[str], now: datetime
) -> dict[str, datetime | None]:
    """Return those of the wanted addresses, canonical, that have a tag by these entries, each with its expiry."""
    tagged: dict[str, datetime | None] = {}
    for entry in entries:
        if (address := canonical(entry.get("ip", ""))) not in wanted:
            continue
        for member in entry.iterfind("tag/member"):
            if member.text == tag:
                tagged[address] = _expiry(member.get("timeout", ""), now)
    return tagged


@lru_cache(maxsize=1024)  # many tags of one page have the same time left
def _expiry(remaining_s: str, now: datetime) -> datetime | None:
    """Return the time of expiry, rounded up to a minute so that readings of one tag hardly differ; "0" is never."""
    if not remaining_s.isdecimal() or int(remaining_s) == 0:
        return None
    at = now + timedelta(seconds=int(remaining_s))
    return at.replace(second=0, microsecond=0) + timedelta(minutes=1)
