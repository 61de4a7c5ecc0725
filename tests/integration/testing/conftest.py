"""A small vendor to test the machinery with, and a simulation of it over real HTTP."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate, EstateState, Group, Host, User
from hikeshi.testing.simulation import Simulation, running
from hikeshi.testing.simulator import Simulator, bearer_token

BASE = datetime(2025, 11, 21, 11, 30, tzinfo=UTC)


class Acme(Simulator):
    """An EDR that answers 200 with `accepted: false` when it does not want to, and searches by POST."""

    product = "acme"
    instance_name = "acme-eu"
    demo_settings: ClassVar = {"api_key": "simulated-key"}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/hosts/{id}", self.host, methods=["GET"]),
            Route("/v1/hosts/{id}/contain", self.contain, methods=["POST"]),
            Route("/v1/search", self.search, methods=["POST"]),
            Route("/v1/echo", self.echo, methods=["GET", "POST"]),
            Route("/v1/bug", self.bug, methods=["POST"]),
        ]

    def is_change(self, request: Request, body: bytes) -> bool:
        if request.query_params.get("confuse"):
            raise ValueError("cannot tell")
        return super().is_change(request, body) and not request.url.path.endswith("/search")

    def succeeded(self, status: int, body: bytes) -> bool:
        return super().succeeded(status, body) and b'"accepted":false' not in body

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        known = (None, self.credentials["api_key"])
        return None if bearer_token(request) in known else self.error(401, "unknown key")

    def error(self, status: int, detail: str) -> Response:
        return JSONResponse({"acme_error": detail}, status_code=status)

    async def host(self, request: Request) -> Response:
        host = self.estate.hosts.get(request.path_params["id"])
        if host is None:
            raise HTTPException(404, "no such host")
        return JSONResponse({"name": host.name, "isolation": host.isolation})

    async def contain(self, request: Request) -> Response:
        host = self.estate.hosts[request.path_params["id"]]
        if host.isolation != "normal":
            return JSONResponse({"accepted": False})
        self.estate.contain(host.id)
        return JSONResponse({"accepted": True}, status_code=202)

    async def search(self, request: Request) -> Response:
        return JSONResponse([host.id for host in self.estate.hosts_named((await request.json())["name"])])

    async def echo(self, request: Request) -> Response:
        return JSONResponse({"bytes": len(await request.body())})

    async def bug(self, request: Request) -> Response:
        raise ZeroDivisionError("a mistake of the simulator's author")


class HandClock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.at = BASE

    def __call__(self) -> datetime:
        return self.at

    def tick(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def small_state() -> EstateState:
    def host(host_id: str, name: str, site: str, ip: str) -> Host:
        return Host(host_id, name, "linux", "Debian 12", site, "minato.example", [ip], "02:00:00:00:00:01", BASE)

    hosts = [host("h1", "build-01", "ngo", "10.12.0.5"), host("h2", "BUILD-01", "tll", "10.40.0.5")]
    user = User("u1", "mei@minato.example", "mei", "Mei Kato", "IT", "Planner", "tyo", BASE)
    groups = [Group("g2", "VPN Users", members={"u1"}), Group("g1", "Admins", privileged=True, members={"u1"})]
    return EstateState(
        "small",
        BASE,
        hosts={each.id: each for each in hosts},
        users={user.id: user},
        groups={each.id: each for each in groups},
    )


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def estate(clock: HandClock) -> Estate:
    return Estate(small_state(), clock=clock)


@pytest.fixture
def simulation(estate: Estate) -> Simulation:
    return Simulation(estate, [Acme])


@pytest.fixture
def acme(simulation: Simulation) -> Simulator:
    return simulation.simulators["acme"]


@pytest.fixture
def client(simulation: Simulation) -> Iterator[httpx.Client]:
    with running(simulation) as base_url, httpx.Client(base_url=base_url, timeout=5) as client:
        yield client


@pytest.fixture
def order(client: httpx.Client) -> Callable[..., None]:
    """Order a fault over HTTP."""

    def order(**fault: object) -> None:
        answer = client.post("/_estate/faults", json=fault)
        assert answer.status_code == 201, answer.text

    return order
