"""A primary name server with a response policy zone, over an estate: DNS over TCP on a port of its own.

An ordered fault strikes updates; one whose method is AXFR strikes transfers. With a status it becomes the answer that a
name server has for it.
"""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from starlette.routing import BaseRoute

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Fault, Faults
from hikeshi.testing.simulator import Simulator

if TYPE_CHECKING:
    import dns.update

__all__ = ["RpzSimulator"]

_HOST = "127.0.0.1"


class RpzSimulator(Simulator):
    """The name server of the headquarters. It has no HTTP."""

    product = "rpz"
    instance_name = "rpz"
    demo_settings: ClassVar[Mapping[str, str]] = {
        "zone": "rpz.fleetmate.example",
        "tsig_name": "hikeshi",
        "tsig_secret": "c2ltdWxhdGVkLWtleS1ub3QtYS1zZWNyZXQhISEh",
    }

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        from hikeshi_connectors.rpz.simulated_zone import SimulatedZone

        super().__init__(estate, faults=faults, credentials=credentials)
        self.zone = SimulatedZone(estate, self.credentials["zone"])
        self._port = 0

    def settings_at(self, base_url: str) -> dict[str, Any]:
        return {**self.connector_settings(base_url), "base_url": self._address}

    @property
    def _address(self) -> str:
        if not self._port:
            with socket.create_server((_HOST, 0)) as free:
                self._port = free.getsockname()[1]
        return f"dns://{_HOST}:{self._port}"

    def shows(self) -> dict[str, Any]:
        return {
            "entries": {owner: [" ".join(each) for each in self.zone.records[owner]] for owner in self.zone.records}
        }

    def routes(self) -> list[BaseRoute]:
        return []

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Serve DNS in a thread for the time of the block."""
        assert self._address
        with _DnsServer((_HOST, self._port), self) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.02,), name="rpz", daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    def fault_for(self, method: str) -> Fault | None:
        """Return the fault that strikes such a message, if one is ordered."""
        if method == "AXFR" and not any(each.get("method") == "AXFR" for each in self.faults.waiting()):
            return None
        return self.faults.take(self.product, method, f"/{self.credentials['zone']}")

    def note_update(self, message: dns.update.UpdateMessage, *, applied: bool) -> None:
        """Record an update in the form in which a plan shows it."""
        from hikeshi_connectors.rpz.updates import lines_of

        url = f"{self._address}/{self.credentials['zone']}"
        self.record_change("DNS UPDATE", url, lines_of(message), applied=applied)


class _DnsServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], simulator: RpzSimulator) -> None:
        super().__init__(address, _Connection)
        self.simulator = simulator
        self.lock = threading.Lock()  # the estate has none


class _Connection(socketserver.StreamRequestHandler):
    server: _DnsServer

    def handle(self) -> None:
        while len(head := self.rfile.read(2)) == 2:
            wire = self.rfile.read(int.from_bytes(head))
            if not self._one(wire):
                return

    def _one(self, wire: bytes) -> bool:
        """Answer one message, and say whether the connection goes on."""
        from hikeshi_connectors.rpz.simulated_answers import answers_to, method_of, spoilt

        simulator = self.server.simulator
        with self.server.lock:
            simulator.estate.settle()
            fault = simulator.fault_for(method_of(wire))
            happens = fault is None or fault.when == "after" or fault.kind in ("delay_s", "half", "body_bytes")
            if fault is not None and fault.delay_s is not None and fault.when == "before":
                time.sleep(fault.delay_s)
            answers = answers_to(simulator, wire) if happens else []
        if fault is not None and fault.delay_s is not None and fault.when == "after":
            time.sleep(fault.delay_s)
        if fault is not None and fault.drop is not None:
            return False
        if fault is not None and fault.half:
            whole = len(answers[0]).to_bytes(2) + answers[0]
            self.wfile.write(whole[: len(whole) // 2])
            return False
        for answer in answers if fault is None else spoilt(simulator, fault, wire, answers):
            self.wfile.write(len(answer).to_bytes(2) + answer)
        return True
