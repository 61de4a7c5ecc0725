"""Answers of Splunk's REST API: which error each failure stands for.

Source: https://docs.splunk.com/Documentation/Splunk/9.4.0/RESTREF/RESTprolog (status codes); failures carry
`{"messages": [{"type": "ERROR", "text": "…"}]}`. Everything that is asked here is a read, so nothing was applied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from hikeshi.connector import Applied, ConnectorError, Invalid, RateLimited, Response, Unauthorized, error_of_status

__all__ = ["JOBS", "LOGIN", "check_answer", "told_in"]

LOGIN = "/services/auth/login"
JOBS = "/services/search/v2/jobs"
_SHOWN_MOST = 500


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for, and pass any other."""
    if response.status >= 400:
        error = _error_of(response)
    elif response.content and "json" not in response.headers.get("content-type", ""):
        kind = response.headers.get("content-type", "no content type")
        error = Invalid(f"{response.where}: the answer is not Splunk's ({kind}); is base_url the management port?")
    else:
        return
    error.applied = Applied.NO
    raise error


def told_in(messages: Any) -> str:
    """Return what messages say, as `type: text`."""
    found = [each for each in messages if isinstance(each, Mapping)] if isinstance(messages, list) else []
    texts = [f"{each.get('type', '')}: {each.get('text', '')}" for each in found]
    return " ".join("; ".join(texts).split())[:_SHOWN_MOST]


def _error_of(response: Response) -> ConnectorError:
    told = told_in(_body_of(response).get("messages"))
    path = urlsplit(response.url).path
    if path.endswith(LOGIN) and response.status in (400, 401, 403):
        return Unauthorized(f"{response.where}: {told}; check username and password")
    if response.status == 404:
        # Nothing is looked up by its name here: a search is gone, or the server has no v2 of its API.
        return Invalid(f"{response.where}: {told}; the search is gone, or Splunk is older than 9.0.1")
    if response.status == 503 and path.endswith(JOBS) and told:
        return RateLimited(f"{response.where}: {told}; too many searches run at once")
    return error_of_status(response, told)


def _body_of(response: Response) -> dict[str, Any]:
    try:
        body = json.loads(response.content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
