"""A simulation of the part of Defender for Endpoint's API that the connector uses.

Faithful where it hurts: a machine action is pending until the machine has done it, a second one is refused while the
first is under way, an isolation of an isolated machine stays pending, an indicator overwrites the one for its value,
links to next pages name the older host. What the documentation leaves open is named in checklist.toml.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi.testing.service_clock import ServiceClock
from hikeshi.testing.simulator import Simulator, bearer_token
from hikeshi_connectors.defender.simulated_records import Records
from hikeshi_connectors.defender.simulated_request import batch, body_in, filter_of, getter, number, refused
from hikeshi_connectors.defender.simulated_state import Actions, IndicatorList
from hikeshi_connectors.microsoft.simulated_answers import Refusal, answering, give_token
from hikeshi_connectors.microsoft.simulated_kql import KqlError, run_query

__all__ = ["ALL_PERMISSIONS", "DefenderSimulator"]

ALL_PERMISSIONS = frozenset(
    {
        "Machine.Read.All",
        "Machine.Isolate",
        "Alert.Read.All",
        "AdvancedQuery.Read.All",
        "File.Read.All",
        "Ti.ReadWrite.All",
    }
)
_CODES = {400: "BadRequest", 404: "NotFound", 405: "BadRequest", 429: "TooManyRequests", 500: "InternalServerError"}
_PAGE_MOST = 10_000
_MACHINE_FIELDS = frozenset(
    {"computerDnsName", "id", "version", "deviceValue", "machineTags", "lastSeen", "onboardingStatus", "lastIpAddress"}
    | {"healthStatus", "osPlatform", "rbacGroupId"}
)
_ACTION_FIELDS = frozenset({"id", "status", "machineId", "type", "requestor", "creationDateTimeUtc"})
_ALERT_FIELDS = frozenset({"alertCreationTime", "lastUpdateTime", "id", "status", "severity", "category"})
_INDICATOR_FIELDS = frozenset({"indicatorValue", "indicatorType", "action", "severity", "title", "expirationTime"})
_VALUE = re.compile(r"indicatorValue eq '([^']*)'")
_BY_VALUE = re.compile(rf"{_VALUE.pattern}(?: or {_VALUE.pattern})*")
_ISOLATION_TYPES = frozenset({"Full", "Selective", "UnManagedDevice"})


class DefenderSimulator(Simulator):
    """Defender below `/defender/api`, the token service below `/defender/login`.

    `granted` are the permissions of the app; no page is longer than `most_on_a_page`, which only a link leads on from
    where `links` says so.
    """

    product = "defender"
    instance_name = "defender"
    demo_settings: ClassVar[Mapping[str, str]] = {
        "tenant_id": "5f3d1c2a-0b7e-4e55-9d0c-6a1f00000011",
        "client_id": "5f3d1c2a-0b7e-4e55-9d0c-6a1f00000012",
        "client_secret": "simulated-defender-secret",
    }
    # Documented is 100 a minute for each kind of call; here all kinds share one bucket.
    rate_limit = (600, 60.0)

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.granted = set(ALL_PERMISSIONS)
        self.most_on_a_page = _PAGE_MOST
        self.links = True
        self.token_life_s = 3599.0
        self._clock = ServiceClock(estate)
        self._records = Records(estate, self._clock)
        self._actions = Actions(estate, self._clock)
        self._indicators = IndicatorList(estate, self._clock)

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        root = f"{base_url}/{cls.product}"
        return {"product": cls.product, "base_url": f"{root}/api", "login_url": f"{root}/login", **cls.demo_settings}

    def reset(self) -> None:
        self.tokens.revoke_all()
        self._clock.reset()
        self._records.forget()
        self._indicators.forget()

    def shows(self) -> dict[str, Any]:
        blocked = [each["indicatorValue"] for each in self._indicators.active().values() if each["action"] == "Block"]
        return {"blocked_hashes": sorted(blocked)} if blocked else {}

    def routes(self) -> list[BaseRoute]:
        machine = "/api/machines/{machine}"
        gets = {
            "/api/machines": self.list_machines,
            machine: self.get_machine,
            "/api/machineactions": self.list_actions,
            "/api/alerts": self.list_alerts,
            "/api/indicators": self.list_indicators,
            "/api/files/{file}": self.get_file,
        }
        posts = {
            f"{machine}/isolate": self.isolate,
            f"{machine}/unisolate": self.unisolate,
            "/api/machineactions/{action}/cancel": self.cancel,
            "/api/indicators/import": self.import_indicators,
            "/api/indicators/BatchDelete": self.delete_indicators,
            "/api/advancedqueries/run": self.hunt,
        }
        return [
            Route("/login/{tenant}/oauth2/v2.0/token", self.token, methods=["POST"]),
            *(Route(path, self._answering(handler), methods=["GET"]) for path, handler in gets.items()),
            *(Route(path, self._answering(handler), methods=["POST"]) for path, handler in posts.items()),
        ]

    def is_change(self, request: Request, body: bytes) -> bool:
        reads = ("/oauth2/v2.0/token", "/advancedqueries/run")
        return super().is_change(request, body) and not request.url.path.endswith(reads)

    def succeeded(self, status: int, body: bytes) -> bool:
        if not 200 <= status < 300:
            return False
        results = json.loads(body).get("value") if body else None
        return results is None or any(not each["isFailed"] for each in results)

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        if request.url.path.endswith("/oauth2/v2.0/token"):
            return None
        token = bearer_token(request)
        if token is None or not self.tokens.is_valid(token):
            return refused(401, "Unauthorized", "Unauthorized (invalid or expired authorization header).")
        return None

    def error(self, status: int, detail: str) -> Response:
        return refused(status, _CODES.get(status, "BadRequest"), detail)

    def too_many_requests(self, retry_after_s: float) -> Response:
        answer = self.error(429, "Quota exceeded, retry later.")
        answer.headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))
        return answer

    def _answering(self, handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
        return answering(handler, refused)

    async def token(self, request: Request) -> Response:
        answer, _, _ = await give_token(self, request, self.token_life_s)
        return answer

    # --- machines and what is done to them

    async def list_machines(self, request: Request) -> Response:
        self._need("Machine.Read.All")
        wanted = filter_of(request, _MACHINE_FIELDS)
        hosts = [each for each in self.estate.hosts.values() if wanted(self._records.machine_getter(each))]
        return self._page(request, "Machines", hosts, self._records.machine)

    async def get_machine(self, request: Request) -> Response:
        self._need("Machine.Read.All")
        host = self._records.host(request.path_params["machine"])
        if host is None:
            raise Refusal(404, "ResourceNotFound", f"Machine {request.path_params['machine']} was not found")
        return JSONResponse(self._records.machine(host))

    async def list_actions(self, request: Request) -> Response:
        self._need("Machine.Read.All")
        wanted = filter_of(request, _ACTION_FIELDS)
        found = [each for each in self._actions.all() if wanted(getter(each))]
        return self._page(request, "MachineActions", found, _action_shown)

    async def isolate(self, request: Request) -> Response:
        body = await self._commented(request)
        if body.get("IsolationType", "Full") not in _ISOLATION_TYPES:
            raise Refusal(400, "InvalidInput", "Invalid input IsolationType.")
        return self._begin(request, "Isolate", body)

    async def unisolate(self, request: Request) -> Response:
        return self._begin(request, "Unisolate", await self._commented(request))

    async def cancel(self, request: Request) -> Response:
        await self._commented(request)
        return JSONResponse(_action_shown(self._actions.cancel(request.path_params["action"])))

    async def _commented(self, request: Request) -> dict[str, Any]:
        self._need("Machine.Isolate")
        body = await body_in(request)
        if not body.get("Comment"):
            raise Refusal(400, "MissingRequiredParameter", "Parameter Comment is missing.")
        return body

    def _begin(self, request: Request, kind: str, body: Mapping[str, Any]) -> Response:
        machine_id = request.path_params["machine"]
        host = self._records.host(machine_id)
        if host is None:
            raise Refusal(404, "ResourceNotFound", f"Machine {machine_id} was not found")
        action = self._actions.begin(kind, host, machine_id.lower(), str(body["Comment"]))
        return JSONResponse(_action_shown(action), status_code=201)

    # --- alerts, files, hunting

    async def list_alerts(self, request: Request) -> Response:
        self._need("Alert.Read.All")
        wanted = filter_of(request, _ALERT_FIELDS)
        expanded = request.query_params.get("$expand") == "evidence"
        records = (self._records.alert(each) for each in self.estate.alerts.values())
        found = [each for each in records if wanted(getter(each))]
        return self._page(request, "Alerts", found, lambda alert: alert if expanded else {**alert, "evidence": []})

    async def get_file(self, request: Request) -> Response:
        self._need("File.Read.All")
        sha256 = request.path_params["file"]
        sha1 = self._records.sha1_of(sha256)
        if sha1 is None:
            raise Refusal(404, "ResourceNotFound", f"File {sha256} was not found")
        return JSONResponse({"sha1": sha1, "sha256": sha256, "globalPrevalence": 1})

    async def hunt(self, request: Request) -> Response:
        self._need("AdvancedQuery.Read.All")
        query = (await body_in(request)).get("Query")
        if not isinstance(query, str) or not query:
            raise Refusal(400, "MissingRequiredParameter", "Parameter Query is missing.")
        try:
            rows = run_query(query, self._records.table, self._clock.now())
        except KqlError as exc:
            raise Refusal(400, "BadRequest", str(exc)) from exc
        names = list(rows[0]) if rows else []
        return JSONResponse({"Schema": [{"Name": name, "Type": "String"} for name in names], "Results": list(rows)})

    # --- indicators

    async def list_indicators(self, request: Request) -> Response:
        self._need("Ti.ReadWrite.All")
        active = self._indicators.active()
        asked = request.query_params.get("$filter", "")
        if _BY_VALUE.fullmatch(asked):  # the one that is asked over and over, on a list that may be long
            values = dict.fromkeys(value.lower() for value in _VALUE.findall(asked))
            found = [active[value] for value in values if value in active]
        else:
            wanted = filter_of(request, _INDICATOR_FIELDS)
            found = [each for each in active.values() if wanted(getter(each))]
        return self._page(request, "Indicators", found, dict)

    async def import_indicators(self, request: Request) -> Response:
        self._need("Ti.ReadWrite.All")
        entries = batch((await body_in(request)).get("Indicators"), dict)
        return JSONResponse({"value": [self._imported(entry) for entry in entries]})

    def _imported(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        value = entry.get("indicatorValue")
        try:
            one = self._indicators.put(entry)
        except ValueError as exc:
            return {"id": None, "indicator": value, "isFailed": True, "failureReason": str(exc)}
        return {"id": one, "indicator": value, "isFailed": False, "failureReason": None}

    async def delete_indicators(self, request: Request) -> Response:
        self._need("Ti.ReadWrite.All")
        ids = batch((await body_in(request)).get("IndicatorIds"), str)
        value_of = {each["id"]: value for value, each in self._indicators.active().items()}
        missing = [one for one in ids if one not in value_of]
        if missing:
            raise Refusal(404, "ResourceNotFound", f"Indicator {missing[0]} was not found")
        for one in ids:
            self._indicators.remove(value_of[one])
        return Response(status_code=204)

    # --- requests

    def _need(self, permission: str) -> None:
        if permission not in self.granted:
            raise Refusal(403, "Forbidden", f"Missing application roles. API required roles: {permission}")

    def _page(
        self, request: Request, context: str, items: Sequence[Any], shown: Callable[[Any], Mapping[str, Any]]
    ) -> Response:
        start = number(request, "$skip", 0)
        asked = min(number(request, "$top", _PAGE_MOST), _PAGE_MOST)
        end = start + min(asked, self.most_on_a_page)
        answer: dict[str, Any] = {
            "@odata.context": f"https://api.securitycenter.microsoft.com/api/$metadata#{context}",
            "value": [shown(each) for each in items[start:end]],
        }
        if self.links and end < len(items):
            link = request.url.include_query_params(**{"$skip": end})
            answer["@odata.nextLink"] = f"https://api.securitycenter.microsoft.com/api/{context.lower()}?{link.query}"
        return JSONResponse(answer)


def _action_shown(action: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in action.items() if name not in ("hostId", "stuck")}
