"""A simulation of the part of Microsoft Graph v1.0 that the connector uses, and of the service that gives it tokens.

Faithful where it hurts: tokens end, pages are short, an account name can only be searched for in an advanced query,
reads lag behind writes, a missing permission gives 403 or objects without names, and DELETE on a member without `/$ref`
deletes the account. What Graph's documentation leaves open is named in checklist.toml.
Sources: the pages of learn.microsoft.com/graph/api that the connector names; errors as reported in public issues.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Estate, Group, User
from hikeshi.testing.faults import Faults
from hikeshi.testing.simulator import Simulator, bearer_token
from hikeshi_connectors.entra.paths import is_object_id
from hikeshi_connectors.entra.replica import Replica
from hikeshi_connectors.entra.simulated_answers import missing, references, refused
from hikeshi_connectors.entra.simulated_objects import PROPERTIES, SHOWN_BY_DEFAULT, group_json, user_getter
from hikeshi_connectors.entra.simulated_query import described, filter_of, page, selected
from hikeshi_connectors.microsoft.simulated_answers import Refusal, answering, body_of, give_token

__all__ = ["EntraSimulator"]

ALL_PERMISSIONS = frozenset(
    {
        "User.Read.All",
        "User.EnableDisableAccount.All",
        "User.RevokeSessions.All",
        "GroupMember.ReadWrite.All",
        "RoleManagement.ReadWrite.Directory",
    }
)
_IMPLIED = {
    "GroupMember.Read.All": "GroupMember.ReadWrite.All",
    "RoleManagement.Read.Directory": "RoleManagement.ReadWrite.Directory",
}
_CODES = {
    400: "BadRequest",
    403: "Authorization_RequestDenied",
    405: "Request_BadRequest",
    429: "TooManyRequests",
    503: "ServiceUnavailable",
}


class EntraSimulator(Simulator):
    """Graph below `/entra/v1.0`, the token service below `/entra/login`.

    `replication_lag_s` is how long reads lag behind writes, by the estate's clock (None: the estate's `settle_s`).
    `granted` are the permissions of the app; no page is longer than `most_on_a_page`. The estate may say more of a
    group than it has fields for: `product_state["entra"]["groups"][id]` holds such properties as Graph gives them.
    """

    product = "entra"
    instance_name = "entra"
    demo_settings: ClassVar[Mapping[str, str]] = {
        "tenant_id": "5f3d1c2a-0b7e-4e55-9d0c-6a1f00000001",
        "client_id": "5f3d1c2a-0b7e-4e55-9d0c-6a1f00000002",
        "client_secret": "simulated-entra-secret",
    }

    def __init__(self, estate: Estate, *, faults: Faults, credentials: Mapping[str, str] | None = None) -> None:
        super().__init__(estate, faults=faults, credentials=credentials)
        self.replication_lag_s: float | None = None
        self.granted = set(ALL_PERMISSIONS)
        self.most_on_a_page = 999
        self.token_life_s = 3599.0
        self.rate_limit = (_units(len(estate.users)), 10.0)
        self._replica = Replica(estate.now)

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        root = f"{base_url}/{cls.product}"
        return {"product": cls.product, "base_url": f"{root}/v1.0", "login_url": f"{root}/login", **cls.demo_settings}

    def reset(self) -> None:
        self._replica.clear()
        self.tokens.revoke_all()

    def routes(self) -> list[BaseRoute]:
        user, member = "/v1.0/users/{user}", "/v1.0/{collection}/{group}/members/{user}"
        return [
            Route("/login/{tenant}/oauth2/v2.0/token", self.token, methods=["POST"]),
            Route("/v1.0/users", _answering(self.list_users), methods=["GET"]),
            Route(user, _answering(self.get_user), methods=["GET"]),
            Route(user, _answering(self.update_user), methods=["PATCH"]),
            Route(f"{user}/memberOf", _answering(self.list_memberships), methods=["GET"]),
            Route(f"{user}/revokeSignInSessions", _answering(self.revoke_sessions), methods=["POST"]),
            Route("/v1.0/{collection}/{group}", _answering(self.get_group), methods=["GET"]),
            Route("/v1.0/{collection}/{group}/members/$ref", _answering(self.add_member), methods=["POST"]),
            Route(f"{member}/$ref", _answering(self.remove_member), methods=["DELETE"]),
            Route(member, _answering(self.delete_the_member_itself), methods=["DELETE"]),
        ]

    def is_change(self, request: Request, body: bytes) -> bool:
        return super().is_change(request, body) and not _path(request).endswith("/oauth2/v2.0/token")

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002
        if not _path(request).startswith("/v1.0/"):
            return None
        token = bearer_token(request)
        if token is None:
            return refused(401, "InvalidAuthenticationToken", "Access token is empty.")
        if not self.tokens.is_valid(token):
            return refused(401, "InvalidAuthenticationToken", "Lifetime validation failed, the token is expired.")
        return None

    def error(self, status: int, detail: str) -> Response:
        if status == 404:
            return refused(400, "BadRequest", "Resource not found for the segment.")
        return refused(status, _CODES.get(status, "UnknownError"), detail)

    # --- tokens

    async def token(self, request: Request) -> Response:
        answer, _, _ = await give_token(self, request, self.token_life_s)
        return answer

    # --- accounts

    async def list_users(self, request: Request) -> Response:
        self._need("User.Read.All")
        wanted = filter_of(request)
        found = (self._getter(user) for user in self.estate.users.values())
        return page(request, [get for get in found if wanted(get)], "users", self.most_on_a_page)

    async def get_user(self, request: Request) -> Response:
        self._need("User.Read.All")
        user = self._user(request.path_params["user"])
        fields = selected(request, PROPERTIES) or SHOWN_BY_DEFAULT
        return JSONResponse(described("users", fields, self._getter(user)))

    async def update_user(self, request: Request) -> Response:
        self._need("User.EnableDisableAccount.All", "User.ReadWrite.All")
        user = self._user(request.path_params["user"])
        body = await body_of(request)
        enabled = body.get("accountEnabled")
        if set(body) != {"accountEnabled"} or not isinstance(enabled, bool):
            raise Refusal(400, "Request_BadRequest", "One or more property values specified are invalid.")
        self._replica.wrote(("enabled", user.id), user.enabled, enabled, self._lag_s())
        user.enabled = enabled
        return Response(status_code=204)

    async def revoke_sessions(self, request: Request) -> Response:
        self._need("User.RevokeSessions.All", "User.ReadWrite.All")
        user = self._user(request.path_params["user"])
        if not user.guest:
            before = user.sessions_valid_from
            self.estate.revoke_sessions(user.id)
            self._replica.wrote(("sessions", user.id), before, user.sessions_valid_from, self._lag_s())
        return JSONResponse({"@odata.context": "https://graph.microsoft.com/v1.0/$metadata#Edm.Boolean", "value": True})

    # --- memberships

    async def list_memberships(self, request: Request) -> Response:
        self._need("User.Read.All")
        user = self._user(request.path_params["user"])
        here = [each for each in self.estate.groups.values() if self._is_member_as_read(each, user)]
        shown = [group_json(each, self._extra(each), self._may_read(each)) for each in here]
        return page(request, [each.get for each in shown], "directoryObjects", self.most_on_a_page)

    async def get_group(self, request: Request) -> Response:
        group = self._group(request)
        self._need("RoleManagement.Read.Directory" if group.role else "GroupMember.Read.All")
        data = group_json(group, self._extra(group), readable=True)
        fields = selected(request, data) or tuple(data)
        return JSONResponse(described("groups", fields, data.get))

    async def add_member(self, request: Request) -> Response:
        group = self._editable_group(request)
        reference = (await body_of(request)).get("@odata.id")
        if not isinstance(reference, str) or "/directoryObjects/" not in urlsplit(reference).path:
            raise Refusal(400, "Request_BadRequest", "Invalid URL format specified in @odata.id.")
        user = self._user(reference.rpartition("/")[2])
        if user.id in group.members:
            raise references("added", "already exist")
        self._set_member(group, user, True)
        return Response(status_code=204)

    async def remove_member(self, request: Request) -> Response:
        group = self._editable_group(request)
        user = self.estate.users.get(request.path_params["user"].lower())
        if user is None or user.id not in group.members:
            raise missing(request.path_params["user"])
        self._set_member(group, user, False)
        return Response(status_code=204)

    async def delete_the_member_itself(self, request: Request) -> Response:
        """Do what Graph does when `/$ref` is left off: delete the account."""
        self._group(request)
        user = self._user(request.path_params["user"])
        self._need("User.ReadWrite.All")
        del self.estate.users[user.id]
        for group in self.estate.groups.values():
            group.members.discard(user.id)
        return Response(status_code=204)

    def _editable_group(self, request: Request) -> Group:
        group = self._group(request)
        self._need("RoleManagement.ReadWrite.Directory" if group.role else "GroupMember.ReadWrite.All")
        extra = self._extra(group)
        if group.dynamic:
            raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
        if extra.get("onPremisesSyncEnabled"):
            text = "Unable to update the specified properties for on-premises mastered Directory Sync objects."
            raise Refusal(400, "Request_BadRequest", text)
        if extra.get("mailEnabled") and "Unified" not in extra.get("groupTypes", ()):
            text = "Cannot Update a mail-enabled security groups and or distribution list."
            raise Refusal(400, "Request_BadRequest", text)
        return group

    def _set_member(self, group: Group, user: User, member: bool) -> None:
        self._replica.wrote(("member", group.id, user.id), not member, member, self._lag_s())
        if member:
            group.members.add(user.id)
        else:
            group.members.discard(user.id)

    def _is_member_as_read(self, group: Group, user: User) -> bool:
        return bool(self._replica.seen(("member", group.id, user.id), user.id in group.members))

    # --- the directory

    def _lag_s(self) -> float:
        return self.estate.settle_s if self.replication_lag_s is None else self.replication_lag_s

    def _may(self, permission: str) -> bool:
        return permission in self.granted or _IMPLIED.get(permission) in self.granted

    def _need(self, *permissions: str) -> None:
        if not any(self._may(each) for each in permissions):
            raise Refusal(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")

    def _may_read(self, group: Group) -> bool:
        return self._may("RoleManagement.Read.Directory" if group.role else "GroupMember.Read.All")

    def _user(self, key: str) -> User:
        user = self.estate.users.get(key.lower()) if is_object_id(key) else None
        if user is None and not is_object_id(key):
            user = next((each for each in self.estate.users.values() if each.upn.casefold() == key.casefold()), None)
        if user is None:
            raise missing(key)
        return user

    def _group(self, request: Request) -> Group:
        collection, key = request.path_params["collection"], request.path_params["group"]
        if collection not in ("groups", "directoryRoles"):
            raise Refusal(400, "BadRequest", f"Resource not found for the segment '{collection}'.")
        if not is_object_id(key):
            raise Refusal(400, "Request_BadRequest", f"Invalid object identifier '{key}'.")
        group = self.estate.groups.get(key.lower())
        if group is None or group.role != (collection == "directoryRoles"):
            raise missing(key)
        return group

    def _extra(self, group: Group) -> dict[str, Any]:
        extra: dict[str, Any] = self.estate.product_state.get("entra", {}).get("groups", {}).get(group.id, {})
        return extra

    def _getter(self, user: User) -> Callable[[str], Any]:
        return user_getter(user, self._replica)


def _answering(handler: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    return answering(handler, refused)


def _units(users: int) -> int:
    """Return how many requests a tenant of this size may make in ten seconds, at one unit each.
    Source: https://learn.microsoft.com/graph/throttling-limits (identity and access: tenants of size S, M and L)."""
    return 3500 if users < 50 else 5000 if users <= 500 else 8000


def _path(request: Request) -> str:
    path: str = request.scope["path"]
    return path.removeprefix(request.scope.get("root_path", ""))
