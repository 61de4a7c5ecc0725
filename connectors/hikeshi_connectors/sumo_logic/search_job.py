"""Searches of Sumo Logic's: a job is made, asked after until it is done, and its results are read to the last row.

A job ends by itself half a minute after it was last asked after, so none has to be deleted, and none is left behind if
this process dies.
Source: https://www.sumologic.com/help/docs/api/search-job.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from hikeshi.connector import (
    Invalid,
    Response,
    Unavailable,
    all_pages,
    finished,
    json_object,
    objects_under,
    understood,
)
from hikeshi.connector.http import HttpClient
from hikeshi.secrets import Redactor
from hikeshi_connectors.sumo_logic.answers import NotAnAggregation
from hikeshi_connectors.sumo_logic.cookie_jar import CookieJar

__all__ = ["JOBS", "SearchJobs"]

JOBS: Final = "/v1/search/jobs"
_PAGE: Final = 10_000
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
_DONE, _PAUSED = "DONE GATHERING RESULTS", "FORCE PAUSED"
_GOING_ON: Final = frozenset({"NOT STARTED", "GATHERING RESULTS"})
# A job is cancelled if nobody asks after it for 20 seconds.
_LOOK_EVERY_S: Final = 3.0
Row = dict[str, Any]


class SearchJobs:
    """The searches of one instance."""

    def __init__(self, name: str, http: HttpClient, redactor: Redactor, within_s: float) -> None:
        self._name = name
        self._http = http
        self._redactor = redactor
        self._within_s = within_s

    async def rows(self, query: str, since_s: int, most: int) -> list[Row]:
        """Return the records of an aggregation, or the newest messages, at most `most`.

        Raises Timeout if it is not done in time, Unavailable if it was cancelled, Invalid if a part is missing.
        """
        now = datetime.now(UTC)
        body = {
            "query": query,
            "from": _written(now - timedelta(seconds=max(1, int(since_s)))),
            "to": _written(now + timedelta(seconds=1)),
            "timeZone": "UTC",
        }
        jar = CookieJar(self._redactor)
        answer = await self._http.post(JOBS, json=body, headers={"accept": "application/json"})
        jar.take(answer.headers)
        with understood(f"{self._name}: {JOBS}"):
            number = str(json_object(answer)["id"])
            if not _ID.fullmatch(number):
                raise ValueError("a search's ID that is none")
        job = _Job(f"{self._name}: the search {number}", f"{JOBS}/{number}", self._http, jar)
        state = await finished(job.look, what=job.what, within_s=self._within_s, every_s=_LOOK_EVERY_S)
        return await job.results(state, most, may_aggregate="|" in query)


class _Job:
    """One search, with the cookies that lead back to it."""

    def __init__(self, what: str, path: str, http: HttpClient, jar: CookieJar) -> None:
        self.what = what
        self._path = path
        self._http = http
        self._jar = jar

    async def look(self) -> Mapping[str, Any] | None:
        state = json_object(await self._get(""))
        with understood(self.what):
            standing, errors = str(state["state"]), list(state.get("pendingErrors") or ())
        if errors:  # told once only, so this is the moment
            told = "; ".join(str(each) for each in errors[:3])[:500]
            raise Invalid(f"{self.what} had errors: {told}; what it had found is not all")
        if standing in _GOING_ON:
            return None
        if standing not in (_DONE, _PAUSED):
            raise Unavailable(f"{self.what} ended as {standing}; what it had found is not all")
        return state

    async def results(self, state: Mapping[str, Any], most: int, *, may_aggregate: bool) -> list[Row]:
        with understood(self.what):
            messages, records = int(state["messageCount"]), int(state["recordCount"])
            paused = state["state"] == _PAUSED
        # Searching goes from the newest message to the oldest, so a pause only matters if more are wanted.
        if paused and (records or messages < most):
            raise Invalid(f"{self.what} was paused after {messages} messages; search a shorter time or for less")
        if records or (may_aggregate and messages and await self._aggregates()):
            return await self._all("records", min(records, most))
        return await self._all("messages", min(messages, most))

    async def _aggregates(self) -> bool:
        """Say whether the query makes records, although it has made none: then its messages are not its result."""
        try:
            await self._get("/records", {"offset": 0, "limit": 1})
        except NotAnAggregation:
            return False
        return True

    async def _all(self, kind: Literal["messages", "records"], count: int) -> list[Row]:
        """Return the rows. How many come at a time depends on their size, so what came is counted."""

        async def page(mark: int | None) -> tuple[Sequence[Row], int | None]:
            start = mark or 0
            answer = await self._get(f"/{kind}", {"offset": start, "limit": min(_PAGE, max(1, count - start))})
            with understood(self.what):
                rows: list[Row] = [dict(each["map"]) for each in objects_under(answer, kind)][: count - start]
            end = start + len(rows)
            if not rows and end < count:
                raise Invalid(f"{self.what}: {end} of {count} {kind} came, and no more; the result is not complete")
            return rows, end if end < count else None

        return await all_pages(page, self.what)

    async def _get(self, below: str, params: Mapping[str, Any] | None = None) -> Response:
        headers = {"accept": "application/json", **self._jar.headers()}
        answer = await self._http.get(f"{self._path}{below}", params=params, headers=headers)
        self._jar.take(answer.headers)
        return answer


def _written(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%S")
