"""The simulation: every vendor's simulator over one estate, behind one port, with a door for the person in control.

Below `/<product>/` are the vendors. Below `/_estate` is what no vendor has: the state of the estate, the list of all
changes that arrived, faults to order, and the estate's clock. There is no authentication there; the server
listens on the loopback interface.
"""

import contextlib
import ipaddress
import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from hikeshi.testing.change_log import ChangeLog
from hikeshi.testing.estate import Estate, EstateError
from hikeshi.testing.faults import FaultError, Faults, parse_fault
from hikeshi.testing.reception import Reception
from hikeshi.testing.simulator import Simulator

ENTRY_POINTS = "hikeshi.simulators"
START_TIMEOUT_S = 5.0
USUAL_PRODUCTS = ("crowdstrike", "panos", "entra", "slack")
"""What a simulated company has if nobody says otherwise: one product of each kind, for a host that two EDRs know is
an ambiguous one."""


class SimulationError(RuntimeError):
    """The simulation cannot be set up or served as asked; the message says why."""


@dataclass(frozen=True, slots=True)
class Discovery:
    """The simulators that are installed, sorted by product, and why others could not be loaded, by name."""

    simulators: list[type[Simulator]]
    broken: dict[str, str] = field(default_factory=dict)


def discover_simulators(found: Iterable[EntryPoint] | None = None, products: Sequence[str] | None = None) -> Discovery:
    """Return the simulators of the entry-point group `hikeshi.simulators`, of some products or of all.

    One that cannot be loaded is named in `broken` with its error, and the others still work. Raises SimulationError
    for a product that has none.
    """
    points = {each.name: each for each in (entry_points(group=ENTRY_POINTS) if found is None else found)}
    missing = [product for product in products or () if product not in points]
    if missing:
        known = ", ".join(sorted(points)) or "none"
        raise SimulationError(f"no simulator for {', '.join(missing)} is installed (there: {known})")
    simulators: dict[str, type[Simulator]] = {}
    broken: dict[str, str] = {}
    for each in points.values() if products is None else [points[product] for product in products]:
        try:
            loaded = each.load()
        except Exception as exc:  # noqa: BLE001 - a stranger's module may fail in any way; its error is shown
            broken[each.name] = f"{each.value}: {type(exc).__name__}: {exc}"
            continue
        if isinstance(loaded, type) and issubclass(loaded, Simulator):
            simulators[loaded.product] = loaded
        else:
            broken[each.name] = f"{each.value}: is not a subclass of hikeshi.testing.simulator.Simulator"
    return Discovery([simulators[product] for product in sorted(simulators)], broken)


def project_settings(base_url: str, products: Sequence[type[Simulator]] | None = None) -> dict[str, dict[str, Any]]:
    """Return the `connectors:` mapping of a project whose instances talk to the simulation at `base_url`:
    for the given simulators, or for a usual company's."""
    chosen = discover_simulators(products=USUAL_PRODUCTS).simulators if products is None else products
    return {each.instance_name: each.connector_settings(base_url.rstrip("/")) for each in chosen}


class Simulation:
    """Vendor simulators over one estate. `simulators` holds them by product; `changes` is what they were asked to do.

    `app` is the ASGI application. The simulation remembers how the estate was at first; `reset` goes back there.
    """

    def __init__(self, estate: Estate, products: Sequence[type[Simulator]] | None = None) -> None:
        discovery = discover_simulators(products=USUAL_PRODUCTS) if products is None else Discovery(list(products))
        self.estate = estate
        self.broken = discovery.broken
        self.faults = Faults()
        self.log = ChangeLog()
        self.simulators: dict[str, Simulator] = {}
        for each in discovery.simulators:
            if each.product in self.simulators:
                raise SimulationError(f"two simulators for the product {each.product!r}")
            simulator = self.simulators[each.product] = each(estate, faults=self.faults)
            simulator.log = self.log
            simulator.reset()  # so that what it keeps beside the estate is there from the beginning
        self._receptions = {
            product: Reception(simulator, log=self.log, faults=self.faults)
            for product, simulator in self.simulators.items()
        }
        self._first = estate.snapshot_bytes()
        self.app = Starlette(
            routes=[
                *(Mount(f"/{product}", app=reception) for product, reception in self._receptions.items()),
                *_control_routes(self),
            ],
            exception_handlers={HTTPException: _refused, FaultError: _refused, EstateError: _refused},
        )

    @property
    def changes(self) -> list[dict[str, Any]]:
        """All changes that were asked for since the start or the last clearing, in order of arrival, as JSON values."""
        return [change.as_json() for change in self.log.changes]

    def project_settings(self, base_url: str) -> dict[str, dict[str, Any]]:
        """Return the `connectors:` mapping of a project for this simulation, served at `base_url`."""
        return {each.instance_name: each.settings_at(base_url.rstrip("/")) for each in self.simulators.values()}

    @contextlib.contextmanager
    def beside(self) -> Iterator[None]:
        """Run what simulators have beside HTTP for the time of the block."""
        with contextlib.ExitStack() as stack:
            for simulator in self.simulators.values():
                stack.enter_context(simulator.beside())
            yield

    def reset(self) -> None:
        """Put everything back to the beginning: estate, clock, faults, records, and the simulators' own memory."""
        self.estate.restore(json.loads(self._first))
        self.faults.clear()
        self.log.clear()
        for product, reception in self._receptions.items():
            reception.reset()
            self.simulators[product].reset()

    def summary(self) -> dict[str, Any]:
        """Return what a person would look for after a run: everything that is contained, blocked, disabled or said."""
        estate = self.estate
        estate.settle()
        channels = {channel.id: channel.name for channel in estate.channels.values()}
        return {
            "estate": estate.name,
            "now": estate.now().isoformat(),
            "isolated_hosts": [
                {"id": host.id, "name": host.name, "site": host.site, "isolation": host.isolation}
                for host in sorted(estate.hosts.values(), key=lambda host: (host.name, host.id))
                if host.isolation != "normal"
            ],
            "blocked_by_firewall": {
                "addresses": {ip: sorted(tags) for ip, tags in sorted(estate.firewall.registered_tags.items())},
                "url_categories": {
                    name: sorted(entries) for name, entries in sorted(estate.firewall.running.url_categories.items())
                },
            },
            "blocked_by_edr": [
                {"type": ioc.type, "value": ioc.value, "action": ioc.action}
                for ioc in sorted(estate.iocs.values(), key=lambda ioc: (ioc.type, ioc.value))
            ],
            "disabled_users": sorted(user.upn for user in estate.users.values() if not user.enabled),
            "messages": [
                {"channel": channels.get(message.channel, message.channel), "text": message.text}
                for message in estate.messages
            ],
            "tickets": [{"id": ticket.id, "title": ticket.title, "status": ticket.status} for ticket in estate.tickets],
            **{product: shown for product, each in sorted(self.simulators.items()) if (shown := each.shows())},
            "changes": {"asked": len(self.log.changes), "applied": sum(each.applied for each in self.log.changes)},
        }


def _control_routes(simulation: Simulation) -> list[Route]:
    estate, log, faults = simulation.estate, simulation.log, simulation.faults

    async def state(_: Request) -> Response:
        return JSONResponse(estate.snapshot())

    async def summary(_: Request) -> Response:
        return JSONResponse(simulation.summary())

    async def health(_: Request) -> Response:
        return JSONResponse(
            {
                "ok": not simulation.broken,
                "products": sorted(simulation.simulators),
                "broken": simulation.broken,
                "now": estate.now().isoformat(),
            }
        )

    async def changes(_: Request) -> Response:
        return JSONResponse(simulation.changes)

    async def requests(_: Request) -> Response:
        counts = {product: dict(sorted(counter.items())) for product, counter in sorted(log.counts.items())}
        return JSONResponse({"counts": counts, "recent": list(log.recent)})

    async def forget(_: Request) -> Response:
        log.clear()
        return Response(status_code=204)

    async def waiting_faults(_: Request) -> Response:
        return JSONResponse(faults.waiting())

    async def order_fault(request: Request) -> Response:
        faults.add(parse_fault(await _json_object(request)))
        return JSONResponse(faults.waiting(), status_code=201)

    async def clear_faults(_: Request) -> Response:
        faults.clear()
        return Response(status_code=204)

    async def reset(_: Request) -> Response:
        simulation.reset()
        return Response(status_code=204)

    async def clock(request: Request) -> Response:
        asked = await _json_object(request)
        seconds = asked.get("advance_s")
        if set(asked) != {"advance_s"} or isinstance(seconds, bool) or not isinstance(seconds, int | float):
            raise HTTPException(400, 'say how far to advance: {"advance_s": 3600}')
        return JSONResponse({"now": estate.advance(seconds).isoformat()})

    return [
        Route("/_estate", state, methods=["GET"]),
        Route("/_estate/summary", summary, methods=["GET"]),
        Route("/_estate/health", health, methods=["GET"]),
        Route("/_estate/changes", changes, methods=["GET"]),
        Route("/_estate/changes", forget, methods=["DELETE"]),
        Route("/_estate/requests", requests, methods=["GET"]),
        Route("/_estate/faults", waiting_faults, methods=["GET"]),
        Route("/_estate/faults", order_fault, methods=["POST"]),
        Route("/_estate/faults", clear_faults, methods=["DELETE"]),
        Route("/_estate/reset", reset, methods=["POST"]),
        Route("/_estate/clock", clock, methods=["POST"]),
    ]


async def _json_object(request: Request) -> dict[str, Any]:
    try:
        data = await request.json()
    except ValueError as exc:
        raise HTTPException(400, f"the body is not JSON: {exc}") from exc
    if not isinstance(data, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return data


async def _refused(_: Request, exc: Exception) -> Response:
    if isinstance(exc, HTTPException):
        return JSONResponse({"error": exc.detail}, status_code=exc.status_code)
    return JSONResponse({"error": str(exc)}, status_code=400)


def serve(simulation: Simulation, *, host: str = "127.0.0.1", port: int = 8710, allow_remote: bool = False) -> None:
    """Serve the simulation until the process is told to stop.
    Raises SimulationError when the port is taken, and for an address that is not loopback unless `allow_remote`:
    anybody who reaches the port controls the estate."""
    import uvicorn

    from hikeshi.testing.loopback_server import config

    if not allow_remote and not _is_loopback(host):
        raise SimulationError(f"{host} is not a loopback address; serve there only with allow_remote")
    with _listener(host, port) as listener, simulation.beside():
        uvicorn.Server(config(simulation.app)).run(sockets=[listener])


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as exc:
        raise SimulationError(f"cannot listen on {host} port {port}: {exc.strerror}; choose another port") from exc


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def running(simulation: Simulation, *, http: str = "auto") -> Iterator[str]:
    """Serve the simulation in a thread on a free loopback port for the time of the block; gives the base URL.
    Raises SimulationError when the port does not open. For tests and demos."""
    from hikeshi.testing.loopback_server import QuickServer, config

    listener = _listener("127.0.0.1", 0)
    port = listener.getsockname()[1]
    server = QuickServer(config(simulation.app, http=http))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="simulation", daemon=True)
    thread.start()
    try:
        _wait_until_started(server, thread)
        with simulation.beside():
            yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        thread.join(START_TIMEOUT_S)
        listener.close()


def _wait_until_started(server: Any, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise SimulationError("the simulation's server did not start; its log says why")
        time.sleep(0.002)
