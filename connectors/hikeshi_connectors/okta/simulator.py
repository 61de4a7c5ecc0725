"""A simulation of the part of Okta's management API that the connector uses.

Faithful where it hurts: only ACTIVE accounts are suspended, members of groups that a rule, an application or Okta
fills are refused, the System Log lags behind, searches are case-blind and read escapes, pages are linked in headers of
which there are several, and limits are told in three headers with the moment at which they end.
Sources: https://developer.okta.com/docs/api/openapi/okta-management/ (2026.06.3) and /docs/reference/error-codes/.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate, Group, User
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator, bearer_token
from hikeshi_connectors.okta.simulated_answers import Handler, Refusal, answering
from hikeshi_connectors.okta.simulated_filter import FilterError, parse_filter
from hikeshi_connectors.okta.simulated_objects import (
    TYPED_ROLES,
    assignment_id,
    attributes,
    event_json,
    group_json,
    group_key,
    moment,
    role_json,
    rule_json,
    user_json,
    user_key,
)
from hikeshi_connectors.okta.simulated_tokens import TOKEN_PATH, is_signed

__all__ = ["OktaSimulator"]

_SEARCHED = frozenset({"profile.login", "profile.email", "id", "status"})
_LOGGED = frozenset({"eventType", "target.id", "outcome.result"})
_EVENTS_SINCE = timedelta(days=7)


class OktaSimulator(Simulator):
    """Okta below `/okta`.

    `product_state["okta"]` may hold `statuses` (of accounts, by estate id: STAGED, LOCKED_OUT, ...), `types` (of
    groups: APP_GROUP, BUILT_IN), `targets` (of roles, by the estate's group id: what they are limited to, as Okta has
    it) and `events`, its System Log. Events are seen after `log_lag_s` (None: the estate's `settle_s`).
    """

    product = "okta"
    instance_name = "okta"
    demo_settings: ClassVar[Mapping[str, str]] = {"api_token": "simulated-okta-token"}

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.rate_limit = (600, 60.0)
        self.most_on_a_page = 200
        self.log_lag_s: float | None = None

    def reset(self) -> None:
        self.tokens.revoke_all()

    def routes(self) -> list[BaseRoute]:
        user, member = "/api/v1/users/{user}", "/api/v1/groups/{group}/users/{user}"
        paths: list[tuple[str, Handler, str]] = [
            ("/api/v1/users", self.list_users, "GET"),
            (user, self.get_user, "GET"),
            (f"{user}/lifecycle/suspend", self.suspend, "POST"),
            (f"{user}/lifecycle/unsuspend", self.unsuspend, "POST"),
            (f"{user}/sessions", self.clear_sessions, "DELETE"),
            (f"{user}/groups", self.list_memberships, "GET"),
            (f"{user}/roles", self.list_roles, "GET"),
            (f"{user}/roles", self.assign_role, "POST"),
            (f"{user}/roles/{{role}}", self.unassign_role, "DELETE"),
            ("/api/v1/groups/rules", self.list_rules, "GET"),
            ("/api/v1/groups/{group}", self.get_group, "GET"),
            (member, self.add_member, "PUT"),
            (member, self.remove_member, "DELETE"),
            ("/api/v1/logs", self.list_events, "GET"),
        ]
        api = [Route(path, answering(handler), methods=[method]) for path, handler, method in paths]
        return [Route(TOKEN_PATH, self.token, methods=["POST"]), *api]

    def is_change(self, request: Request, body: bytes) -> bool:
        return super().is_change(request, body) and not _path(request).endswith(TOKEN_PATH)

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002
        if _path(request).endswith(TOKEN_PATH):
            return None
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme == "SSWS" and token and token == self.credentials.get("api_token"):
            return None
        bearer = bearer_token(request)
        if bearer is not None and self.tokens.is_valid(bearer):
            return None
        return Refusal(401, "E0000011").answer()

    def error(self, status: int, detail: str) -> Response:
        code = {404: "E0000008", 405: "E0000022", 429: "E0000047", 403: "E0000006"}.get(status, "E0000009")
        return Refusal(status, code, detail).answer()

    def too_many_requests(self, retry_after_s: float) -> Response:
        """Say when both limits end, the org's and the caller's, as Okta does: each in a header of its own."""
        answer = self.error(429, "")
        now = time.time()  # the answer's own Date is the real one, too
        for limit, ends_at in ((600, now + retry_after_s - 1), (50, now)):
            answer.headers.append("X-Rate-Limit-Limit", str(limit))
            answer.headers.append("X-Rate-Limit-Remaining", "0")
            answer.headers.append("X-Rate-Limit-Reset", str(int(ends_at)))
        return answer

    def shows(self) -> dict[str, Any]:
        cleared = {each["target"][0]["alternateId"] for each in self._state("events", [])}
        return {"sessions_cleared": sorted(cleared)} if cleared else {}

    # --- tokens

    async def token(self, request: Request) -> Response:
        form = dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))
        if form.get("grant_type") != "client_credentials" or not form.get("scope"):
            return JSONResponse({"error": "invalid_request"}, status_code=400)
        if not is_signed(form.get("client_assertion", ""), self.credentials):
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        token = self.tokens.issue(3600)
        return JSONResponse({"token_type": "Bearer", "expires_in": 3600, "access_token": token, "scope": form["scope"]})

    # --- accounts

    async def list_users(self, request: Request) -> Response:
        text = request.query_params.get("search")
        wanted = _filter(text, _SEARCHED) if text is not None else lambda _: True
        users = [user_json(each, self._status(each)) for each in self.estate.users.values()]
        found = [each for each in users if wanted(_searchable(each))]
        if text is None:
            found = [each for each in found if each["status"] != "DEPROVISIONED"]
        return self._page(request, found)

    async def get_user(self, request: Request) -> Response:
        user = self._user(request)
        return JSONResponse(user_json(user, self._status(user)))

    async def suspend(self, request: Request) -> Response:
        return self._set_enabled(self._user(request), "suspendUser", expected="ACTIVE")

    async def unsuspend(self, request: Request) -> Response:
        return self._set_enabled(self._user(request), "unsuspendUser", expected="SUSPENDED")

    def _set_enabled(self, user: User, what: str, *, expected: str) -> Response:
        status = self._status(user)
        if status != expected:
            raise Refusal(400, "E0000001", what, f"The user's status is {status}, not {expected}.")
        user.enabled = expected == "SUSPENDED"
        return JSONResponse({})

    async def clear_sessions(self, request: Request) -> Response:
        user = self._user(request)
        if set(request.query_params.values()) - {"true", "false"}:
            raise Refusal(400, "E0000001", "oauthTokens")
        self.estate.revoke_sessions(user.id)
        event = event_json("user.session.clear", user, moment(self.estate.now()))
        self.estate.product_state.setdefault("okta", {}).setdefault("events", []).append(event)
        return Response(status_code=204)

    async def list_events(self, request: Request) -> Response:
        wanted = _filter(request.query_params.get("filter", ""), _LOGGED)
        until = self.estate.now()
        lag_s = self.estate.settle_s if self.log_lag_s is None else self.log_lag_s
        seen_until = until - timedelta(seconds=lag_s)
        found = [
            each
            for each in self._state("events", [])
            if until - _EVENTS_SINCE <= datetime.fromisoformat(each["published"]) <= seen_until
            and wanted(attributes(each))
        ]
        down = request.query_params.get("sortOrder", "ASCENDING") == "DESCENDING"
        return self._page(request, sorted(found, key=lambda each: str(each["published"]), reverse=down))

    # --- groups

    async def list_memberships(self, request: Request) -> Response:
        user = self._user(request)
        groups = [each for each in self.estate.groups_of(user.id) if not each.role]
        return self._page(request, [group_json(each, self._type(each)) for each in groups])

    async def get_group(self, request: Request) -> Response:
        group = self._group(request)
        return JSONResponse(group_json(group, self._type(group)))

    async def list_rules(self, request: Request) -> Response:
        filled = [each for each in self.estate.groups.values() if each.dynamic and self._type(each) == "OKTA_GROUP"]
        return self._page(request, [rule_json(each, number) for number, each in enumerate(filled, 1)])

    async def add_member(self, request: Request) -> Response:
        self._editable(request).members.add(self._user(request).id)
        return Response(status_code=204)

    async def remove_member(self, request: Request) -> Response:
        group, user = self._editable(request), self._user(request)
        if user.id not in group.members:
            raise Refusal(404, "E0000007", f"{request.path_params['user']} (UserGroup)")
        group.members.discard(user.id)
        return Response(status_code=204)

    def _editable(self, request: Request) -> Group:
        group = self._group(request)
        if group.dynamic or self._type(group) != "OKTA_GROUP":
            raise Refusal(403, "E0000006")
        return group

    # --- roles

    async def list_roles(self, request: Request) -> Response:
        user, expand = self._user(request), request.query_params.get("expand", "")
        found = []
        for role, kind in self._roles():
            if user.id in role.members:
                targets = _expanded(self._state("targets", {}).get(role.id, {}), expand)
                label = TYPED_ROLES.get(kind, role.name)
                key = assignment_id(role, user.id)
                found.append(role_json(kind, label, key, user_key(user.id), of_group=False, targets=targets))
        for group in self.estate.groups_of(user.id):
            if group.privileged and not group.role:
                key, label = assignment_id(group, group.id), TYPED_ROLES["ORG_ADMIN"]
                found.append(role_json("ORG_ADMIN", label, key, group_key(group.id), of_group=True, targets={}))
        return JSONResponse(found)

    async def assign_role(self, request: Request) -> Response:
        user, asked = self._user(request), await request.json()
        role = next((each for each, kind in self._roles() if asked == {"type": kind}), None)
        if role is None:
            raise Refusal(400, "E0000001", "type")
        if user.id in role.members:
            raise Refusal(409, "E0000090")
        role.members.add(user.id)
        return JSONResponse({"id": assignment_id(role, user.id), "type": asked["type"]}, status_code=201)

    async def unassign_role(self, request: Request) -> Response:
        user, key = self._user(request), request.path_params["role"]
        role = next((each for each, _ in self._roles() if assignment_id(each, user.id) == key), None)
        if role is None or user.id not in role.members:
            raise Refusal(404, "E0000007", f"{key} (RoleAssignment)")
        role.members.discard(user.id)
        return Response(status_code=204)

    def _roles(self) -> list[tuple[Group, str]]:
        roles = sorted((each for each in self.estate.groups.values() if each.role), key=lambda each: each.name)
        kinds = [*TYPED_ROLES, *["CUSTOM"] * len(roles)]
        return list(zip(roles, kinds, strict=False))

    # --- the org

    def _state(self, name: str, default: Any) -> Any:
        return self.estate.product_state.get("okta", {}).get(name, default)

    def _status(self, user: User) -> str:
        status: str = self._state("statuses", {}).get(user.id, "ACTIVE")
        return status if user.enabled else "DEPROVISIONED" if status == "DEPROVISIONED" else "SUSPENDED"

    def _type(self, group: Group) -> str:
        return str(self._state("types", {}).get(group.id, "OKTA_GROUP"))

    def _user(self, request: Request) -> User:
        """Find an account as Okta does: by id, by login, or by the part of the login before the @."""
        key = request.path_params["user"]
        wanted = key.casefold()
        for user in self.estate.users.values():
            login = user.upn.casefold()
            if key == user_key(user.id) or wanted in (login, login.partition("@")[0]):
                return user
        raise Refusal(404, "E0000007", f"{key} (User)")

    def _group(self, request: Request) -> Group:
        key = request.path_params["group"]
        groups = self.estate.groups.values()
        found = next((each for each in groups if group_key(each.id) == key and not each.role), None)
        if found is None:
            raise Refusal(404, "E0000007", f"{key} (UserGroup)")
        return found

    def _page(self, request: Request, items: Sequence[Any]) -> Response:
        asked = request.query_params.get("limit", str(self.most_on_a_page))
        after = request.query_params.get("after", "0")
        if not asked.isdecimal() or not after.isdecimal():
            raise Refusal(400, "E0000001", "limit")
        start, size = int(after), min(max(1, int(asked)), self.most_on_a_page)
        answer = JSONResponse(list(items[start : start + size]))
        answer.headers.append("Link", f'<{request.url}>; rel="self"')
        if start + size < len(items):
            following = request.url.include_query_params(after=str(start + size))
            answer.headers.append("Link", f'<{following}>; rel="next"')
        return answer


def _filter(text: str, known: frozenset[str]) -> Callable[[Mapping[str, Any]], bool]:
    try:
        return parse_filter(text, known)
    except FilterError:
        raise Refusal(400, "E0000031") from None


def _searchable(user: Mapping[str, Any]) -> dict[str, Any]:
    profile = {f"profile.{name}": value for name, value in user["profile"].items()}
    return {"id": user["id"], "status": user["status"], **profile}


def _expanded(targets: Mapping[str, Any], expand: str) -> dict[str, Any]:
    if expand == "targets/groups" and targets.get("groups"):
        return {"groups": targets["groups"]}
    if expand == "targets/catalog/apps" and targets.get("apps"):
        return {"catalog": {"apps": targets["apps"]}}
    return {}


def _path(request: Request) -> str:
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))
