"""Connections to products, quick with many calls at once. With `http.py` the only place that knows httpx.

One pool of httpx looks at each of its connections for each request, which costs more than the request itself when
fifty are under way. Here every connection is a pool of one, and idle ones wait on a stack. Errors keep the exact
meaning httpx gives them, which matters: "never connected" is provably not applied, "lost afterwards" is not.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator

import httpx

__all__ = ["ConnectionStack"]

_IDLE_MOST = 100
_Origin = tuple[str, str, int | None]


class ConnectionStack(httpx.AsyncBaseTransport):
    """An httpx transport that gives each request under way a connection of its own."""

    def __init__(self, ca_file: str | None = None) -> None:
        self._idle: dict[_Origin, list[httpx.AsyncHTTPTransport]] = {}
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        origin = (request.url.scheme, request.url.host, request.url.port)
        idle = self._idle.setdefault(origin, [])
        connection = idle.pop() if idle else self._connect(request.url.scheme)
        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            await connection.aclose()
            raise
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        response.stream = _Returning(stream, self, connection, idle)
        return response

    async def aclose(self) -> None:
        for idle in self._idle.values():
            while idle:
                await idle.pop().aclose()

    def _connect(self, scheme: str) -> httpx.AsyncHTTPTransport:
        one = httpx.Limits(max_connections=1, max_keepalive_connections=1)
        if scheme != "https":
            # Making a TLS context costs 20 ms, and a connection for http:// never carries anything else.
            return httpx.AsyncHTTPTransport(verify=False, limits=one, trust_env=False)
        if self._tls is None:
            self._tls = ssl.create_default_context(cafile=self._ca_file)
        return httpx.AsyncHTTPTransport(verify=self._tls, limits=one, trust_env=False)

    async def take_back(
        self, connection: httpx.AsyncHTTPTransport, idle: list[httpx.AsyncHTTPTransport], *, whole: bool
    ) -> None:
        if whole and len(idle) < _IDLE_MOST:
            idle.append(connection)
        else:
            await connection.aclose()


class _Returning(httpx.AsyncByteStream):
    """A body that gives its connection back when it was read to the end, and drops it otherwise."""

    def __init__(
        self,
        stream: httpx.AsyncByteStream,
        stack: ConnectionStack,
        connection: httpx.AsyncHTTPTransport,
        idle: list[httpx.AsyncHTTPTransport],
    ) -> None:
        self._stream = stream
        self._stack = stack
        self._connection = connection
        self._idle = idle
        self._whole = False
        self._closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._stream:
            yield chunk
        self._whole = True

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._stream.aclose()
        await self._stack.take_back(self._connection, self._idle, whole=self._whole)
