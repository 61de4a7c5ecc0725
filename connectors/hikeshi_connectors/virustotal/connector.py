"""VirusTotal, by its API v3. Nothing is submitted: an indicator that it does not know stays unknown.

Sources: https://docs.virustotal.com/reference (objects, errors, quotas); vt-py, vt/client.py and vt/utils.py.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pydantic import Field

from hikeshi.capabilities import Indicator, Intel, Opinion, supports
from hikeshi.connector import (
    Connector,
    ConnectorError,
    ConnectorSettings,
    Invalid,
    NotFound,
    Pace,
    RateLimited,
    Response,
    Route,
    Secret,
    error_of_status,
    json_object,
    understood,
)

__all__ = ["VirusTotal"]

_KINDS = {"ipv4", "ipv6", "domain", "url", "md5", "sha1", "sha256"}
_PLACES = {"ipv4": "ip_addresses", "ipv6": "ip_addresses", "domain": "domains", "url": "urls"}
_PAGES = {"ip_addresses": "ip-address", "domains": "domain", "urls": "url", "files": "file"}
_SAID_MOST = 200


class VirusTotal(Connector, Intel, product="virustotal"):
    """One VirusTotal account."""

    class Settings(ConnectorSettings):
        """`malicious_from` is how many scanners have to say malicious before the verdict is; fewer are suspicious."""

        base_url: str = "https://www.virustotal.com/api/v3"
        api_key: Secret
        malicious_from: int = Field(default=3, ge=1, le=100)

    read_routes = tuple(Route("GET", f"/{place}/*") for place in ("ip_addresses", "domains", "urls", "files"))
    # A public key's; those who pay say how much more with requests_per_minute. Source: docs, "Public vs Premium API".
    pace = Pace(requests=4, per_s=60, at_once=4)
    least_privileges = ("an API key of any account: it may only look up, and nothing is submitted",)

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    def check(self, response: Response) -> None:
        if response.status >= 400:
            raise _error_of(response)
        json_object(response)

    @supports(kinds=_KINDS)
    async def opinions_on(self, indicator: Indicator) -> list[Opinion]:
        """Ask for the last analysis of an address, domain, URL or file. What nobody submitted is unknown."""
        place = _PLACES.get(indicator.kind, "files")
        name = _url_id(indicator.value) if place == "urls" else quote(indicator.value.lower(), safe=":")
        try:
            answer = await self.http.get(f"/{place}/{name}")
        except NotFound:
            return [self._opinion(indicator, "unknown", None, "VirusTotal has never seen it", None)]
        with understood(answer.where):
            found = json_object(answer)["data"]
            return [self._judged(indicator, place, str(found["id"]), found["attributes"]["last_analysis_stats"])]

    def _judged(self, indicator: Indicator, place: str, name: str, stats: Mapping[str, int]) -> Opinion:
        malicious, suspicious = int(stats["malicious"]), int(stats["suspicious"])
        asked = sum(int(stats.get(each, 0)) for each in ("malicious", "suspicious", "harmless", "undetected"))
        detail = f"{malicious} of {asked} scanners say malicious, {suspicious} suspicious"
        page = f"https://www.virustotal.com/gui/{_PAGES[place]}/{quote(name, safe=':')}"
        if not asked:
            return self._opinion(indicator, "unknown", None, "no scanner has judged it", page)
        certain = malicious >= self.settings.malicious_from
        verdict = "malicious" if certain else "suspicious" if malicious or suspicious else "harmless"
        return self._opinion(indicator, verdict, round(100 * malicious / asked), detail, page)

    def _opinion(self, indicator: Indicator, verdict: str, score: int | None, detail: str, url: str | None) -> Opinion:
        told: dict[str, Any] = {"verdict": verdict, "score": score, "detail": detail, "url": url}
        return Opinion.model_validate(
            {"connector": self.name, "kind": indicator.kind, "value": indicator.value, **told}
        )

    async def _authorization(self) -> Mapping[str, str]:
        return {"x-apikey": self.reveal(self.settings.api_key)}


def _url_id(url: str) -> str:
    """Return VirusTotal's name for a URL. Source: url_id in vt-py, vt/utils.py."""
    return base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")


def _error_of(response: Response) -> ConnectorError:
    try:
        given = response.json()
    except Invalid:
        given = None
    error = given.get("error") if isinstance(given, dict) else None
    if not isinstance(error, dict):
        # A proxy or a wrong address says 404 too, and that says nothing about the indicator.
        return (Invalid(f"{response.where}: this is not VirusTotal's answer; check base_url")
                if response.status == 404 else error_of_status(response))  # fmt: skip
    said = f"{error.get('code', '')}: {error.get('message', '')}"[:_SAID_MOST]
    if response.status == 429:
        # The quota of a minute and that of a day share this status, and VirusTotal names no delay for either.
        return RateLimited(f"{response.where}: {said}; the key's quota is used up, see requests_per_minute")
    return error_of_status(response, said)
