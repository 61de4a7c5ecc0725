"""The REST API of FortiOS over an estate: bans with their ends, address objects, and two groups prepared by hand.

Sources: Fortinet's OpenAPI files of FortiOS 6.4.14; what is assumed stands in checklist.toml.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator, bearer_token

__all__ = ["FortiGateSimulator"]

_NAME = re.compile(r"[^<>()#'\"]{1,79}")
_FAMILIES = {"address": ("addrgrp", "subnet"), "address6": ("addrgrp6", "ip6")}
_GROUP_MOST = 600
_LOCKED_AFTER = 3


class _Refusal(Exception):
    """FortiOS says no: an HTTP status and its own code."""

    def __init__(self, status: int, code: int) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code


class FortiGateSimulator(Simulator):
    """The FortiGate of a branch office. Three wrong tokens in a row lock the caller out for a minute."""

    product = "fortigate"
    instance_name = "fortigate"
    demo_settings: ClassVar[Mapping[str, str]] = {"token": "simulated-fortigate-token"}

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self._wrong = 0
        self._locked_until = 0.0
        estate.product_state.setdefault(
            "fortigate",
            {
                "banned": {},
                "address": {"none": {"name": "none", "type": "ipmask", "subnet": "0.0.0.0 255.255.255.255"}},
                "address6": {"none": {"name": "none", "type": "ipprefix", "ip6": "::/128"}},
                "addrgrp": {"hikeshi-blocked": ["none"]},
                "addrgrp6": {"hikeshi-blocked6": ["none"]},
            },
        )

    def reset(self) -> None:
        self._wrong = 0
        self._locked_until = 0.0

    def routes(self) -> list[BaseRoute]:
        monitor, cmdb = "/api/v2/monitor/user/banned", "/api/v2/cmdb/firewall"
        return [
            Route(monitor, self._list_banned, methods=["GET"]),
            Route(f"{monitor}/add_users", self._ban, methods=["POST"]),
            Route(f"{monitor}/clear_users", self._unban, methods=["POST"]),
            Route(f"{monitor}/clear_all", self._unban_all, methods=["POST"]),
            Route(f"{cmdb}/{{table:str}}", self._objects, methods=["GET", "POST"]),
            Route(f"{cmdb}/{{table:str}}/{{name:str}}", self._entry, methods=["GET", "DELETE"]),
            Route(f"{cmdb}/{{table:str}}/{{name:str}}/member", self._add_member, methods=["POST"]),
            Route(f"{cmdb}/{{table:str}}/{{name:str}}/member/{{member:str}}", self._drop_member, methods=["DELETE"]),
        ]

    def shows(self) -> dict[str, Any]:
        state = self._state
        names = [*state["addrgrp"]["hikeshi-blocked"], *state["addrgrp6"]["hikeshi-blocked6"]]
        shown = {"banned": sorted(self._live()), "grouped": sorted(name for name in names if name != "none")}
        return shown if any(shown.values()) else {}

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002
        now = self.estate.now().timestamp()
        if now < self._locked_until:
            return self.too_many_requests(0)
        if bearer_token(request) == self.credentials["token"]:
            self._wrong = 0
            return None
        self._wrong += 1
        if self._wrong >= _LOCKED_AFTER:
            self._wrong, self._locked_until = 0, now + 60
        return HTMLResponse("<html><body>401 Unauthorized</body></html>", status_code=401)

    def error(self, status: int, detail: str) -> Response:  # noqa: ARG002 - FortiOS has numbers, no words
        return self._refused(_Refusal(status, -1 if status != 404 else -3))

    def too_many_requests(self, retry_after_s: float) -> Response:  # noqa: ARG002 - FortiOS does not say
        return JSONResponse({"http_status": 429, "status": "error", "vdom": "root"}, status_code=429)

    # --- bans

    async def _list_banned(self, request: Request) -> Response:
        results = [
            {"ip_address": ip, "ipv6": ":" in ip, "source": "administrative", **times}
            for ip, times in self._live().items()
        ]
        return self._success(request, {"results": results, "path": "user", "name": "banned"})

    async def _ban(self, request: Request) -> Response:
        body = await _object(request)
        addresses, expiry = _addresses(body), body.get("expiry", 600)
        if not addresses or not isinstance(expiry, int) or expiry < 0:
            return self._refused(_Refusal(424, -8))
        now = int(self.estate.now().timestamp())
        live = self._live()
        for ip in addresses:
            self._state["banned"][ip] = live.get(ip) or {"created": now, "expires": now + expiry if expiry else 0}
        return self._success(request, {"action": "add_users"})

    async def _unban(self, request: Request) -> Response:
        addresses = _addresses(await _object(request))
        if not addresses:
            return self._refused(_Refusal(424, -8))
        for ip in addresses:
            self._state["banned"].pop(ip, None)
        return self._success(request, {"action": "clear_users"})

    async def _unban_all(self, request: Request) -> Response:
        self._state["banned"].clear()
        return self._success(request, {"action": "clear_all"})

    # --- objects and groups

    async def _objects(self, request: Request) -> Response:
        table = request.path_params["table"]
        if table not in _FAMILIES:
            return self._refused(_Refusal(404, -3))
        objects = self._state[table]
        if request.method == "GET":
            wanted = [each for each in request.query_params.get("format", "").split("|") if each]
            shown = [{key: each[key] for key in wanted or each if key in each} for each in objects.values()]
            return self._success(request, {"results": shown})
        body = await _object(request)
        name, field = str(body.get("name", "")), _FAMILIES[table][1]
        if name in objects:
            return self._refused(_Refusal(500, -5))
        if not _NAME.fullmatch(name) or not _is_network(str(body.get(field, ""))):
            return self._refused(_Refusal(424, -651))
        objects[name] = {key: str(body[key]) for key in ("name", "type", field, "comment") if key in body}
        return self._success(request, {"mkey": name})

    async def _entry(self, request: Request) -> Response:
        table, name = request.path_params["table"], request.path_params["name"]
        if name not in self._state.get(table, {}):
            return self._refused(_Refusal(404, -3))
        if request.method == "GET":
            entry = self._state[table][name]
            group = {"name": name, "member": [{"name": each, "q_origin_key": each} for each in entry]}
            return self._success(request, {"results": [entry if table in _FAMILIES else group]})
        if table not in _FAMILIES or any(name in members for members in self._state[_FAMILIES[table][0]].values()):
            return self._refused(_Refusal(424, -23))
        del self._state[table][name]
        return self._success(request, {"mkey": name})

    async def _add_member(self, request: Request) -> Response:
        members = self._state.get(request.path_params["table"], {}).get(request.path_params["name"])
        name = (await _object(request)).get("name")
        family = {group: table for table, (group, _) in _FAMILIES.items()}.get(request.path_params["table"], "")
        if not isinstance(members, list) or name not in self._state[family]:
            return self._refused(_Refusal(424, -3))
        if name in members:
            return self._refused(_Refusal(500, -5))
        if len(members) >= _GROUP_MOST:
            return self._refused(_Refusal(500, -4))
        members.append(str(name))
        return self._success(request, {"mkey": name})

    async def _drop_member(self, request: Request) -> Response:
        members = self._state.get(request.path_params["table"], {}).get(request.path_params["name"])
        name = request.path_params["member"]
        if not isinstance(members, list) or name not in members:
            return self._refused(_Refusal(404, -3))
        if len(members) == 1:
            return self._refused(_Refusal(500, -56))
        members.remove(name)
        return self._success(request, {"mkey": name})

    # --- the envelope

    @property
    def _state(self) -> dict[str, Any]:
        return self.estate.product_state["fortigate"]

    def _live(self) -> dict[str, dict[str, int]]:
        now = self.estate.now().timestamp()
        banned = self._state["banned"]
        return {ip: times for ip, times in banned.items() if not times["expires"] or times["expires"] > now}

    def _success(self, request: Request, more: Mapping[str, Any]) -> Response:
        vdom = request.query_params.get("vdom", "root")
        if vdom != "root":
            return self._refused(_Refusal(424, -3))
        head = {"http_method": request.method, "status": "success", "http_status": 200, "vdom": vdom}
        return JSONResponse({**head, "version": "v7.4.4", **more})

    def _refused(self, refusal: _Refusal) -> Response:
        body = {"status": "error", "http_status": refusal.status, "error": refusal.code, "vdom": "root"}
        return JSONResponse(body, status_code=refusal.status)


async def _object(request: Request) -> dict[str, Any]:
    try:
        body = await request.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _addresses(body: Mapping[str, Any]) -> list[str]:
    """Return the addresses of a request; none if one of them is no address."""
    given = body.get("ip_addresses")
    try:
        return [str(ipaddress.ip_address(each)) for each in given or []]
    except (TypeError, ValueError):
        return []


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network("/".join(text.split()))
    except ValueError:
        return False
    return True
