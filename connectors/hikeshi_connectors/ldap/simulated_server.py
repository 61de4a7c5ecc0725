"""A small server of LDAP version 3: sign-in, searches with filters and pages, modifications, goodbye.

It shares no code with the library that the connector uses, so that no mistake is understood by both.
Source: RFC 4511; RFC 2696 for pages.
"""

from __future__ import annotations

import logging
import re
import socket
import socketserver
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from hikeshi_connectors.ldap.simulated_ber import element, elements, integer, number_in, octets, size_of
from hikeshi_connectors.ldap.simulated_tree import Attributes, Change, Operation

__all__ = ["Answer", "Domain", "LdapServer", "Test"]

_LOG = logging.getLogger(__name__)
_COOKIE: Final = b"1\x00"
_PAGED: Final = "1.2.840.113556.1.4.319"
_SEQUENCE, _SET, _ENUMERATED, _CONTROLS = 0x30, 0x31, 0x0A, 0xA0
_BIND, _UNBIND, _SEARCH, _MODIFY, _EXTENDED = 0x60, 0x42, 0x63, 0x66, 0x77
_ENTRY: Final = 0x64
_ANSWERS: Final = {_BIND: 0x61, _SEARCH: 0x65, _MODIFY: 0x67, _EXTENDED: 0x78}
_SIMPLE: Final = 0x80
_OPERATIONS: Final[tuple[Operation, ...]] = ("add", "delete", "replace")
_BINARY: Final = frozenset({"objectguid", "objectsid"})

Test = Callable[[Attributes], bool]
Page = tuple[int, bytes]


@dataclass(slots=True)
class Answer:
    """What the domain says to one request; `entries` are names and values by attribute.

    `cookie` belongs to a search in pages; b"" ends them. `spoil` breaks the answer, and gives None to hang up without.
    """

    code: int = 0
    text: str = ""
    entries: Sequence[tuple[str, Mapping[str, Sequence[bytes]]]] = ()
    cookie: bytes | None = None
    spoil: Callable[[bytes], bytes | None] | None = field(default=None)


class Domain(Protocol):
    """What the server asks for each request. It is called from threads.

    `page_most` is how many entries a search gives at once.
    """

    page_most: int

    def bind(self, name: str, password: str) -> Answer: ...

    def root(self, name: str) -> Answer:
        """Describe the server itself to who signed in under a name."""
        ...

    def search(self, base: str, scope: int, wanted: Test, attributes: Sequence[str]) -> Answer: ...

    def modify(self, dn: str, changes: Sequence[Change]) -> Answer: ...


class LdapServer(socketserver.ThreadingTCPServer):
    """Serves a socket that listens, under TLS, with a thread for each connection."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, domain: Domain, listener: socket.socket, context: ssl.SSLContext) -> None:
        super().__init__(listener.getsockname(), _Connection, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.domain = domain
        self._context = context

    def finish_request(self, request: Any, client_address: Any) -> None:
        # Here, in the connection's thread, so that a slow handshake keeps nobody waiting.
        request.settimeout(30)
        request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with suppress(OSError), self._context.wrap_socket(request, server_side=True) as protected:
            _Connection(protected, client_address, self)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - socketserver's signature
        """Say what failed; a client that hangs up never gets here."""
        _LOG.exception("simulator_failed product=ldap")


class _Connection(socketserver.BaseRequestHandler):
    server: LdapServer
    request: socket.socket

    def handle(self) -> None:
        self._bound: str | None = None
        self._left: list[tuple[str, Mapping[str, Sequence[bytes]]]] = []
        with suppress(OSError):
            for content in _messages(self.request):
                if not self._answered(content):
                    return

    def _answered(self, content: bytes) -> bool:
        ((_, message),) = elements(content)
        (_, number), (kind, asked), *controls = elements(message)
        if kind not in _ANSWERS:
            return False
        answer = self._answer(kind, list(elements(asked)), controls)
        sent = b"".join(_message(number, _entry(dn, values)) for dn, values in answer.entries)
        result = element(_ANSWERS[kind], integer(answer.code, _ENUMERATED), octets(""), octets(answer.text))
        sent += _message(number, result, _page_control(answer.cookie))
        given = sent if answer.spoil is None else answer.spoil(sent)
        if given is not None:
            self.request.sendall(given)
        return answer.spoil is None

    def _answer(self, kind: int, parts: list[tuple[int, bytes]], controls: list[tuple[int, bytes]]) -> Answer:
        values = [value for _, value in parts]
        if kind == _BIND:
            simple, password = parts[2]
            answer = self.server.domain.bind(values[1].decode(), password.decode() if simple == _SIMPLE else "")
            self._bound = values[1].decode() if answer.code == 0 else None
            return answer
        if self._bound is None:
            return Answer(1, "00002020: Operation unavailable without authentication")
        if kind == _EXTENDED:
            # Also who am I: Samba has none of it either.
            return Answer(2, f"Extended Operation({values[0].decode()}) not supported")
        if kind == _MODIFY:
            return self.server.domain.modify(values[0].decode(), list(_changes(values[1])))
        page = _page(controls)
        if page is not None and page[1]:
            return self._paged(Answer(), page[0])
        if not values[0] and number_in(values[1]) == 0:
            return self.server.domain.root(self._bound)
        attributes = [each.decode() for _, each in elements(values[7])]
        answer = self.server.domain.search(values[0].decode(), number_in(values[1]), _test(*parts[6]), attributes)
        self._left = list(answer.entries)
        most = self.server.domain.page_most
        if page is None:
            answer.entries = self._left[:most]
            answer.code = 4 if len(self._left) > most else answer.code
            return answer
        return self._paged(answer, page[0])

    def _paged(self, answer: Answer, size: int) -> Answer:
        """Give the next page of what was found. The cookie is the same each time, as Samba's is."""
        size = min(size, self.server.domain.page_most)
        answer.entries, self._left = self._left[:size], self._left[size:]
        answer.cookie = _COOKIE if self._left else b""
        return answer


def _messages(connection: socket.socket) -> Iterator[bytes]:
    """Yield the messages of a connection as they come."""
    unread = b""
    while True:
        size = size_of(unread)
        if size is not None and size <= len(unread):
            yield unread[:size]
            unread = unread[size:]
            continue
        got = connection.recv(65536)
        if not got:
            return
        unread += got


def _changes(content: bytes) -> Iterator[Change]:
    for _, change in elements(content):
        (_, operation), (_, attribute) = elements(change)
        (_, name), (_, values) = elements(attribute)
        yield _OPERATIONS[number_in(operation)], name.decode(), [value for _, value in elements(values)]


def _page(controls: list[tuple[int, bytes]]) -> Page | None:
    for _, listed in controls:
        for _, control in elements(listed):
            parts = [value for _, value in elements(control)]
            if parts[0].decode() == _PAGED:
                ((_, value),) = elements(parts[-1])
                (_, size), (_, cookie) = elements(value)
                return number_in(size), cookie
    return None


def _page_control(cookie: bytes | None) -> bytes:
    if cookie is None:
        return b""
    value = element(_SEQUENCE, integer(0), octets(cookie))
    return element(_CONTROLS, element(_SEQUENCE, octets(_PAGED), octets(value)))


def _test(tag: int, content: bytes) -> Test:
    """Return a filter as a test of an entry's attributes. Source: RFC 4511, 4.5.1.7."""
    match tag:
        case 0xA0 | 0xA1:
            tests, together = [_test(*each) for each in elements(content)], all if tag == 0xA0 else any
            return lambda values: together(test(values) for test in tests)
        case 0xA2:
            ((inner_tag, inner),) = elements(content)
            test = _test(inner_tag, inner)
            return lambda values: not test(values)
        case 0xA3:
            (_, name), (_, value) = elements(content)
            return _equal(name.decode().lower(), value)
        case 0xA4:
            (_, name), (_, parts) = elements(content)
            return _like(name.decode().lower(), parts)
        case 0x87:
            attribute = content.decode().lower()
            return lambda values: bool(values(attribute))
    return lambda _: False


def _equal(name: str, value: bytes) -> Test:
    if name in _BINARY:
        return lambda values: value in values(name)
    sought = value.lower()
    return lambda values: sought in [each.lower() for each in values(name)]


def _like(name: str, parts: bytes) -> Test:
    texts = [(tag, re.escape(value.lower())) for tag, value in elements(parts)]
    initial = b"" if texts[0][0] == 0x80 else b".*"
    final = b"" if texts[-1][0] == 0x82 else b".*"
    sought = re.compile(initial + b".*".join(text for _, text in texts) + final, re.DOTALL)
    return lambda values: any(sought.fullmatch(each.lower()) for each in values(name))


def _message(number: bytes, operation: bytes, controls: bytes = b"") -> bytes:
    return element(_SEQUENCE, element(0x02, number), operation, controls)


def _entry(dn: str, attributes: Mapping[str, Sequence[bytes]]) -> bytes:
    listed = [
        element(_SEQUENCE, octets(name), element(_SET, *(octets(value) for value in values)))
        for name, values in attributes.items()
    ]
    return element(_ENTRY, octets(dn), element(_SEQUENCE, *listed))
