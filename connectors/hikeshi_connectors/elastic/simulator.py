"""A simulation of the part of Elasticsearch and of OpenSearch that the connector uses, over the estate.

Faithful where it hurts: a point in time shows what was there when it was opened, pages go by the sort values of the
last hit, and a search can end in time (`timed_out`), lose a shard (`lost_shard`) or a remote cluster (`lost_cluster`)
and still answer 200.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.elastic.simulated_index import Document, QueryError, documents_of, passes

__all__ = ["ElasticSimulator"]

_TYPES = {400: "illegal_argument_exception", 403: "security_exception", 429: "es_rejected_execution_exception"}
_LEVELS = {"critical": "1", "high": "2", "medium": "3", "low": "4", "informational": "5"}
_PIT_PARAMS = {"elasticsearch": {"keep_alive"}, "opensearch": {"keep_alive", "allow_partial_pit_creation"}}
_SIZE_MOST = 10_000


class ElasticSimulator(Simulator):
    """A cluster below `/elastic`, of the kind that `flavor` says. `may_read` says whether the user has a role.

    `api_key` and `basic` are how to sign in; the latter is what OpenSearch takes.
    """

    product = "elastic"
    instance_name = "elastic"
    demo_settings: ClassVar[Mapping[str, str]] = {"api_key": "c2ltdWxhdGVkOmVsYXN0aWMta2V5"}
    basic = ("hikeshi", "simulated-elastic-password")

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.flavor = "elasticsearch"
        self.may_read = True
        self.timed_out = False
        self.lost_shard = False
        self.lost_cluster = False
        self.alerts_at_once = 100
        self._points: dict[str, list[Document]] = {}

    def reset(self) -> None:
        self._points.clear()

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/_search", self.search, methods=["POST"]),
            Route("/{indices}/_pit", self.open_point, methods=["POST"]),
            Route("/{indices}/_search/point_in_time", self.open_point, methods=["POST"]),
            Route("/_plugins/_security_analytics/alerts", self.analytics_alerts, methods=["GET"]),
        ]

    def is_change(self, request: Request, body: bytes) -> bool:
        return super().is_change(request, body) and not request.url.path.endswith(("_search", "_pit", "/point_in_time"))

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        coded = base64.b64encode(":".join(self.basic).encode()).decode()
        known = [f"Basic {coded}", *([f"ApiKey {self.credentials['api_key']}"] if self.flavor != "opensearch" else [])]
        if request.headers.get("authorization") not in known:
            return _refused(401, "security_exception", "unable to authenticate with provided credentials")
        return None if self.may_read else _refused(403, "security_exception", "action is unauthorized for this user")

    def error(self, status: int, detail: str) -> Response:
        return _refused(status, _TYPES.get(status, "exception"), detail)

    def too_many_requests(self, retry_after_s: float) -> Response:  # noqa: ARG002 - the product does not say
        return self.error(429, "rejected execution of coordinating operation")

    async def open_point(self, request: Request) -> Response:
        own = request.url.path.endswith("/_pit")
        if own == (self.flavor == "opensearch"):
            return _refused(400, "illegal_argument_exception", "request does not have a handler here")
        if unknown := sorted(set(request.query_params) - _PIT_PARAMS[self.flavor]):
            return _refused(400, "illegal_argument_exception", f"request contains unrecognized parameter: {unknown}")
        patterns = request.path_params["indices"].split(",")
        found = [each for each in documents_of(self.estate) if any(fnmatchcase(each["_index"], p) for p in patterns)]
        if (
            not found
            and not any("*" in each for each in patterns)
            and not patterns[0].startswith(("logs-", ".alerts-"))
        ):
            return _refused(404, "index_not_found_exception", f"no such index [{patterns[0]}]")
        point = secrets.token_urlsafe(24)
        self._points[point] = sorted(found, key=lambda each: (-each["at"].timestamp(), each["_id"], each["_index"]))
        return JSONResponse({"id" if own else "pit_id": point, "_shards": {"total": 5, "successful": 5, "failed": 0}})

    async def search(self, request: Request) -> Response:
        body = await request.json()
        point = self._points.get(body.get("pit", {}).get("id", ""))
        if point is None:
            return _refused(404, "search_context_missing_exception", "No search context found for id [1]")
        size = body.get("size", 10)
        if not 0 <= size <= _SIZE_MOST:
            return _refused(400, "illegal_argument_exception", f"Result window is too large, [{size}]")
        try:
            test = passes(body.get("query", {}), self.estate.now())
        except QueryError as exc:
            return _refused(400, "search_phase_execution_exception", "all shards failed", str(exc))
        if self.lost_shard and request.query_params.get("allow_partial_search_results") == "false":
            return _refused(503, "search_phase_execution_exception", "Partial shards failure")
        found = [_hit(each, body, self.flavor, number) for number, each in enumerate(point) if test(each)]
        hits = _after(found, body.get("search_after"))[:size]
        answer = {"took": 3, "timed_out": self.timed_out, "pit_id": body["pit"]["id"], "hits": {"hits": hits}}
        return JSONResponse({**answer, **self._seen()})

    def _seen(self) -> dict[str, Any]:
        reason = {"type": "no_shard_available_action_exception", "reason": "the node left"}
        lost = [{"shard": 0, "reason": reason}] if self.lost_shard else []
        shards = {"total": 5, "successful": 5 - len(lost), "skipped": 0, "failed": len(lost), "failures": lost}
        found: dict[str, Any] = {"_shards": shards}
        if self.lost_cluster:
            found["_clusters"] = {"total": 2, "successful": 1, "skipped": 1}
        return found

    async def analytics_alerts(self, request: Request) -> Response:
        if self.flavor != "opensearch" or "detectorType" not in request.query_params:
            return _refused(400, "illegal_argument_exception", "At least one of detector type or detector ID needed")
        start, size = (int(request.query_params.get(name, "0")) for name in ("startIndex", "size"))
        alerts = sorted(self.estate.alerts.values(), key=lambda alert: alert.at, reverse=True)
        shown = [
            {
                "id": alert.id,
                "detector_id": "a-detector",
                "trigger_name": alert.title,
                "state": "ACTIVE",
                "severity": _LEVELS[alert.severity],
                "start_time": alert.at.isoformat().replace("+00:00", "Z"),
            }
            for alert in alerts[start : start + min(size, self.alerts_at_once)]
        ]
        kind = request.query_params["detectorType"]
        return JSONResponse({"alerts": shown, "total_alerts": len(alerts), "detectorType": kind})


def _hit(document: Document, body: Mapping[str, Any], flavor: str, number: int) -> dict[str, Any]:
    moment = document["at"].isoformat().replace("+00:00", "Z")
    tie = [number] if flavor == "elasticsearch" else [document["_id"], document["_index"]]
    hit = {"_index": document["_index"], "_id": document["_id"], "_score": None, "sort": [moment, *tie]}
    if body.get("_source") is False:
        return {**hit, "fields": {k: [v] for k, v in document["fields"].items() if k in body.get("fields", [])}}
    return {**hit, "_source": _nested({"@timestamp": moment, **document["fields"]})}


def _nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        *path, last = name.split(".")
        place = found
        for part in path:
            place = place.setdefault(part, {})
        place[last] = value
    return found


def _after(hits: Sequence[dict[str, Any]], mark: list[Any] | None) -> list[dict[str, Any]]:
    if mark is None:
        return list(hits)
    at = next((number for number, hit in enumerate(hits) if hit["sort"] == mark), len(hits))
    return list(hits[at + 1 :])


def _refused(status: int, kind: str, reason: str, cause: str = "") -> Response:
    root = [{"type": "query_shard_exception", "reason": cause}] if cause else [{"type": kind, "reason": reason}]
    error = {"root_cause": root, "type": kind, "reason": reason}
    return JSONResponse({"error": error, "status": status}, status_code=status)
