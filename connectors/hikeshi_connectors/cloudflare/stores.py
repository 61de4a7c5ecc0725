"""The three places in which Cloudflare keeps what is blocked, behind one form: what is in it, add, remove.

Sources: Cloudflare's OpenAPI file as its own Python library (5.9.0) has it: zero_trust/gateway/lists, rules/lists,
firewall/access_rules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Container, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from hikeshi.connector import (
    Applied,
    ConnectorError,
    Invalid,
    PartialFailure,
    RateLimited,
    Response,
    Timeout,
    Unauthorized,
    Unavailable,
    all_pages,
    finished,
    json_object,
    objects_under,
    understood,
)
from hikeshi_connectors.cloudflare.values import access_target, shown_address

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["AccessRules", "GatewayList", "RulesList", "Store"]

_GATEWAY_PAGE: Final = 1000
_RULES_PAGE: Final = 500
_ACCESS_PAGE: Final = 100
_BULK_WITHIN_S: Final = 110.0
# What would meet every further request as well.
_STOPPING: Final = (Unauthorized, RateLimited, Unavailable, Timeout)


class Store(Protocol):
    """What is blocked in one place."""

    async def entries(self, wanted: Container[str]) -> Mapping[str, str]:
        """Return those of the wanted values, canonical, that are in it, with the ID Cloudflare gave each ("" for none).

        All of it is read, and long lists are read again and again: nothing is made of what is not wanted.
        """
        ...

    async def add(self, values: Sequence[str], comment: str) -> None:
        """Put values into it; those that are there stay. Raises PartialFailure by value."""
        ...

    async def remove(self, values: Sequence[str]) -> None:
        """Take values out of it; those that are not there don't matter. Raises PartialFailure by value."""
        ...


class GatewayList:
    """A Gateway list: changed in one request, by value."""

    def __init__(self, http: HttpClient, account: str, list_id: str, canonical: Callable[[str], str]) -> None:
        self._http = http
        self._path = f"/accounts/{account}/gateway/lists/{list_id}"
        self._canonical = canonical

    async def entries(self, wanted: Container[str]) -> Mapping[str, str]:
        async def page(number: int | None) -> tuple[list[str], int | None]:
            asked = number or 1
            params = {"page": asked, "per_page": _GATEWAY_PAGE}
            answer = await self._http.get(f"{self._path}/items", params=params)
            with understood(answer.where):
                values = [str(each["value"]) for each in objects_under(answer, "result")]
                return values, asked + 1 if _goes_on(answer, asked, len(values)) else None

        there = map(self._canonical, await all_pages(page, self._path))
        return {value: "" for value in there if value in wanted}

    async def add(self, values: Sequence[str], comment: str) -> None:
        items = [{"value": value, "description": comment} for value in values]
        await self._http.patch(self._path, json={"append": items})

    async def remove(self, values: Sequence[str]) -> None:
        await self._http.patch(self._path, json={"remove": list(values)})


class RulesList:
    """A list of the account, for rules. Changes are jobs, and an account has one at a time."""

    def __init__(self, http: HttpClient, account: str, list_id: str) -> None:
        self._http = http
        self._lists = f"/accounts/{account}/rules/lists"
        self._items = f"{self._lists}/{list_id}/items"
        self._turn = asyncio.Lock()

    async def entries(self, wanted: Container[str]) -> Mapping[str, str]:
        async def page(cursor: str | None) -> tuple[list[tuple[str, str]], str | None]:
            params = {"per_page": _RULES_PAGE} | ({} if cursor is None else {"cursor": cursor})
            answer = await self._http.get(self._items, params=params)
            with understood(answer.where):
                found = [
                    (value, str(each["id"]))
                    for each in objects_under(answer, "result")
                    if (value := shown_address(each["ip"])) in wanted
                ]
                cursors = (json_object(answer).get("result_info") or {}).get("cursors") or {}
                return found, cursors.get("after") or None

        return dict(await all_pages(page, self._items))

    async def add(self, values: Sequence[str], comment: str) -> None:
        async with self._turn:
            items = [{"ip": value, "comment": comment} for value in values]
            await self._done(await self._http.post(self._items, json=items, last=True))

    async def remove(self, values: Sequence[str]) -> None:
        async with self._turn:
            there = await self.entries(frozenset(values))
            items = [{"id": there[value]} for value in values if value in there]
            if items:
                await self._done(await self._http.delete(self._items, json={"items": items}, last=True))

    async def _done(self, answer: Response) -> None:
        """Wait for the job that an answer names. Raises Invalid if it fails: part of it may be done."""
        with understood(answer.where):
            job = str(json_object(answer)["result"]["operation_id"])
        if not job.isalnum():
            raise Invalid(f"{answer.where}: {job[:40]!r} is not the ID of a job", applied=Applied.MAYBE)

        async def look() -> bool | None:
            status = await self._http.get(f"{self._lists}/bulk_operations/{job}")
            with understood(status.where):
                result: Mapping[str, Any] = json_object(status)["result"]
                if result["status"] == "failed":
                    raise Invalid(f"{status.where}: the job failed: {result.get('error')}", applied=Applied.MAYBE)
                return True if result["status"] == "completed" else None

        try:
            await finished(look, what=f"the job {job}", within_s=_BULK_WITHIN_S, changes=True)
        except ConnectorError as exc:
            # Whatever kept us from seeing its end, the job was accepted.
            exc.applied = Applied.MAYBE
            raise


class AccessRules:
    """IP access rules of an account or a zone: one request for each address.

    A zone's list shows the account's rules as well, so each rule is asked whose it is.
    """

    def __init__(self, http: HttpClient, scope: str) -> None:
        self._http = http
        self._path = f"/{scope}/firewall/access_rules/rules"
        self._of_a_zone = scope.startswith("zones/")

    async def entries(self, wanted: Container[str]) -> Mapping[str, str]:
        async def page(number: int | None) -> tuple[list[tuple[str, str]], int | None]:
            asked = number or 1
            params = {"mode": "block", "page": asked, "per_page": _ACCESS_PAGE}
            answer = await self._http.get(self._path, params=params)
            with understood(answer.where):
                rules = objects_under(answer, "result")
                found = [
                    (value, str(rule["id"]))
                    for rule in rules
                    if rule["mode"] == "block"
                    and rule["configuration"]["target"] in ("ip", "ip6", "ip_range")
                    and self._is_ours(rule)
                    and (value := shown_address(str(rule["configuration"]["value"]))) in wanted
                ]
                return found, asked + 1 if _goes_on(answer, asked, len(rules)) else None

        return dict(await all_pages(page, self._path))

    def _is_ours(self, rule: Mapping[str, Any]) -> bool:
        """Say whether a rule is of our own scope. Raises KeyError for one in a zone's list that does not say."""
        if self._of_a_zone:
            return bool(rule["scope"]["type"] == "zone")
        return (rule.get("scope") or {}).get("type") != "zone"

    async def add(self, values: Sequence[str], comment: str) -> None:
        there = await self.entries(frozenset(values))

        async def make(value: str) -> None:
            target, written = access_target(value)
            rule = {"mode": "block", "configuration": {"target": target, "value": written}, "notes": comment}
            await self._http.post(self._path, json=rule)

        await _each([value for value in values if value not in there], make)

    async def remove(self, values: Sequence[str]) -> None:
        there = await self.entries(frozenset(values))

        async def delete(value: str) -> None:
            await self._http.delete(f"{self._path}/{there[value]}")

        await _each([value for value in values if value in there], delete)


async def _each(values: Sequence[str], change: Callable[[str], Awaitable[None]]) -> None:
    """Change one value after the other; what is refused is told at the end, what would stop all stops at once."""
    failures: dict[str, ConnectorError] = {}
    for n, value in enumerate(values):
        try:
            await change(value)
        except ConnectorError as exc:
            if len(values) == 1 or (n == 0 and isinstance(exc, _STOPPING)):
                raise
            failures[value] = exc
            if isinstance(exc, _STOPPING):
                untried = type(exc)(f"it was not tried: {exc.message}", retry_after_s=exc.retry_after_s)
                failures.update(dict.fromkeys(values[n + 1 :], untried))
                break
    if failures:
        raise PartialFailure(failures)


def _goes_on(answer: Response, page: int, entries: int) -> bool:
    """Say whether there is a page after this one, by Cloudflare's own count: it may give fewer than were asked for."""
    info = json_object(answer).get("result_info") or {}
    per_page, total = info.get("per_page"), info.get("total_count")
    if not isinstance(per_page, int) or not isinstance(total, int):
        raise Invalid(f"{answer.where}: the answer does not say how many entries there are")
    return entries > 0 and page * per_page < total
