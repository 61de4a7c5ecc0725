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

__all__ = ["TARGETS", "Records", "domain_of", "missing", "owners"]

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


def missing(domains: Iterable[str], records: Records, target: str) -> tuple[list[str], dict[str, Conflict]]:
    """Return the owners that have yet to be entered, and the domains for which somebody entered something else."""
    wanted: list[str] = []
    refused: dict[str, Conflict] = {}
    ours = frozenset({("CNAME", target)})
    for domain in domains:
        absent = [owner for owner in owners(domain) if owner not in records]
        other = [owner for owner in owners(domain) if records.get(owner, ours) != ours]
        if other:
            told = ", ".join(f"{kind} {text}" for kind, text in sorted(records[other[0]]))
            refused[domain] = Conflict(f"the zone has another entry for {other[0]}: {told}; it is left as it is")
        else:
            wanted += absent
    return wanted, refused
