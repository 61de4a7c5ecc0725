"""AbuseIPDB's API over an estate: an address is reported as the estate says, and any other not at all."""

from __future__ import annotations

import ipaddress
from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.simulator import Simulator

__all__ = ["AbuseIpDbSimulator"]


class AbuseIpDbSimulator(Simulator):
    """Reports are in `product_state["abuseipdb"]`: `{address: {score, reports}}`."""

    product = "abuseipdb"
    instance_name = "abuseipdb"
    demo_settings: ClassVar[dict[str, str]] = {"api_key": "simulated-abuseipdb-key"}

    def routes(self) -> list[BaseRoute]:
        return [Route("/check", self._check, methods=["GET"])]

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        del body
        if request.headers.get("key") == self.credentials["api_key"]:
            return None
        return self.error(401, "Authentication failed. Your API key is either missing, incorrect, or revoked.")

    def error(self, status: int, detail: str) -> Response:
        return JSONResponse({"errors": [{"detail": detail, "status": status}]}, status_code=status)

    async def _check(self, request: Request) -> Response:
        try:
            address = ipaddress.ip_address(request.query_params.get("ipAddress", ""))
            days = int(request.query_params.get("maxAgeInDays", "30"))
        except ValueError:
            raise HTTPException(422, "The ip address must be a valid IPv4 or IPv6 address.") from None
        if not 1 <= days <= 365:
            raise HTTPException(422, "The max age in days must be between 1 and 365.")
        told: dict[str, Any] = self.estate.product_state.get("abuseipdb", {}).get(str(address), {})
        data = {
            "ipAddress": str(address),
            "isPublic": address.is_global,
            "ipVersion": address.version,
            "isWhitelisted": told.get("whitelisted"),
            "abuseConfidenceScore": told.get("score", 0),
            "countryCode": told.get("country"),
            "usageType": None,
            "isp": told.get("isp"),
            "totalReports": told.get("reports", 0),
            "numDistinctUsers": min(told.get("reports", 0), 3),
        }
        return JSONResponse({"data": data})
