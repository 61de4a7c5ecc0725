"""The product itself, in a process of its own. What it writes down is the judge: nobody else is asked.

Every case has a world of its own, below an address of its own, so a request that comes late can't fall into the next
case. One loop serves both the product and the pipe over which the harness asks for a world's record.
"""

from __future__ import annotations

import asyncio
import os
import time
import traceback
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection, Pipe
from typing import Any, ClassVar, NoReturn

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.routing import Route as Path_

from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.faults import parse_fault
from hikeshi.testing.loopback_server import config
from hikeshi.testing.simulation import Simulation
from hikeshi.testing.simulator import Simulator

__all__ = ["Arrival", "Product"]

_HOMES = {"pc": "west", "srv": "east"}  # where a host lives, by how its name begins
_UNDOES = {"release": ("isolate", "normal"), "unblock": ("block", "not")}
_QUIET_TURNS = 20  # turns of the loop in which a request that has arrived would have been noticed
_PATIENCE_S = 10.0


@dataclass
class Arrival:
    """A request that the product has processed. `result`: read, applied, begun, repeated (known by its key)."""

    instance: str
    what: str
    name: str
    key: str
    result: str

    @property
    def effect(self) -> str:
        """Return what it was about: `isolate pc1@west`."""
        return f"{self.what} {self.name}@{self.instance}"


@dataclass
class _World:
    """The product as one case sees it. `looks` is how often one has to look before an isolation is done."""

    looks: int = 0
    half: int = 0  # so many batches break off in the middle, and are answered with 500
    arrivals: list[Arrival] = field(default_factory=list)
    states: dict[tuple[str, str, str], str] = field(default_factory=dict)
    looks_left: dict[tuple[str, str, str], int] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    def read(self, instance: str, what: str, name: str) -> str:
        self.arrivals.append(Arrival(instance, what, name, "", "read"))
        at = (instance, what, name)
        if self.states.get(at) == "isolating":
            self.looks_left[at] -= 1
            if self.looks_left[at] <= 0:
                self.states[at] = "isolated"
        return self.states.get(at, "normal" if what == "isolate" else "not")

    def change(self, instance: str, what: str, name: str, key: str) -> None:
        """Have the effect; the idempotent action alone has none where its key is known."""
        if what == "tag" and self.keys.get(f"{key} {name}"):
            self.arrivals.append(Arrival(instance, what, name, key, "repeated"))
            return
        self.keys[f"{key} {name}"] = what
        self.arrivals.append(Arrival(instance, what, name, key, "applied"))
        if what in _UNDOES:
            undone, state = _UNDOES[what]
            self.states[instance, undone, name] = state
            return
        at = (instance, what, name)
        slow = what == "isolate" and self.looks
        self.looks_left[at] = self.looks
        self.states[at] = "isolating" if slow else "isolated" if what == "isolate" else "done"


class BoxSimulator(Simulator):
    """The product's interface: `/<case>/<instance>/<what>`, GET reads, POST does it."""

    product = "box"
    instance_name = "box"
    demo_settings: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.worlds: dict[str, _World] = defaultdict(_World)

    def routes(self) -> list[BaseRoute]:
        return [
            Path_("/{case}/{instance}/{what}", self.read),
            Path_("/{case}/{instance}/{what}", self.change, methods=["POST"]),
        ]

    async def read(self, request: Request) -> Response:
        world, instance, what = self._where(request)
        names = request.query_params.getlist("name")
        if what == "hosts":
            for name in names:
                world.arrivals.append(Arrival(instance, what, name, "", "read"))
            here = [name for name in names if _HOMES[name.rstrip("0123456789")] == instance]
            return JSONResponse([{"name": name} for name in here])
        return JSONResponse([{"name": name, "state": world.read(instance, what, name)} for name in names])

    async def change(self, request: Request) -> Response:
        world, instance, what = self._where(request)
        names = (await request.json())["names"]
        if what == "wipe" and "missing" in names:
            return JSONResponse({"error": "there is no such thing"}, status_code=404)
        breaks_off = world.half > 0 and len(names) > 1
        for name in names[: len(names) // 2] if breaks_off else names:
            world.change(instance, what, name, request.headers["idempotency-key"])
        if breaks_off:
            world.half -= 1
            return JSONResponse({"error": "broke off in the middle"}, status_code=500)
        return JSONResponse({})

    def _where(self, request: Request) -> tuple[_World, str, str]:
        at = request.path_params
        return self.worlds[at["case"]], at["instance"], at["what"]


class Product:
    """The simulator's process, as the harness holds it. Forked, so make it before there are threads."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        self.pid = os.fork()
        if self.pid == 0:
            self._pipe.close()
            _be_the_product(theirs)
        theirs.close()
        self.url = self._ask("url")

    def open(self, case: str, faults: list[dict[str, Any]], *, looks: int = 0, half: int = 0) -> None:
        """Make the world of a case, with what goes wrong in it; paths of faults are `/<instance>/<what>`."""
        self._ask("open", case, faults, {"looks": looks, "half": half})

    def arrivals(self, case: str, *, settled: bool = True) -> list[Arrival]:
        """Return what has arrived in a world: with `settled` all that ever will, if no process of the case lives."""
        return [Arrival(**each) for each in self._ask("arrivals", case, settled)]

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        os.waitpid(self.pid, 0)

    def _ask(self, *command: Any) -> Any:
        self._pipe.send(command)
        return self._pipe.recv()


def _be_the_product(pipe: Connection) -> NoReturn:
    code = 1
    try:
        asyncio.run(_serve(pipe))
        code = 0
    except KeyboardInterrupt:
        pass
    except BaseException:  # noqa: BLE001 - nothing may leave this process for the lane it was forked from
        traceback.print_exc()
    finally:
        os._exit(code)


async def _serve(pipe: Connection) -> None:
    simulation = Simulation(Estate(EstateState("box", datetime(2026, 3, 2, tzinfo=UTC))), [BoxSimulator])
    settings = config(simulation.app)
    settings.port = 0
    server = uvicorn.Server(settings)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.002)
    loop = asyncio.get_running_loop()
    commands: asyncio.Queue[tuple[Any, ...] | None] = asyncio.Queue()
    loop.add_reader(pipe.fileno(), _receive, pipe, commands)
    while (command := await commands.get()) is not None:
        pipe.send(await _answer(command, simulation, server))
    loop.remove_reader(pipe.fileno())
    server.should_exit = server.force_exit = True
    await serving


def _receive(pipe: Connection, commands: asyncio.Queue[tuple[Any, ...] | None]) -> None:
    try:
        commands.put_nowait(pipe.recv())
    except EOFError:
        commands.put_nowait(None)
        asyncio.get_running_loop().remove_reader(pipe.fileno())


async def _answer(command: tuple[Any, ...], simulation: Simulation, server: uvicorn.Server) -> Any:
    box = simulation.simulators["box"]
    assert isinstance(box, BoxSimulator)
    match command:
        case ("url",):
            port = server.servers[0].sockets[0].getsockname()[1]
            return f"http://127.0.0.1:{port}/box"
        case ("open", case, faults, behaviour):
            simulation.faults.clear()
            simulation.log.clear()
            box.worlds.clear()
            box.worlds[case] = _World(**behaviour)
            for fault in faults:
                simulation.faults.add(parse_fault({**fault, "path": f"/{case}{fault['path']}"}))
            return None
        case ("arrivals", case, settled):
            if settled:
                await _settle(server)
            return [asdict(each) for each in box.worlds[case].arrivals]
        case _:
            raise AssertionError(f"the product does not know {command!r}")


async def _settle(server: uvicorn.Server) -> None:
    """Wait until everything that dead processes have sent is processed, and their connections are gone."""
    quiet, deadline = 0, time.monotonic() + _PATIENCE_S
    while quiet < _QUIET_TURNS:
        if time.monotonic() > deadline:
            raise AssertionError("somebody still talks to the product, though no process of the case should live")
        await asyncio.sleep(0)
        state = server.server_state
        quiet = 0 if state.tasks or state.connections else quiet + 1
