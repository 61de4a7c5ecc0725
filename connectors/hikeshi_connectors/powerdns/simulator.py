"""The HTTP API of a PowerDNS Authoritative Server over an estate: one response policy zone.

Source: https://doc.powerdns.com/authoritative/http-api/zone.html; PowerDNS 4.7.3 as it answered.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator

__all__ = ["PowerDnsSimulator"]

_CANONICAL = re.compile(r"(?:[^.]+\.)+")
_MOST_BYTES = 2 * 1024 * 1024
_SOA = "a.misconfigured.dns.server.invalid. hostmaster.{zone}. {serial} 10800 3600 604800 3600"


class PowerDnsSimulator(Simulator):
    """The name server of the headquarters. Record sets are kept by name and type."""

    product = "powerdns"
    instance_name = "powerdns"
    demo_settings: ClassVar[Mapping[str, str]] = {
        "zone": "rpz.fleetmate.example",
        "api_key": "simulated-api-key-not-a-secret",
    }

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self._zone = f"{self.credentials['zone']}."
        estate.product_state.setdefault("powerdns", {"rrsets": {}, "serial": 1})

    def shows(self) -> dict[str, Any]:
        return {"entries": {key: [one["content"] for one in each["records"]] for key, each in self._sets.items()}}

    def routes(self) -> list[BaseRoute]:
        path = "/api/v1/servers/localhost/zones/{zone}"
        return [Route(path, self._read, methods=["GET"]), Route(path, self._patch, methods=["PATCH"])]

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002
        if request.headers.get("x-api-key") == self.credentials["api_key"]:
            return None
        challenge = {"www-authenticate": 'X-API-Key realm="PowerDNS"'}
        return PlainTextResponse("Unauthorized", status_code=401, headers=challenge)

    def error(self, status: int, detail: str) -> Response:
        return PlainTextResponse("Not Found" if status == 404 else detail, status_code=status)

    @property
    def _sets(self) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.estate.product_state["powerdns"]["rrsets"]
        return found

    def _is_there(self, request: Request) -> bool:
        return str(request.path_params["zone"]).removesuffix(".") + "." == self._zone

    async def _read(self, request: Request) -> Response:
        if not self._is_there(request):
            return self.error(404, "")
        serial = self.estate.product_state["powerdns"]["serial"]
        soa = {"content": _SOA.format(zone=self.credentials["zone"], serial=serial), "disabled": False}
        own = {"comments": [], "name": self._zone, "type": "SOA", "ttl": 3600, "records": [soa]}
        sets = [{"comments": [], **each} for each in self._sets.values()]
        return JSONResponse({"id": self._zone, "name": self._zone, "kind": "Master", "rrsets": [*sets, own]})

    async def _patch(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > _MOST_BYTES:
            return PlainTextResponse("Payload Too Large", status_code=413)
        if not self._is_there(request):
            return self.error(404, "")
        try:
            asked = json.loads(body)
        except ValueError:
            return PlainTextResponse("Bad Request", status_code=400)
        if not asked.get("rrsets"):
            return _refused("No rrsets given in update request")
        changed = dict(self._sets)
        seen: set[str] = set()
        for each in asked["rrsets"]:
            why = self._change(changed, seen, each)
            if why is not None:
                return _refused(why)
        self.estate.product_state["powerdns"]["rrsets"] = changed
        self.estate.product_state["powerdns"]["serial"] += 1
        return Response(status_code=204)

    def _change(self, sets: dict[str, dict[str, Any]], seen: set[str], asked: Mapping[str, Any]) -> str | None:
        """Carry out one change, or return why not."""
        name, kind, verb = str(asked["name"]).lower(), asked["type"], asked.get("changetype")
        told = f"RRset {name} IN {kind}"
        if not _CANONICAL.fullmatch(name):
            return f"DNS Name '{name}' is not canonical"
        if name != self._zone and not name.endswith(f".{self._zone}"):
            return f"{told}: Name is out of zone"
        key = f"{name} {kind}"
        if key in seen:
            return f"Duplicate {told} with changetype: {verb}"
        seen.add(key)
        if verb == "DELETE":
            sets.pop(key, None)
            return None
        if verb != "REPLACE":
            return "Changetype not understood"
        if "ttl" not in asked:
            return "Key 'ttl' not present or not a number"
        others = (sets[f"{name} {other}"] for other in ("A", "AAAA", "TXT") if f"{name} {other}" in sets)
        if kind == "CNAME" and any(others):
            return f"{told}: Conflicts with pre-existing RRset"
        sets[key] = {"name": name, "type": kind, "ttl": asked["ttl"], "records": asked["records"]}
        return None


def _refused(why: str) -> Response:
    return JSONResponse({"error": why}, status_code=422)
