"""TAXII 2.1, by one API root: reading what a collection has added, and adding to it.

Source: https://docs.oasis-open.org/cti/taxii/v2.1/os/taxii-v2.1-os.html (3.4 pages, 4.3 status, 5.4 and 5.5 objects).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from hikeshi.capabilities import Indicator, Intel, IntelReport, supports
from hikeshi.connector import (
    Ambiguous,
    Applied,
    Connector,
    ConnectorError,
    ConnectorSettings,
    Forbidden,
    Invalid,
    NotFound,
    PartialFailure,
    Response,
    Route,
    Secret,
    all_pages,
    error_of_status,
    finished,
    json_object,
    objects_under,
    understood,
)
from hikeshi_connectors.taxii.stix import indicators_in, stix_indicator

__all__ = ["Taxii"]

MEDIA_TYPE = "application/taxii+json;version=2.1"
_PAGE = 500
_STATUS_WITHIN_S = 60.0
_SAID_MOST = 300


class Taxii(Connector, Intel, product="taxii"):
    """One API root of a TAXII 2.1 server."""

    class Settings(ConnectorSettings):
        """`base_url` is that of the API root, without a slash at its end; sign-in by name and password, or a token."""

        username: str | None = None
        password: Secret | None = None
        token: Secret | None = None

    read_routes = (
        Route("GET", "/collections/"),
        Route("GET", "/collections/*/objects/"),
        Route("GET", "/status/*/"),
    )
    # Moments, and IDs that follow from the run.
    volatile = ("created", "modified", "valid_from", "id")
    least_privileges = (
        "can_read on the collections that are listed",
        "can_write on those that indicators are shared with",
    )

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    def check(self, response: Response) -> None:
        if response.status >= 400:
            raise _error_of(response)
        if "taxii+json" not in response.headers.get("content-type", ""):
            what = f"{response.where}: the answer is not TAXII 2.1; check that base_url is that of an API root"
            raise Invalid(what, applied=Applied.NO if response.method == "GET" else Applied.MAYBE)
        json_object(response)

    async def list_indicators(self, feed: str, since_s: int = 86400) -> list[Indicator]:
        """List what a collection, by title or ID, added in the last `since_s` seconds, each indicator once.

        Patterns that say more than single indicators, and what is revoked or over, are left out.
        """
        collection = await self._collection(feed, "can_read")
        now = datetime.now(UTC)
        params = {"added_after": _moment(now - timedelta(seconds=since_s)), "limit": _PAGE, "match[type]": "indicator"}
        path = f"/collections/{quote(collection, safe='')}/objects/"

        async def page(following: str | None) -> tuple[list[dict[str, Any]], str | None]:
            answer = await self.http.get(path, params={**params, **({"next": following} if following else {})})
            envelope = json_object(answer)
            # An envelope without objects is how TAXII says that there are none.
            found = objects_under(answer, "objects") if "objects" in envelope else []
            return found, _next(answer, envelope)

        # Some servers hand out the rest of a list under one and the same `next`.
        objects = await all_pages(page, f"{self.name}: {feed}", remembered=True)
        with understood(f"{self.name}: {feed}"):
            found = [indicator for each in objects for indicator in indicators_in(each, now)]
        return list(dict.fromkeys(found))

    @supports(kinds={"ipv4", "ipv6", "cidr", "domain", "url", "email", "md5", "sha1", "sha256"})
    async def share_indicators(self, feed: str, indicators: list[Indicator], title: str) -> IntelReport:
        """Add indicators to a collection, by title or ID. Raises PartialFailure, naming those that it did not take."""
        collection = await self._collection(feed, "can_write")
        now = datetime.now(UTC)
        objects = {each.value: stix_indicator(each, title, self.key, now) for each in indicators}
        answer = await self.http.post(
            f"/collections/{quote(collection, safe='')}/objects/",
            json={"objects": list(objects.values())},
            headers={"content-type": MEDIA_TYPE},
            last=True,
        )
        status = await self._ended(json_object(answer))
        with understood(f"{self.name}: {feed}"):
            refused = {entry["id"]: str(entry.get("message", "no reason")) for entry in status.get("failures") or ()}
            failed = {value: Invalid(refused[each["id"]]) for value, each in objects.items() if each["id"] in refused}
            if failed:
                raise PartialFailure(failed)
            return IntelReport(connector=self.name, id=str(status["id"]), feed=feed)

    async def _ended(self, status: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return a status that is complete, asking the server for it until it is."""

        async def look() -> Mapping[str, Any] | None:
            nonlocal status
            with understood(f"{self.name}: status"):
                if status["status"] == "complete":
                    return status
                path = f"/status/{quote(str(status['id']), safe='')}/"
            status = json_object(await self.http.get(path))
            return None

        return await finished(look, what=f"{self.name}: adding objects", within_s=_STATUS_WITHIN_S, changes=True)

    async def _collection(self, feed: str, right: str) -> str:
        """Return the ID of the one collection that is called so. Raises NotFound, Ambiguous, Forbidden."""
        answer = await self.http.get("/collections/")
        listed = objects_under(answer, "collections") if "collections" in json_object(answer) else []
        with understood(answer.where):
            named = [each for each in listed if feed.casefold() in (each["id"].casefold(), each["title"].casefold())]
            if not named:
                known = ", ".join(str(each["title"]) for each in listed[:20]) or "none"
                raise NotFound(f"{self.name}: no collection is called {feed!r} (there: {known})")
            if len(named) > 1:
                raise Ambiguous(
                    f"{self.name}: {len(named)} collections are called {feed!r}: use an ID", candidates=named
                )
            if not named[0][right]:
                raise Forbidden(f"{self.name}: {right} is not granted for the collection {feed!r}")
            return str(named[0]["id"])

    async def _authorization(self) -> Mapping[str, str]:
        headers = {"accept": MEDIA_TYPE}
        if self.settings.token is not None:
            return {**headers, "authorization": f"Bearer {self.reveal(self.settings.token)}"}
        if self.settings.password is None:
            return headers
        return {**headers, **self.basic_authorization(self.settings.username, self.settings.password)}


def _next(answer: Response, envelope: Mapping[str, Any]) -> str | None:
    if not envelope.get("more"):
        return None
    if not isinstance(envelope.get("next"), str):
        raise Invalid(f"{answer.where}: the answer says that there is more, and not where")
    return str(envelope["next"])


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _error_of(response: Response) -> ConnectorError:
    try:
        given = response.json()
    except Invalid:
        given = None
    told = given if isinstance(given, dict) else {}
    said = ": ".join(str(told[key]) for key in ("title", "description") if told.get(key))[:_SAID_MOST]
    if response.status == 404 and "taxii+json" not in response.headers.get("content-type", ""):
        return Invalid(f"{response.where}: this is not TAXII's way of saying that something is missing: check base_url")
    return error_of_status(response, said)
