"""AbuseIPDB, by its API v2: reports of others about addresses.

Source: https://docs.abuseipdb.com/ (check, errors, rate limits).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from hikeshi.capabilities import Indicator, Intel, Opinion, supports
from hikeshi.connector import (
    Connector,
    ConnectorError,
    ConnectorSettings,
    Invalid,
    Response,
    Route,
    Secret,
    error_of_status,
    json_object,
    understood,
)

__all__ = ["AbuseIpDb"]

_SAID_MOST = 200


class AbuseIpDb(Connector, Intel, product="abuseipdb"):
    """One AbuseIPDB account."""

    class Settings(ConnectorSettings):
        """A confidence of `malicious_from` per cent is malicious, one of `suspicious_from` suspicious."""

        base_url: str = "https://api.abuseipdb.com/api/v2"
        api_key: Secret
        max_age_days: int = Field(default=90, ge=1, le=365)
        malicious_from: int = Field(default=75, ge=1, le=100)
        suspicious_from: int = Field(default=25, ge=1, le=100)

    read_routes = (Route("GET", "/check"),)
    least_privileges = ("an API key of any account: it may only look up, and nothing is reported",)

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    def check(self, response: Response) -> None:
        if response.status >= 400:
            raise _error_of(response)
        json_object(response)

    @supports(kinds={"ipv4", "ipv6"})
    async def opinions_on(self, indicator: Indicator) -> list[Opinion]:
        """Ask who reported an address in the last `max_age_days`. An address without reports is unknown."""
        params = {"ipAddress": indicator.value, "maxAgeInDays": self.settings.max_age_days}
        answer = await self.http.get("/check", params=params)
        with understood(answer.where):
            return [self._judged(indicator, json_object(answer)["data"])]

    def _judged(self, indicator: Indicator, data: Mapping[str, Any]) -> Opinion:
        score, reports = int(data["abuseConfidenceScore"]), int(data["totalReports"])
        verdict = "unknown"
        if score >= self.settings.malicious_from:
            verdict = "malicious"
        elif score >= self.settings.suspicious_from:
            verdict = "suspicious"
        elif data.get("isWhitelisted"):
            verdict = "harmless"
        people = f"{reports} reports of {data.get('numDistinctUsers', '?')} people in {self.settings.max_age_days} days"
        details = [people, *(str(data[key]) for key in ("usageType", "isp", "countryCode") if data.get(key))]
        return Opinion.model_validate(
            {
                "connector": self.name,
                "kind": indicator.kind,
                "value": indicator.value,
                "verdict": verdict,
                "score": score if reports else None,
                "detail": ", ".join(details),
                "url": f"https://www.abuseipdb.com/check/{indicator.value}",
            }
        )

    async def _authorization(self) -> Mapping[str, str]:
        return {"key": self.reveal(self.settings.api_key), "accept": "application/json"}


def _error_of(response: Response) -> ConnectorError:
    try:
        given = response.json()
    except Invalid:
        given = None
    errors = given.get("errors") if isinstance(given, dict) else None
    if not isinstance(errors, list):
        return error_of_status(response)
    said = "; ".join(str(each.get("detail")) for each in errors if isinstance(each, dict))[:_SAID_MOST]
    return error_of_status(response, said)
