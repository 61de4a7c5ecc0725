"""Answers of Sumo Logic's API: which error each failure stands for.

Source: "Errors" in https://www.sumologic.com/help/docs/api/search-job: `{"status", "id", "code", "message"}`.
Everything that is asked here is a read, so nothing was applied.
"""

from __future__ import annotations

import json
from typing import Any

from hikeshi.connector import Applied, ConnectorError, Invalid, Response, error_of_status

__all__ = ["NotAnAggregation", "check_answer"]

_SHOWN_MOST = 500


class NotAnAggregation(Invalid):
    """Records were asked for, and the query makes none: its result are messages."""


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for, and pass any other."""
    if response.status >= 400:
        error = _error_of(response)
    elif response.content and "json" not in response.headers.get("content-type", ""):
        kind = response.headers.get("content-type", "no content type")
        error = Invalid(f"{response.where}: the answer is not Sumo Logic's ({kind})")
    else:
        return
    error.applied = Applied.NO
    raise error


def _error_of(response: Response) -> ConnectorError:
    body = _body_of(response)
    code = str(body.get("code") or "")
    told = ": ".join(str(body[key]) for key in ("code", "message") if body.get(key))
    text = " ".join(told.split())[:_SHOWN_MOST]
    if code.endswith("no.records.not.an.aggregation.query"):
        return NotAnAggregation(f"{response.where}: {text}")
    if response.status == 404:
        # Nothing is looked up by its name here. A search that nobody asks after is cancelled, and so it seems without
        # the cookies of its creation.
        return Invalid(f"{response.where}: {text}; the search was cancelled, or base_url does not end in /api")
    return error_of_status(response, text)


def _body_of(response: Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
