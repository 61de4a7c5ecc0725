"""A simulation of the part of Splunk's REST API that the connector uses, over the estate's traffic and alerts.

Faithful where it hurts: a search takes a moment (the estate's `settle_s`), its job answers 204 at first, results come
as many at a time as the server likes, arguments that it does not know are refused, and with `lost_peer` a search fails
or, where partial results are allowed, gives half of the rows as if they were all.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.splunk.simulated_search import READING, SplError, events_of, run_search, stages_of

__all__ = ["SplunkSimulator"]

_LOGIN = "/services/auth/login"
_JOBS = "/services/search/v2/jobs"
_ARGUMENTS = frozenset(
    {"search", "earliest_time", "latest_time", "exec_mode", "output_mode", "max_count", "adhoc_search_level",
     "allow_partial_results", "auto_cancel", "timeout", "id", "rf", "namespace", "status_buckets"}
)  # fmt: skip
_LEVELS = {"informational": 1, "low": 2, "medium": 3, "high": 4, "critical": 5}
_TRUE = frozenset({"1", "true", "t"})


@dataclass(slots=True)
class _Job:
    due_at: datetime
    rows: Sequence[Mapping[str, Any]]
    state: str = "DONE"
    messages: Sequence[Mapping[str, str]] = ()
    looked: bool = False


class SplunkSimulator(Simulator):
    """Splunk's management port below `/splunk`.

    `bad_end` is a state with which searches end instead of DONE; `lost_peer` takes an indexer away; `finalized` ends
    searches early; `searches_at_once` is the quota; `may_search` says whether the user has the capability.
    """

    product = "splunk"
    instance_name = "splunk"
    demo_settings: ClassVar[Mapping[str, str]] = {"username": "hikeshi", "password": "simulated-splunk-password"}
    token = "simulated-splunk-token"  # noqa: S105 - obviously invented

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.bad_end = ""
        self.lost_peer = False
        self.finalized = False
        self.may_search = True
        self.searches_at_once = 50
        self.rows_at_once = 100
        self._jobs: dict[str, _Job] = {}

    def reset(self) -> None:
        self.tokens.revoke_all()
        self._jobs.clear()

    def routes(self) -> list[BaseRoute]:
        return [
            Route(_LOGIN, self.login, methods=["POST"]),
            Route(_JOBS, self.make_job, methods=["POST"]),
            Route(f"{_JOBS}/{{sid}}", self.job, methods=["GET"]),
            Route(f"{_JOBS}/{{sid}}/results", self.results, methods=["GET"]),
            Route("/services/alerts/fired_alerts/-", self.fired_alerts, methods=["GET"]),
        ]

    def is_change(self, request: Request, body: bytes) -> bool:
        path = request.url.path
        if path.endswith(_JOBS) and request.method == "POST":
            try:
                return any(command not in READING for command, _ in stages_of(_form(body).get("search", "")))
            except SplError:
                return True
        return super().is_change(request, body) and not path.endswith(_LOGIN)

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        if request.url.path.endswith(_LOGIN):
            return None
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        known = key == self.token if scheme == "Bearer" else scheme == "Splunk" and self.tokens.is_valid(key)
        if not known:
            return _told(401, "call not properly authenticated", "WARN")
        return None if self.may_search else _told(403, "insufficient permission to access this resource")

    def error(self, status: int, detail: str) -> Response:
        return _told(status, detail)

    def too_many_requests(self, retry_after_s: float) -> Response:  # noqa: ARG002 - Splunk does not say
        return _told(503, "Search not executed: The maximum number of concurrent historical searches has been reached.")

    async def login(self, request: Request) -> Response:
        form = _form(await request.body())
        wanted = (self.credentials["username"], self.credentials["password"])
        if (form.get("username"), form.get("password")) != wanted:
            return _told(401, "Login failed", "WARN")
        return JSONResponse({"sessionKey": self.tokens.issue(3600), "message": "", "code": ""})

    # --- searches

    async def make_job(self, request: Request) -> Response:
        form = _form(await request.body())
        if unknown := sorted(set(form) - _ARGUMENTS):
            return _told(400, f'Argument "{unknown[0]}" is not supported by this handler.')
        span = re.fullmatch(r"-(\d+)s", form.get("earliest_time", "-86400s"))
        if span is None or not form.get("max_count", "10000").isdecimal():
            return _told(400, "Invalid earliest_time or max_count.", "FATAL")
        if sum(job.due_at > self.estate.now() for job in self._jobs.values()) >= self.searches_at_once:
            return self.too_many_requests(0)
        try:
            since = self.estate.now() - timedelta(seconds=int(span[1]))
            rows = run_search(form.get("search", ""), events_of(self.estate, since))
        except SplError as exc:
            return _told(400, str(exc), "FATAL")
        sid = form.get("id") or f"{self.estate.now().timestamp():.0f}.{secrets.randbelow(10**6)}"
        self._jobs[sid] = self._job_of(rows[: int(form.get("max_count", "10000"))], form)
        return JSONResponse({"sid": sid}, status_code=201)

    def _job_of(self, rows: Sequence[Mapping[str, Any]], form: Mapping[str, str]) -> _Job:
        job = _Job(self.estate.now() + timedelta(seconds=self.estate.settle_s), rows, self.bad_end or "DONE")
        if self.lost_peer:
            text = "[idx-2] Search peer idx-2 could not be reached. Results might be incomplete."
            job.messages = [{"type": "ERROR", "text": text}]
            if form.get("allow_partial_results", "true") in _TRUE:
                job.rows, job.messages = rows[: len(rows) // 2], [{"type": "WARN", "text": text}]
            else:
                job.state = "FAILED"
        return job

    def _known(self, request: Request) -> _Job | None:
        return self._jobs.get(request.path_params["sid"])

    async def job(self, request: Request) -> Response:
        job = self._known(request)
        if job is None:
            return _told(404, "Unknown sid.", "FATAL")
        done = self.estate.now() >= job.due_at
        if not done and not job.looked:
            job.looked = True
            return Response(status_code=204)
        content = {
            "sid": request.path_params["sid"],
            "dispatchState": job.state if done else "RUNNING",
            "isDone": done,
            "isFailed": done and job.state == "FAILED",
            "isFinalized": done and self.finalized,
            "resultCount": len(job.rows) if done else 0,
            "messages": list(job.messages) if done else [],
        }
        return JSONResponse({"entry": [{"name": "the search", "content": content}]})

    async def results(self, request: Request) -> Response:
        job = self._known(request)
        if job is None:
            return _told(404, "Unknown sid.", "FATAL")
        if self.estate.now() < job.due_at:
            return Response(status_code=204)
        start, count = (int(request.query_params.get(name, "0")) for name in ("offset", "count"))
        size = min(count or self.rows_at_once, self.rows_at_once)
        rows = job.rows[start : start + size]
        names = dict.fromkeys(name for row in rows for name in row)
        fields = [{"name": name} for name in names]
        body = {"preview": False, "init_offset": start, "messages": [], "fields": fields, "results": list(rows)}
        return JSONResponse(body)

    # --- fired alerts

    async def fired_alerts(self, request: Request) -> Response:
        start, count = (int(request.query_params.get(name, "0")) for name in ("offset", "count"))
        alerts = sorted(self.estate.alerts.values(), key=lambda alert: alert.at, reverse=True)
        size = min(count or 30, self.rows_at_once)
        entries = [
            {
                "name": f"scheduler__hikeshi__search__{alert.id}",
                "content": {
                    "savedsearch_name": alert.title,
                    "severity": _LEVELS[alert.severity],
                    "trigger_time": int(alert.at.timestamp()),
                    "sid": f"scheduler__{alert.id}",
                },
            }
            for alert in alerts[start : start + size]
        ]
        return JSONResponse({"entry": entries, "paging": {"total": len(alerts), "perPage": size, "offset": start}})


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


def _told(status: int, text: str, kind: str = "ERROR") -> Response:
    return JSONResponse({"messages": [{"type": kind, "text": text}]}, status_code=status)
