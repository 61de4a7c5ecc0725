"""The server that every benchmark talks to: fixed JSON for each POST, on the loopback address only.

It remembers what a change switched on, so that a verified change has something to read back, and when the first POST
arrived, which tells how long a command took to start.

    POST any path       a fixed answer; a path under /on/ is remembered
    GET  /on/NAME       {"on": true} if there was a POST to it
    GET  /first         the monotonic time of the first POST since this was last asked, in nanoseconds
"""

import asyncio
import json
import time

_ANSWER = json.dumps({"ok": True, "id": "1", "channel": "C01", "ts": "1.1"}).encode()


class State:
    """What the server remembers."""

    def __init__(self) -> None:
        self.on: set[bytes] = set()
        self.first_ns: int | None = None

    def answer(self, method: bytes, path: bytes) -> bytes:
        if method == b"POST":
            if self.first_ns is None:
                self.first_ns = time.monotonic_ns()
            if path.startswith(b"/on/"):
                self.on.add(path)
            return _ANSWER
        if path == b"/first":
            first_ns, self.first_ns = self.first_ns, None
            return json.dumps({"first_ns": first_ns}).encode()
        return b'{"on":true}' if path in self.on else b'{"on":false}'


class Connection(asyncio.Protocol):
    """One connection. Requests come one after the other, each with a length or without a body."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._received = b""
        self._transport: asyncio.WriteTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            whole = end + 4 + _body_length(head)
            if len(self._received) < whole:
                return
            self._received = self._received[whole:]
            method, path, _ = head.split(b" ", 2)
            body = self._state.answer(method, path)
            assert self._transport is not None
            self._transport.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
            )


def _body_length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            return int(value)
    return 0


async def main() -> None:
    """Serve until the process is ended. The first line printed is the port."""
    state = State()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(state), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
