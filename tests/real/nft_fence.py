"""Two network namespaces, a wire between them, and a firewall in the second: packets are tried, not believed.

left 10.99.0.1, fd99::1  ----  10.99.0.2, fd99::2 right, with the ruleset of the connector's README
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import hikeshi_connectors.nftables

README = Path(hikeshi_connectors.nftables.__file__).with_name("README.md")
LEFT, RIGHT = "10.99.0.1", "10.99.0.2"
LEFT6, RIGHT6 = "fd99::1", "fd99::2"
PORT = 8099
_TRY_S = 0.4
_NUMBERS = count()
# Answers every connection on both kinds of addresses.
_SERVER = f"""
import socket
server = socket.create_server(("::", {PORT}), family=socket.AF_INET6, dualstack_ipv6=True)
print("up", flush=True)
while True:
    server.accept()[0].close()
"""
_CLIENT = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=float(sys.argv[3]))"


def why_not() -> str | None:
    """Return why there can be no fence on this machine, or None."""
    missing = [each for each in ("ip", "nft") if shutil.which(each, path=_PATH) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (see tests/real/packages.txt)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    name = f"hikeshi-try-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", name], env=_ENVIRONMENT, capture_output=True, check=False).returncode:
        return "this machine lets nobody make network namespaces"
    _run("ip", "netns", "del", name)
    return None


_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
_ENVIRONMENT = {**os.environ, "PATH": _PATH}


@dataclass(frozen=True, slots=True)
class Fence:
    """Both namespaces, by name."""

    left: str
    right: str

    @property
    def command(self) -> list[str]:
        """The settings' `command` for the firewall on the right."""
        return ["ip", "netns", "exec", self.right, "nft"]

    def nft(self, *words: str) -> str:
        """Ask the firewall something by hand."""
        return _run(*self.command, *words)

    def gets_through(self, address: str = RIGHT, *, of_right: bool = False) -> bool:
        """Say whether a connection to an address comes about, from the left or `of_right`."""
        words = _python(self.right if of_right else self.left, _CLIENT, address, str(PORT), str(_TRY_S))
        return subprocess.run(words, env=_ENVIRONMENT, capture_output=True, check=False).returncode == 0

    def until_it_gets_through(self, address: str = RIGHT, *, within_s: float = 10) -> float:
        """Return after how many seconds a connection comes about."""
        begun = time.monotonic()
        while not self.gets_through(address):
            assert time.monotonic() - begun < within_s, "nothing gets through"
        return time.monotonic() - begun


@contextlib.contextmanager
def fence() -> Iterator[Fence]:
    """Make the namespaces for the time of the block, and take them away whatever happens."""
    mark = f"{os.getpid() % 100_000}-{next(_NUMBERS)}"
    made = Fence(f"hk-l-{mark}", f"hk-r-{mark}")
    with contextlib.ExitStack() as stack:
        for name in (made.left, made.right):
            _run("ip", "netns", "add", name)
            stack.callback(_run, "ip", "netns", "del", name)
        _connect(made)
        ruleset = re.search(r"```\n(table inet hikeshi \{.*?\n\}\n)```", README.read_text(encoding="utf-8"), re.DOTALL)
        assert ruleset is not None
        _run(*made.command, "-f", "-", given=ruleset[1])
        for name in (made.left, made.right):
            stack.enter_context(_serving(name))
        made.until_it_gets_through(RIGHT6)  # the kernel takes a moment until it uses a new address
        yield made


def _connect(made: Fence) -> None:
    ends = ((made.left, "wire-l", LEFT, LEFT6), (made.right, "wire-r", RIGHT, RIGHT6))
    _run("ip", "-n", made.left, "link", "add", "wire-l", "type", "veth", "peer", "name", "wire-r", "netns", made.right)
    for name, wire, address, address6 in ends:
        _run("ip", "-n", name, "addr", "add", f"{address}/24", "dev", wire)
        _run("ip", "-n", name, "-6", "addr", "add", f"{address6}/64", "dev", wire, "nodad")
        for each in ("lo", wire):
            _run("ip", "-n", name, "link", "set", each, "up")


@contextlib.contextmanager
def _serving(namespace: str) -> Iterator[None]:
    words = _python(namespace, _SERVER)
    with subprocess.Popen(words, env=_ENVIRONMENT, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == b"up\n"
            yield
        finally:
            server.kill()


def _python(namespace: str, script: str, *words: str) -> list[str]:
    return ["ip", "netns", "exec", namespace, sys.executable, "-I", "-S", "-c", script, *words]


def _run(*words: str, given: str = "") -> str:
    done = subprocess.run(words, env=_ENVIRONMENT, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)} ended with {done.returncode}: {done.stderr}"
    return done.stdout
