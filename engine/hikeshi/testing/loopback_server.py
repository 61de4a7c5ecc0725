"""uvicorn, as the simulation needs it: connections can be cut, and it stops at once."""

import asyncio
import importlib.util
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from hikeshi.testing.reception import CONNECTION

GRACE_S = 1.0


def config(app: ASGIApp, *, http: str = "auto") -> uvicorn.Config:
    """Return uvicorn's configuration: no access log, no lifespan, no web sockets, and cuttable connections.
    `http` is "httptools", "h11", or "auto" for the faster one that is installed."""
    return uvicorn.Config(
        app,
        http=_cuttable(http),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,  # uvicorn's own is a second old and more; hints when to come back are compared with it
        timeout_graceful_shutdown=int(GRACE_S),
        timeout_keep_alive=60,
        backlog=2048,
    )


def _cuttable(http: str) -> type[asyncio.Protocol]:
    if http == "auto":
        http = "httptools" if importlib.util.find_spec("httptools") else "h11"
    base: Any
    if http == "httptools":
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol as base
    else:
        from uvicorn.protocols.http.h11_impl import H11Protocol as base

    class CuttableProtocol(base):  # type: ignore[misc]  # the base is chosen by what is installed
        """Leaves the transport in the scope of each request."""

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            super().connection_made(transport)
            app = cast(ASGIApp, vars(self)["app"])

            async def with_connection(scope: Scope, receive: Receive, send: Send) -> None:
                scope[CONNECTION] = transport
                await app(scope, receive, send)

            self.app = with_connection

    return CuttableProtocol


class QuickServer(uvicorn.Server):
    """A server in a thread of a test: uvicorn's own takes two tenths of a second to notice that it should stop."""

    def __init__(self, settings: uvicorn.Config) -> None:
        super().__init__(settings)
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def stop(self) -> None:
        """Stop the server; may be called from another thread, and before it has started."""
        self.should_exit = True
        if self._loop is not None and self._stop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    async def main_loop(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        tick = 0
        while not await self.on_tick(tick):
            tick += 10
            try:
                await asyncio.wait_for(self._stop.wait(), 1)
            except TimeoutError:
                continue

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + GRACE_S
        # uvicorn has no event for "the last connection is gone".
        while (self.server_state.connections or self.server_state.tasks) and loop.time() < deadline:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
        for task in list(self.server_state.tasks):
            task.cancel()
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.close()
        await asyncio.sleep(0)
