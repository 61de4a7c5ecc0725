"""CrowdSec's Local API over an estate: machines log in and write, bouncers read with a key.

Source: pkg/models/localapi_swagger.yaml and pkg/apiserver in crowdsecurity/crowdsec (a88b497b); LAPI 1.4.6 as it
answered: most of what it refuses, it refuses with status 500.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator, bearer_token
from hikeshi_connectors.crowdsec.decisions import seconds_of

__all__ = ["CrowdSecSimulator"]

_TOKEN_LIFE_S = 3600.0
_OF_AN_ALERT = (
    "capacity", "events", "events_count", "leakspeed", "message", "scenario", "scenario_hash", "scenario_version",
    "simulated", "source", "start_at", "stop_at",
)  # fmt: skip
_OF_A_DECISION = ("duration", "origin", "scenario", "scope", "type", "value")
_SCOPES = {"ip": "Ip", "range": "Range", "country": "Country", "as": "AS"}
# What a deletion may name, and the field that it compares with; anything else is refused.
_DELETE_BY = {"scopes": "scope", "value": "value", "type": "type", "origin": "origin", "scenario": "scenario"}


class CrowdSecSimulator(Simulator):
    """The Local API of the company's proxies.

    Decisions are kept by what they are about; beside them, as marks, their numbers and when they end.
    """

    product = "crowdsec"
    instance_name = "crowdsec"
    demo_settings: ClassVar[Mapping[str, str]] = {
        "machine_id": "hikeshi",
        "password": "simulated-password-not-a-secret",
        "bouncer_key": "simulated-bouncer-key-not-a-secret",
    }

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        estate.product_state.setdefault("crowdsec", {"decisions": {}, "marks": {}, "last": 0, "alerts": 0})

    def shows(self) -> dict[str, Any]:
        shown: dict[str, list[str]] = {}
        for decision, _, _ in self._live():
            shown.setdefault(decision["origin"], []).append(decision["value"])
        return {"decisions": {origin: sorted(values) for origin, values in sorted(shown.items())}}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v1/watchers/login", self._log_in, methods=["POST"]),
            Route("/v1/alerts", self._add, methods=["POST"]),
            Route("/v1/decisions", self._list, methods=["GET"]),
            Route("/v1/decisions", self._delete, methods=["DELETE"]),
        ]

    def is_change(self, request: Request, body: bytes) -> bool:
        return super().is_change(request, body) and not request.url.path.endswith("/v1/watchers/login")

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002
        if request.url.path.endswith("/v1/watchers/login"):
            return None
        if request.method == "GET":
            given = request.headers.get("x-api-key")
            return None if given == self.credentials["bouncer_key"] else _refused(403, "access forbidden")
        token = bearer_token(request)
        if token is None:
            return _refused(401, "cookie token is empty", code=401)
        return None if self.tokens.is_valid(token) else _refused(401, "signature is invalid", code=401)

    def error(self, status: int, detail: str) -> Response:
        return _refused(status, detail)

    # --- requests

    async def _log_in(self, request: Request) -> Response:
        given = await request.json()
        wanted = {name: self.credentials[name] for name in ("machine_id", "password")}
        if given != wanted:
            return _refused(401, "incorrect Username or Password", code=401)
        until = self.estate.now() + timedelta(seconds=_TOKEN_LIFE_S)
        token = self.tokens.issue(_TOKEN_LIFE_S)
        return _answer({"code": 200, "expire": until.strftime("%Y-%m-%dT%H:%M:%SZ"), "token": token})

    async def _add(self, request: Request) -> Response:
        alerts = await request.json()
        if not isinstance(alerts, list):
            return _refused(400, "json: cannot unmarshal object into Go value of type models.AddAlertsRequest")
        missing = list(_missing(alerts))
        if missing:
            return _refused(500, "\n".join(["validation failure list:", *missing]))
        try:
            new = [_ends(alert, decision) for alert in alerts for decision in alert.get("decisions", [])]
        except ValueError as exc:
            return _refused(500, f"unable to create alerts: {exc}: unable to parse duration")
        for decision, ends in new:
            self._state["last"] += 1
            where = f"{decision['scope']} {decision['value']}"
            kept = {name: decision[name] for name in _OF_A_DECISION if name != "duration"}
            self._state["decisions"].setdefault(where, []).append(kept)
            self._state["marks"].setdefault(where, []).append([self._state["last"], ends])
        first = self._state["alerts"] + 1
        self._state["alerts"] += len(alerts)
        return _answer([str(first + n) for n in range(len(alerts))], status=201)

    async def _list(self, request: Request) -> Response:
        query = request.query_params
        origins = query["origins"].split(",") if "origins" in query else None
        scopes = [_scope(each) for each in query["scopes"].split(",")] if "scopes" in query else None
        now = self.estate.now().timestamp()
        found = [
            {**decision, "id": number, "duration": _go_text(ends - now)}
            for decision, number, ends in self._live()
            if (origins is None or decision["origin"] in origins)
            and (scopes is None or decision["scope"] in scopes)
            and query.get("value", decision["value"]) == decision["value"]
        ]
        return _answer(found or None)

    async def _delete(self, request: Request) -> Response:
        unknown = [name for name in request.query_params if name not in _DELETE_BY]
        if unknown:
            return _refused(500, f"'{unknown[0]}' doesn't exist: invalid filter")
        wanted = {_DELETE_BY[name]: value for name, value in request.query_params.items()}
        exact = f"{wanted.get('scope')} {wanted.get('value')}"
        decisions = self._state["decisions"]
        places = [exact] if {"scope", "value"} <= wanted.keys() else list(decisions)
        return _answer({"nbDeleted": str(sum(self._delete_at(place, wanted) for place in places))})

    def _delete_at(self, place: str, wanted: Mapping[str, str]) -> int:
        """Delete the decisions about one subject that are as wanted, and return how many of them had not ended."""
        decisions, marks, now = self._state["decisions"], self._state["marks"], self.estate.now().timestamp()
        found = list(zip(decisions.pop(place, []), marks.pop(place, []), strict=True))
        kept = [(each, mark) for each, mark in found if any(each[name] != value for name, value in wanted.items())]
        if kept:
            decisions[place], marks[place] = map(list, zip(*kept, strict=True))
        return sum(mark[1] > now for each, mark in found if (each, mark) not in kept)

    # --- state

    @property
    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.estate.product_state["crowdsec"]
        return state

    def _live(self) -> Iterator[tuple[dict[str, Any], int, float]]:
        """Yield the decisions that have not ended, each with its number and its end."""
        now, marks = self.estate.now().timestamp(), self._state["marks"]
        for where, decisions in self._state["decisions"].items():
            for decision, (number, ends) in zip(decisions, marks[where], strict=True):
                if ends > now:
                    yield decision, number, ends


def _answer(content: Any, status: int = 200) -> Response:
    return JSONResponse(content, status_code=status)


def _refused(status: int, message: str, **more: Any) -> Response:
    return _answer({**more, "message": message}, status)


def _missing(alerts: list[Any]) -> Iterator[str]:
    for number, alert in enumerate(alerts):
        yield from (f"{number}.{name} in body is required" for name in _OF_AN_ALERT if name not in alert)
        for at, decision in enumerate(alert.get("decisions", [])):
            absent = [name for name in _OF_A_DECISION if name not in decision]
            yield from (f"{number}.decisions.{at}.{name} in body is required" for name in absent)


def _ends(alert: Mapping[str, Any], decision: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
    """Return a decision with its scope as the Local API writes it, and when it ends. Raises ValueError."""
    scope = _scope(decision["scope"])
    if scope in ("Ip", "Range"):
        ip_network(decision["value"], strict=False)
    ends = datetime.fromisoformat(alert["stop_at"]).timestamp() + seconds_of(decision["duration"])
    return {**decision, "scope": scope}, ends


def _scope(text: str) -> str:
    return _SCOPES.get(text.lower(), text)


def _go_text(seconds: float) -> str:
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    return (f"{hours:.0f}h" if hours else "") + (f"{minutes:.0f}m" if hours or minutes else "") + f"{left:.9f}s"
