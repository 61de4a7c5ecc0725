"""Sockets for the connections to products, with a last look at the door in the moment in which bytes leave.

Between deciding to send a change and sending it lie the making of a connection and turns of the event loop, in which a
process can be suspended and its runs be taken over. Other libraries yield to the loop once more before they write; here
nothing comes between the look and the write.
"""

from __future__ import annotations

import asyncio
import ipaddress
import select
import socket
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

from hikeshi.capabilities import Effect
from hikeshi.connector.door import current_door

__all__ = ["DoorNetwork", "PrivateAddress"]

_NEXT_ADDRESS_AFTER_S = 0.25
_CONNECTED = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]


class PrivateAddress(httpcore.ConnectError):
    """A name led to an address that the internet does not reach, and only such are allowed. Nothing was sent."""


class DoorNetwork(httpcore.AsyncNetworkBackend):
    """Connects over asyncio's own streams; with `public_only`, to no address of a private network or this machine."""

    def __init__(self, *, public_only: bool = False) -> None:
        self._public_only = public_only

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the interface is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect. Raises httpcore.ConnectError, ConnectTimeout: nothing was sent."""
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(
                    host,
                    port,
                    local_addr=None if local_address is None else (local_address, 0),
                    happy_eyeballs_delay=_NEXT_ADDRESS_AFTER_S,
                )
        except TimeoutError as exc:
            raise httpcore.ConnectTimeout(str(exc)) from exc
        except OSError as exc:
            raise httpcore.ConnectError(str(exc)) from exc
        # The address that was really connected to: a name may lead elsewhere each time it is asked for.
        if self._public_only and not ipaddress.ip_address(writer.get_extra_info("peername")[0]).is_global:
            writer.transport.abort()
            raise PrivateAddress("a private address")
        found: socket.socket = writer.get_extra_info("socket")
        for option in [*_CONNECTED, *(socket_options or ())]:
            found.setsockopt(*option)
        return _Stream(reader, writer)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - as above
        """Return what has come, nothing at the end. Raises httpcore.ReadError, ReadTimeout."""
        try:
            async with asyncio.timeout(timeout):
                return await self._reader.read(max_bytes)
        except TimeoutError as exc:
            raise httpcore.ReadTimeout(str(exc)) from exc
        except OSError as exc:
            raise httpcore.ReadError(str(exc)) from exc

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109 - as above
        """Send. Raises httpcore.WriteError, WriteTimeout, and what the door raises if the change may not leave now."""
        if not buffer:
            return
        door = current_door()
        # Telling people twice does no harm, and a read none at all.
        if door is not None and door.sent and door.effect is Effect.CHANGE:
            door.leave()
        try:
            self._writer.write(buffer)
            async with asyncio.timeout(timeout):
                await self._writer.drain()
        except TimeoutError as exc:
            raise httpcore.WriteTimeout(str(exc)) from exc
        except OSError as exc:
            raise httpcore.WriteError(str(exc)) from exc

    async def aclose(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return  # the other side was faster

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - as above
    ) -> httpcore.AsyncNetworkStream:
        """Speak TLS from now on. Raises httpcore.ConnectError, ConnectTimeout: nothing was sent."""
        try:
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(ssl_context, server_hostname=server_hostname)
        except TimeoutError as exc:
            self._writer.transport.abort()
            raise httpcore.ConnectTimeout(str(exc)) from exc
        except OSError as exc:  # ssl's errors are of this kind
            self._writer.transport.abort()
            raise httpcore.ConnectError(str(exc)) from exc
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._reader.at_eof() or _is_readable(self._writer.get_extra_info("socket"))
        return self._writer.get_extra_info({"server_addr": "peername", "client_addr": "sockname"}.get(info, info))


def _is_readable(found: Any) -> bool:
    """Say whether something has come on an idle connection: that can only be its end."""
    if found is None or found.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(found.fileno(), select.POLLIN)
    return bool(poll.poll(0))
