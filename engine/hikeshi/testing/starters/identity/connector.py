"""Acme: accounts, and keeping one from signing in."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from hikeshi.capabilities import Account, Identity, User
from hikeshi.connector import (
    Connector,
    ConnectorSettings,
    Response,
    Route,
    Secret,
    all_pages,
    error_of_status,
    json_object,
    objects_under,
    said_in,
    understood,
)


class Acme(Connector, Identity, product="acme"):
    """One Acme directory."""

    class Settings(ConnectorSettings):
        api_key: Secret

    # Everything that is not listed here is a change, and leaves the process only while a live run makes it.
    read_routes = (Route("GET", "/users"), Route("GET", "/users/*"))
    least_privileges = ("an API key that may read accounts and lock them",)

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    def check(self, response: Response) -> None:
        """Judge every answer, before anything else sees it."""
        if response.status >= 400:
            raise error_of_status(response, said_in(response, "error"))
        if response.status != 204:
            json_object(response)

    async def find_users(self, name: str) -> list[User]:
        """Acme finds parts of names; only the very name, address or ID counts."""

        async def page(cursor: str | None) -> tuple[list[dict[str, Any]], str | None]:
            answer = await self.http.get("/users", params={"q": name, **({"cursor": cursor} if cursor else {})})
            return objects_under(answer, "users"), json_object(answer).get("next")

        entries = await all_pages(page, f"{self.name}: users")
        with understood(f"{self.name}: users"):
            found = [self._user(entry) for entry in entries]
        return [user for user in found if name.casefold() in {alias.casefold() for alias in user.aliases()}]

    async def account_of(self, user: User) -> Account:
        answer = await self.http.get(f"/users/{quote(user.id, safe='')}")
        with understood(answer.where):
            return Account(connector=self.name, user_id=user.id, enabled=not json_object(answer)["locked"])

    async def disable_user(self, user: User, reason: str) -> None:
        await self._lock(user, True, reason)

    async def enable_user(self, user: User, reason: str) -> None:
        await self._lock(user, False, reason)

    async def _lock(self, user: User, locked: bool, reason: str) -> None:
        await self.http.put(f"/users/{quote(user.id, safe='')}/lock", json={"locked": locked, "reason": reason})

    def _user(self, entry: Mapping[str, Any]) -> User:
        return User(connector=self.name, id=entry["id"], name=entry["login"], email=entry["mail"])

    async def _authorization(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.reveal(self.settings.api_key)}"}
