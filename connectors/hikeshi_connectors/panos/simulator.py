"""The PAN-OS XML API over an estate: tags, one configuration with its commits, and the traffic log.

Everything is served on /api/ as at the firewall, and nearly everything is answered with status 200. The firewall's
clock is set to the zone of its site. One URL category is there from the beginning, as an administrator has prepared it.
Sources: the modules of the connector name them; what is assumed stands in checklist.toml.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import parse_qsl
from xml.etree import ElementTree as ET

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.panos.simulated.configuration import Configuration
from hikeshi_connectors.panos.simulated.envelope import Refusal, envelope, failure
from hikeshi_connectors.panos.simulated.registered_ips import RegisteredIps
from hikeshi_connectors.panos.simulated.traffic_log import TrafficLog

__all__ = ["PanOsSimulator"]

Form = Mapping[str, str]
_READING_TYPES = frozenset({"keygen", "log", "report", "export", "version"})
_READING_ACTIONS = frozenset({"show", "get", "complete"})


class PanOsSimulator(Simulator):
    """The firewall of the headquarters."""

    product = "panos"
    instance_name = "fw_hq"
    demo_settings: ClassVar[Mapping[str, str]] = {
        "api_key": "simulated-api-key-not-a-secret",
        "admin": "svc-hikeshi",
        "timezone": "Asia/Tokyo",
    }

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.reset()

    def reset(self) -> None:
        self._tags = RegisteredIps(self.estate)
        self._configuration = Configuration(self.estate, self.credentials["admin"])
        self._log = TrafficLog(self.estate, self.credentials["timezone"])

    def routes(self) -> list[BaseRoute]:
        return [Route("/api/", self._api, methods=["GET", "POST"])]

    def is_change(self, request: Request, body: bytes) -> bool:
        form = _form(request, body)
        kind = form.get("type", "")
        if kind == "op":
            return _root_of(form.get("cmd", "")) != "show"
        return kind not in _READING_TYPES and not (kind == "config" and form.get("action") in _READING_ACTIONS)

    def succeeded(self, status: int, body: bytes) -> bool:
        # A User-ID message of which single entries were refused was accepted for the others.
        return status == 200 and (b'status="success"' in body[:100] or b"<uid-response>" in body)

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        key = request.headers.get("x-pan-key") or _form(request, body).get("key", "")
        return None if key == self.credentials["api_key"] else failure("Invalid Credential", "403", 403)

    def error(self, status: int, detail: str) -> Response:
        return failure(detail, "400", status)

    async def _api(self, request: Request) -> Response:
        form = _form(request, await request.body())
        try:
            return envelope(self._answer(form))
        except Refusal as refusal:
            return refusal.answer()

    def _answer(self, form: Form) -> ET.Element:
        kind = form.get("type", "")
        if kind == "user-id":
            return self._tags.update(_command(form))
        if kind == "op":
            return self._operation(_command(form))
        if kind == "config":
            return self._configuration.request(form)
        if kind == "commit":
            return self._configuration.commit(form, _command(form))
        if kind == "log":
            return self._log.request(form)
        raise Refusal('Missing value for parameter "type"' if not kind else f"Unknown type {kind}", "400", 400)

    def _operation(self, command: ET.Element) -> ET.Element:
        if command.tag == "show":
            if (registered := command.find("object/registered-ip")) is not None:
                return self._tags.show(registered)
            if (job := command.findtext("jobs/id")) is not None:
                return self._configuration.show_job(job)
        raise Refusal("show -> is unexpected", "17")


def _form(request: Request, body: bytes) -> dict[str, str]:
    pairs = parse_qsl(request.url.query, keep_blank_values=True)
    if request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        pairs += parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return dict(pairs)


def _command(form: Form) -> ET.Element:
    try:
        return ET.fromstring(form.get("cmd", ""))  # noqa: S314 - what tests send
    except ET.ParseError:
        raise Refusal("Malformed Request", "18") from None


def _root_of(command: str) -> str:
    try:
        return ET.fromstring(command).tag  # noqa: S314 - what tests send
    except ET.ParseError:
        return ""
