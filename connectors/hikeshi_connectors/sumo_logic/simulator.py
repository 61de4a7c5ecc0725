"""A simulation of the part of Sumo Logic's API that the connector uses, over the estate's traffic and alerts.

Faithful where it hurts: a search is found again only with the cookies of its creation, it is cancelled when nobody asks
after it for half a minute, errors are told once, a search is paused after `messages_most`, and pages can be smaller
than was asked for. `moved` makes this the wrong deployment.
"""

from __future__ import annotations

import base64
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Alert, Estate
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.sumo_logic.simulated_log import Found, QueryError, messages_of, search, writes

__all__ = ["SumoLogicSimulator"]

_JOBS = "/v1/search/jobs"
_CODES = {401: "unauthorized", 403: "forbidden", 404: "notfound", 405: "method.unsupported", 500: "internal.error"}
_INACTIVE_S = 30.0
_LEVELS = {"informational": "LOW"}


@dataclass(slots=True)
class _Job:
    due_at: datetime
    found: Found
    cookie: str
    asked_at: datetime
    looked: bool = False


class SumoLogicSimulator(Simulator):
    """The API below `/sumo_logic/api`. `may_read` says whether the user has the capabilities.

    `bad_end` is a state with which searches end; `trouble` is an error that they tell once.
    """

    product = "sumo_logic"
    instance_name = "sumo"
    demo_settings: ClassVar[Mapping[str, str]] = {
        "access_id": "suSIMULATEDID",
        "access_key": "simulated-sumo-access-key",
    }

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.may_read = True
        self.moved = False
        self.bad_end = ""
        self.trouble = ""
        self.messages_most = 100_000
        self.rows_at_once = 100
        self._jobs: dict[str, _Job] = {}

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        return {"product": cls.product, "base_url": f"{base_url}/{cls.product}/api", **cls.demo_settings}

    def reset(self) -> None:
        self._jobs.clear()

    def routes(self) -> list[BaseRoute]:
        return [
            Route(f"/api{_JOBS}", self.make_job, methods=["POST"]),
            Route(f"/api{_JOBS}/{{job}}", self.job, methods=["GET"]),
            Route(f"/api{_JOBS}/{{job}}/{{kind}}", self.rows, methods=["GET"]),
            Route("/api/sec/v1/insights", self.insights, methods=["GET"]),
        ]

    def is_change(self, request: Request, body: bytes) -> bool:
        if request.method == "POST" and request.url.path.endswith(_JOBS):
            return writes(str(json.loads(body).get("query", "")))
        return super().is_change(request, body)

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        if self.moved:
            return Response(status_code=301, headers={"location": "https://api.eu.sumologic.com/api"})
        pair = f"{self.credentials['access_id']}:{self.credentials['access_key']}"
        if request.headers.get("authorization") != f"Basic {base64.b64encode(pair.encode()).decode()}":
            return _refused(401, "unauthorized", "Credential could not be verified.")
        return None if self.may_read else _refused(403, "forbidden", "This operation is not allowed.")

    def error(self, status: int, detail: str) -> Response:
        return _refused(status, _CODES.get(status, "generic"), detail)

    def too_many_requests(self, retry_after_s: float) -> Response:  # noqa: ARG002 - Sumo Logic does not say
        return _refused(429, "rate.limit.exceeded", "The API request rate is higher than 4 request per second.")

    # --- searches

    async def make_job(self, request: Request) -> Response:
        body = await request.json()
        try:
            since, until = (_moment(body[name]) for name in ("from", "to"))
        except (KeyError, ValueError):
            return _refused(400, "searchjob.invalid.timestamp.from", "The 'from' field contains an invalid time.")
        if body.get("timeZone") != "UTC" or until <= since:
            return _refused(400, "searchjob.to.smaller.than.from", "The 'from' time cannot be larger than 'to'.")
        try:
            found = search(body.get("query", ""), messages_of(self.estate, since, until))
        except QueryError as exc:
            return _refused(400, "searchjob.parse.error", f"Unable to parse query. {exc}")
        number, cookie = secrets.token_hex(8).upper(), secrets.token_hex(16)
        now = self.estate.now()
        self._jobs[number] = _Job(now + timedelta(seconds=self.estate.settle_s), found, cookie, now)
        answer = JSONResponse({"id": number, "link": {"rel": "self", "href": f"{request.url}/{number}"}}, 202)
        answer.raw_headers.append(
            (b"set-cookie", f"AWSALB={cookie}; Expires=Sun, 06 Dec 2099 10:00:00 GMT; Path=/".encode())
        )
        answer.raw_headers.append((b"set-cookie", f"JSESSIONID=node{cookie}; Path=/api; Secure; HttpOnly".encode()))
        return answer

    def _known(self, request: Request) -> _Job | None:
        job = self._jobs.get(request.path_params["job"])
        if job is None or request.cookies.get("AWSALB") != job.cookie or "JSESSIONID" not in request.cookies:
            return None
        now, before = self.estate.now(), job.asked_at
        job.asked_at = now
        return job if (now - before).total_seconds() <= _INACTIVE_S else None

    async def job(self, request: Request) -> Response:
        job = self._known(request)
        if job is None:
            return _refused(404, "searchjob.jobid.invalid", "Job ID is invalid.")
        done = self.estate.now() >= job.due_at
        paused = len(job.found.messages) > self.messages_most and job.found.records is None
        end = self.bad_end or ("FORCE PAUSED" if paused else "DONE GATHERING RESULTS")
        state = end if done else "GATHERING RESULTS" if job.looked else "NOT STARTED"
        errors = [self.trouble] if self.trouble and not job.looked else []
        job.looked = True
        counts = {
            "messageCount": min(len(job.found.messages), self.messages_most) if done else 0,
            "recordCount": len(job.found.records or ()) if done else 0,
        }
        return JSONResponse({"state": state, **counts, "pendingErrors": errors, "pendingWarnings": []})

    async def rows(self, request: Request) -> Response:
        job, kind = self._known(request), request.path_params["kind"]
        if job is None:
            return _refused(404, "searchjob.jobid.invalid", "Job ID is invalid.")
        if kind == "records" and job.found.records is None:
            text = "No records; query is not an aggregation"
            return _refused(400, "searchjob.no.records.not.an.aggregation.query", text)
        start, limit = (int(request.query_params.get(name, "-1")) for name in ("offset", "limit"))
        if start < 0 or limit < 1:
            return _refused(400, "searchjob.limit.missing", "Offset or limit is missing.")
        rows = job.found.messages[: self.messages_most] if kind == "messages" else job.found.records or []
        page = rows[start : start + min(limit, self.rows_at_once)]
        return JSONResponse({"fields": [], kind: [{"map": dict(row)} for row in page]})

    # --- Cloud SIEM

    async def insights(self, request: Request) -> Response:
        params = request.query_params
        start, limit = int(params.get("offset", "0")), int(params.get("limit", "20"))
        asked = params.get("q", "")
        if not asked.startswith("created:>") or limit > self.rows_at_once:
            return _refused(400, "generic", "Invalid query or limit.")
        since = datetime.fromisoformat(asked.removeprefix("created:>"))
        found = [_insight(each, self.estate) for each in self.estate.alerts.values() if each.at > since]
        page = found[start : start + limit]
        more = start + limit < len(found)
        return JSONResponse({"data": {"hasNextPage": more, "objects": page, "total": len(found)}, "errors": []})


def _insight(alert: Alert, estate: Estate) -> dict[str, Any]:
    host = estate.hosts.get(alert.host_id or "")
    name = alert.host_name or (host.name if host else "")
    return {
        "id": alert.id,
        "readableId": f"INSIGHT-{alert.id}",
        "name": alert.title,
        "severity": _LEVELS.get(alert.severity, alert.severity.upper()),
        "created": alert.at.astimezone(UTC).replace(tzinfo=None).isoformat(),
        "status": {"name": {"in_progress": "inprogress"}.get(alert.status, alert.status)},
        "entity": {"entityType": "_hostname", "name": name},
        "tags": [f"_mitreAttackTechnique:{alert.technique}"] if alert.technique else [],
    }


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)


def _refused(status: int, code: str, message: str) -> Response:
    return JSONResponse({"status": status, "id": "SIMUL-ATED0-00000", "code": code, "message": message}, status)
