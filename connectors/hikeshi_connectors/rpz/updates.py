"""DNS updates as text, in the words of nsupdate: what a plan shows, and what a simulator writes down.

Source: RFC 2136, 2.4 and 2.5; nsupdate(1).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dns.name
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.update

__all__ = ["addition", "deletion", "lines_of"]


def addition(zone: str, owners: Sequence[str], target: str, ttl_s: int) -> dns.update.UpdateMessage:
    """Return an update that enters these owners, if not one of them has a record by now."""
    message = dns.update.UpdateMessage(f"{zone}.")
    for owner in owners:
        message.absent(owner)
        message.add(owner, ttl_s, "CNAME", target)
    return message


def deletion(zone: str, targets: Mapping[str, str]) -> dns.update.UpdateMessage:
    """Return an update that deletes, by owner, the CNAME with this very target; what is not there is none."""
    message = dns.update.UpdateMessage(f"{zone}.")
    for owner, target in targets.items():
        message.delete(owner, "CNAME", target)
    return message


def lines_of(message: dns.update.UpdateMessage) -> dict[str, Any]:
    """Return an update as text: its zone, prerequisites and updates."""
    zone = message.zone[0].name
    prerequisites = [f"{_prerequisite(rrset)} {_full(rrset, zone)}" for rrset in message.prerequisite]
    updates = [line for rrset in message.update for line in _updates(rrset, zone)]
    return {"zone": zone.to_text(), "prerequisites": prerequisites, "updates": updates}


def _prerequisite(rrset: dns.rrset.RRset) -> str:
    there = rrset.rdclass != dns.rdataclass.NONE and rrset.deleting != dns.rdataclass.NONE
    any_type = rrset.rdtype == dns.rdatatype.ANY
    return f"{'yx' if there else 'nx'}{'domain' if any_type else 'rrset'}"


def _updates(rrset: dns.rrset.RRset, zone: dns.name.Name) -> list[str]:
    name, kind = _full(rrset, zone), dns.rdatatype.to_text(rrset.rdtype)
    if rrset.deleting == dns.rdataclass.ANY:
        return [f"update delete {name} {kind}"]
    if rrset.deleting == dns.rdataclass.NONE:
        return [f"update delete {name} {kind} {rdata.to_text(origin=zone, relativize=False)}" for rdata in rrset]
    return [f"update add {name} {rrset.ttl} {kind} {rdata.to_text(origin=zone, relativize=False)}" for rdata in rrset]


def _full(rrset: dns.rrset.RRset, zone: dns.name.Name) -> str:
    return rrset.name.derelativize(zone).to_text()
