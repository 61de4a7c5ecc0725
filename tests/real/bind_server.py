"""BIND as a process: a zone with names that resolve, and a response policy zone that takes signed updates."""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_ENVIRONMENT = {**os.environ, "PATH": _PATH}
_START_S = 20
ZONE, KEY = "rpz.test", "hikeshi"
# Without the two last words of its policy, BIND changes it once a minute, and leaves names of its own zones alone.
_CONFIG = """
key "{key}" {{ algorithm hmac-sha256; secret "{secret}"; }};
key "stranger" {{ algorithm hmac-sha256; secret "{stranger}"; }};
options {{
  directory "{folder}";
  pid-file "{folder}/named.pid";
  session-keyfile "{folder}/session.key";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  allow-transfer {{ none; }};
  recursion yes;
  dnssec-validation no;
  response-policy {{ zone "{zone}"; }} recursive-only no min-update-interval 0;
}};
controls {{ }};
zone "." {{ type hint; file "/dev/null"; }};
zone "{zone}" {{
  type primary;
  file "{folder}/rpz.db";
  allow-query {{ localhost; }};
  allow-transfer {{ key "{key}"; }};
  update-policy {{ grant "{key}" zonesub CNAME; }};
}};
zone "example" {{ type primary; file "{folder}/example.db"; }};
"""
_POLICY = (
    "$TTL 60\n@ SOA localhost. root.localhost. 1 3600 900 86400 60\n  NS localhost.\ngood.example CNAME rpz-passthru.\n"
)
_NAMES = "$TTL 1\n@ SOA localhost. root.localhost. 1 3600 900 86400 1\n  NS localhost.\n* A 192.0.2.1\n"


def why_not() -> str | None:
    """Return why it cannot be tried on this machine, or None."""
    return None if shutil.which("named", path=_PATH) else "not installed: named (see tests/real/packages.txt)"


@dataclass(frozen=True, slots=True)
class Bind:
    """A name server that runs, and its keys."""

    port: int
    secret: str
    stranger: str

    def resolves(self, name: str) -> bool:
        """Say whether a client of the resolver gets an address for a name; no such name is the only other answer."""
        answer = dns.query.udp(dns.message.make_query(f"{name}.", "A"), "127.0.0.1", port=self.port, timeout=1)
        if answer.rcode() == dns.rcode.NOERROR:
            return bool(answer.answer)
        assert answer.rcode() == dns.rcode.NXDOMAIN, dns.rcode.to_text(answer.rcode())
        return False


@contextlib.contextmanager
def bind(folder: Path) -> Iterator[Bind]:
    """Run a name server in this folder for the time of the block."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    made = Bind(port, *(base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(2)))
    config = _CONFIG.format(folder=folder, port=port, zone=ZONE, key=KEY, secret=made.secret, stranger=made.stranger)
    for name, text in {"named.conf": config, "rpz.db": _POLICY, "example.db": _NAMES}.items():
        (folder / name).write_text(text, encoding="utf-8")
    words = ["named", "-g", "-n", "1", "-c", str(folder / "named.conf")]
    with (folder / "log").open("wb") as log, subprocess.Popen(words, env=_ENVIRONMENT, stderr=log) as server:
        try:
            _wait_for(made, server, folder / "log")
            yield made
        finally:
            server.kill()


def _wait_for(made: Bind, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            if made.resolves("ready.example"):
                return
        except (OSError, dns.exception.DNSException, AssertionError):
            time.sleep(0.05)
        assert server.poll() is None, log.read_text(encoding="utf-8")
        assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
