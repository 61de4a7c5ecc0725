"""A server on the loopback interface that behaves like the key-value engine, version 2, of a Vault.

It has state: versions, deletions, destructions, tokens, a seal. Answers as documented under
https://developer.hashicorp.com/vault/api-docs/secret/kv/kv-v2 (read 2026-11).
"""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Version:
    values: dict[str, Any]
    deleted: bool = False
    destroyed: bool = False


@dataclass
class KeyValueServer:
    """`entries` are below the mount `secret`, by namespace and path. `asked` are the lines of the requests so far."""

    token: str
    url: str = ""
    entries: dict[tuple[str, str], list[Version]] = field(default_factory=dict)
    sealed: bool = False
    redirect: str = ""
    drips: bool = False
    asked: list[str] = field(default_factory=list)

    def write(self, path: str, values: dict[str, Any], namespace: str = "") -> None:
        """Add a version of an entry."""
        self.entries.setdefault((namespace, path), []).append(Version(values))

    def answer(self, target: str, token: str, namespace: str) -> tuple[int, Any]:
        """Return the status and the document for a read."""
        if self.sealed:
            return 503, {"errors": ["Vault is sealed"]}
        if token != self.token:
            return 403, {"errors": [f"2 errors occurred: permission denied, invalid token {token}"]}
        parts = urlsplit(target)
        mount, _, path = unquote(parts.path).removeprefix("/v1/").partition("/data/")
        if mount != "secret":
            return 403, {"errors": ["preflight capability check returned 403, please ensure client's policies"]}
        versions = self.entries.get((namespace, path), [])
        number = int(parse_qs(parts.query).get("version", ["0"])[0]) or len(versions)
        if not 1 <= number <= len(versions):
            return 404, {"errors": []}
        return _read(number, versions[number - 1])


def _read(number: int, version: Version) -> tuple[int, Any]:
    gone = version.deleted or version.destroyed
    metadata = {
        "created_time": "2026-11-22T10:00:00.5Z",
        "custom_metadata": None,
        "deletion_time": "2026-11-22T11:00:00.5Z" if version.deleted else "",
        "destroyed": version.destroyed,
        "version": number,
    }
    document = {"data": {"data": None if gone else version.values, "metadata": metadata}, "lease_duration": 0}
    return (404 if gone else 200), document


@contextlib.contextmanager
def serving(server: KeyValueServer, tls: ssl.SSLContext | None = None) -> Iterator[KeyValueServer]:
    """Serve for the time of the block; `url` says where."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            server.asked.append(self.path)
            if server.redirect:
                self.send_response(307)
                self.send_header("Location", server.redirect + self.path)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            headers = self.headers
            found = server.answer(self.path, headers.get("x-vault-token", ""), headers.get("x-vault-namespace", ""))
            body = json.dumps(found[1]).encode()
            self.send_response(found[0])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for start in range(0, len(body), 1 if server.drips else len(body)):
                with contextlib.suppress(OSError):  # who asked may be gone
                    self.wfile.write(body[start : start + (1 if server.drips else len(body))])
                time.sleep(0.3 if server.drips else 0)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: what is asked is in `asked`."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Say nothing of those who hang up during the handshake."""

    http = Quiet(("127.0.0.1", 0), Handler)
    if tls is not None:
        http.socket = tls.wrap_socket(http.socket, server_side=True)
    http.block_on_close = False
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    server.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{http.server_address[1]}"
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
