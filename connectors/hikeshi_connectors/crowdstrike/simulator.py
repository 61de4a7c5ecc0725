"""Falcon's OAuth2 API over an estate: devices, containment, alerts, indicators, sign-ins and event search.

Status codes and shapes are those of CrowdStrike/gofalcon 14348e46. What an indicator's refusal looks like in detail is
not documented; see the connector's checklist.
"""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate, EstateError, Ioc
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator, bearer_token
from hikeshi_connectors.crowdstrike.simulated_events import QueryJobs
from hikeshi_connectors.crowdstrike.simulated_filter import FilterError, parse_filter
from hikeshi_connectors.crowdstrike.simulated_records import (
    ALERT_FIELDS,
    DEVICE_FIELDS,
    INDICATOR_FIELDS,
    alert_record,
    device_record,
    indicator_faults,
    indicator_record,
    login_name,
)
from hikeshi_connectors.crowdstrike.simulated_request import (
    json_object,
    page_limit,
    page_start,
    page_token,
    wanted_ids,
)

__all__ = ["CrowdStrikeSimulator"]

TOKEN_LIFE_S = 1799.0
_READING_POSTS = (
    "/oauth2/token",
    "/devices/entities/devices/v2",
    "/devices/combined/devices/login-history/v2",
    "/alerts/combined/alerts/v1",
)
_REPOSITORIES = frozenset({"search-all", "investigate_view", "third-party", "falcon_for_it_view", "forensics_view"})


class CrowdStrikeSimulator(Simulator):
    """One Falcon customer whose devices are the estate's hosts.

    `scopes` are those of the API client; take one away and the calls that need it are refused.
    """

    product = "crowdstrike"
    instance_name = "falcon"
    demo_settings: ClassVar[Mapping[str, str]] = {
        "client_id": "simulated-client",
        "client_secret": "simulated-not-a-secret",
    }
    rate_limit = (6000, 60.0)

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.scopes = {"hosts:read", "hosts:write", "alerts:read", "iocs:read", "iocs:write", "ngsiem:write"}
        self.jobs = QueryJobs(estate)

    def routes(self) -> list[BaseRoute]:
        jobs = "/humio/api/v1/repositories/{repository}/queryjobs"
        return [
            Route("/oauth2/token", self._token, methods=["POST"]),
            Route("/devices/combined/devices/v1", self._scoped("hosts:read", self._devices), methods=["GET"]),
            Route("/devices/entities/devices/v2", self._scoped("hosts:read", self._device), methods=["POST"]),
            Route(
                "/devices/combined/devices/login-history/v2",
                self._scoped("hosts:read", self._logins),
                methods=["POST"],
            ),
            Route("/devices/entities/devices-actions/v2", self._scoped("hosts:write", self._act), methods=["POST"]),
            Route("/alerts/combined/alerts/v1", self._scoped("alerts:read", self._alerts), methods=["POST"]),
            Route("/iocs/combined/indicator/v1", self._scoped("iocs:read", self._indicators), methods=["GET"]),
            Route("/iocs/entities/indicators/v1", self._scoped("iocs:write", self._add), methods=["POST"]),
            Route("/iocs/entities/indicators/v1", self._scoped("iocs:write", self._delete), methods=["DELETE"]),
            Route(jobs, self._scoped("ngsiem:write", self._start_search), methods=["POST"]),
            Route(jobs + "/{job}", self._scoped("ngsiem:write", self._poll_search), methods=["GET"]),
        ]

    def reset(self) -> None:
        self.jobs.clear()

    def is_change(self, request: Request, body: bytes) -> bool:
        path = request.url.path
        reads = path.endswith(_READING_POSTS) or path.endswith("/queryjobs")
        return super().is_change(request, body) and not (request.method == "POST" and reads)

    def succeeded(self, status: int, body: bytes) -> bool:
        if not 200 <= status < 300:
            return False
        try:
            return bool(json.loads(body).get("resources"))
        except (ValueError, AttributeError):
            return False

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        if request.url.path.endswith("/oauth2/token"):
            return None
        token = bearer_token(request)
        if token is None or not self.tokens.is_valid(token):
            return self.error(401, "access denied, invalid bearer token")
        return None

    def error(self, status: int, detail: str) -> Response:
        return self._refusal(status, [{"code": status, "message": detail}])

    def too_many_requests(self, retry_after_s: float) -> Response:
        answer = self.error(429, "API rate limit exceeded.")
        answer.headers["X-RateLimit-Limit"] = str(self.rate_limit[0] if self.rate_limit else 6000)
        answer.headers["X-RateLimit-Remaining"] = "0"
        # A Unix time by the caller's clock, which is not the estate's.
        answer.headers["X-RateLimit-RetryAfter"] = str(math.ceil(time.time() + retry_after_s))
        return answer

    # --- tokens and envelopes

    async def _token(self, request: Request) -> Response:
        if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
            return self.error(400, "invalid content type")
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if form.get("client_id") != self.credentials["client_id"]:
            return self.error(400, "access denied, invalid client")
        if form.get("client_secret") != self.credentials["client_secret"]:
            return self.error(403, "access denied, authorization failed")
        token = self.tokens.issue(TOKEN_LIFE_S)
        answer = {"access_token": token, "expires_in": int(TOKEN_LIFE_S), "token_type": "bearer"}
        return JSONResponse(answer, status_code=201)

    def _scoped(self, scope: str, handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
        async def handle(request: Request) -> Any:
            if scope not in self.scopes:
                return self.error(403, "access denied, scope not permitted")
            try:
                return await handler(request)
            except FilterError as exc:
                return self.error(400, str(exc))

        return handle

    def _answer(
        self, found: Sequence[Any], status: int = 200, errors: Sequence[Any] = (), **pagination: Any
    ) -> Response:
        meta: dict[str, Any] = {"query_time": 0.01, "powered_by": "simulator", "trace_id": "0000-simulated"}
        if pagination:
            meta["pagination"] = pagination
        headers = {"X-RateLimit-Limit": "6000", "X-RateLimit-Remaining": "5999", "X-Cs-Region": "us-1"}
        body = {"meta": meta, "errors": list(errors), "resources": list(found)}
        return JSONResponse(body, status_code=status, headers=headers)

    def _refusal(self, status: int, errors: Sequence[Any], rows: Sequence[Any] = ()) -> Response:
        return self._answer(rows, status, errors)

    # --- devices

    async def _devices(self, request: Request) -> Response:
        query = request.query_params
        limit = page_limit(query.get("limit", "100"), 10_000)
        test = parse_filter(query.get("filter", ""), DEVICE_FIELDS, self.estate.now())
        records = (device_record(host) for _, host in sorted(self.estate.hosts.items()))
        found = [record for record in records if test(record)]
        start = page_start(query.get("offset"), query.get("filter", ""))
        page = found[start : start + limit]
        wanted = query.get("fields")
        if wanted:
            page = [{name: record.get(name) for name in wanted.split(",")} for record in page]
        following = page_token(start + limit, query.get("filter", "")) if start + limit < len(found) else ""
        return self._answer(page, total=len(found), limit=limit, offset=query.get("offset", ""), next=following)

    async def _device(self, request: Request) -> Response:
        ids = await wanted_ids(request, most=5000)
        known = [device_record(self.estate.hosts[one]) for one in ids if one in self.estate.hosts]
        unknown = [one for one in ids if one not in self.estate.hosts]
        return self._answer(known, errors=[_not_found(one) for one in unknown])

    async def _logins(self, request: Request) -> Response:
        ids = await wanted_ids(request, most=10)
        query, now = request.query_params, self.estate.now()
        limit = page_limit(query.get("limit", "10"), 100)
        since, until = query.get("from", "now-7d"), query.get("to", "now-0s")
        test = parse_filter(f"login_time:>='{since}'+login_time:<='{until}'", frozenset({"login_time"}), now)
        rows = []
        for one in ids:
            logins = [
                {"login_time": _iso(each.at), "user_name": login_name(self.estate, each.user_id)}
                for each in self.estate.logons
                if each.host_id == one
            ]
            newest_first = sorted((each for each in logins if test(each)), key=_login_time, reverse=True)
            rows.append({"cid": "simulated", "device_id": one, "recent_logins": newest_first[:limit]})
        return self._answer(rows)

    async def _act(self, request: Request) -> Response:
        ids = await wanted_ids(request, most=100)
        begin = {"contain": self.estate.contain, "lift_containment": self.estate.lift_containment}.get(
            request.query_params.get("action_name", "")
        )
        if begin is None:
            return self.error(400, "Provided action name is not supported")
        unknown = [one for one in ids if one not in self.estate.hosts]
        if unknown:
            return self._refusal(404, [_not_found(one) for one in unknown])
        for one in ids:
            try:
                begin(one)
            except EstateError as exc:
                return self._refusal(409, [{"code": 409, "message": f"Conflict: {exc}", "id": one}])
        return self._answer([{"id": one, "path": "/devices/entities/devices/v1"} for one in ids], 202)

    # --- alerts

    async def _alerts(self, request: Request) -> Response:
        body = await json_object(request)
        if unknown := body.keys() - {"filter", "limit", "sort", "after"}:
            return self.error(400, f"unknown fields {sorted(unknown)}")
        limit = page_limit(str(body.get("limit", 100)), 1000)
        asked, order = str(body.get("filter", "")), str(body.get("sort", "created_timestamp|desc"))
        test = parse_filter(asked, ALERT_FIELDS, self.estate.now())
        field, _, direction = order.partition("|")
        if field not in ALERT_FIELDS or direction not in ("asc", "desc"):
            return self.error(400, "Invalid sort parameter")
        records = (alert_record(self.estate, alert) for alert in self.estate.alerts.values())
        found = sorted((each for each in records if test(each)), key=lambda each: (each[field], each["composite_id"]))
        if direction == "desc":
            found.reverse()
        start = page_start(body.get("after"), asked + order)
        more: dict[str, Any] = {"after": page_token(start + limit, asked + order)} if start + limit < len(found) else {}
        return self._answer(found[start : start + limit], total=len(found), limit=limit, **more)

    # --- indicators

    async def _indicators(self, request: Request) -> Response:
        query = request.query_params
        if query.get("after") and query.get("offset"):
            return self.error(400, "offset and after are mutually exclusive")
        limit = page_limit(query.get("limit", "100"), 2000)
        asked = query.get("filter", "")
        test = parse_filter(asked, INDICATOR_FIELDS, self.estate.now())
        found = [record for ioc in self.estate.iocs.values() if test(record := indicator_record(ioc))]
        start = int(query.get("offset") or 0) or page_start(query.get("after"), asked)
        more: dict[str, Any] = {"after": page_token(start + limit, asked)} if start + limit < len(found) else {}
        return self._answer(found[start : start + limit], total=len(found), limit=limit, offset=start, **more)

    async def _add(self, request: Request) -> Response:
        entries = (await json_object(request)).get("indicators")
        if not isinstance(entries, list) or not entries or not all(isinstance(each, dict) for each in entries):
            return self.error(400, "indicators is required")
        standing = {(ioc.type, ioc.value) for ioc in self.estate.iocs.values()}
        rows = []
        for number, entry in enumerate(entries, 1):
            key = (entry.get("type"), str(entry.get("value", "")).lower())
            fault = "Duplicate type and value" if key in standing else indicator_faults(entry)
            standing.add(key)
            if fault:
                rows.append({"row": number, "value": entry.get("value"), "message_type": "error", "message": fault})
        if rows:
            told = "One or more inputs have a warning or error message"
            return self._refusal(400, [{"code": 400, "message": told}], rows)
        return self._answer([indicator_record(self._new(entry)) for entry in entries], 201)

    def _new(self, entry: Mapping[str, Any]) -> Ioc:
        now = self.estate.now()
        value = str(entry["value"]).lower()
        expires_at = None
        if entry.get("expiration"):
            # The caller's clock decides how long it lasts; the estate's may stand elsewhere.
            lasts = datetime.fromisoformat(entry["expiration"]) - datetime.now(UTC)
            expires_at = now + max(lasts, timedelta())
        number = hashlib.sha256(f"{entry['type']}:{value}:{now.isoformat()}".encode()).hexdigest()
        ioc = Ioc(
            id=number,
            type=entry["type"],
            value=value,
            action=entry["action"],
            created_at=now,
            expires_at=expires_at,
            severity=entry.get("severity"),
            description=entry.get("description", ""),
            details={
                name: entry[name]
                for name in ("platforms", "applied_globally", "host_groups", "source", "tags", "expiration")
                if name in entry
            },
        )
        self.estate.add_ioc(ioc)
        return ioc

    async def _delete(self, request: Request) -> Response:
        query = request.query_params
        if query.get("filter") is not None:
            # As documented, the filter wins and the IDs are ignored.
            test = parse_filter(query["filter"], INDICATOR_FIELDS, self.estate.now())
            ids = [ioc.id for ioc in self.estate.iocs.values() if test(indicator_record(ioc))]
        else:
            ids = query.getlist("ids")
        if not ids:
            return self.error(400, "ids or filter is required")
        deleted = [one for one in ids if self.estate.remove_ioc(one)]
        return self._answer(deleted, errors=[_not_found(one) for one in ids if one not in deleted])

    # --- event search

    async def _start_search(self, request: Request) -> Response:
        if request.path_params["repository"] not in _REPOSITORIES:
            return self.error(404, "repository not found")
        try:
            job = self.jobs.start(await json_object(request))
        except ValueError as exc:
            return self.error(400, str(exc))
        return JSONResponse({"id": job, "hashedQueryOnView": "simulated"})

    async def _poll_search(self, request: Request) -> Response:
        state = self.jobs.poll(request.path_params["job"])
        return self.error(404, "no such query job") if state is None else JSONResponse(state)


def _not_found(one: str) -> dict[str, Any]:
    return {"code": 404, "message": f"resource not found: {one}", "id": one}


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _login_time(login: Mapping[str, Any]) -> str:
    return str(login["login_time"])
