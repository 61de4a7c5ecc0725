"""Connections to products, quick with many calls at once. With `http.py` the only place that knows httpx.

One pool of httpx looks at each of its connections for each request, which costs more than the request itself when
fifty are under way. Here every request has a connection of its own, and idle ones wait on a stack. Errors keep the
exact meaning httpx gives them, which matters: "never connected" is provably not applied, "lost afterwards" is not.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final, NoReturn

import httpcore
import httpx

from hikeshi.connector.network import DoorNetwork, PrivateAddress

__all__ = ["ConnectionStack", "NotPublic"]

_IDLE_MOST: Final = 100
_IDLE_MOST_S: Final = 5.0
_DEFAULT_PORTS: Final = {b"http": 80, b"https": 443}


class NotPublic(httpx.ConnectError):
    """A host has a private address, and only public ones are allowed."""


# The two libraries name what can go wrong alike.
_ERRORS: Final[dict[type[Exception], type[httpx.TransportError]]] = {
    PrivateAddress: NotPublic,
    httpcore.ConnectError: httpx.ConnectError,
    httpcore.ConnectTimeout: httpx.ConnectTimeout,
    httpcore.ReadError: httpx.ReadError,
    httpcore.ReadTimeout: httpx.ReadTimeout,
    httpcore.WriteError: httpx.WriteError,
    httpcore.WriteTimeout: httpx.WriteTimeout,
    httpcore.LocalProtocolError: httpx.LocalProtocolError,
    httpcore.RemoteProtocolError: httpx.RemoteProtocolError,
}
_Connection = httpcore.AsyncHTTPConnection
_Address = tuple[bytes, bytes, int | None]


@dataclass(slots=True)
class _Stack:
    """The idle connections to one origin."""

    origin: httpcore.Origin
    idle: list[_Connection] = field(default_factory=list)


class ConnectionStack(httpx.AsyncBaseTransport):
    """An httpx transport that gives each request under way a connection of its own."""

    def __init__(self, ca_file: str | None = None, *, public_only: bool = False) -> None:
        self._stacks: dict[_Address, _Stack] = {}
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None
        self._network = DoorNetwork(public_only=public_only)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        stack = self._stack(request.url)
        connection = await self._taken(stack)
        try:
            answer = await connection.handle_async_request(_translated(request))
        except BaseException as exc:
            await connection.aclose()
            if isinstance(exc, Exception):
                _raise_as_httpx(exc)
            raise
        body = _Body(answer, connection, stack.idle)
        return httpx.Response(answer.status, headers=answer.headers, stream=body, extensions=answer.extensions)

    async def aclose(self) -> None:
        for stack in self._stacks.values():
            while stack.idle:
                await stack.idle.pop().aclose()

    def _stack(self, url: httpx.URL) -> _Stack:
        address = scheme, host, port = url.raw_scheme, url.raw_host, url.port
        if address not in self._stacks:
            if scheme not in _DEFAULT_PORTS or not host:
                raise httpx.UnsupportedProtocol("an address begins with http:// or https:// and names a host")
            self._stacks[address] = _Stack(httpcore.Origin(scheme, host, port or _DEFAULT_PORTS[scheme]))
        return self._stacks[address]

    async def _taken(self, stack: _Stack) -> _Connection:
        """Return a connection for one request: an idle one that the product has not closed meanwhile, or a new one."""
        while stack.idle:
            connection = stack.idle.pop()
            if connection.is_available() and not connection.has_expired():
                return connection
            await connection.aclose()
        return _Connection(
            stack.origin, self._context(stack.origin), keepalive_expiry=_IDLE_MOST_S, network_backend=self._network
        )

    def _context(self, origin: httpcore.Origin) -> ssl.SSLContext | None:
        if origin.scheme != b"https":
            return None
        if self._tls is None:  # it costs 20 ms
            self._tls = ssl.create_default_context(cafile=self._ca_file)
        return self._tls


class _Body(httpx.AsyncByteStream):
    """A body that gives its connection back when it was read to the end, and drops it otherwise."""

    def __init__(self, answer: httpcore.Response, connection: _Connection, idle: list[_Connection]) -> None:
        self._answer = answer
        self._connection = connection
        self._idle = idle
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._answer.aiter_stream():
                yield chunk
        except tuple(_ERRORS) as exc:
            _raise_as_httpx(exc)

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._answer.aclose()  # a connection whose answer was not read to the end is closed by this
        if self._connection.is_available() and len(self._idle) < _IDLE_MOST:
            self._idle.append(self._connection)
        else:
            await self._connection.aclose()


def _translated(request: httpx.Request) -> httpcore.Request:
    url = request.url
    return httpcore.Request(
        request.method,
        httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
        headers=request.headers.raw,
        content=request.stream,
        extensions=request.extensions,
    )


def _raise_as_httpx(exc: Exception) -> NoReturn:
    """Raise httpx's error of the same meaning; anything else stays what it is."""
    for kind, named in _ERRORS.items():
        if isinstance(exc, kind):
            raise named(str(exc)) from exc
    raise exc
