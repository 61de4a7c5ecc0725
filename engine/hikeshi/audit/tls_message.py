"""One message over TLS to a server that listens and does not answer, and its last word.

With TLS 1.3 a server that refuses us says so only after we may have sent everything. `SSLSocket.unwrap` takes that for
a goodbye (so does OpenSSL's SSL_shutdown). Here it is read as what it is: after our own goodbye, as data would be.
"""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable
from contextlib import suppress
from io import DEFAULT_BUFFER_SIZE
from typing import TypeVar

__all__ = ["send_over_tls"]

_Result = TypeVar("_Result")


def send_over_tls(
    plain: socket.socket, context: ssl.SSLContext, host: str, message: bytes, *, timeout_s: float, goodbye_s: float
) -> None:
    """Send a message, say that it was all, and wait for what the server says to that, if it says anything in time.

    Raises OSError, with ssl's errors among them, if the server is not `host`, or has refused us.
    """
    conversation = _Conversation(plain)
    channel = context.wrap_bio(conversation.incoming, conversation.outgoing, server_hostname=host)
    conversation.go_on(channel.do_handshake, timeout_s)
    channel.write(message)
    with suppress(ssl.SSLWantReadError):
        channel.unwrap()  # writes that this was all; the answer is not there yet
    conversation.flush()
    with suppress(TimeoutError, ssl.SSLEOFError, ssl.SSLZeroReturnError):  # silence, the end, a goodbye
        conversation.go_on(channel.read, goodbye_s)


class _Conversation:
    """What goes to and fro below TLS."""

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self.incoming = ssl.MemoryBIO()
        self.outgoing = ssl.MemoryBIO()

    def go_on(self, step: Callable[[], _Result], timeout_s: float) -> _Result:
        """Do a step of TLS, with as much to and fro as it takes. Raises OSError."""
        until = time.monotonic() + timeout_s
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                pass
            finally:
                self.flush()
            self._receive(until - time.monotonic())

    def flush(self) -> None:
        """Send what TLS has written. Raises OSError."""
        self._plain.sendall(self.outgoing.read())

    def _receive(self, within_s: float) -> None:
        if within_s <= 0:
            raise TimeoutError("The other side did not answer in time")
        self._plain.settimeout(within_s)
        received = self._plain.recv(DEFAULT_BUFFER_SIZE)
        if received:
            self.incoming.write(received)
        else:
            self.incoming.write_eof()
