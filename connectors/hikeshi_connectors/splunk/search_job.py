"""Searches of Splunk's: a job is made, asked after until it is done, and its results are read to the last row.

A job ends by itself: after a minute in which nobody asks after it (`auto_cancel`), and its results go ten minutes after
it is done (`timeout`). So none has to be cancelled, which would need one more request that is no GET; and none is left
behind if this process dies.
Source: https://docs.splunk.com/Documentation/Splunk/9.4.0/RESTREF/RESTsearch, search/v2/jobs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from hikeshi.connector import (
    Invalid,
    Response,
    Timeout,
    Unavailable,
    all_pages,
    finished,
    json_object,
    objects_under,
    understood,
)
from hikeshi.connector.http import HttpClient
from hikeshi_connectors.splunk.answers import JOBS, told_in

__all__ = ["SearchJobs"]

_PAGE: Final = 10_000
_GOING_ON: Final = frozenset({"QUEUED", "PARSING", "RUNNING", "FINALIZING"})
_ID: Final = re.compile(r"[A-Za-z0-9_.@-]{1,300}")
_KEPT: Final = {"auto_cancel": "60", "timeout": "600"}


class SearchJobs:
    """The searches of one instance."""

    def __init__(self, name: str, http: HttpClient, within_s: float) -> None:
        self._name = name
        self._http = http
        self._within_s = within_s

    async def rows(self, search: str, since_s: int, most: int) -> list[dict[str, Any]]:
        """Return all rows of a search's result.

        Raises Timeout if it is not done in time, Unavailable if it ended otherwise, Invalid if a part is missing.
        """
        form = {
            "search": search,
            "earliest_time": f"-{max(1, int(since_s))}s",
            "latest_time": "now",
            "exec_mode": "normal",
            "output_mode": "json",
            "max_count": str(most),
            "adhoc_search_level": "verbose",
            "allow_partial_results": "false",
            **_KEPT,
        }
        made = json_object(await self._http.post(JOBS, form=form))
        with understood(f"{self._name}: {JOBS}"):
            job = f"{JOBS}/{_plain(made['sid'])}"
        what = f"{self._name}: the search {job.rpartition('/')[2]}"
        state = await finished(lambda: self._look(job, what), what=what, within_s=self._within_s)
        with understood(what):
            count, stopped = min(int(state["resultCount"]), most), bool(state.get("isFinalized"))
        if stopped and count < most:
            raise Invalid(f"{what} was ended before it had seen everything; what it had found is not all")
        return await self._results(job, what, count)

    async def _look(self, job: str, what: str) -> Mapping[str, Any] | None:
        answer = await self._http.get(job, params={"output_mode": "json"})
        if answer.status == 204:
            return None
        (entry, *_) = objects_under(answer, "entry") or [{}]
        with understood(what):
            state: Mapping[str, Any] = entry["content"]
            standing = str(state["dispatchState"])
            told = state.get("messages") or []
            bad = [each for each in told if str(each["type"]).upper() in ("ERROR", "FATAL")]
        if standing in _GOING_ON:
            return None
        if standing != "DONE" or bad or state.get("isFailed"):
            raise Unavailable(f"{what} ended as {standing}: {told_in(bad or told)}; what it had found is not all")
        return state

    async def _results(self, job: str, what: str, count: int) -> list[dict[str, Any]]:
        """Return the rows. How many come at a time is up to the server, so what came is counted."""

        async def page(mark: int | None) -> tuple[Sequence[dict[str, Any]], int | None]:
            start = mark or 0
            params = {"output_mode": "json", "offset": start, "count": min(_PAGE, max(1, count - start))}
            answer = await self._http.get(f"{job}/results", params=params)
            rows = _rows_in(answer, what)[: count - start]
            end = start + len(rows)
            if not rows and end < count:
                raise Invalid(f"{what}: {end} of {count} rows came, and no more; the result is not complete")
            return rows, end if end < count else None

        return await all_pages(page, what)


def _rows_in(answer: Response, what: str) -> list[dict[str, Any]]:
    if answer.status == 204:
        raise Timeout(f"{what}: the results are not there yet")
    if json_object(answer).get("preview"):
        raise Invalid(f"{what}: only a preview of the results came")
    return objects_under(answer, "results")


def _plain(sid: Any) -> str:
    if not _ID.fullmatch(str(sid)):
        raise ValueError("a search's ID that is none")
    return str(sid)
