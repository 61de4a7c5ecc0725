"""How a name server's answers to updates and transfers become errors."""

import contextlib
import socketserver
import threading
import time
from collections.abc import Callable, Iterator

import pytest

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

pytest.importorskip("dns", reason="dnspython is not installed")

import dns.message
import dns.name
import dns.rcode
import dns.rrset
import dns.tsig
import dns.update

from hikeshi_connectors.rpz.server import Server
from hikeshi_connectors.rpz.updates import deletion

KEY = dns.tsig.Key("hikeshi.", "dW5pdC10ZXN0LWtleS1vZi0zMi1ieXRlcy1sb25nISE=", "hmac-sha256.")
OTHER = dns.tsig.Key("hikeshi.", "c29tZSBvdGhlciBrZXkgdGhhdCBpcyBub25l", "hmac-sha256.")
Answer = Callable[[dns.message.Message], bytes]


@contextlib.contextmanager
def server(answer: Answer | None, *, timeout_s: float = 5, delay_s: float = 0) -> Iterator[Server]:
    """Run a name server that answers like this; None closes the connection."""

    class Connection(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            wire = self.rfile.read(int.from_bytes(self.rfile.read(2)))
            time.sleep(delay_s)
            if answer is not None:
                told = answer(dns.message.from_wire(wire, keyring={KEY.name: KEY}))
                self.wfile.write(len(told).to_bytes(2) + told)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Connection) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.005,))
        thread.start()
        try:
            yield Server("rpz", "127.0.0.1", listening.server_address[1], "rpz.test", timeout_s)
        finally:
            listening.shutdown()
            thread.join()


def saying(rcode: dns.rcode.Rcode, *, signed: bool = True, key: dns.tsig.Key | None = None, error: int = 0) -> Answer:
    def answer(request: dns.message.Message) -> bytes:
        response = dns.message.make_response(request, tsig_error=error)
        response.set_rcode(rcode)
        if key is not None:
            response.use_tsig(key)
        if not signed:
            response.tsig, response.want_tsig_sign = None, False
        return response.to_wire()

    return answer


async def update(to: Server) -> ConnectorError:
    with pytest.raises(ConnectorError) as refused:
        await to.update(deletion("rpz.test", {"evil.example": "."}), KEY)
    return refused.value


@pytest.mark.parametrize(
    ("rcode", "kind", "applied"),
    [
        (dns.rcode.FORMERR, Invalid, Applied.NO),
        (dns.rcode.SERVFAIL, Unavailable, Applied.MAYBE),
        (dns.rcode.NXDOMAIN, Conflict, Applied.NO),
        (dns.rcode.NOTIMP, Unsupported, Applied.NO),
        (dns.rcode.REFUSED, Forbidden, Applied.NO),
        (dns.rcode.YXDOMAIN, Conflict, Applied.NO),
        (dns.rcode.YXRRSET, Conflict, Applied.NO),
        (dns.rcode.NXRRSET, Conflict, Applied.NO),
        (dns.rcode.NOTAUTH, NotFound, Applied.NO),
        (dns.rcode.NOTZONE, Invalid, Applied.NO),
    ],
)
async def test_a_response_code_becomes_the_right_error(
    rcode: dns.rcode.Rcode, kind: type[ConnectorError], applied: Applied
):
    """An update that is refused changed nothing; a server that failed may have failed afterwards."""
    with server(saying(rcode)) as there:
        error = await update(there)
        assert (type(error), error.applied) == (kind, applied)
        assert dns.rcode.to_text(rcode) in error.message
        with pytest.raises(kind):
            await there.records(KEY)


@pytest.mark.parametrize("error", [dns.rcode.BADSIG, dns.rcode.BADKEY, dns.rcode.BADTIME])
async def test_a_signature_that_is_not_accepted_changed_nothing(error: dns.rcode.Rcode):
    """The key is wrong, or a clock."""
    with server(saying(dns.rcode.NOTAUTH, error=error)) as there:
        refused = await update(there)
    assert (type(refused), refused.applied) == (Unauthorized, Applied.NO)


@pytest.mark.parametrize(
    "answer",
    [
        saying(dns.rcode.NOERROR, signed=False),
        saying(dns.rcode.REFUSED, signed=False),
        saying(dns.rcode.NOERROR, key=OTHER),
        lambda _: b"",
        lambda _: b"<html>",
        lambda request: dns.message.make_query("other.test", "A").to_wire(),
    ],
    ids=["unsigned", "unsigned refusal", "other key", "empty", "web page", "other message"],
)
async def test_an_answer_that_is_not_the_servers_says_nothing(answer: Answer):
    """Anybody can send one; the update may have had its effect all the same."""
    with server(answer) as there:
        error = await update(there)
        assert (type(error), error.applied) == (Invalid, Applied.MAYBE)
        with pytest.raises(ConnectorError):
            await there.records(KEY)


async def test_a_connection_that_breaks_may_have_changed_something():
    """Nobody knows how far it came."""
    with server(None) as there:
        error = await update(there)
    assert (type(error), error.applied) == (Unavailable, Applied.MAYBE)


async def test_a_server_that_is_not_there_changed_nothing():
    """No connection, no update."""
    with server(None) as there:
        pass
    error = await update(there)
    assert (type(error), error.applied) == (Unavailable, Applied.NO)


async def test_no_answer_in_time_may_have_changed_something():
    """The connection stands, and nothing comes."""
    with server(None, timeout_s=0.1, delay_s=0.3) as there:
        error = await update(there)
    assert (type(error), error.applied) == (Timeout, Applied.MAYBE)


async def test_half_a_transfer_is_no_zone():
    """It ends with the record with which it began; without that, what is missing is not absent."""

    def half(request: dns.message.Message) -> bytes:
        response = dns.message.make_response(request)
        soa = "localhost. root.localhost. 1 2 3 4 5"
        response.answer = [dns.rrset.from_text("rpz.test.", 60, "IN", "SOA", soa)]
        return response.to_wire(multi=True)

    with server(half, timeout_s=0.3) as there, pytest.raises(ConnectorError):
        await there.records(KEY)
