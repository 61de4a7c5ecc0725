"""TheHive's API v1 over an estate: cases, comments, observables and the queries that find them.

Sources: https://docs.strangebee.com/thehive/api-docs/; thehive4py 2.1.0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Ticket
from hikeshi.testing.simulator import Simulator, bearer_token

__all__ = ["TheHiveSimulator"]

_TYPES: Final = {401: "AuthenticationError", 403: "AuthorizationError", 404: "NotFoundError"}
_DATA_TYPES: Final = ("ip", "domain", "url", "mail", "hash", "fqdn", "filename", "other")
_CASE_FIELDS: Final = frozenset({"title", "description", "severity", "tlp", "pap", "tags", "caseTemplate", "flag"})
_LABELS: Final = {1: "LOW", 2: "MEDIUM", 3: "HIGH", 4: "CRITICAL"}


class BadQuery(ValueError):
    """A query, or a body, that TheHive does not take."""


class TheHiveSimulator(Simulator):
    """An organisation whose cases are the estate's tickets whose `details` say `product: thehive`."""

    product = "thehive"
    instance_name = "thehive"
    demo_settings: ClassVar[Mapping[str, str]] = {"api_key": "simulated-thehive-key"}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/api/v1/case", self._create, methods=["POST"]),
            Route("/api/v1/case/{id}/comment", self._comment, methods=["POST"]),
            Route("/api/v1/case/{id}/observable", self._observe, methods=["POST"]),
            Route("/api/v1/query", self._query, methods=["POST"]),
        ]

    def is_change(self, request: Request, body: bytes) -> bool:
        return super().is_change(request, body) and not request.url.path.endswith("/api/v1/query")

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        if bearer_token(request) == self.credentials["api_key"]:
            return None
        return self.error(401, "Authentication failure")

    def error(self, status: int, detail: str) -> Response:
        return _no(status, _TYPES.get(status, "BadRequest"), detail)

    def shows(self) -> dict[str, Any]:
        return {
            "cases": [
                {
                    "number": ticket.details["number"],
                    "title": ticket.title,
                    "severity": _LABELS[ticket.details["severity"]],
                    "comments": len(ticket.details.get("comments", ())),
                    "observables": [each["data"] for each in ticket.details.get("observables", ())],
                }
                for ticket in self.cases
            ]
        }

    @property
    def cases(self) -> list[Ticket]:
        return [ticket for ticket in self.estate.tickets if ticket.details.get("product") == self.product]

    async def _create(self, request: Request) -> Response:
        given = await request.json()
        if wrong := _wrong_with(given):
            return _no(400, "AttributeCheckingError", wrong)
        number = max((case.details["number"] for case in self.cases), default=0) + 1
        details = {name: given[name] for name in ("tlp", "pap", "tags") if name in given}
        details |= {"product": self.product, "number": number, "severity": given.get("severity", 2)}
        case = Ticket(f"~{41_000 + number * 8}", self.estate.now(), given["title"], given["description"], None, "New")
        case.details = {"tlp": 2, "pap": 2, "tags": [], **details}
        self.estate.tickets.append(case)
        return JSONResponse(_shown(case), status_code=201)

    async def _comment(self, request: Request) -> Response:
        case, message = self._case(request.path_params["id"]), (await request.json()).get("message")
        if case is None:
            return self.error(404, "Case not found")
        if not isinstance(message, str):
            return _no(400, "AttributeCheckingError", "message is mandatory")
        comments = case.details.setdefault("comments", [])
        comments.append(message)
        shown = {"_id": f"{case.id}{len(comments)}", "_type": "Comment", "message": message}
        return JSONResponse(shown, status_code=201)

    async def _observe(self, request: Request) -> Response:
        case, given = self._case(request.path_params["id"]), await request.json()
        if case is None:
            return self.error(404, "Case not found")
        if given.get("dataType") not in _DATA_TYPES:
            return _no(404, "NotFoundError", f"ObservableType {given.get('dataType')} not found")
        observables = case.details.setdefault("observables", [])
        if any((each["dataType"], each["data"]) == (given["dataType"], given["data"]) for each in observables):
            return _no(400, "CreateError", "Observable already exists")
        made = {"_id": f"{case.id}0{len(observables)}", "_type": "Observable", "_createdAt": 0, **given}
        observables.append(made)
        return JSONResponse([made], status_code=201)

    async def _query(self, request: Request) -> Response:
        try:
            return JSONResponse(self._answer((await request.json())["query"]))
        except BadQuery as exc:
            return _no(400, "BadRequest", str(exc))

    def _answer(self, steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for step in steps:
            match step["_name"]:
                case "listCase":
                    found = [_shown(case) for case in self.cases]
                case "getCase":
                    named = self._case(step["idOrName"])
                    found = [] if named is None else [_shown(named)]
                case "observables":
                    found = list(self._observables(found))
                case "filter":
                    found = [each for each in found if _has(each, **step["_eq"])]
                case "sort":
                    ((field, _),) = step["_fields"][0].items()
                    found.sort(key=lambda each: each[field])
                case "page":
                    found = found[step["from"] : step["to"]]
                case other:
                    raise BadQuery(f"Query {other} not found")
        return found

    def _observables(self, cases: Iterable[Mapping[str, Any]]) -> Iterable[dict[str, Any]]:
        for shown in cases:
            named = self._case(shown["_id"])
            yield from () if named is None else named.details.get("observables", ())

    def _case(self, id_or_number: str) -> Ticket | None:
        wanted = str(id_or_number)
        return next((case for case in self.cases if wanted in (case.id, str(case.details["number"]))), None)


def _has(shown: Mapping[str, Any], _field: str, _value: Any) -> bool:
    if _field not in shown:
        raise BadQuery(f"Invalid field: {_field}")
    return _value in shown[_field] if isinstance(shown[_field], list) else shown[_field] == _value


def _shown(case: Ticket) -> dict[str, Any]:
    return {
        "_id": case.id,
        "_type": "Case",
        "_createdAt": int(case.at.timestamp() * 1000),
        "title": case.title,
        "description": case.text,
        "status": case.status,
        **{name: case.details[name] for name in ("number", "severity", "tlp", "pap", "tags")},
    }


def _wrong_with(given: Mapping[str, Any]) -> str:
    """Return what TheHive says of the fields of a new case, "" if nothing."""
    for name in ("title", "description"):
        if not isinstance(given.get(name), str) or not given[name]:
            return f"{name} is mandatory"
    if given.keys() - _CASE_FIELDS:
        return f"Unknown attribute {sorted(given.keys() - _CASE_FIELDS)[0]}"
    ranges = {"severity": range(1, 5), "tlp": range(5), "pap": range(4)}
    wrong = [name for name, allowed in ranges.items() if given.get(name, allowed[0]) not in allowed]
    if len(given["title"]) > 512:
        wrong.append("title")
    return f"Invalid value for {wrong[0]}" if wrong else ""


def _no(status: int, kind: str, message: str) -> Response:
    return JSONResponse({"type": kind, "message": message}, status_code=status)
