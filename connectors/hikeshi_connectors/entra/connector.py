"""Microsoft Entra ID over Microsoft Graph v1.0."""

# ruff: noqa: ARG002 - Graph has no place for the reason of a change; the journal keeps it

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from hikeshi.capabilities import Account, Group, Identity, Membership, Sessions, User
from hikeshi.connector import (
    Conflict,
    Connector,
    ConnectorError,
    ConnectorSettings,
    Invalid,
    NotFound,
    Response,
    Route,
    Unsupported,
    json_object,
)
from hikeshi_connectors.entra.answers import check_answer
from hikeshi_connectors.entra.directory_objects import (
    GROUP_FIELDS,
    NAME_FIELDS,
    USER_FIELDS,
    group_of,
    is_external,
    moment_in,
    user_of,
)
from hikeshi_connectors.entra.paths import ROLE_PREFIX, GroupPath, is_object_id, object_id, path_of_group, path_of_user
from hikeshi_connectors.microsoft.odata import collection, quoted
from hikeshi_connectors.microsoft.sign_in import SIGN_IN_ROUTE, AppSettings, app_tokens

__all__ = ["Entra"]

_PAGE = "999"  # the most that Graph gives at once
_EVENTUAL = {"consistencylevel": "eventual"}
_GROUP_ORIGIN = "id,groupTypes,mailEnabled,onPremisesSyncEnabled"


class Entra(Connector, Identity, product="entra"):
    """Accounts, sessions, groups and directory roles of one tenant.

    A Group entity with the id `role:UUID` is a directory role; one with a plain UUID is a group.
    Source: https://learn.microsoft.com/graph/api/overview (v1.0).
    """

    class Settings(AppSettings):
        base_url: str = "https://graph.microsoft.com/v1.0"
        scope: str = "https://graph.microsoft.com/.default"
        privileged_groups: tuple[str, ...] = ()

    settings: Settings
    read_routes = (
        SIGN_IN_ROUTE,
        Route("GET", "/users"),
        Route("GET", "/users/*"),
        Route("GET", "/users/*/memberOf"),
        Route("GET", "/groups/*"),
        Route("GET", "/directoryRoles/*"),
    )
    # Without the last segment, `/$ref`, the same request deletes the account itself. Source: Graph, "Remove member".
    never = (
        Route("DELETE", "/groups/*/members/*"),
        Route("DELETE", "/directoryRoles/*/members/*"),
        Route("DELETE", "/users/*"),
        Route("DELETE", "/groups/*"),
    )
    least_privileges: ClassVar[tuple[str, ...]] = (
        "User.Read.All",
        "User.EnableDisableAccount.All",
        "User.RevokeSessions.All",
        "GroupMember.ReadWrite.All",
        "RoleManagement.ReadWrite.Directory",
    )

    @classmethod
    def bases(cls, settings: ConnectorSettings) -> Mapping[str, str]:
        """Return the addresses of Graph ("") and of the service that gives tokens ("login")."""
        assert isinstance(settings, cls.Settings)
        return {"": settings.base_url, "login": settings.login_url}

    def set_up(self) -> None:
        tokens = app_tokens(self, self.settings, self.settings.scope)
        self.http.authorize = tokens.headers
        self.http.forget_credentials = tokens.forget
        self._privileged = {each.casefold().removeprefix(ROLE_PREFIX) for each in self.settings.privileged_groups}

    def check(self, response: Response) -> None:
        check_answer(response)

    # --- accounts

    async def find_users(self, name: str) -> list[User]:
        """Find accounts by sign-in name (UPN), mail address, on-premises account name or object id, in full.

        Source: https://learn.microsoft.com/graph/aad-advanced-queries (the account name needs an advanced query).
        """
        if not name.strip() or not name.isprintable():
            raise Invalid(f"{self.name}: {name[:80]!r} names no account")
        if is_object_id(name):
            try:
                return [user_of(self.name, await self._read(path_of_user(name), ",".join(USER_FIELDS)))]
            except NotFound:
                return []
        wanted = quoted(name)
        params = {
            "$filter": " or ".join(f"{field} eq {wanted}" for field in NAME_FIELDS),
            "$select": ",".join(USER_FIELDS),
            "$count": "true",
            "$top": _PAGE,
        }
        found = await collection(self.http, "/users", params, headers=_EVENTUAL)
        return [user_of(self.name, each) for each in found if _goes_by(each, name)]

    async def account_of(self, user: User) -> Account:
        data = await self._read(path_of_user(user.id), "id,accountEnabled")
        enabled = data.get("accountEnabled")
        if not isinstance(enabled, bool):
            raise Invalid(
                f"{self.name}: Graph does not say whether {user.name} is enabled; the app may lack a permission"
            )
        return Account(connector=self.name, user_id=user.id, enabled=enabled)

    async def disable_user(self, user: User, reason: str) -> None:
        await self._set_enabled(user, False)

    async def enable_user(self, user: User, reason: str) -> None:
        await self._set_enabled(user, True)

    async def _set_enabled(self, user: User, enabled: bool) -> None:
        await self.http.patch(path_of_user(user.id), json={"accountEnabled": enabled})

    # --- sessions

    async def sessions_of(self, user: User) -> Sessions:
        data = await self._read(path_of_user(user.id), "id,signInSessionsValidFromDateTime")
        valid_from = moment_in(data, "signInSessionsValidFromDateTime")
        return Sessions(connector=self.name, user_id=user.id, valid_from=valid_from)

    async def revoke_sessions(self, user: User, reason: str) -> None:
        """End every session. Raises Unsupported for accounts of other organisations, whose sessions begin there.

        Source: https://learn.microsoft.com/graph/api/user-revokesigninsessions (external users; delay of minutes).
        """
        path = path_of_user(user.id)
        if is_external(await self._read(path, "id,userPrincipalName,creationType")):
            raise Unsupported(
                f"{self.name}: {user.name} signs in at another organisation, so its sessions cannot be ended here; "
                "disable the account here, and ask its home organisation"
            )
        await self.http.post(f"{path}/revokeSignInSessions")

    # --- groups and roles

    async def groups_of(self, user: User) -> list[Group]:
        members_of = await self._memberships(user, GROUP_FIELDS)
        found = (group_of(self.name, each, self._privileged) for each in members_of)
        return [group for group in found if group is not None]

    async def membership_of(self, user: User, group: Group) -> Membership:
        wanted = path_of_group(group.id).id
        member = any(str(each.get("id")).lower() == wanted for each in await self._memberships(user, ("id",)))
        return Membership(connector=self.name, user_id=user.id, group_id=group.id, member=member)

    async def remove_from_group(self, user: User, group: Group, reason: str) -> None:
        path = await self._editable(group)
        try:
            await self.http.delete(path.member_reference(user.id))
        except NotFound as exc:
            raise await self._explained(exc, user, path) from exc

    async def add_to_group(self, user: User, group: Group, reason: str) -> None:
        member = object_id(user.id, "account")
        path = await self._editable(group)
        reference = f"{self.settings.base_url.rstrip('/')}/directoryObjects/{member}"
        try:
            await self.http.post(path.member_references, json={"@odata.id": reference})
        except NotFound as exc:
            raise await self._explained(exc, user, path) from exc

    async def _memberships(self, user: User, fields: tuple[str, ...]) -> list[dict[str, Any]]:
        params = {"$select": ",".join(fields), "$top": _PAGE}
        return await collection(self.http, f"{path_of_user(user.id)}/memberOf", params)

    async def _editable(self, group: Group) -> GroupPath:
        """Return the path of a group whose members Graph can change. Raises Unsupported for the others.

        Source: https://learn.microsoft.com/graph/api/resources/groups-overview (which kinds are read-only).
        """
        path = path_of_group(group.id)
        if path.is_role:
            return path
        data = {} if group.dynamic else await self._read(str(path), _GROUP_ORIGIN)
        types = data.get("groupTypes") or ()
        why = None
        if group.dynamic or "DynamicMembership" in types:
            why = "is dynamic: its members follow from its rule; change the rule, or what it looks at"
        elif data.get("onPremisesSyncEnabled") is True:
            why = "comes from the on-premises directory; change its members there"
        elif data.get("mailEnabled") is True and "Unified" not in types:
            why = "is a distribution list or a mail-enabled security group; change its members in Exchange"
        if why:
            raise Unsupported(f"{self.name}: the group {group.name} {why}")
        return path

    async def _explained(self, error: NotFound, user: User, path: GroupPath) -> ConnectorError:
        """Say what is missing: Graph answers alike when an account, a group or only the membership is not there."""
        for what, of_what in ((path_of_user(user.id), f"account {user.name}"), (str(path), f"group {path}")):
            try:
                await self._read(what, "id")
            except NotFound:
                return NotFound(f"{self.name}: the {of_what} does not exist; {error.message}")
            except ConnectorError:
                break
        return Conflict(f"{self.name}: the membership of {user.name} is not there, or not yet; {error.message}")

    # --- reading

    async def _read(self, path: str, fields: str) -> dict[str, Any]:
        return json_object(await self.http.get(path, params={"$select": fields}))


def _goes_by(data: Mapping[str, Any], name: str) -> bool:
    wanted = name.casefold()
    return any(str(data.get(field) or "").casefold() == wanted for field in NAME_FIELDS)
