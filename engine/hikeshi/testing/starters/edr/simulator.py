"""Acme's API over an estate: its hosts, twenty to a page."""

from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Host
from hikeshi.testing.simulator import Simulator, bearer_token

PAGE = 20
# Acme's words for what the estate calls otherwise.
NETWORK = {"normal": "normal", "contained": "isolated"}
PENDING = {"containment_pending": "isolating", "lift_containment_pending": "releasing"}


class AcmeSimulator(Simulator):
    """A tenant whose hosts are the estate's. An isolation takes as long as the estate says."""

    product = "acme"
    instance_name = "acme"
    demo_settings: ClassVar = {"api_key": "acme-simulated-key"}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/hosts", self._search, methods=["GET"]),
            Route("/hosts/{id}", self._get, methods=["GET"]),
            Route("/hosts/{id}/network", self._set, methods=["PUT"]),
        ]

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        del body
        return None if bearer_token(request) == self.credentials["api_key"] else self.error(401, "unknown key")

    async def _search(self, request: Request) -> Response:
        wanted = request.query_params.get("q", "").casefold()
        start = int(request.query_params.get("cursor", "0"))
        hosts = self.estate.hosts.values()
        found = [host for host in hosts if any(wanted in each.casefold() for each in (host.id, host.name, *host.ips))]
        more = str(start + PAGE) if start + PAGE < len(found) else None
        return JSONResponse({"hosts": [_shown(host) for host in found[start : start + PAGE]], "next": more})

    async def _get(self, request: Request) -> Response:
        return JSONResponse(_shown(self._host(request)))

    async def _set(self, request: Request) -> Response:
        host, wanted = self._host(request), (await request.json())["network"]
        if _shown(host)["network"] == wanted:
            raise HTTPException(409, f"the host is already {wanted}")
        if wanted == "isolated":
            self.estate.contain(host.id)
        else:
            self.estate.lift_containment(host.id)
        return Response(status_code=204)

    def _host(self, request: Request) -> Host:
        host = self.estate.hosts.get(request.path_params["id"])
        if host is None:
            raise HTTPException(404, "no such host")
        return host


def _shown(host: Host) -> dict[str, Any]:
    network = {**NETWORK, **PENDING}[host.isolation]
    return {"id": host.id, "name": host.name, "os": host.os, "ips": host.ips, "network": network}
