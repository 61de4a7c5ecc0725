"""A product with any number of hosts, and its connector: what it was asked, in order, is what the tests count."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.routing import Route as Path_

from hikeshi.capabilities import Edr, Host, Isolation, Model, read
from hikeshi.connector import Connector, Route
from hikeshi.connector.registry import Registry
from hikeshi.testing.simulator import Simulator

__all__ = ["Fleet", "FleetSimulator", "fleet_registry"]


class Text(Model):
    """A text that was made without asking anybody."""

    name: str
    text: str


class Fleet(Connector, Edr, product="fleet"):
    """Hosts that can be cut off."""

    read_routes = (Route("GET", "/**"),)

    async def find_hosts(self, name: str) -> list[Host]:
        found = (await self.http.get(f"/hosts/{name}")).json()
        return [Host(connector=self.name, id=each, name=each) for each in found["names"]]

    async def isolation_of(self, host: Host) -> Isolation:
        found = (await self.http.get(f"/state/{host.id}")).json()
        return Isolation(connector=self.name, host_id=host.id, state=found["state"])

    async def isolate_host(self, host: Host, reason: str) -> None:
        await self.http.post(f"/isolate/{host.id}", json={"text": reason}, last=True)

    async def release_host(self, host: Host, reason: str) -> None:
        await self.http.post(f"/release/{host.id}", json={"text": reason}, last=True)

    @read
    async def fetch(self, name: str, characters: int) -> Text:
        """Make a text of so many characters."""
        return Text(name=name, text=f"{name} " + "x" * characters)


class FleetSimulator(Simulator):
    """The product. `refused` names hosts that it refuses to cut off; while it is `down` it answers nobody."""

    product = "fleet"
    instance_name = "fleet"
    demo_settings: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.isolated: set[str] = set()
        self.asked: list[tuple[str, str]] = []
        self.refused: dict[str, int] = {}  # with which status
        self.down = False

    def routes(self) -> list[BaseRoute]:
        return [
            Path_("/hosts/{name}", self.hosts),
            Path_("/state/{name}", self.state),
            Path_("/{what}/{name}", self.change, methods=["POST"]),
        ]

    def changes(self, what: str) -> Counter[str]:
        """Return how often each host was to be isolated, or released."""
        return Counter(name for asked, name in self.asked if asked == what)

    async def hosts(self, request: Request) -> Response:
        name = self._note("hosts", request)
        names = [f"h{number:04}" for number in range(int(name[3:]))] if name.startswith("all") else [name]
        return self._down() or JSONResponse({"names": names})

    async def state(self, request: Request) -> Response:
        name = self._note("state", request)
        return self._down() or JSONResponse({"state": "isolated" if name in self.isolated else "normal"})

    async def change(self, request: Request) -> Response:
        what = request.path_params["what"]
        name = self._note(what, request)
        if self.down or name in self.refused:
            return self._down() or JSONResponse({"error": "not this one"}, status_code=self.refused[name])
        if what == "isolate":
            self.isolated.add(name)
        else:
            self.isolated.discard(name)
        return JSONResponse({})

    def _note(self, what: str, request: Request) -> str:
        name = str(request.path_params["name"])
        self.asked.append((what, name))
        return name

    def _down(self) -> Response | None:
        return JSONResponse({"error": "maintenance"}, status_code=503) if self.down else None


def fleet_registry() -> Registry:
    """Return a registry with this product in it."""
    registry = Registry()
    registry.add(Fleet)
    return registry
