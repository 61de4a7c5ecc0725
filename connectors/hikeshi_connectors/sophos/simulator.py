"""Sophos Central over an estate: tokens, whoami, endpoints, isolation, blocked items, alerts, Data Lake queries.

Paths, parameters and envelopes are those of the Endpoint, Common and XDR Query APIs as public clients use them; what
is not documented is named in the connector's checklist. One port serves what at Sophos are three hosts.
"""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate, EstateError, Host
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator, bearer_token
from hikeshi_connectors.sophos.simulated.data_lake import QueryRuns
from hikeshi_connectors.sophos.simulated.records import alert_item, endpoint_id, endpoint_item, iso

__all__ = ["SophosSimulator"]

TENANT_ID = "simulated-tenant"
TOKEN_LIFE_S = 3600.0
_ENDPOINTS = "/endpoint/v1/endpoints"
_BLOCKED = "/endpoint/v1/settings/blocked-items"
_RUNS = "/xdr-query/v1/queries/runs"
_TOKEN = "/api/v2/oauth2/token"  # noqa: S105 - a path
_READING_POSTS = (_TOKEN, _RUNS)
_UNDER_WAY = ("containment_pending", "lift_containment_pending")
_HEX = frozenset("0123456789abcdef")
Item = dict[str, Any]


class SophosSimulator(Simulator):
    """One Sophos tenant whose endpoints are the estate's hosts.

    `role` is that of the credentials: "management" or "readonly", whose changes are refused. `id_type` is whose they
    are: a tenant's, a partner's or an organization's. `unwell` are the estate's hosts, by ID, that isolated themselves.
    """

    product = "sophos"
    instance_name = "sophos"
    demo_settings: ClassVar[Mapping[str, str]] = {
        "client_id": "simulated-client",
        "client_secret": "simulated-not-a-secret",
    }
    rate_limit = (6000, 60.0)

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.role = "management"
        self.id_type = "tenant"
        self.unwell: set[str] = set()
        self.runs = QueryRuns(estate)

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        here = f"{base_url}/{cls.product}"
        return {**super().connector_settings(base_url), "id_url": here, "global_url": here}

    def routes(self) -> list[BaseRoute]:
        return [
            Route(_TOKEN, self._token, methods=["POST"]),
            Route("/whoami/v1", self._whoami, methods=["GET"]),
            Route(_ENDPOINTS, self._endpoints, methods=["GET"]),
            Route(f"{_ENDPOINTS}/isolation", self._managing(self._isolate), methods=["POST"]),
            Route(f"{_ENDPOINTS}/{{endpoint}}", self._endpoint, methods=["GET"]),
            Route(_BLOCKED, self._blocked, methods=["GET"]),
            Route(_BLOCKED, self._managing(self._block), methods=["POST"]),
            Route(f"{_BLOCKED}/{{item}}", self._managing(self._unblock), methods=["DELETE"]),
            Route("/common/v1/alerts", self._alerts, methods=["GET"]),
            Route(_RUNS, self._start_run, methods=["POST"]),
            Route(f"{_RUNS}/{{run}}", self._run, methods=["GET"]),
            Route(f"{_RUNS}/{{run}}/results", self._results, methods=["GET"]),
        ]

    def reset(self) -> None:
        self.runs.clear()
        self.unwell.clear()

    def shows(self) -> dict[str, Any]:
        blocked = sorted(str(each["properties"]["sha256"]) for each in self.blocked_items.values())
        return {"blocked_items": blocked} if blocked else {}

    @property
    def blocked_items(self) -> dict[str, Item]:
        """The blocked items by their ID."""
        state: dict[str, Any] = self.estate.product_state.get("sophos", {})
        found: dict[str, Item] = state.get("blocked", {})
        return found

    def is_change(self, request: Request, body: bytes) -> bool:
        return super().is_change(request, body) and not request.url.path.endswith(_READING_POSTS)

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - headers say it
        path = request.url.path
        if path.endswith(_TOKEN):
            return None
        token = bearer_token(request)
        if token is None or not self.tokens.is_valid(token):
            return self.error(401, "Unauthorized")
        if not path.endswith("/whoami/v1") and request.headers.get("x-tenant-id") != TENANT_ID:
            return self.error(401, "Unauthorized")
        return None

    def error(self, status: int, detail: str) -> Response:
        names = {400: "BadRequest", 401: "Unauthorized", 403: "Forbidden", 404: "ResourceNotFound", 409: "Conflict"}
        body = {
            "error": names.get(status, "Error"),
            "message": detail,
            "correlationId": "00000000-0000-0000-0000-000000000000",
            "requestId": "00000000-0000-0000-0000-000000000001",
            "createdAt": iso(self.estate.now()),
            "code": str(status),
        }
        return JSONResponse(body, status_code=status)

    # --- tokens and tenants

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if form.get("grant_type") != "client_credentials" or form.get("scope") != "token":
            return JSONResponse({"errorCode": "oauth.invalid_request", "message": "Bad Request"}, status_code=400)
        for name in ("client_id", "client_secret"):
            if form.get(name) != self.credentials[name]:
                told = {"errorCode": f"oauth.invalid_{name}", "message": "Unauthorized", "trackingId": "simulated"}
                return JSONResponse(told, status_code=401)
        token = self.tokens.issue(TOKEN_LIFE_S)
        answer = {"access_token": token, "errorCode": "success", "expires_in": int(TOKEN_LIFE_S), "message": "OK"}
        return JSONResponse({**answer, "token_type": "bearer"})

    async def _whoami(self, request: Request) -> Response:
        here = str(request.base_url).rstrip("/")
        hosts = {"global": here, **({"dataRegion": here} if self.id_type == "tenant" else {})}
        own_id = TENANT_ID if self.id_type == "tenant" else f"simulated-{self.id_type}"
        return JSONResponse({"id": own_id, "idType": self.id_type, "apiHosts": hosts})

    def _managing(self, handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def handle(request: Request) -> Any:
            if self.role != "management":
                return self.error(403, "the credentials may read only")
            return await handler(request)

        return handle

    # --- endpoints

    async def _endpoints(self, request: Request) -> Response:
        query = _query(request, {"hostnameContains", "ipAddresses", "ids", "view"})
        items = [self._item(host) for _, host in sorted(self.estate.hosts.items())]
        if "hostnameContains" in query:
            part = query["hostnameContains"].casefold()
            items = [item for item in items if part in item["hostname"].casefold()]
        if "ipAddresses" in query:
            wanted = set(query["ipAddresses"].split(","))
            items = [item for item in items if wanted & {*item["ipv4Addresses"], *item["ipv6Addresses"]}]
        if "ids" in query:
            ids = {_uuid(each) for each in query["ids"].split(",")}
            items = [item for item in items if item["id"] in ids]
        return _page_by_key(items, query, most=500)

    async def _endpoint(self, request: Request) -> Response:
        host = self._host(_uuid(request.path_params["endpoint"]))
        return JSONResponse(self._item(host))

    def _item(self, host: Host) -> Item:
        return endpoint_item(host, is_unwell=host.id in self.unwell)

    async def _isolate(self, request: Request) -> Response:
        body = await _object(request)
        ids, enabled = body.get("ids"), body.get("enabled")
        if body.keys() - {"ids", "enabled", "comment"} or not isinstance(enabled, bool):
            raise HTTPException(400, "enabled is required, and nothing beside ids and comment")
        if not isinstance(ids, list) or not ids:
            raise HTTPException(400, "ids must not be empty")
        hosts = [self._host(_uuid(one)) for one in ids]
        if any(host.isolation in _UNDER_WAY for host in hosts):
            return self.error(409, "isolation or removal from isolation in progress")
        for host in hosts:
            begin = self.estate.contain if enabled else self.estate.lift_containment
            try:
                begin(host.id)
            except EstateError:
                continue  # it is so already
        items = [{"id": endpoint_id(host.id), "isolation": {"enabled": enabled}} for host in hosts]
        return JSONResponse({"items": items}, status_code=202)

    def _host(self, wanted: str) -> Host:
        for host_id, host in self.estate.hosts.items():
            if endpoint_id(host_id) == wanted:
                return host
        raise HTTPException(404, f"no endpoint {wanted}")

    # --- blocked items

    async def _blocked(self, request: Request) -> Response:
        query = _query(request, {"page", "pageTotal"})
        size, number = _number(query.get("pageSize", "50"), 100), _number(query.get("page", "1"), 10**9)
        items = list(self.blocked_items.values())
        pages: Item = {"current": number, "size": size, "maxSize": 100}
        if query.get("pageTotal") == "true":
            pages |= {"total": max(1, -(-len(items) // size)), "items": len(items)}
        return JSONResponse({"items": items[(number - 1) * size : number * size], "pages": pages})

    async def _block(self, request: Request) -> Response:
        body = await _object(request)
        value = str((body.get("properties") or {}).get("sha256", "")).lower()
        if body.get("type") != "sha256" or len(value) != 64 or not _HEX.issuperset(value) or not body.get("comment"):
            raise HTTPException(400, "type, properties.sha256 and comment are required")
        number = str(uuid.uuid5(uuid.NAMESPACE_OID, f"blocked-{value}"))
        items = self.estate.product_state.setdefault("sophos", {}).setdefault("blocked", {})
        if number in items:
            return self.error(409, "Resource already exists.")
        item = {
            "id": number,
            "type": "sha256",
            "properties": {"sha256": value},
            "comment": body["comment"],
            "createdAt": iso(self.estate.now()),
            "updatedAt": iso(self.estate.now()),
        }
        items[number] = item
        return JSONResponse(item, status_code=201)

    async def _unblock(self, request: Request) -> Response:
        items = self.blocked_items
        if items.pop(request.path_params["item"], None) is None:
            return self.error(404, "no such blocked item")
        if not items:
            self.estate.product_state.pop("sophos", None)
        return JSONResponse({"deleted": True})

    # --- alerts

    async def _alerts(self, request: Request) -> Response:
        query = _query(request, {"from", "sort"})
        since = datetime.fromisoformat(query.get("from", "1970-01-01T00:00:00Z"))
        found = [alert for alert in self.estate.alerts.values() if alert.at >= since and alert.status != "closed"]
        found.sort(key=lambda alert: (alert.at, alert.id), reverse=query.get("sort") == "raisedAt:desc")
        return _page_by_key([alert_item(self.estate, alert) for alert in found], query, most=100)

    # --- Data Lake

    async def _start_run(self, request: Request) -> Response:
        body = await _object(request)
        template = (body.get("adHocQuery") or {}).get("template")
        if not isinstance(template, str) or not template:
            raise HTTPException(400, "adHocQuery.template is required")
        since, until = (datetime.fromisoformat(str(body.get(name))) for name in ("from", "to"))
        run = self.runs.start(template, since, until)
        return JSONResponse({"id": run, "status": "pending", "result": "notAvailable"}, status_code=201)

    async def _run(self, request: Request) -> Response:
        state = self.runs.state(request.path_params["run"])
        return self.error(404, "no such run") if state is None else JSONResponse(state)

    async def _results(self, request: Request) -> Response:
        rows = self.runs.rows(request.path_params["run"])
        if rows is None:
            return self.error(404, "no results")
        return _page_by_key(rows, _query(request, ()), most=2000)


def _page_by_key(items: list[Item], query: Mapping[str, str], *, most: int) -> Response:
    size = _number(query.get("pageSize", "50"), most)
    asked = str(sorted((name, value) for name, value in query.items() if name != "pageFromKey"))
    start = _position(query.get("pageFromKey"), asked)
    pages: Item = {"size": size, "maxSize": most}
    if start + size < len(items):
        pages["nextKey"] = _key(start + size, asked)
    return JSONResponse({"items": items[start : start + size], "pages": pages})


def _query(request: Request, known: Iterable[str]) -> dict[str, str]:
    query = dict(request.query_params)
    if unknown := query.keys() - set(known) - {"pageSize", "pageFromKey"}:
        raise HTTPException(400, f"unknown parameter {sorted(unknown)[0]}")
    return query


def _number(text: str, most: int) -> int:
    if not text.isdigit() or not 1 <= int(text) <= most:
        raise HTTPException(400, f"a number between 1 and {most} is wanted, not {text[:20]!r}")
    return int(text)


def _uuid(text: Any) -> str:
    try:
        return str(uuid.UUID(str(text)))
    except ValueError:
        raise HTTPException(400, f"{str(text)[:40]!r} is not a UUID") from None


async def _object(request: Request) -> Item:
    try:
        body = await request.json()
    except ValueError:
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "the body is not a JSON object")
    return body


def _key(position: int, asked: str) -> str:
    digest = hashlib.sha256(asked.encode()).hexdigest()[:12]
    return base64.urlsafe_b64encode(f"{position}:{digest}".encode()).decode()


def _position(key: str | None, asked: str) -> int:
    if key is None:
        return 0
    try:
        position = int(base64.urlsafe_b64decode(key).decode().partition(":")[0])
    except ValueError:
        raise HTTPException(400, "invalid pageFromKey") from None
    if _key(position, asked) != key:
        raise HTTPException(400, "the key belongs to another question")
    return position
