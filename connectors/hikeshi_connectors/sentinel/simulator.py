"""A simulation of the part of Log Analytics and of Azure Resource Manager that the connector uses.

Faithful where it hurts: each service takes its own token only, incidents come in pages, a query that is not understood
is a 400 whose reason stands in an inner error, and a 200 can hold a result that is only a part (`partial`).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi.testing.service_clock import ServiceClock
from hikeshi.testing.simulator import Simulator, bearer_token
from hikeshi_connectors.microsoft.simulated_answers import Refusal, answering, body_of, give_token
from hikeshi_connectors.microsoft.simulated_filter import FilterError, parse_filter
from hikeshi_connectors.microsoft.simulated_kql import KqlError, run_query
from hikeshi_connectors.sentinel.simulated_tables import TABLES, Tables, incident

__all__ = ["SentinelSimulator"]

_SCOPES = {"logs": "https://api.loganalytics.io/.default", "management": "https://management.azure.com/.default"}
_API_VERSIONS = frozenset({"2023-11-01", "2024-03-01", "2024-09-01"})
_FIELDS = frozenset({"properties/createdTimeUtc", "properties/severity", "properties/status", "properties/title"})
_CODES = {400: "BadArgumentError", 403: "InsufficientAccessError", 404: "PathNotFoundError", 429: "ThrottledError"}
_SPAN = re.compile(r"PT(\d+)S")
_PAGE_MOST = 1000
_PAGE_USUAL = 50


class SentinelSimulator(Simulator):
    """Log Analytics below `/sentinel/logs/v1`, Resource Manager below `/sentinel/management`, tokens below `/login`.

    With `partial` every result of a query is a part of one. `may_read` says whether the app has its role.
    """

    product = "sentinel"
    instance_name = "sentinel"
    demo_settings: ClassVar[Mapping[str, str]] = {
        "tenant_id": "5f3d1c2a-0b7e-4e55-9d0c-6a1f00000021",
        "client_id": "5f3d1c2a-0b7e-4e55-9d0c-6a1f00000022",
        "client_secret": "simulated-sentinel-secret",
        "workspace_id": "5f3d1c2a-0b7e-4e55-9d0c-6a1f00000023",
        "subscription_id": "5f3d1c2a-0b7e-4e55-9d0c-6a1f00000024",
        "resource_group": "rg-security",
        "workspace": "law-sentinel",
    }
    rate_limit = (200, 30.0)

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.partial = False
        self.may_read = True
        self.token_life_s = 3599.0
        self._scopes: dict[str, str] = {}
        self._clock = ServiceClock(estate)
        self._tables = Tables(estate, self._clock)

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        root = f"{base_url}/{cls.product}"
        addresses = {
            "base_url": f"{root}/logs/v1",
            "management_url": f"{root}/management",
            "login_url": f"{root}/login",
        }
        return {"product": cls.product, **addresses, **cls.demo_settings}

    def reset(self) -> None:
        self.tokens.revoke_all()
        self._scopes.clear()
        self._clock.reset()

    def routes(self) -> list[BaseRoute]:
        incidents = (
            "/management/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.OperationalInsights"
            "/workspaces/{workspace}/providers/Microsoft.SecurityInsights/incidents"
        )
        return [
            Route("/login/{tenant}/oauth2/v2.0/token", self.token, methods=["POST"]),
            Route("/logs/v1/workspaces/{workspace}/query", answering(self.query, _refused), methods=["POST"]),
            Route(incidents, answering(self.list_incidents, _refused), methods=["GET"]),
        ]

    def is_change(self, request: Request, body: bytes) -> bool:
        reads = ("/oauth2/v2.0/token", "/query")
        return super().is_change(request, body) and not request.url.path.endswith(reads)

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        path = request.url.path
        if path.endswith("/oauth2/v2.0/token"):
            return None
        token = bearer_token(request)
        service = "logs" if "/logs/v1/" in path else "management"
        if token is None or not self.tokens.is_valid(token) or self._scopes.get(token) != _SCOPES[service]:
            return _refused(401, "InvalidTokenError", "Valid authentication was not provided")
        if not self.may_read:
            return _refused(403, "InsufficientAccessError", "The provided credentials have insufficient access")
        return None

    def error(self, status: int, detail: str) -> Response:
        return _refused(status, _CODES.get(status, "GeneralError"), detail)

    def too_many_requests(self, retry_after_s: float) -> Response:
        answer = self.error(429, "Query was throttled")
        answer.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
        return answer

    async def token(self, request: Request) -> Response:
        answer, token, scope = await give_token(self, request, self.token_life_s)
        if token:
            self._scopes[token] = scope
        return answer

    # --- logs

    async def query(self, request: Request) -> Response:
        if request.path_params["workspace"] != self.credentials["workspace_id"]:
            raise Refusal(404, "PathNotFoundError", "The requested path does not exist")
        body = await body_of(request, unsuited="BadArgumentError", unreadable="BadArgumentError")
        query, span = body.get("query"), _SPAN.fullmatch(str(body.get("timespan", "PT86400S")))
        if not isinstance(query, str) or not query or span is None:
            raise Refusal(400, "BadArgumentError", "The request had some invalid properties")
        since = self._clock.now() - timedelta(seconds=int(span[1]))
        try:
            rows = run_query(query, lambda name: self._tables.rows(name, since), self._clock.now(), TABLES)
        except KqlError as exc:
            inner = {"code": "SyntaxError", "message": str(exc)}
            return _refused(400, "BadArgumentError", "The request had some invalid properties", inner)
        return JSONResponse({"tables": [_table(rows)], **(_PARTIAL if self.partial else {})})

    # --- incidents

    async def list_incidents(self, request: Request) -> Response:
        credentials, given = self.credentials, request.path_params
        if (given["subscription"], given["group"].lower(), given["workspace"].lower()) != (
            credentials["subscription_id"],
            credentials["resource_group"].lower(),
            credentials["workspace"].lower(),
        ):
            raise Refusal(404, "ResourceNotFound", "The Resource was not found.")
        if request.query_params.get("api-version") not in _API_VERSIONS:
            raise Refusal(400, "MissingApiVersionParameter", "The api-version query parameter is required.")
        incidents = [incident(each, self._clock) for each in self.estate.alerts.values()]
        incidents = [each for each in incidents if self._wanted(request, each)]
        incidents.sort(key=lambda each: str(each["properties"]["createdTimeUtc"]), reverse=True)
        return self._page(request, incidents)

    def _wanted(self, request: Request, record: Mapping[str, Any]) -> bool:
        text = request.query_params.get("$filter")
        if text is None:
            return True
        try:
            found = parse_filter(text, ordered=True)
        except FilterError as exc:
            raise Refusal(400, "BadRequest", f"Invalid filter: {exc}") from exc
        if unknown := found.properties - _FIELDS:
            raise Refusal(400, "BadRequest", f"Invalid filter: {sorted(unknown)}")
        return found.test(lambda name: _value(record, name))

    def _page(self, request: Request, found: Sequence[Mapping[str, Any]]) -> Response:
        top = request.query_params.get("$top", str(_PAGE_USUAL))
        start = request.query_params.get("$skipToken", "0")
        if not top.isdecimal() or not 1 <= int(top) <= _PAGE_MOST or not start.isdecimal():
            raise Refusal(400, "BadRequest", "Invalid $top or $skipToken")
        end = int(start) + int(top)
        body: dict[str, Any] = {"value": found[int(start) : end]}
        if end < len(found):
            body["nextLink"] = str(request.url.include_query_params(**{"$skipToken": str(end)}))
        return JSONResponse(body)


_PARTIAL = {
    "error": {
        "code": "PartialError",
        "message": "There were some errors when processing your query.",
        "details": [{"code": "EngineError", "message": "The query was stopped after its limit of memory."}],
    }
}


def _refused(status: int, code: str, message: str, inner: Mapping[str, Any] | None = None) -> Response:
    error = {"code": code, "message": message, **({"innererror": dict(inner)} if inner else {})}
    return JSONResponse({"error": error}, status_code=status)


def _table(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return rows as a table: all columns that any row has."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = [{"name": name, "type": "datetime" if name == "TimeGenerated" else "string"} for name in names]
    return {"name": "PrimaryResult", "columns": columns, "rows": [[row.get(name) for name in names] for row in rows]}


def _value(record: Mapping[str, Any], path: str) -> Any:
    value = record["properties"].get(path.removeprefix("properties/"))
    return datetime.fromisoformat(value) if path.endswith("Utc") and value else value
