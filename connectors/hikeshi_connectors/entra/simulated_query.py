"""Query parameters of the simulated Graph: $filter, $select, $top, $skiptoken, and what makes a query an advanced one.

Source: https://learn.microsoft.com/graph/query-parameters and /graph/aad-advanced-queries.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hikeshi_connectors.entra.simulated_objects import ADVANCED, PROPERTIES, SHOWN_BY_DEFAULT
from hikeshi_connectors.microsoft.simulated_answers import Refusal
from hikeshi_connectors.microsoft.simulated_filter import FilterError, parse_filter

__all__ = ["described", "filter_of", "page", "selected"]

Getter = Callable[[str], Any]
_TOP_MOST = 999
_TOP_USUAL = 100


def filter_of(request: Request) -> Callable[[Getter], bool]:
    """Return the test that a request's $filter is, over accounts. Raises Refusal."""
    text = request.query_params.get("$filter")
    if text is None:
        return lambda _: True
    try:
        found = parse_filter(text)
    except FilterError as exc:
        raise Refusal(400, "BadRequest", f"Invalid filter clause: {exc}") from exc
    _refuse_unknown(found.properties, PROPERTIES)
    if (found.negates or found.properties & ADVANCED) and not _is_advanced(request):
        raise Refusal(400, "Request_UnsupportedQuery", "Unsupported or invalid query filter clause specified.")
    return found.test


def selected(request: Request, known: Container[str] | None) -> tuple[str, ...] | None:
    """Return the properties of a request's $select, or None if it has none. Raises Refusal for unknown ones."""
    text = request.query_params.get("$select")
    if text is None:
        return None
    fields = tuple(text.split(","))
    if known is not None:
        _refuse_unknown(fields, known)
    return fields


def page(request: Request, items: Sequence[Getter], context: str, most: int) -> Response:
    """Return the page of a collection that a request asks for, at most `most` items long. Raises Refusal."""
    start, size = _start(request), min(_top(request), most)
    fields = selected(request, PROPERTIES if context == "users" else None) or SHOWN_BY_DEFAULT
    answer: dict[str, Any] = {"@odata.context": f"https://graph.microsoft.com/v1.0/$metadata#{context}"}
    if _is_advanced(request):
        answer["@odata.count"] = len(items)
    if start + size < len(items):
        token = urlsafe_b64encode(f"at:{start + size}".encode()).decode()
        answer["@odata.nextLink"] = str(request.url.include_query_params(**{"$skiptoken": token}))
    answer["value"] = [_members(fields, get) for get in items[start : start + size]]
    return JSONResponse(answer)


def described(context: str, fields: Iterable[str], get: Getter) -> dict[str, Any]:
    """Return one object with the given properties."""
    named = ",".join(fields)
    return {
        "@odata.context": f"https://graph.microsoft.com/v1.0/$metadata#{context}({named})/$entity",
        **_members(fields, get),
    }


def _members(fields: Iterable[str], get: Getter) -> dict[str, Any]:
    kind = get("@odata.type")
    typed = {"@odata.type": kind} if kind else {}
    return {**typed, "id": get("id"), **{field: get(field) for field in fields}}


def _is_advanced(request: Request) -> bool:
    return request.headers.get("consistencylevel") == "eventual" and request.query_params.get("$count") == "true"


def _refuse_unknown(names: Iterable[str], known: Container[str]) -> None:
    for name in names:
        if name not in known:
            raise Refusal(400, "BadRequest", f"Could not find a property named '{name}'.")


def _top(request: Request) -> int:
    text = request.query_params.get("$top", str(_TOP_USUAL))
    if not (text.isdecimal() and 1 <= int(text) <= _TOP_MOST):
        message = f"Invalid page size specified: '{text}'. Must be between 1 and {_TOP_MOST} inclusive."
        raise Refusal(400, "Request_UnsupportedQuery", message)
    return int(text)


def _start(request: Request) -> int:
    token = request.query_params.get("$skiptoken")
    try:
        return int(urlsafe_b64decode(token).decode().removeprefix("at:")) if token else 0
    except ValueError:
        raise Refusal(400, "Directory_ExpiredPageToken", "The specified page token value has expired.") from None
