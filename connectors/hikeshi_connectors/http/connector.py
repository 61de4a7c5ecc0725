"""Any HTTP API: its own hosts and no others, and nothing is a read that the configuration does not say is one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import JsonValue

from hikeshi.capabilities import Model, change, read
from hikeshi.connector import Connector, ConnectorSettings, Invalid, Response, Route, error_of_status
from hikeshi_connectors.http.settings import HttpSettings

__all__ = ["Http", "HttpAnswer"]

_SAID_MOST = 300


class HttpAnswer(Model):
    """An answer: its status, and its body as JSON values, or as `text` where it is no JSON."""

    connector: str
    status: int
    body: JsonValue = None
    text: str = ""


class Http(Connector, product="http"):
    """Reads and changes of one HTTP API, as its operator declares them."""

    Settings = HttpSettings
    least_privileges = ("whatever the declared read routes and the changes of your playbooks need, and no more",)
    probes: ClassVar[Mapping[str, Mapping[str, Any] | None]] = {"fetch": None}

    settings: HttpSettings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    @classmethod
    def routes_of(cls, settings: ConnectorSettings) -> tuple[Route, ...]:
        assert isinstance(settings, HttpSettings)
        return tuple(each.route() for each in settings.read_routes)

    @classmethod
    def public_only(cls, settings: ConnectorSettings) -> bool:
        assert isinstance(settings, HttpSettings)
        return not settings.allow_private

    def check(self, response: Response) -> None:
        """Judge by the status alone: what a body means is for the playbook, in `until` and `when`."""
        if response.status >= 400:
            raise error_of_status(response, " ".join(response.text.split())[:_SAID_MOST])

    @read
    async def fetch(
        self,
        path: str,
        method: Literal["GET", "HEAD", "POST"] = "GET",
        params: dict[str, str] | None = None,
        json: JsonValue = None,
    ) -> HttpAnswer:
        """Send a request that changes nothing; it has to be one of the configuration's `read_routes`."""
        response = await self.http.request(method, _below(path), params=params, json=json)
        return _answer(self.name, response)

    @change(target="path", undo=None, because="only the playbook knows what undoes it: say so in the step's 'undo'")
    async def send(
        self,
        path: str,
        method: Literal["POST", "PUT", "PATCH", "DELETE"] = "POST",
        params: dict[str, str] | None = None,
        json: JsonValue = None,
    ) -> None:
        """Send a request that changes something. Whether it took effect is for the playbook to read afterwards."""
        headers = {"idempotency-key": self.key} if self.key else {}
        await self.http.request(method, _below(path), params=params, json=json, headers=headers)

    async def _authorization(self) -> Mapping[str, str]:
        given = self.settings
        if given.token is not None:
            return {"authorization": f"Bearer {self.reveal(given.token)}"}
        if given.api_key is not None:
            return {given.api_key_header.lower(): self.reveal(given.api_key)}
        if given.password is None:
            return {}
        return self.basic_authorization(given.username, given.password)


def _below(path: str) -> str:
    """Return a path that is certainly below the base address. Raises Invalid for anything else."""
    if not path.startswith("/") or path.startswith("//") or any(mark in path for mark in "?#\\"):
        raise Invalid(f"{path[:80]!r} is no path: it begins with one '/', and parameters stand in 'params'")
    return path


def _answer(connector: str, response: Response) -> HttpAnswer:
    body: Any = None
    if "json" in response.headers.get("content-type", ""):
        body = response.json()
        return HttpAnswer(connector=connector, status=response.status, body=body)
    return HttpAnswer(connector=connector, status=response.status, text=response.text)
