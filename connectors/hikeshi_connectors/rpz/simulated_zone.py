"""A response policy zone as a primary server keeps it: signed transfers and updates, with the refusals of RFC 2136."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.update

from hikeshi.testing.estate import Estate

__all__ = ["Refusal", "SimulatedZone", "refused", "signed"]

_TTL_S: Final = 60
_A_MESSAGE: Final = 500  # records of a transfer


class Refusal(Exception):
    """Why the server does not do it."""

    def __init__(self, rcode: dns.rcode.Rcode) -> None:
        super().__init__(dns.rcode.to_text(rcode))
        self.rcode = rcode


class SimulatedZone:
    """The zone, in the estate: owners relative to it, each with its records as type and text; and its serial number."""

    def __init__(self, estate: Estate, zone: str) -> None:
        self._estate = estate
        self._zone = dns.name.from_text(zone)
        estate.product_state.setdefault("rpz", {"records": {}, "serial": 1})

    @property
    def records(self) -> dict[str, list[list[str]]]:
        found: dict[str, list[list[str]]] = self._estate.product_state["rpz"]["records"]
        return found

    def transfer(self, query: dns.message.Message) -> Iterator[dns.message.Message]:
        """Yield the messages of a transfer: the SOA record, everything, and the SOA record again. Raises Refusal."""
        if query.question[0].name != self._zone:
            raise Refusal(dns.rcode.NOTAUTH)
        whole = [self._soa(), self._rrset("@", "NS", "localhost."), *self._entries(), self._soa()]
        for start in range(0, len(whole), _A_MESSAGE):
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.AA
            answer.answer = whole[start : start + _A_MESSAGE]
            yield answer

    def update(self, message: dns.update.UpdateMessage) -> None:
        """Carry out an update, if its prerequisites hold. Raises Refusal; then nothing has changed."""
        if message.zone[0].name != self._zone:
            raise Refusal(dns.rcode.NOTAUTH)
        for rrset in message.prerequisite:
            self._check(rrset)
        for rrset in message.update:
            self._change(rrset)
        self._estate.product_state["rpz"]["serial"] += 1

    def _check(self, rrset: dns.rrset.RRset) -> None:
        there = self.records.get(self._owner(rrset), [])
        if rrset.rdtype != dns.rdatatype.ANY:
            raise Refusal(dns.rcode.NOTIMP)
        if rrset.deleting == dns.rdataclass.NONE and there:
            raise Refusal(dns.rcode.YXDOMAIN)
        if rrset.deleting == dns.rdataclass.ANY and not there:
            raise Refusal(dns.rcode.NXDOMAIN)

    def _change(self, rrset: dns.rrset.RRset) -> None:
        owner, kind = self._owner(rrset), dns.rdatatype.to_text(rrset.rdtype)
        there = [tuple(each) for each in self.records.get(owner, [])]
        if rrset.deleting == dns.rdataclass.ANY:
            kept = [each for each in there if each[0] != kind]
        else:
            told = [(kind, rdata.to_text(origin=self._zone, relativize=False)) for rdata in rrset]
            kept = [each for each in there if each not in told]
            if rrset.deleting is None:
                # A CNAME takes the place of a CNAME, and none that of anything else. Source: RFC 2136, 3.4.2.2.
                others = [each for each in there if each[0] != "CNAME"]
                kept = there if kind == "CNAME" and others else [*others, *told]
        self.records[owner] = [list(each) for each in kept]
        if not kept:
            del self.records[owner]

    def _owner(self, rrset: dns.rrset.RRset) -> str:
        name = rrset.name.derelativize(self._zone)
        if not name.is_subdomain(self._zone):
            raise Refusal(dns.rcode.NOTZONE)
        return name.relativize(self._zone).to_text().lower()

    def _entries(self) -> Iterator[dns.rrset.RRset]:
        for owner, records in self.records.items():
            for kind, text in records:
                yield self._rrset(owner, kind, text)

    def _soa(self) -> dns.rrset.RRset:
        serial = self._estate.product_state["rpz"]["serial"]
        return self._rrset("@", "SOA", f"localhost. root.localhost. {serial} 3600 900 86400 60")

    def _rrset(self, owner: str, kind: str, text: str) -> dns.rrset.RRset:
        name = dns.name.from_text(owner, origin=self._zone)
        return dns.rrset.from_text(name, _TTL_S, "IN", kind, text)


def signed(answer: dns.message.Message, context: Any, *, multi: bool) -> tuple[bytes, Any]:
    """Return a message as bytes, signed as its request was, and what the next message of a transfer needs."""
    wire = answer.to_wire(max_size=65_535, multi=multi, tsig_ctx=context)
    return wire, answer.tsig_ctx


def refused(query: dns.message.Message, rcode: dns.rcode.Rcode) -> dns.message.Message:
    """Return a refusal."""
    answer = dns.message.make_response(query)
    answer.set_rcode(rcode)
    return answer
