"""What the simulated name server says: to a good signature, to a bad one, and when a fault is ordered."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import dns.exception
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from hikeshi.testing.faults import Fault
from hikeshi.testing.reception import LOGIN_PAGE
from hikeshi_connectors.rpz.simulated_zone import Refusal, refused, signed

if TYPE_CHECKING:
    from hikeshi_connectors.rpz.simulator import RpzSimulator

__all__ = ["answers_to", "method_of", "spoilt"]

# What a name server answers instead of a status of HTTP. Without one it breaks down.
_RCODES: Final = {403: dns.rcode.REFUSED, 404: dns.rcode.NOTAUTH, 409: dns.rcode.YXDOMAIN}


def method_of(wire: bytes) -> str:
    """Return AXFR, UPDATE or QUERY."""
    try:
        message = dns.message.from_wire(wire, keyring=False)
    except dns.exception.DNSException:
        return "QUERY"
    if message.opcode() == dns.opcode.UPDATE:
        return "UPDATE"
    return "AXFR" if message.question and message.question[0].rdtype == dns.rdatatype.AXFR else "QUERY"


def answers_to(simulator: RpzSimulator, wire: bytes) -> list[bytes]:
    """Return the messages that answer one, each signed as it has to be."""
    key = _key(simulator)
    try:
        message = dns.message.from_wire(wire, keyring={key.name: key})
    except dns.message.UnknownTSIGKey:
        return [_not_accepted(wire, key, dns.rcode.BADKEY)]
    except (dns.tsig.BadSignature, dns.tsig.BadKey, dns.tsig.BadAlgorithm):
        return [_not_accepted(wire, key, dns.rcode.BADSIG)]
    except dns.exception.DNSException:
        return []
    if not message.had_tsig:
        return [refused(message, dns.rcode.REFUSED).to_wire()]
    if isinstance(message, dns.update.UpdateMessage):
        return [_updated(simulator, message)]
    return _transferred(simulator, message)


def spoilt(simulator: RpzSimulator, fault: Fault, wire: bytes, answers: list[bytes]) -> list[bytes]:
    """Return what the fault makes of the answers."""
    key = _key(simulator)
    if fault.html:
        return [LOGIN_PAGE]
    if fault.status == 200:
        return [str(fault.body).encode()]
    if fault.status == 401:
        return [_not_accepted(wire, key, dns.rcode.BADSIG)]
    if fault.status is not None or fault.too_many_requests_s is not None:
        message = dns.message.from_wire(wire, keyring={key.name: key})
        return [signed(refused(message, _RCODES.get(fault.status or 0, dns.rcode.SERVFAIL)), None, multi=False)[0]]
    return answers


def _key(simulator: RpzSimulator) -> dns.tsig.Key:
    given = simulator.credentials
    return dns.tsig.Key(f"{given['tsig_name']}.", given["tsig_secret"], dns.tsig.HMAC_SHA256)


def _updated(simulator: RpzSimulator, message: dns.update.UpdateMessage) -> bytes:
    rcode = dns.rcode.NOERROR
    try:
        simulator.zone.update(message)
    except Refusal as refusal:
        rcode = refusal.rcode
    simulator.note_update(message, applied=rcode == dns.rcode.NOERROR)
    return signed(refused(message, rcode), None, multi=False)[0]


def _transferred(simulator: RpzSimulator, message: dns.message.Message) -> list[bytes]:
    context: Any = None
    found = []
    try:
        for answer in simulator.zone.transfer(message):
            wire, context = signed(answer, context, multi=True)
            found.append(wire)
    except Refusal as refusal:
        return [signed(refused(message, refusal.rcode), None, multi=False)[0]]
    return found


def _not_accepted(wire: bytes, key: dns.tsig.Key, error: dns.rcode.Rcode) -> bytes:
    """Return the answer to a bad signature: NOTAUTH, and the reason in the record of the signature."""
    answer = refused(dns.message.from_wire(wire, keyring=False), dns.rcode.NOTAUTH)
    answer.use_tsig(key, tsig_error=error)
    return answer.to_wire()
