"""SentinelOne's management console over an estate: agents, their actions, threats, the blocklist, event search.

Parameters, bodies and codes are those that https://github.com/Sentinel-One/ai-siem documents; what is not documented
is named in the connector's checklist. Like the console, an action acts on everything that its filter matches.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate, EstateError, Host
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.sentinelone.simulated.blocklist import BlocklistError, SimulatedBlocklist
from hikeshi_connectors.sentinelone.simulated.power_query import QueryError
from hikeshi_connectors.sentinelone.simulated.records import agent_id, agent_record, threat_record
from hikeshi_connectors.sentinelone.simulated.searches import Searches

__all__ = ["SentinelOneSimulator"]

_API = "/web/api/v2.1"
_QUERIES = "/sdl/v2/api/queries"
_PAGING = frozenset({"limit", "cursor", "skip", "sortBy", "sortOrder", "countOnly", "skipCount"})
_SMALLEST_ID = 10**17
Record = dict[str, Any]


class SentinelOneSimulator(Simulator):
    """One console whose agents are the estate's hosts.

    `permissions` are those of the service user; take one away and the calls that need it are refused.
    """

    product = "sentinelone"
    instance_name = "sentinelone"
    demo_settings: ClassVar[Mapping[str, str]] = {"api_token": "simulated-not-a-secret"}
    rate_limit = (1500, 60.0)

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.permissions = {
            "Endpoints.view", "Endpoints.disconnectFromNetwork", "Endpoints.reconnectToNetwork", "Threats.view",
            "Blacklist.view", "Blacklist.create", "Blacklist.delete",
        }  # fmt: skip
        self.blocklist = SimulatedBlocklist(estate)
        self.searches = Searches(estate)

    def routes(self) -> list[BaseRoute]:
        may = self._permitted
        return [
            Route(f"{_API}/agents", may("Endpoints.view", self._agents), methods=["GET"]),
            Route(
                f"{_API}/agents/actions/disconnect",
                may("Endpoints.disconnectFromNetwork", self._disconnect),
                methods=["POST"],
            ),
            Route(
                f"{_API}/agents/actions/connect", may("Endpoints.reconnectToNetwork", self._connect), methods=["POST"]
            ),
            Route(f"{_API}/threats", may("Threats.view", self._threats), methods=["GET"]),
            Route(f"{_API}/restrictions", may("Blacklist.view", self._restrictions), methods=["GET"]),
            Route(f"{_API}/restrictions", may("Blacklist.create", self._restrict), methods=["POST"]),
            Route(f"{_API}/restrictions", may("Blacklist.delete", self._unrestrict), methods=["DELETE"]),
            Route(_QUERIES, self._start_search, methods=["POST"]),
            Route(_QUERIES + "/{job}", self._look_at_search, methods=["GET"]),
        ]

    def reset(self) -> None:
        self.searches.clear()

    def shows(self) -> dict[str, Any]:
        listed = sorted(self.blocklist.records.values(), key=lambda each: (str(each["sha256Value"]), each["osType"]))
        shown = [{name: each[name] for name in ("value", "sha256Value", "osType", "description")} for each in listed]
        return {"blocklist": shown} if shown else {}

    def is_change(self, request: Request, body: bytes) -> bool:
        return super().is_change(request, body) and _QUERIES not in request.url.path

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if _QUERIES in request.url.path and scheme != "Bearer":
            told = f'Header must start with Bearer, but actually starts with "{scheme[:6]}"'
            return JSONResponse({"message": told}, status_code=500)
        if _QUERIES not in request.url.path and scheme != "ApiToken":
            return self.error(401, "Authentication Failed")
        return None if token == self.credentials["api_token"] else self.error(401, "Authentication Failed")

    def error(self, status: int, detail: str) -> Response:
        return self._refusal(status, status * 10_000 + 10, "Error", detail)

    # --- agents

    async def _agents(self, request: Request) -> Response:
        names = {"computerName__contains", "networkInterfaceInet__contains", "ids", "uuids", "accountIds"}
        query = _query(request, names | {"isDecommissioned", "isUninstalled"})
        test = _agent_test(query)
        records = (agent_record(host) for _, host in sorted(self.estate.hosts.items()))
        return self._page(query, [record for record in records if test(record)])

    async def _disconnect(self, request: Request) -> Response:
        wanted = await self._filter(request)
        if not any(wanted.get(name) for name in ("ids", "groupIds", "filterId")):
            told = "One of the following filter arguments must be supplied - ids, groupIds, filterId"
            return self._refusal(400, 4000010, "Validation Error", told)
        return self._act(wanted, self.estate.contain)

    async def _connect(self, request: Request) -> Response:
        return self._act(await self._filter(request), self.estate.lift_containment)

    def _act(self, wanted: Record, begin: Callable[[str], None]) -> Response:
        affected = 0
        for host in [each for each in self.estate.hosts.values() if _is_meant(each, wanted)]:
            try:
                begin(host.id)
            except EstateError:
                continue  # it is so already, and not affected
            affected += 1
        return JSONResponse({"data": {"affected": affected}})

    async def _filter(self, request: Request) -> Record:
        body = await _object(request)
        wanted = body.get("filter")
        if not isinstance(wanted, dict) or body.keys() - {"filter", "data"}:
            raise HTTPException(400, "filter: Missing data for required field.")
        if unknown := wanted.keys() - {"ids", "groupIds", "filterId", "accountIds"}:
            raise HTTPException(400, f"filter: {sorted(unknown)[0]}: Unknown field.")
        _check_ids(wanted.get("ids") or ())
        return wanted

    # --- threats

    async def _threats(self, request: Request) -> Response:
        query = _query(request, {"createdAt__gte", "accountIds"})
        since = datetime.fromisoformat(query.get("createdAt__gte", "1970-01-01T00:00:00Z"))
        found = [alert for alert in self.estate.alerts.values() if alert.at >= since]
        found.sort(key=lambda alert: (alert.at, alert.id), reverse=query.get("sortOrder") == "desc")
        return self._page(query, [threat_record(self.estate, alert) for alert in found])

    # --- blocklist

    async def _restrictions(self, request: Request) -> Response:
        query = _query(request, {"type", "value__contains", "tenant", "accountIds"})
        scope = _scope(query)
        if "value__contains" in query:
            parts = [part for part in query["value__contains"].split(",") if part]
            found = {each["id"]: each for part in parts for each in self.blocklist.of_value(part)}
        else:
            found = self.blocklist.records
        return self._page(query, [each for _, each in sorted(found.items()) if each["scope"] == scope])

    async def _restrict(self, request: Request) -> Response:
        body = await _object(request)
        data, scope = body.get("data"), body.get("filter")
        if not isinstance(data, dict):
            return self._refusal(400, 4000010, "Validation Error", "data: Invalid input type.")
        if not isinstance(scope, dict) or not scope or scope.keys() - {"tenant", "accountIds", "siteIds", "groupIds"}:
            return self._refusal(400, 4000010, "Validation Error", "filter: Missing data for required field.")
        try:
            return JSONResponse({"data": [self.blocklist.add(data, scope)]})
        except BlocklistError as exc:
            return self._refusal(400, exc.code, exc.title, exc.detail)

    async def _unrestrict(self, request: Request) -> Response:
        data = (await _object(request)).get("data")
        if not isinstance(data, dict) or data.get("type") != "black_hash":
            return self._refusal(400, 4000010, "Validation Error", "data: type: Missing data for required field.")
        ids = data.get("ids") or ()
        _check_ids(ids)
        return JSONResponse({"data": {"affected": self.blocklist.remove(ids)}})

    # --- event search

    async def _start_search(self, request: Request) -> Response:
        try:
            job, tag = self.searches.start(await _object(request))
        except (QueryError, KeyError, ValueError) as exc:
            return JSONResponse({"message": str(exc)}, status_code=400)
        answer = {"id": job, "stepsCompleted": 0, "stepsTotal": 0, "cpuUsage": 0, "data": None}
        return JSONResponse(answer, headers={"X-Dataset-Query-Forward-Tag": tag})

    async def _look_at_search(self, request: Request) -> Response:
        tag = request.headers.get("x-dataset-query-forward-tag")
        state = self.searches.look(request.path_params["job"], tag)
        return JSONResponse({"message": "no such query"}, status_code=404) if state is None else JSONResponse(state)

    # --- envelopes

    def _permitted(self, permission: str, handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def handle(request: Request) -> Any:
            if permission not in self.permissions:
                return self._refusal(403, 4030010, "Insufficient permissions", f"{permission} is required")
            return await handler(request)

        return handle

    def _refusal(self, status: int, code: int, title: str, detail: str) -> Response:
        errors = [{"code": code, "title": title, "detail": detail}]
        return JSONResponse({"errors": errors}, status_code=status)

    def _page(self, query: Mapping[str, str], found: list[Record]) -> Response:
        limit = query.get("limit", "10")
        if not limit.isdigit() or not 1 <= int(limit) <= 1000:
            raise HTTPException(400, "limit: Must be between 1 and 1000.")
        asked = str(sorted((name, value) for name, value in query.items() if name != "cursor"))
        start, size = _position(query.get("cursor"), asked), int(limit)
        following = _cursor(start + size, asked) if start + size < len(found) else None
        pagination = {"totalItems": len(found), "nextCursor": following}
        return JSONResponse({"data": found[start : start + size], "pagination": pagination})


def _agent_test(query: Mapping[str, str]) -> Callable[[Record], bool]:
    tests: list[Callable[[Record], bool]] = []
    for name, key in (("ids", "id"), ("uuids", "uuid"), ("accountIds", "accountId")):
        if name in query:
            wanted = set(query[name].split(","))
            if name == "ids":
                _check_ids(wanted)
            tests.append(lambda record, wanted=wanted, key=key: record[key] in wanted)  # type: ignore[misc]
    if "computerName__contains" in query:
        parts = [part.casefold() for part in query["computerName__contains"].split(",")]
        tests.append(lambda record: any(part in record["computerName"].casefold() for part in parts))
    if "networkInterfaceInet__contains" in query:
        sought = query["networkInterfaceInet__contains"]
        tests.append(lambda record: any(sought in ip for each in record["networkInterfaces"] for ip in each["inet"]))
    return lambda record: all(test(record) for test in tests)


def _is_meant(host: Host, wanted: Mapping[str, Any]) -> bool:
    """Say whether a filter matches a host. Each part of it must; an empty one has no parts."""
    groups = wanted.get("groupIds")
    return (not wanted.get("ids") or agent_id(host.id) in wanted["ids"]) and (
        not groups or agent_record(host)["groupId"] in groups
    )


def _check_ids(ids: Iterable[Any]) -> None:
    for one in ids:
        if not str(one).isdigit() or int(one) < _SMALLEST_ID:
            raise HTTPException(400, f"ids: {one}: Must be greater than or equal to {_SMALLEST_ID}.")


def _scope(query: Mapping[str, str]) -> Record:
    if query.get("tenant") == "true":
        return {"tenant": True}
    if "accountIds" not in query:
        raise HTTPException(400, "accountIds: at least one is needed when tenant is false")
    return {"accountIds": query["accountIds"].split(",")}


def _query(request: Request, known: Iterable[str]) -> dict[str, str]:
    query = dict(request.query_params)
    if unknown := query.keys() - set(known) - _PAGING:
        raise HTTPException(400, f"{sorted(unknown)[0]}: Unknown field.")
    return query


async def _object(request: Request) -> Record:
    try:
        body = await request.json()
    except ValueError:
        raise HTTPException(400, "the body is not JSON") from None
    if not isinstance(body, dict):
        raise HTTPException(400, "Invalid input type.")
    return body


def _cursor(position: int, asked: str) -> str:
    digest = hashlib.sha256(asked.encode()).hexdigest()[:12]
    return base64.urlsafe_b64encode(f"{position}:{digest}".encode()).decode()


def _position(cursor: str | None, asked: str) -> int:
    if cursor is None:
        return 0
    try:
        position = int(base64.urlsafe_b64decode(cursor).decode().partition(":")[0])
    except ValueError:
        raise HTTPException(400, "cursor: Invalid cursor.") from None
    if _cursor(position, asked) != cursor:
        raise HTTPException(400, "cursor: belongs to another question")
    return position
