"""The primary server of a zone: transfers of it, updates to it, each signed, and what may go wrong with them.

Source: RFC 2136 (updates), RFC 5936 (transfers), RFC 8945 (signatures); BIND 9.18 as it answered.
"""

from __future__ import annotations

import asyncio
import binascii
import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update
import dns.xfr
import dns.zone

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    Timeout,
    Unauthorized,
    Unavailable,
    Unsupported,
)
from hikeshi_connectors.rpz.entries import Records

__all__ = ["Server"]

_REFUSALS: Final[dict[dns.rcode.Rcode, tuple[type[ConnectorError], str]]] = {
    dns.rcode.FORMERR: (Invalid, "the server does not understand the message"),
    dns.rcode.NOTIMP: (Unsupported, "the server does not do that"),
    dns.rcode.REFUSED: (Forbidden, "the key may not do that: see allow-transfer and update-policy"),
    dns.rcode.NOTAUTH: (NotFound, "the server is not the primary of such a zone"),
    dns.rcode.NOTZONE: (Invalid, "a name is not in the zone"),
    dns.rcode.YXDOMAIN: (Conflict, "one of the names has a record by now"),
    dns.rcode.YXRRSET: (Conflict, "one of the records is there by now"),
    dns.rcode.NXRRSET: (Conflict, "one of the records is not there"),
    dns.rcode.NXDOMAIN: (Conflict, "one of the names is not there"),
}
_NOT_CONNECTED: Final = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH)


class Server:
    """One zone on one server. Every message is a TCP connection of its own."""

    def __init__(self, name: str, host: str, port: int, zone: str, timeout_s: float) -> None:
        self._where = f"{name}: {host} port {port}"
        self._host = host
        self._port = port
        self._zone = dns.name.from_text(zone)
        self._timeout_s = timeout_s

    async def records(self, key: dns.tsig.Key) -> Records:
        """Return everything that is in the zone, but for its own SOA and NS records. Raises ConnectorError."""
        zone = dns.zone.Zone(self._zone)
        query, _ = dns.xfr.make_query(zone, serial=None, keyring={key.name: key}, keyname=key.name)
        with self._translated("a transfer"):
            address = await self._address()
            await dns.asyncquery.inbound_xfr(
                address, zone, query, self._port, timeout=self._timeout_s, lifetime=self._timeout_s
            )
        return {
            name.to_text().lower(): frozenset(
                (dns.rdatatype.to_text(each.rdtype), rdata.to_text(origin=self._zone, relativize=False).lower())
                for each in node.rdatasets
                for rdata in each
            )
            for name, node in zone.nodes.items()
            if name != dns.name.empty
        }

    async def update(self, message: dns.update.UpdateMessage, key: dns.tsig.Key) -> None:
        """Send an update. Raises ConnectorError, with whether it can have had its effect."""
        message.use_tsig({key.name: key}, keyname=key.name)
        with self._translated("an update"):
            address = await self._address()
            answer = await dns.asyncquery.tcp(message, address, timeout=self._timeout_s, port=self._port)
        if answer.rcode() != dns.rcode.NOERROR:
            raise self._refusal(answer.rcode(), "an update")

    async def _address(self) -> str:
        found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        return str(found[0][4][0])

    def _refusal(self, rcode: dns.rcode.Rcode, what: str) -> ConnectorError:
        message = f"{self._where} answered {what} with {dns.rcode.to_text(rcode)}"
        kind, hint = _REFUSALS.get(rcode, (None, ""))
        if kind is None:  # SERVFAIL, and what may come: nobody knows how far it came
            return Unavailable(message, applied=Applied.MAYBE)
        return kind(f"{message}; {hint}")

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        """The one door for foreign errors."""
        where = f"{self._where}, {what}"
        try:
            yield
        except dns.xfr.TransferError as exc:
            raise self._refusal(exc.rcode, what) from None
        except (dns.tsig.PeerBadKey, dns.tsig.PeerBadSignature) as exc:
            raise Unauthorized(f"{where}: the server does not accept the key ({type(exc).__name__})") from None
        except dns.tsig.PeerBadTime:
            raise Unauthorized(f"{where}: the clocks of here and there differ too much for a signature") from None
        except dns.exception.Timeout:
            raise Timeout(f"{where}: no answer in time", applied=Applied.MAYBE) from None
        except socket.gaierror as exc:
            raise Unavailable(f"{where}: its name does not resolve ({exc.strerror})", applied=Applied.NO) from None
        except OSError as exc:
            sent = exc.errno not in _NOT_CONNECTED
            told = exc.strerror or type(exc).__name__
            raise Unavailable(f"{where}: {told}", applied=Applied.MAYBE if sent else Applied.NO) from None
        except EOFError:
            raise Unavailable(f"{where}: the connection broke", applied=Applied.MAYBE) from None
        except (dns.exception.DNSException, binascii.Error, ValueError) as exc:
            text = f"{where}: the answer is none, or is not signed as it has to be ({type(exc).__name__})"
            raise Invalid(text, applied=Applied.MAYBE) from None
