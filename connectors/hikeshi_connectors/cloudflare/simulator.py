"""Cloudflare's API v4 over an estate: Gateway lists, one list of the account with its jobs, and access rules.

A job takes the estate's `settle_s`, and there is one at a time. Sources: Cloudflare's OpenAPI file as its own Python
library has it; what is assumed stands in checklist.toml.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Mapping
from itertools import islice
from typing import Any, ClassVar
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator, bearer_token

__all__ = ["CloudflareSimulator"]

ACCOUNT = "0123456789abcdef0123456789abcdef"
RULES_LIST = "2c0fc9fa937b11eaa1b71c4d701ab86e"
GATEWAY_LISTS = {
    "DOMAIN": "f174e90a-fafe-4643-bbbc-4a0ed4fc8415",
    "URL": "f174e90a-fafe-4643-bbbc-4a0ed4fc8416",
    "IP": "f174e90a-fafe-4643-bbbc-4a0ed4fc8417",
    "SINKHOLE": "f174e90a-fafe-4643-bbbc-4a0ed4fc8418",
}
_GATEWAY_MOST = 5000
_PAGES = {"gateway": 1000, "rules": 500, "access": 100}
_DOMAIN = re.compile(r"(?=.{1,253}$)(?:[a-z0-9_-]{1,63}\.)+[a-z0-9-]{1,63}")


class CloudflareSimulator(Simulator):
    """The Cloudflare account of the company."""

    product = "cloudflare"
    instance_name = "cloudflare"
    demo_settings: ClassVar[Mapping[str, str]] = {
        "api_token": "simulated-cloudflare-token-not-a-secret",
        "account_id": ACCOUNT,
        "domain_list": GATEWAY_LISTS["DOMAIN"],
        "url_list": GATEWAY_LISTS["URL"],
        "ip_list": GATEWAY_LISTS["IP"],
        "sinkhole_list": GATEWAY_LISTS["SINKHOLE"],
        "rules_list": RULES_LIST,
        "addresses": "rules_list",
    }
    rate_limit = (1200, 300.0)
    lockout_s = 300.0

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        estate.product_state.setdefault(
            "cloudflare",
            {"gateway": {each: {} for each in GATEWAY_LISTS.values()}, "rules": {}, "access": {}, "jobs": {}},
        )

    def routes(self) -> list[BaseRoute]:
        account, lists = "/accounts/{account:str}", "/accounts/{account:str}/rules/lists"
        access = "/firewall/access_rules/rules"
        return [
            Route(f"{account}/gateway/lists/{{list:str}}", self._change_gateway, methods=["PATCH"]),
            Route(f"{account}/gateway/lists/{{list:str}}/items", self._gateway_items, methods=["GET"]),
            Route(f"{lists}/bulk_operations/{{job:str}}", self._job, methods=["GET"]),
            Route(f"{lists}/{{list:str}}/items", self._rules_items, methods=["GET"]),
            Route(f"{lists}/{{list:str}}/items", self._change_rules, methods=["POST", "DELETE"]),
            *(
                route
                for scope in (account, "/zones/{account:str}")
                for route in (
                    Route(f"{scope}{access}", self._access, methods=["GET"]),
                    Route(f"{scope}{access}", self._make_access, methods=["POST"]),
                    Route(f"{scope}{access}/{{rule:str}}", self._drop_access, methods=["DELETE"]),
                )
            ),
        ]

    def shows(self) -> dict[str, Any]:
        self._settle()
        names = {list_id: kind.lower() for kind, list_id in GATEWAY_LISTS.items()}
        state = self._state
        shown = {names[list_id]: sorted(items) for list_id, items in state["gateway"].items() if items}
        shown |= {"rules_list": sorted(state["rules"])} if state["rules"] else {}
        rules = sorted({value for rules in state["access"].values() for value in rules})
        return shown | ({"access_rules": rules} if rules else {})

    def succeeded(self, status: int, body: bytes) -> bool:
        return status == 200 and b'"success":true' in body

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002
        if bearer_token(request) == self.credentials["api_token"]:
            return None
        return _failure(403, 9109, "Invalid access token")

    def error(self, status: int, detail: str) -> Response:  # noqa: ARG002 - Cloudflare's own words
        return _failure(
            400 if status == 404 else status, 7003, "Could not route to the path; perhaps an ID is invalid?"
        )

    def too_many_requests(self, retry_after_s: float) -> Response:
        answer = _failure(429, 971, "Please wait and consider throttling your request speed")
        answer.headers["Retry-After"] = str(max(1, round(retry_after_s)))
        answer.headers["Ratelimit"] = f'"default";r=0;t={max(1, round(retry_after_s))}'
        return answer

    # --- Gateway lists

    async def _gateway_items(self, request: Request) -> Response:
        items = self._state["gateway"].get(request.path_params["list"])
        if items is None:
            return _failure(404, 2001, "list not found")
        shown = [{"value": value, **item} for value, item in items.items()]
        return _page(request, shown, _PAGES["gateway"])

    async def _change_gateway(self, request: Request) -> Response:
        list_id = request.path_params["list"]
        items = self._state["gateway"].get(list_id)
        if items is None:
            return _failure(404, 2001, "list not found")
        body = await request.json()
        added = {str(each["value"]): str(each.get("description", "")) for each in body.get("append", [])}
        wrong = [value for value in added if not _fits(list_id, value)]
        if wrong:
            return _failure(400, 2006, f"invalid list item: {wrong[0]}")
        if len(items) + len(added) > _GATEWAY_MOST:
            return _failure(400, 2007, "list exceeds the maximum number of items")
        for value, description in added.items():
            items.setdefault(value, {"description": description})
        for value in body.get("remove", []):
            items.pop(value, None)
        return _success({"id": list_id, "count": len(items)})

    # --- the list of the account

    async def _rules_items(self, request: Request) -> Response:
        self._settle()
        if request.path_params["list"] != RULES_LIST:
            return _failure(404, 10001, "could not find list")
        per_page = min(int(request.query_params.get("per_page", "25")), _PAGES["rules"])
        start = int(request.query_params.get("cursor", "0"))
        items = self._state["rules"]
        shown = [
            {"id": item["id"], "ip": ip, "comment": item["comment"]}
            for ip, item in islice(items.items(), start, start + per_page)
        ]
        after = {"after": str(start + per_page)} if start + per_page < len(items) else {}
        return _success(shown, {"cursors": after} if after else {})

    async def _change_rules(self, request: Request) -> Response:
        self._settle()
        if request.path_params["list"] != RULES_LIST:
            return _failure(404, 10001, "could not find list")
        if any(job["status"] == "pending" for job in self._state["jobs"].values()):
            return _failure(429, 10033, "there is a pending bulk operation")
        body = await request.json()
        add = [[str(each["ip"]), str(each.get("comment", ""))] for each in body] if request.method == "POST" else []
        remove = [str(each["id"]) for each in body["items"]] if request.method == "DELETE" else []
        wrong = [ip for ip, _ in add if not _fits_rules(ip)]
        if wrong:
            return _failure(400, 10021, f"invalid IP: {wrong[0]}")
        number = hashlib.md5(f"{len(self._state['jobs'])}".encode(), usedforsecurity=False).hexdigest()
        due = self.estate.now().timestamp() + self.estate.settle_s
        self._state["jobs"][number] = {"status": "pending", "due": due, "add": add, "remove": remove}
        return _success({"operation_id": number})

    async def _job(self, request: Request) -> Response:
        self._settle()
        job = self._state["jobs"].get(request.path_params["job"])
        if job is None:
            return _failure(404, 10002, "could not find bulk operation")
        return _success({"id": request.path_params["job"], "status": job["status"]})

    def _settle(self) -> None:
        now, state = self.estate.now().timestamp(), self._state
        for job in state["jobs"].values():
            if job["status"] != "pending" or job["due"] > now:
                continue
            for ip, comment in job.pop("add"):
                state["rules"][ip] = {
                    "id": hashlib.md5(ip.encode(), usedforsecurity=False).hexdigest(),
                    "comment": comment,
                }
            gone = set(job.pop("remove"))
            if gone:
                for ip in [ip for ip, item in state["rules"].items() if item["id"] in gone]:
                    del state["rules"][ip]
            job["status"] = "completed"

    # --- access rules

    async def _access(self, request: Request) -> Response:
        mode = request.query_params.get("mode")
        scopes = [_scope(request)]
        if scopes[0].startswith("zones/"):  # what the account blocks, a zone shows as well
            scopes += [scope for scope in self._state["access"] if scope.startswith("accounts/")]
        found = [{**rule, "scope": _shown(scope)} for scope in scopes for rule in self._rules(scope).values()]
        return _page(request, [each for each in found if mode in (None, each["mode"])], _PAGES["access"])

    async def _make_access(self, request: Request) -> Response:
        body, scope = await request.json(), _scope(request)
        rules = self._rules(scope)
        target, value = body["configuration"]["target"], body["configuration"]["value"]
        if not _fits_access(target, value):
            return _failure(400, 10001, f"firewallaccessrules.api.validation_error: {target} {value}")
        if value in rules:
            return _failure(400, 10009, "firewallaccessrules.api.duplicate_of_existing")
        number = hashlib.md5(f"{scope} {value}".encode(), usedforsecurity=False).hexdigest()
        rule = {
            "id": number,
            "mode": body["mode"],
            "notes": body.get("notes", ""),
            "configuration": body["configuration"],
        }
        self._state["access"].setdefault(scope, {})[value] = rule
        return _success({**rule, "scope": _shown(scope)})

    async def _drop_access(self, request: Request) -> Response:
        """Delete a rule by its number, of whichever scope it is: Cloudflare may be as unkind."""
        number = request.path_params["rule"]
        for scope, rules in self._state["access"].items():
            value = next((value for value, rule in rules.items() if rule["id"] == number), None)
            if value is not None:
                del rules[value]
                if not rules:
                    del self._state["access"][scope]
                return _success({"id": number})
        return _failure(404, 10001, "firewallaccessrules.api.not_found")

    def _rules(self, scope: str) -> dict[str, Any]:
        rules: dict[str, Any] = self._state["access"].get(scope, {})
        return rules

    @property
    def _state(self) -> dict[str, Any]:
        return self.estate.product_state["cloudflare"]


def _success(result: Any, result_info: Mapping[str, Any] | None = None) -> Response:
    info = {} if result_info is None else {"result_info": result_info}
    return JSONResponse({"success": True, "errors": [], "messages": [], "result": result, **info})


def _failure(status: int, code: int, message: str) -> Response:
    errors = [{"code": code, "message": message}]
    return JSONResponse({"success": False, "errors": errors, "messages": [], "result": None}, status_code=status)


def _page(request: Request, entries: list[Any], most: int) -> Response:
    page = int(request.query_params.get("page", "1"))
    per_page = min(int(request.query_params.get("per_page", "50")), most)
    shown = entries[(page - 1) * per_page : page * per_page]
    info = {"page": page, "per_page": per_page, "count": len(shown), "total_count": len(entries)}
    return _success(shown, info)


def _scope(request: Request) -> str:
    """Return whose access rules a request is about, "accounts/ID" or "zones/ID": each keeps its own."""
    kind, number = request.url.path.partition("/firewall/")[0].split("/")[-2:]
    return f"{kind}/{number}"


def _shown(scope: str) -> dict[str, str]:
    kind, _, number = scope.partition("/")
    return {"id": number, "type": "zone" if kind == "zones" else "organization"}


def _fits(list_id: str, value: str) -> bool:
    if list_id == GATEWAY_LISTS["IP"]:
        return _network(value) is not None
    if list_id == GATEWAY_LISTS["URL"]:
        parts = urlsplit(value)
        return parts.scheme in ("http", "https") and bool(parts.hostname)
    return bool(_DOMAIN.fullmatch(value))


def _fits_rules(value: str) -> bool:
    network = _network(value)
    return network is not None and network.prefixlen >= (8 if network.version == 4 else 12)


def _fits_access(target: str, value: str) -> bool:
    network = _network(value)
    if network is None:
        return False
    if target == "ip_range":
        return network.prefixlen in ((16, 24) if network.version == 4 else (32, 48, 64))
    return network.prefixlen == network.max_prefixlen and network.version == {"ip": 4, "ip6": 6}.get(target)


def _network(value: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(value)
    except ValueError:
        return None
