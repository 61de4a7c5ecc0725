"""VirusTotal's API over an estate: what somebody has submitted, as the estate says."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.simulator import Simulator

__all__ = ["VirusTotalSimulator"]

_CODES = {
    400: "InvalidArgumentError",
    401: "WrongCredentialsError",
    403: "ForbiddenError",
    404: "NotFoundError",
    429: "QuotaExceededError",
    503: "TransientError",
}
_HASH = re.compile(r"[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}")


class VirusTotalSimulator(Simulator):
    """What was submitted is in `product_state["virustotal"]`: `{place: {id: stats}}`; all else is not known."""

    product = "virustotal"
    instance_name = "virustotal"
    demo_settings: ClassVar[dict[str, str]] = {"api_key": "simulated-virustotal-key"}
    rate_limit = (600, 60.0)

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/{place:str}/{name:path}", self._report, methods=["GET"]),
        ]

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        return {**super().connector_settings(base_url), "requests_per_minute": 600}

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        del body
        given = request.headers.get("x-apikey")
        if not given:
            return self._refusal(401, "AuthenticationRequiredError", "X-Apikey header is missing")
        return None if given == self.credentials["api_key"] else self.error(401, "Wrong API key")

    def error(self, status: int, detail: str) -> Response:
        return self._refusal(status, _CODES.get(status, "TransientError"), detail)

    def too_many_requests(self, retry_after_s: float) -> Response:
        del retry_after_s  # VirusTotal does not say
        return self.error(429, "Quota exceeded")

    def _refusal(self, status: int, code: str, detail: str) -> Response:
        return JSONResponse({"error": {"code": code, "message": detail}}, status_code=status)

    async def _report(self, request: Request) -> Response:
        place, name = request.path_params["place"], request.path_params["name"]
        key = _key(place, name)
        stats = self.estate.product_state.get("virustotal", {}).get(place, {}).get(key)
        if stats is None:
            raise HTTPException(404, f"{place} {key!r} not found")
        whole = {"malicious": 0, "suspicious": 0, "harmless": 0, "undetected": 0, "timeout": 0, **stats}
        data = {"type": place.rstrip("s"), "id": key, "attributes": {"last_analysis_stats": whole}}
        return JSONResponse({"data": data})


def _key(place: str, name: str) -> str:
    """Return by what an object is kept. Raises HTTPException for a name that cannot be one."""
    if place == "urls":
        try:
            return base64.urlsafe_b64decode(name + "=" * (-len(name) % 4)).decode()
        except (binascii.Error, UnicodeDecodeError):
            raise HTTPException(400, f"{name!r} is not a valid URL identifier") from None
    if place == "ip_addresses":
        try:
            return str(ipaddress.ip_address(name))
        except ValueError:
            raise HTTPException(400, f"{name!r} is not a valid IP address") from None
    if place == "files" and not _HASH.fullmatch(name):
        raise HTTPException(400, f"{name!r} is not a valid hash")
    if place not in ("files", "domains"):
        raise HTTPException(404, "Resource not found.")
    return name
