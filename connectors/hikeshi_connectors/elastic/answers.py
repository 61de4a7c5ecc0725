"""Answers of Elasticsearch and OpenSearch: which error each failure stands for, and which success is only a part.

Sources: https://www.elastic.co/docs/reference/elasticsearch/rest-apis/common-options and the search API's response
(`timed_out`, `_shards`, `_clusters`); OpenSearch has the same envelopes. Everything that is asked here is a read, so
nothing was applied.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from hikeshi.connector import Applied, ConnectorError, Invalid, Response, error_of_status

__all__ = ["check_answer"]

_SHOWN_MOST = 500


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for, and pass any other. A partial result is an error."""
    error = _error_of(response) if response.status >= 400 else _false_success(response)
    if error is not None:
        error.applied = Applied.NO
        raise error


def _error_of(response: Response) -> ConnectorError:
    told = "; ".join(dict.fromkeys(_reasons(_body_of(response).get("error"))))[:_SHOWN_MOST]
    if response.status == 404:
        # Nothing is looked up by its name here: an index is not there, or a point in time has ended.
        return Invalid(f"{response.where}: {told}; check indices, alerts_index, flavor and base_url")
    return error_of_status(response, told)


def _false_success(response: Response) -> ConnectorError | None:
    if "json" not in response.headers.get("content-type", ""):
        kind = response.headers.get("content-type", "no content type")
        return Invalid(f"{response.where}: the answer is not Elasticsearch's or OpenSearch's ({kind})")
    if missing := ", ".join(_missing(_body_of(response))):
        return Invalid(f"{response.where}, but only in part: {missing}; what was found is not all")
    return None


def _missing(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield what says that a search has not seen everything."""
    for name in ("timed_out", "terminated_early"):
        if body.get(name):
            yield name
    shards = body.get("_shards")
    if isinstance(shards, dict) and shards.get("failed"):
        given = shards.get("failures")
        failures = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
        reasons = [reason for each in failures[:3] for reason in _reasons(each.get("reason"))]
        yield f"{shards['failed']} of {shards.get('total')} shards failed {'; '.join(reasons)}".strip()[:_SHOWN_MOST]
    clusters = body.get("_clusters")
    if isinstance(clusters, dict):
        lost = sum(int(clusters.get(name) or 0) for name in ("skipped", "partial", "failed"))
        if lost:
            yield f"{lost} remote clusters did not answer in full"


def _reasons(error: Any) -> Iterator[str]:
    """Yield what an error says as `type: reason`, then its causes. Some errors are only a text."""
    if isinstance(error, str):
        yield " ".join(error.split())
    if not isinstance(error, dict):
        return
    if error.get("reason"):
        yield f"{error.get('type', 'error')}: {' '.join(str(error['reason']).split())}"
    causes = error.get("root_cause")
    for cause in causes if isinstance(causes, list) else []:
        yield from _reasons(cause)
    yield from _reasons(error.get("caused_by"))


def _body_of(response: Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
