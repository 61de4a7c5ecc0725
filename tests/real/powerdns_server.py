"""A PowerDNS Authoritative Server as a process, and beside it a BIND resolver that uses its response policy zone."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import httpx

_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_ENVIRONMENT = {**os.environ, "PATH": _PATH}
_SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
_START_S = 20
ZONE = "rpz.test"
_RESOLVER = """
options {{
  directory "{folder}";
  pid-file "{folder}/named.pid";
  session-keyfile "{folder}/session.key";
  listen-on port {port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  recursion yes;
  dnssec-validation no;
  response-policy {{ zone "{zone}"; }} recursive-only no min-update-interval 0;
}};
controls {{ }};
zone "." {{ type hint; file "/dev/null"; }};
zone "{zone}" {{ type secondary; primaries {{ 127.0.0.1 port {primary}; }}; file "{folder}/rpz.db"; }};
zone "example" {{ type primary; file "{folder}/example.db"; }};
"""
_NAMES = "$TTL 1\n@ SOA localhost. root.localhost. 1 3600 900 86400 1\n  NS localhost.\n* A 192.0.2.1\n"


def why_not() -> str | None:
    """Return why it cannot be tried on this machine, or None."""
    missing = [each for each in ("pdns_server", "named") if shutil.which(each, path=_PATH) is None]
    if not _SCHEMA.exists():
        missing.append("pdns-backend-sqlite3")
    return f"not installed: {', '.join(missing)} (see tests/real/packages.txt)" if missing else None


@dataclass(frozen=True, slots=True)
class Servers:
    """Both servers: where the API is and its key, and where clients ask."""

    url: str
    api_key: str
    port: int

    def resolves(self, name: str) -> bool:
        """Say whether a client of the resolver gets an address for a name; no such name is the only other answer."""
        answer = dns.query.udp(dns.message.make_query(f"{name}.", "A"), "127.0.0.1", port=self.port, timeout=1)
        assert answer.rcode() in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN), dns.rcode.to_text(answer.rcode())
        return bool(answer.answer)

    def until(self, name: str, *, resolves: bool) -> None:
        """Wait until the resolver has got the zone, and answers like this."""
        _wait(lambda: self.resolves(name) is resolves, f"{name} resolves: {not resolves}")


@contextlib.contextmanager
def servers(folder: Path) -> Iterator[Servers]:
    """Run both servers in this folder for the time of the block."""
    web, primary, resolver = _free_ports(3)
    made = Servers(f"http://127.0.0.1:{web}", secrets.token_hex(16), resolver)
    with contextlib.closing(sqlite3.connect(folder / "db")) as database:
        database.executescript(_SCHEMA.read_text(encoding="utf-8"))
    config = _RESOLVER.format(folder=folder, port=resolver, primary=primary, zone=ZONE)
    (folder / "named.conf").write_text(config, encoding="utf-8")
    (folder / "example.db").write_text(_NAMES, encoding="utf-8")
    authoritative = [
        "pdns_server", "--no-config", f"--config-dir={folder}", f"--socket-dir={folder}", "--daemon=no",
        "--guardian=no",
        "--launch=gsqlite3", f"--gsqlite3-database={folder}/db", "--local-address=127.0.0.1", f"--local-port={primary}",
        "--api=yes", f"--api-key={made.api_key}", "--webserver=yes", "--webserver-address=127.0.0.1",
        f"--webserver-port={web}", "--primary=yes", "--xfr-cycle-interval=1", f"--also-notify=127.0.0.1:{resolver}",
    ]  # fmt: skip
    with (folder / "log").open("wb") as log, contextlib.ExitStack() as stack:
        _start(stack, authoritative, log)
        _wait(lambda: _has_zone(made), "the API does not answer")
        _start(stack, ["named", "-g", "-n", "1", "-c", str(folder / "named.conf")], log)
        _wait(lambda: made.resolves("ready.example"), "the resolver does not answer")
        yield made


def _start(stack: contextlib.ExitStack, words: list[str], log: object) -> None:
    server = stack.enter_context(subprocess.Popen(words, env=_ENVIRONMENT, stdout=log, stderr=log))  # type: ignore[call-overload]  # a file
    stack.callback(server.kill)


def _has_zone(made: Servers) -> bool:
    zone = {"name": f"{ZONE}.", "kind": "Master", "nameservers": ["localhost."], "soa_edit_api": "DEFAULT"}
    headers = {"x-api-key": made.api_key}
    return httpx.post(f"{made.url}/api/v1/servers/localhost/zones", json=zone, headers=headers).status_code == 201


def _free_ports(number: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)]
        return [each.getsockname()[1] for each in found]


def _wait(so: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, httpx.TransportError, dns.exception.DNSException, AssertionError):
            if so():
                return
        time.sleep(0.05)
    raise AssertionError(what)
