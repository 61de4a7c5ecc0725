"""Okta over its management API."""

# ruff: noqa: ARG002 - Okta has no place for the reason of a change; the journal keeps it

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, ClassVar, Final

from hikeshi.capabilities import Account, Group, Identity, Membership, Sessions, User
from hikeshi.connector import (
    Applied,
    Conflict,
    Connector,
    ConnectorError,
    Invalid,
    NotFound,
    Pace,
    Response,
    Route,
    TokenCache,
    Unauthorized,
    Unsupported,
    all_pages,
    json_list,
    json_object,
    next_link,
    understood,
)
from hikeshi_connectors.okta.answers import TOKEN_PATH, check_answer
from hikeshi_connectors.okta.directory import (
    ROLE_PREFIX,
    Role,
    enabled_in,
    group_of,
    okta_id,
    published_in,
    roles_in,
    user_of,
)
from hikeshi_connectors.okta.service_app import ASSERTION_TYPE, assertion
from hikeshi_connectors.okta.settings import OktaSettings

__all__ = ["Okta"]

_API: Final = "/api/v1"
_PAGE: Final = "200"  # the most that Okta gives at once
_NAME_MOST: Final = 100  # characters of a login and of a mail address
_USER_ID: Final = re.compile(r"00u[A-Za-z0-9]{12,37}", re.ASCII)


class Okta(Connector, Identity, product="okta"):
    """Accounts, sessions, groups and administrator roles of one org.

    Source: https://developer.okta.com/docs/api/openapi/okta-management/ (2026.06.3).
    """

    Settings = OktaSettings
    settings: OktaSettings
    # The limit on requests at once is the org's, 35 in the smallest; others need some of it.
    pace = Pace(at_once=10)
    read_routes = (
        Route("POST", TOKEN_PATH, where={"form:grant_type": "client_credentials"}),
        Route("GET", f"{_API}/users"),
        Route("GET", f"{_API}/users/*"),
        Route("GET", f"{_API}/users/*/groups"),
        Route("GET", f"{_API}/users/*/roles"),
        Route("GET", f"{_API}/groups/*"),  # a group, or the rules
        Route("GET", f"{_API}/logs"),
    )
    least_privileges: ClassVar[tuple[str, ...]] = (
        "okta.users.manage",
        "okta.groups.manage",
        "okta.roles.read (okta.roles.manage to take administrator roles)",
        "okta.logs.read",
    )

    def set_up(self) -> None:
        if self.settings.api_token is not None:
            self.http.authorize = self._with_api_token
        else:
            tokens = TokenCache(self._fetch_token, self.redactor)
            self.http.authorize = tokens.headers
            self.http.forget_credentials = tokens.forget
        self._privileged = {name for each in self.settings.privileged_groups for name in (each, each.casefold())}

    def check(self, response: Response) -> None:
        check_answer(response)

    async def _with_api_token(self) -> Mapping[str, str]:
        assert self.settings.api_token is not None
        return {"authorization": f"SSWS {self.reveal(self.settings.api_token)}"}

    async def _fetch_token(self) -> tuple[str, float]:
        settings = self.settings
        assert settings.client_id is not None
        assert settings.private_key is not None
        audience = settings.base_url.rstrip("/") + TOKEN_PATH
        signed = assertion(settings.client_id, audience, self.reveal(settings.private_key), settings.key_id)
        self.redactor.add(signed)
        form = {
            "grant_type": "client_credentials",
            "scope": settings.scopes,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": signed,
        }
        answer = await self.http.post(TOKEN_PATH, auth=False, form=form)
        body = json_object(answer)
        token, life_s = body.get("access_token"), body.get("expires_in")
        if not isinstance(token, str) or not token or not isinstance(life_s, (int, float)):
            raise Unauthorized(f"{answer.where}: the answer holds no access token")
        return token, float(life_s)

    # --- accounts

    async def find_users(self, name: str) -> list[User]:
        """Find accounts by login, by the part of it before the @, by mail address or by id, in full and in any case.

        Source: https://developer.okta.com/docs/api/openapi/okta-management/management/tag/User/ (search).
        """
        if not name.strip() or not name.isprintable() or len(name) > _NAME_MOST:
            raise Invalid(f"{self.name}: {name[:80]!r} names no account")
        if _USER_ID.fullmatch(name) and (found := await self._user_with_id(name)):
            return found
        quoted = json.dumps(name, ensure_ascii=False)  # the filter's strings are those of JSON
        terms = [f"profile.login eq {quoted}", f"profile.email eq {quoted}"]
        if "@" not in name:
            terms.append(f"profile.login sw {json.dumps(name + '@', ensure_ascii=False)}")
        entries = await self._list(f"{_API}/users", {"search": " or ".join(terms), "limit": _PAGE})
        users = (user_of(self.name, each) for each in entries)
        return [each for each in users if _goes_by(each, name)]

    async def _user_with_id(self, user_id: str) -> list[User]:
        try:
            data = json_object(await self.http.get(f"{_API}/users/{user_id}"))
        except NotFound:
            return []
        # Okta takes a login at this place, too.
        return [user_of(self.name, data)] if data.get("id") == user_id else []

    async def account_of(self, user: User) -> Account:
        data = json_object(await self.http.get(_path(user)))
        return Account(connector=self.name, user_id=user.id, enabled=enabled_in(data))

    async def disable_user(self, user: User, reason: str) -> None:
        """Suspend an account. Raises Unsupported for one that could sign in, but is not ACTIVE: Okta suspends no other.

        Source: https://developer.okta.com/docs/api/openapi/okta-management/management/tag/UserLifecycle/ (suspend).
        """
        data = json_object(await self.http.get(_path(user)))
        if enabled_in(data) and (status := data["status"]) != "ACTIVE":
            raise Unsupported(
                f"{self.name}: Okta suspends only accounts with the status ACTIVE, and {user.name} is {status}; "
                "deactivate it in Okta, or unlock it first"
            )
        await self.http.post(f"{_path(user)}/lifecycle/suspend")

    async def enable_user(self, user: User, reason: str) -> None:
        await self.http.post(f"{_path(user)}/lifecycle/unsuspend")

    # --- sessions

    async def sessions_of(self, user: User) -> Sessions:
        """Read when the sessions of an account were last cleared, in the last seven days.

        Okta lists nobody's sessions; what can be read back is that the System Log says they were cleared.
        Source: https://developer.okta.com/docs/reference/api/event-types/ (user.session.clear).
        """
        wanted = f'eventType eq "user.session.clear" and outcome.result eq "SUCCESS" and target.id eq "{_id(user)}"'
        params = {"filter": wanted, "sortOrder": "DESCENDING", "limit": "1"}
        answer = await self.http.get(f"{_API}/logs", params=params)  # one page: only the latest event counts
        valid_from = published_in(json_list(answer), answer.where)
        return Sessions(connector=self.name, user_id=user.id, valid_from=valid_from)

    async def revoke_sessions(self, user: User, reason: str) -> None:
        forget = "true" if self.settings.forget_devices else "false"
        await self.http.delete(f"{_path(user)}/sessions", params={"oauthTokens": "true", "forgetDevices": forget})

    # --- groups and roles

    async def groups_of(self, user: User) -> list[Group]:
        roles = await self._roles(user) if self.settings.admin_roles else []
        fed = await self._fed_by_rules()
        privileged = self._privileged | {role.group_id for role in roles if role.group_id is not None}
        groups = [group_of(self.name, each, privileged, fed) for each in await self._memberships(user)]
        return groups + [role.as_group(self.name) for role in roles if role.group_id is None]

    async def membership_of(self, user: User, group: Group) -> Membership:
        if group.id.startswith(ROLE_PREFIX):
            member = any(role.group_id is None and role.id == group.id for role in await self._roles(user))
        else:
            member = any(each.get("id") == group.id for each in await self._memberships(user))
        return Membership(connector=self.name, user_id=user.id, group_id=group.id, member=member)

    async def remove_from_group(self, user: User, group: Group, reason: str) -> None:
        if group.id.startswith(ROLE_PREFIX):
            role = await self._removable_role(user, group)
            await self.http.delete(f"{_path(user)}/roles/{role.assignment_id}")
            return
        path = self._membership_path(user, group)
        try:
            await self.http.delete(path)
        except NotFound as exc:
            raise await self._explained(exc, user, group) from exc

    async def add_to_group(self, user: User, group: Group, reason: str) -> None:
        self._refuse_filled(group)
        if group.id.startswith(ROLE_PREFIX):
            await self.http.post(f"{_path(user)}/roles", json={"type": group.id.removeprefix(ROLE_PREFIX)})
        else:
            await self.http.put(self._membership_path(user, group))

    async def _memberships(self, user: User) -> list[dict[str, Any]]:
        return await self._list(f"{_path(user)}/groups", {})

    async def _roles(self, user: User) -> list[Role]:
        """Return the assignments of an account, with their limits to groups and applications.

        Okta tells one kind of limit at a time, and applications only limit APP_ADMIN.
        """
        path = f"{_path(user)}/roles"
        answer = await self.http.get(path, params={"expand": "targets/groups"})
        roles = roles_in(json_list(answer), answer.where)
        if not any(role.type == "APP_ADMIN" and role.group_id is None for role in roles):
            return roles
        answer = await self.http.get(path, params={"expand": "targets/catalog/apps"})
        limited = {role.assignment_id: role for role in roles_in(json_list(answer), answer.where)}
        return [limited.get(each.assignment_id, each) if each.type == "APP_ADMIN" else each for each in roles]

    async def _removable_role(self, user: User, group: Group) -> Role:
        found = [role for role in await self._roles(user) if role.group_id is None and role.id == group.id]
        if not found:
            raise Conflict(f"{self.name}: {user.name} does not have the role {group.name} itself, or no longer")
        if why := found[0].why_fixed:
            raise Unsupported(f"{self.name}: the role {group.name} {why}")
        return found[0]

    async def _fed_by_rules(self) -> set[str]:
        """Return the ids of the groups that an active rule puts accounts into."""
        path = f"{_API}/groups/rules"
        rules = await self._list(path, {"limit": _PAGE})
        with understood(f"{self.name}: {path}"):
            active = [each["actions"]["assignUserToGroups"] for each in rules if each["status"] == "ACTIVE"]
            return {str(group) for each in active for group in each["groupIds"]}

    def _refuse_filled(self, group: Group) -> None:
        if group.dynamic:
            raise Unsupported(
                f"{self.name}: the members of {group.name} come from a rule, an application or Okta itself, or it is a "
                "role with limits; change it there. Taking out a member that a rule put in would exclude it for good"
            )

    def _membership_path(self, user: User, group: Group) -> str:
        self._refuse_filled(group)
        return f"{_API}/groups/{okta_id(group.id, 'group')}/users/{_id(user)}"

    async def _explained(self, error: NotFound, user: User, group: Group) -> ConnectorError:
        """Say what is missing: Okta answers alike for an account, a group and a membership that are not there."""
        for path, what in ((_path(user), f"account {user.name}"), (f"{_API}/groups/{group.id}", f"group {group.name}")):
            try:
                await self.http.get(path)
            except NotFound:
                return NotFound(f"{self.name}: the {what} does not exist; {error.message}")
            except ConnectorError:
                break
        return Conflict(f"{self.name}: {user.name} is not in {group.name}, or not yet; {error.message}")

    # --- reading

    async def _list(self, path: str, params: Mapping[str, str]) -> list[dict[str, Any]]:
        return await all_pages(partial(self._page, path, params), f"{self.name}: {path}")

    async def _page(
        self, path: str, params: Mapping[str, str], link: str | None
    ) -> tuple[list[dict[str, Any]], str | None]:
        answer = await (self.http.get(path, params=params) if link is None else self.http.get(link))
        entries = json_list(answer)
        if not all(isinstance(each, dict) for each in entries):
            raise Invalid(f"{answer.where}: the answer is not a list of objects", applied=Applied.NO)
        return entries, next_link(answer.headers)


def _id(user: User) -> str:
    return okta_id(user.id, "account")


def _path(user: User) -> str:
    return f"{_API}/users/{_id(user)}"


def _goes_by(user: User, name: str) -> bool:
    wanted = name.casefold()
    login = user.name.casefold()
    return wanted in (login, login.partition("@")[0], (user.email or "").casefold())
