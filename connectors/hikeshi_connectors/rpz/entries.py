"""Domains as entries of a response policy zone.

An entry is a CNAME record whose owner is the domain below the zone's name, and whose target says what to do: `.` is "no
such name". The domain itself and the names below it (`*.`) are two entries.
Source: https://datatracker.ietf.org/doc/html/draft-vixie-dnsop-dns-rpz-00, sections 3 and 4.1.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from hikeshi.capabilities import Indicator
from hikeshi.connector import Conflict, Invalid, Unsupported

__all__ = ["TARGETS", "Records", "domain_of", "missing", "owners", "target_of", "whole"]

TARGETS: Final = {"nxdomain": ".", "nodata": "*.", "drop": "rpz-drop."}
# Owner, relative to the zone and in lower case -> its records, as type and text.
Records = Mapping[str, frozenset[tuple[str, str]]]
_DOMAIN: Final = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.)+[a-z0-9-]{1,63}", re.ASCII)
_ROOM: Final = 253


def domain_of(indicator: Indicator, zone: str) -> str:
    """Return a domain as it stands in the zone.

    Raises Unsupported for other kinds and for names that are too long below this zone, Invalid for what is no domain.
    """
    if indicator.kind != "domain":
        raise Unsupported(f"a response policy zone holds domains here, not indicators of the kind {indicator.kind}")
    domain = indicator.value.lower().removesuffix(".")
    if not _DOMAIN.fullmatch(domain):
        raise Invalid(f"{indicator.value[:80]!r} is not a domain")
    if len(f"*.{domain}.{zone}") > _ROOM:
        raise Unsupported(f"{domain[:80]!r}... is too long for a name below {zone}")
    return domain


def owners(domain: str) -> tuple[str, str]:
    """Return the owners of both entries of a domain, relative to the zone."""
    return domain, f"*.{domain}"


def target_of(domain: str, records: Records) -> str | None:
    """Return what both entries of a domain say, whichever of our actions that is; None if they are no sinkhole.

    The action in the settings does not matter: an entry from before it was changed is still to be found and deleted.
    """
    own, below = (records.get(owner) for owner in owners(domain))
    return next((target for target in TARGETS.values() if own == below == frozenset({("CNAME", target)})), None)


def whole(domains: Iterable[str], records: Records) -> dict[str, str]:
    """Return the owners of the sinkholes among these domains, each with its target; half of one is somebody else's."""
    found = {domain: target_of(domain, records) for domain in domains}
    return {owner: target for domain, target in found.items() if target for owner in owners(domain)}


def missing(domains: Iterable[str], records: Records) -> tuple[list[str], dict[str, Conflict]]:
    """Return the owners that have yet to be entered, and the domains for which somebody entered something else.

    Half an entry is something else, too: made whole, it would be deleted with the half that we added.
    """
    wanted: list[str] = []
    refused: dict[str, Conflict] = {}
    for domain in domains:
        if not any(owner in records for owner in owners(domain)):
            wanted += owners(domain)
        elif target_of(domain, records) is None:
            refused[domain] = Conflict(f"the zone has another entry for {_told(domain, records)}; it is left as it is")
    return wanted, refused


def _told(domain: str, records: Records) -> str:
    there = [owner for owner in owners(domain) if owner in records]
    told = ", ".join(f"{kind} {text}" for kind, text in sorted(records[there[0]])) or "disabled"
    absent = [owner for owner in owners(domain) if owner not in records]
    return f"{there[0]}: {told}, and none for {absent[0]}" if absent else f"{there[0]}: {told}"
