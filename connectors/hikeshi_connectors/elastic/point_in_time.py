"""Searches to the last hit: over a point in time, page by page with `search_after`.

Elasticsearch breaks ties of equal moments by `_shard_doc` on its own; OpenSearch before 3.3 has nothing of the kind, so
that hits at the end of a page would get lost, and is told to go by `_id` and `_index`. A point in time ends by itself a
minute after it was last used; closing it would need one more request that is no GET.
Sources: https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results,
https://docs.opensearch.org/latest/search-plugins/searching-data/point-in-time-api/, and on ties
https://github.com/opensearch-project/OpenSearch/issues/11831.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from hikeshi.connector import all_pages, json_object, understood
from hikeshi.connector.http import HttpClient

__all__ = ["Flavor", "PointInTimeSearch"]

Flavor = Literal["elasticsearch", "opensearch"]
Hit = dict[str, Any]
# Where a page begins: the point in time, which each answer may name anew, how many hits came before, and the last one.
_Mark = tuple[str, int, tuple[Any, ...]]
_PAGE: Final = 1000
_KEEP: Final = "1m"
# A whole result or none.
_WHOLE: Final = {"allow_partial_search_results": "false"}


class PointInTimeSearch:
    """Searches of one instance, newest hits first."""

    def __init__(self, name: str, http: HttpClient, flavor: Flavor, time_field: str) -> None:
        self._name = name
        self._http = http
        self._flavor = flavor
        self._time_field = time_field

    async def hits(
        self, indices: Sequence[str], filters: Sequence[Mapping[str, Any]], since_s: int, most: int, **more: Any
    ) -> list[Hit]:
        """Return the newest hits of the last `since_s` seconds that pass all filters, at most `most`.

        `more` goes into each request as it is. Raises Invalid for a result that is only a part.
        """
        opened = await self._open(indices)
        span = {"range": {self._time_field: {"gte": f"now-{max(1, int(since_s))}s", "lte": "now"}}}
        body = {
            "query": {"bool": {"filter": [*filters, span]}},
            "sort": self._sort(),
            "track_total_hits": False,
            **more,
        }

        async def page(mark: _Mark | None) -> tuple[list[Hit], _Mark | None]:
            point, had, after = mark or (opened, 0, ())
            size = min(_PAGE, most - had)
            asked = {**body, "size": size, "pit": {"id": point, "keep_alive": _KEEP}}
            if after:
                asked["search_after"] = list(after)
            answer = await self._http.post("/_search", params=_WHOLE, json=asked)
            with understood(f"{self._name}: _search"):
                got = json_object(answer)
                found: list[Hit] = list(got["hits"]["hits"])
                if len(found) < size or had + len(found) >= most:
                    return found, None
                return found, (str(got.get("pit_id") or point), had + len(found), tuple(found[-1]["sort"]))

        return await all_pages(page, f"{self._name}: _search")

    async def _open(self, indices: Sequence[str]) -> str:
        names = ",".join(indices)
        if self._flavor == "elasticsearch":
            path, key, params = f"/{names}/_pit", "id", {"keep_alive": _KEEP}
        else:
            path, key = f"/{names}/_search/point_in_time", "pit_id"
            params = {"keep_alive": _KEEP, "allow_partial_pit_creation": "false"}
        answer = json_object(await self._http.post(path, params=params))
        with understood(f"{self._name}: {path}"):
            found = answer[key]
            if not isinstance(found, str) or not found:
                raise ValueError("a point in time without an ID")
            return found

    def _sort(self) -> list[dict[str, Any]]:
        newest = {
            "order": "desc",
            "format": "strict_date_optional_time_nanos",
            "numeric_type": "date_nanos",
            "unmapped_type": "date",
        }
        ties = [] if self._flavor == "elasticsearch" else [{"_id": "asc"}, {"_index": "asc"}]
        return [{self._time_field: newest}, *ties]
