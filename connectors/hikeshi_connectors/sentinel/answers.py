"""Answers of Log Analytics and of Azure Resource Manager: which error each failure stands for.

Sources: https://learn.microsoft.com/azure/azure-monitor/logs/api/response-format (PartialError in a 200) and
/azure/azure-monitor/logs/api/errors; everything that is asked here is a read, so nothing was applied.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hikeshi.connector import Applied, ConnectorError, Forbidden, Invalid, Response, error_of_status
from hikeshi_connectors.microsoft.answers import body_of, error_of_sign_in, foreign_page, is_sign_in, said_in

__all__ = ["check_answer"]

_SHOWN_MOST = 500


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for, and pass any other. A partial result is an error."""
    error = _error_of(response) if response.status >= 400 else _false_success(response)
    if error is not None:
        error.applied = Applied.NO
        raise error


def _error_of(response: Response) -> ConnectorError:
    if is_sign_in(response):
        return error_of_sign_in(response)
    told = _told(response)
    message = f"{response.where}: {told}"
    if response.status == 403:
        return Forbidden(f"{message}; the app lacks a role on the workspace")
    if response.status == 404:
        # Nothing is looked up by its name here: what is missing is the workspace, or the address is wrong.
        return Invalid(f"{message}; check workspace_id, subscription_id, resource_group, workspace and the addresses")
    return error_of_status(response, told)


def _false_success(response: Response) -> ConnectorError | None:
    if (foreign := foreign_page(response, "Microsoft's")) is not None:
        return foreign
    if body_of(response).get("error"):
        return Invalid(f"{response.where}, but only in part: {_told(response)}; search a shorter time or for less")
    return None


def _told(response: Response) -> str:
    """Return what an envelope says. Why a query is wrong stands in its inner errors."""
    error = body_of(response).get("error")
    inner = list(_inner_messages(error)) if isinstance(error, dict) else []
    return "; ".join([said_in(response).text, *inner])[:_SHOWN_MOST]


def _inner_messages(error: Mapping[str, Any]) -> Iterator[str]:
    details = error.get("details")
    nested = [error.get("innererror"), *(details if isinstance(details, list) else ())]
    for each in nested:
        if isinstance(each, dict):
            if each.get("message"):
                yield " ".join(str(each["message"]).split())
            yield from _inner_messages(each)
