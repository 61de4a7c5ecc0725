"""A simulation of the part of Vision One's API v3.0 that the connector uses.

Faithful where it hurts: lists are answered with 207 and a status for each entry, tasks wait (for the endpoint, or for
a person's approval), the header with the query has to come with every page, names are compared with regard to case,
429 says nothing about when to come back. What the documentation leaves open is named in checklist.toml.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar
from uuid import uuid4

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi.testing.service_clock import ServiceClock
from hikeshi.testing.simulator import Simulator, bearer_token
from hikeshi_connectors.microsoft.simulated_filter import FilterError, parse_filter
from hikeshi_connectors.vision_one.simulated_records import Records
from hikeshi_connectors.vision_one.simulated_state import EntryRefused, Objects, Tasks

__all__ = ["VisionOneSimulator"]

_CODES = {400: "BadRequest", 401: "InvalidCredentials", 403: "AccessDenied", 404: "NotFound", 429: "TooManyRequests"}
_EQUALS = re.compile(r"(?P<field>[A-Za-z]\w*) eq '(?P<value>[^']*)'")
_HAS = re.compile(r'(?P<field>[A-Za-z]\w*):"(?P<value>[^"]*)"')
_PAGE = 50
_BODY_MOST = 1024 * 1024
Wanted = list[tuple[str, str]]
Shown = Callable[[Any], Mapping[str, Any]]


class VisionOneSimulator(Simulator):
    """One instance, below `/vision_one/v3.0`.

    With `tasks.needs_approval` every task waits until `tasks.decide` is called, as a person does in the console. No
    page is longer than `most_on_a_page`. `denied` are paths that the role of the API key may not use.
    """

    product = "vision_one"
    instance_name = "vision_one"
    demo_settings: ClassVar[Mapping[str, str]] = {"api_key": "simulated-vision-one-key"}
    rate_limit = (6000, 60.0)

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.most_on_a_page = 1000
        self.denied: set[str] = set()
        self._clock = ServiceClock(estate)
        self._records = Records(estate, self._clock)
        self._objects = Objects(estate, self._clock)
        self.tasks = Tasks(estate, self._clock)
        self._pages: dict[str, str] = {}

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        return {"product": cls.product, "base_url": f"{base_url}/{cls.product}/v3.0", **cls.demo_settings}

    def reset(self) -> None:
        self._clock.reset()
        self._records.forget()
        self._objects.forget()
        self._pages.clear()

    def shows(self) -> dict[str, Any]:
        blocked = [key for key, each in self._objects.active().items() if each["scanAction"] == "block"]
        return {"blocked": sorted(blocked)} if blocked else {}

    def routes(self) -> list[BaseRoute]:
        objects = "/v3.0/threatintel/suspiciousObjects"
        return [
            Route("/v3.0/eiqs/endpoints", self.search_endpoints, methods=["GET"]),
            Route("/v3.0/endpointSecurity/endpoints/{guid}", self.get_endpoint, methods=["GET"]),
            Route("/v3.0/response/endpoints/{action}", self.respond, methods=["POST"]),
            Route("/v3.0/response/tasks", self.list_tasks, methods=["GET"]),
            Route("/v3.0/response/tasks/{task}", self.get_task, methods=["GET"]),
            Route("/v3.0/workbench/alerts", self.list_alerts, methods=["GET"]),
            Route("/v3.0/search/endpointActivities", self.search_activities, methods=["GET"]),
            Route(objects, self.list_objects, methods=["GET"]),
            Route(objects, self.add_objects, methods=["POST"]),
            Route(f"{objects}/delete", self.delete_objects, methods=["POST"]),
        ]

    def succeeded(self, status: int, body: bytes) -> bool:
        return status == 207 and any(entry["status"] < 400 for entry in json.loads(body))

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        if bearer_token(request) != self.credentials["api_key"]:
            return self.error(401, "Invalid token, Authorization token invalid for header")
        if any(request.url.path.endswith(path) for path in self.denied):
            return self.error(403, "Insufficient permissions.")
        return self.error(413, "Request entity too large") if len(body) > _BODY_MOST else None

    def error(self, status: int, detail: str) -> Response:
        code = _CODES.get(status, "InternalServerError" if status >= 500 else "BadRequest")
        return JSONResponse({"error": {"code": code, "message": detail}}, status_code=status)

    def too_many_requests(self, retry_after_s: float) -> Response:  # noqa: ARG002 - Vision One does not tell
        return self.error(429, "Too many API requests")

    # --- endpoints and tasks

    async def search_endpoints(self, request: Request) -> Response:
        wanted = _asked(request, "TMV1-Query", _EQUALS, {"endpointName", "ip", "agentGuid", "macAddress"})
        hosts = [
            host
            for host in self.estate.hosts.values()
            if any(value in self._records.searchable(host).get(field, ()) for field, value in wanted)
        ]
        return self._page(request, "TMV1-Query", hosts, self._records.endpoint)

    async def get_endpoint(self, request: Request) -> Response:
        self.tasks.all()
        host = self._records.host(request.path_params["guid"])
        if host is None:
            raise HTTPException(404, "Not found")
        return JSONResponse(self._records.details(host))

    async def respond(self, request: Request) -> Response:
        action = {"isolate": "isolate", "restore": "restoreIsolate"}.get(request.path_params["action"])
        if action is None:
            raise HTTPException(404, "Not found")
        return await self._each(request, lambda entry: self._begun(request, action, entry))

    def _begun(self, request: Request, action: str, entry: Mapping[str, Any]) -> dict[str, Any]:
        if entry.keys() - {"agentGuid", "endpointName", "description"} or "agentGuid" not in entry:
            raise EntryRefused(400, "BadRequest", "agentGuid or endpointName is required")
        host = self._records.host(str(entry["agentGuid"]))
        if host is None:
            raise EntryRefused(404, "NotFound", "Endpoint not found")
        task_id = self.tasks.begin(action, host, str(entry["agentGuid"]), str(entry.get("description", "")))
        location = f"{request.url.scheme}://{request.url.netloc}/v3.0/response/tasks/{task_id}"
        return {"status": 202, "headers": [{"name": "Operation-Location", "value": location}]}

    async def get_task(self, request: Request) -> Response:
        task = self.tasks.all().get(request.path_params["task"])
        if task is None:
            raise HTTPException(404, "Not found")
        return JSONResponse(_task_shown(task))

    async def list_tasks(self, request: Request) -> Response:
        try:
            wanted = parse_filter(request.query_params.get("filter", "id ne ''"))
        except FilterError as exc:
            raise HTTPException(400, f"filter is invalid: {exc}") from exc
        if wanted.properties - {"id", "status", "action", "account"}:
            raise HTTPException(400, "filter is invalid")
        found = [task for task in reversed(self.tasks.all().values()) if wanted.test(task.get)]
        return self._page(request, "filter", found, _task_shown)

    # --- alerts and activities

    async def list_alerts(self, request: Request) -> Response:
        wanted = _asked(request, "TMV1-Filter", _EQUALS, {"severity", "status", "id"}, needed=False)
        since, until = _span(request)
        found = [
            alert
            for alert in map(self._records.alert, self.estate.alerts.values())
            if since <= datetime.fromisoformat(alert["createdDateTime"]) <= until
            and (not wanted or any(alert[field] == value for field, value in wanted))
        ]
        found.sort(key=lambda alert: str(alert["createdDateTime"]), reverse=True)
        return self._page(request, "TMV1-Filter", found, dict)

    async def search_activities(self, request: Request) -> Response:
        wanted = [(field, value.lower()) for field, value in _asked(request, "TMV1-Query", _HAS, None)]
        since, until = _span(request)
        found = [
            each
            for each in self._records.activities()
            if since <= datetime.fromisoformat(each["eventTimeDT"]) <= until
            and any(value in _texts(each.get(field)) for field, value in wanted)
        ]
        return self._page(request, "TMV1-Query", found, dict, progressRate=100)

    # --- suspicious objects

    async def list_objects(self, request: Request) -> Response:
        fields = {"type", "fileSha1", "fileSha256", "scanAction", "riskLevel"}
        wanted = _asked(request, "TMV1-Filter", _EQUALS, fields, needed=False)
        active = self._objects.active()
        if not wanted:
            found = list(active.values())
        elif all(field.startswith("fileSha") for field, _ in wanted):
            found = [active[key] for field, value in wanted if (key := f"{field}:{value}") in active]
        else:
            found = [each for each in active.values() if any(each.get(field) == value for field, value in wanted)]
        return self._page(request, "TMV1-Filter", found, dict)

    async def add_objects(self, request: Request) -> Response:
        def add(entry: Mapping[str, Any]) -> dict[str, Any]:
            self._objects.add(entry)
            return {"status": 201}

        return await self._each(request, add)

    async def delete_objects(self, request: Request) -> Response:
        def remove(entry: Mapping[str, Any]) -> dict[str, Any]:
            self._objects.remove(entry)
            return {"status": 204}

        return await self._each(request, remove)

    # --- requests

    async def _each(self, request: Request, act: Callable[[Mapping[str, Any]], dict[str, Any]]) -> Response:
        """Answer 207 with what became of each entry of a list."""
        try:
            entries = json.loads(await request.body())
        except ValueError:
            raise HTTPException(400, "the body is not JSON") from None
        if not isinstance(entries, list) or not entries or not all(isinstance(each, dict) for each in entries):
            raise HTTPException(400, "the body is not a list of objects")
        results = []
        for entry in entries:
            try:
                results.append(act(entry))
            except EntryRefused as exc:
                error = {"code": exc.code, "message": exc.message}
                results.append({"status": exc.status, "body": {"error": error}})
        return JSONResponse(results, status_code=207)

    def _page(
        self,
        request: Request,
        header: str,
        found: Sequence[Any],
        shown: Callable[[Any], Mapping[str, Any]],
        **more: Any,
    ) -> Response:
        """Return a page. The token of the next one is good with the same query in the header only."""
        query, token = request.headers.get(header, ""), request.query_params.get("skipToken")
        start = 0
        if token is not None:
            asked, _, position = self._pages.get(token, "\n").rpartition("\n")
            if not position or asked != query:
                raise HTTPException(400, "skipToken does not belong to this query")
            start = int(position)
        top = request.query_params.get("top", str(_PAGE))
        if not top.isdecimal() or not 1 <= int(top) <= 1000:
            raise HTTPException(400, "top is out of range")
        end = start + min(int(top), self.most_on_a_page)
        body: dict[str, Any] = {"items": [shown(each) for each in found[start:end]], "totalCount": len(found), **more}
        if end < len(found):
            following = uuid4().hex
            self._pages[following] = f"{query}\n{end}"
            body["nextLink"] = str(request.url.include_query_params(skipToken=following))
        return JSONResponse(body)


def _task_shown(task: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in task.items() if name != "hostId"}


def _asked(
    request: Request, header: str, form: re.Pattern[str], fields: set[str] | None, *, needed: bool = True
) -> Wanted:
    """Return the fields and values that a header's query names, joined by `or`. Others are not simulated."""
    query = request.headers.get(header, "")
    if not query:
        if needed:
            raise HTTPException(400, f"{header} is required")
        return []
    if len(query) > 4000:
        raise HTTPException(400, f"{header} is too long")
    wanted: Wanted = []
    for part in query.split(" or "):
        match = form.fullmatch(part)
        if match is None or (fields is not None and match["field"] not in fields):
            raise HTTPException(400, f"{header} is invalid")
        wanted.append((match["field"], match["value"]))
    return wanted


def _span(request: Request) -> tuple[datetime, datetime]:
    try:
        return (
            datetime.strptime(request.query_params["startDateTime"], "%Y-%m-%dT%H:%M:%S%z"),
            datetime.strptime(request.query_params["endDateTime"], "%Y-%m-%dT%H:%M:%S%z"),
        )
    except (KeyError, ValueError):
        raise HTTPException(400, "startDateTime and endDateTime are required as yyyy-MM-ddThh:mm:ssZ") from None


def _texts(value: Any) -> Iterable[str]:
    return [str(each).lower() for each in (value if isinstance(value, list) else [value]) if each is not None]
