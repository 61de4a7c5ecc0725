"""MISP, by its REST API.

The rule: MISP's filters know signs of their own (`&&`, a `!` in front, a `%` at either end) and compare loosely. Values
are sent as `{"OR": [...]}`, where only `%` keeps its meaning, and what comes back is compared here.
Source: MISP 2.5.1, app/Controller/AttributesController.php and AppController.php, app/Model/MispAttribute.php and
Event.php (filters), app/Controller/Component/RestResponseComponent.php and RateLimitComponent.php (answers).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from hikeshi.capabilities import Indicator, Intel, IntelReport, Opinion, supports
from hikeshi.connector import (
    Ambiguous,
    Connector,
    ConnectorError,
    ConnectorSettings,
    Invalid,
    NotFound,
    PartialFailure,
    Response,
    Route,
    Secret,
    all_pages,
    json_list,
    json_object,
    lots,
    sent_in_lots,
    understood,
)
from hikeshi_connectors.misp.answers import NotSaved, error_of, refusals
from hikeshi_connectors.misp.attribute import KINDS, TYPES, indicators_in, is_flagged, new_attribute, same
from hikeshi_connectors.misp.judgement import judged

__all__ = ["PAGE", "Misp"]

PAGE: Final = 1000
_AT_ONCE: Final = 500  # values in one question, attributes in one addition
_EMPTIED_MOST: Final = 3  # pages in a row
_ATTRIBUTES: Final = "/attributes/restSearch"
_EVENTS: Final = "/events/restSearch"
_EVENT_ID: Final = re.compile(r"[0-9]+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

Record = Mapping[str, Any]


class Misp(Connector, Intel, product="misp"):
    """One MISP instance, as far as the user of the key may see it."""

    class Settings(ConnectorSettings):
        """`base_url` is that of the instance, as a browser opens it; `api_key` is an authentication key of a user."""

        api_key: Secret

    read_routes = (
        Route("POST", _ATTRIBUTES),
        Route("POST", _EVENTS),
        Route("POST", "/tags/search"),
    )
    least_privileges = (
        "a user whose role has 'auth key access', to look up and to list",
        "the permission 'add' for events of its own organisation, to share",
    )

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    def check(self, response: Response) -> None:
        if response.status >= 400:
            raise error_of(response)
        response.json()

    @supports(kinds=KINDS)
    async def opinions_on(self, indicator: Indicator) -> list[Opinion]:
        """Ask which events hold a value, alone or as a part (`domain|ip`). MISP never says that one is harmless."""
        wanted = same(indicator)
        asked = {
            "value": {"OR": [wanted.value]},
            "includeSightings": True,
            "includeWarninglistHits": True,
            "includeDecayScore": True,
        }
        found = await self._attributes(asked)
        with understood(f"{self.name}: attributes"):
            said = judged([each for each in found if wanted in indicators_in(each)])
            told: dict[str, Any] = {"verdict": said.verdict, "score": said.score, "detail": said.detail}
            url = None if said.event_id is None else self._page(said.event_id)
            return [
                Opinion.model_validate(
                    {"connector": self.name, "kind": indicator.kind, "value": indicator.value, "url": url, **told}
                )
            ]

    async def list_indicators(self, feed: str, since_s: int = 86400) -> list[Indicator]:
        """List what is for detection in events that were published in the last `since_s` seconds.

        `feed` is an event's ID or UUID, or the name of a tag that events or attributes carry. What a warning list
        knows is left out. An event that was published again is given whole.
        """
        feed = feed.strip()
        where = {"eventid": await self._event(feed)} if _EVENT_ID.fullmatch(feed) else {"tags": await self._tag(feed)}
        asked = {
            **{name: {"OR": [value]} for name, value in where.items()},
            "type": {"OR": TYPES},
            "to_ids": 1,
            "published": 1,
            "publish_timestamp": f"{since_s}s",
            "includeWarninglistHits": True,
        }
        attributes = await self._attributes(asked)
        with understood(f"{self.name}: attributes"):
            kept = [each for each in attributes if is_flagged(each) and not each.get("warnings")]
            return list(dict.fromkeys(found for each in kept for found in indicators_in(each)))

    @supports(kinds=KINDS)
    async def share_indicators(self, feed: str, indicators: list[Indicator], title: str) -> IntelReport:
        """Add indicators to an event, by ID, UUID or its exact info text; those that it holds are not added again.

        Raises PartialFailure, naming those that MISP refused. The event is not published: MISP waits for a person.
        """
        event = await self._event(feed.strip())
        asked = {each.value: each for each in indicators}
        there = await self._held(event, list(asked.values()))
        fresh = [value for value, each in asked.items() if same(each) not in there]

        async def send(lot: Sequence[str], last: bool) -> Response | NotSaved:
            body = [new_attribute(asked[value], title) for value in lot]
            try:
                return await self.http.post(f"/attributes/add/{event}", json=body, last=last)
            except NotSaved as refusal:
                return refusal  # the whole lot was judged, entry by entry

        answers, failures = await sent_in_lots(fresh, _AT_ONCE, send)
        for lot, answer in answers:
            failures |= _refused(lot, answer, f"{self.name}: event {event}")
        if failures:
            raise PartialFailure(failures)
        return IntelReport(connector=self.name, id=event, feed=feed, url=self._page(event))

    # --- what a name stands for

    async def _event(self, feed: str) -> str:
        """Return the ID of the one event that has an ID, a UUID or an info text. Raises NotFound, Ambiguous."""
        by_id = bool(_EVENT_ID.fullmatch(feed))
        asked = {"eventid" if by_id else "eventinfo": {"OR": [feed]}, "metadata": True, "order": "Event.id asc"}
        found = await self._all(_EVENTS, asked, _events_in) if feed else []
        with understood(f"{self.name}: events"):
            names = ("id", "uuid") if by_id else ("info",)
            wanted = feed.lower() if by_id else feed
            named = [each for each in found if wanted in [str(each[name]) for name in names]]
            if not named:
                raise NotFound(f"{self.name}: no event that this key may see has the ID or info text {feed[:80]!r}")
            if len(named) > 1:
                candidates = [{"id": each["id"], "info": each["info"]} for each in named]
                raise Ambiguous(
                    f"{self.name}: {len(named)} events are called {feed[:80]!r}: use an ID", candidates=candidates
                )
            return _number(named[0]["id"])

    async def _tag(self, feed: str) -> str:
        """Return the ID of the tag with a name, in any case. Raises NotFound, Ambiguous."""
        answer = await self.http.post("/tags/search", json={"tag": feed}) if feed else None
        with understood(f"{self.name}: tags"):
            tags = [each["Tag"] for each in json_list(answer)] if answer is not None else []
            named = {_number(each["id"]): each["name"] for each in tags if _folded(each["name"]) == _folded(feed)}
        if len(named) > 1:
            exactly = {name: text for name, text in named.items() if text == feed}
            named = exactly if len(exactly) == 1 else named
        if not named:
            raise NotFound(f"{self.name}: no tag is called {feed[:80]!r}; a feed is a tag, or the ID of an event")
        if len(named) > 1:
            candidates = [{"id": name, "name": text} for name, text in named.items()]
            raise Ambiguous(f"{self.name}: {len(named)} tags are called {feed[:80]!r}", candidates=candidates)
        return next(iter(named))

    async def _held(self, event: str, indicators: Sequence[Indicator]) -> set[Indicator]:
        """Return what an event holds of some indicators, and perhaps more."""
        found: set[Indicator] = set()
        for lot in lots(indicators, _AT_ONCE):
            asked = {"eventid": {"OR": [event]}, "value": {"OR": [same(each).value for each in lot]}}
            attributes = await self._attributes(asked)
            with understood(f"{self.name}: attributes"):
                found |= {each for attribute in attributes for each in indicators_in(attribute)}
        return found

    # --- reading

    async def _attributes(self, asked: Mapping[str, Any]) -> list[Record]:
        # MISP takes what an allow list knows out of a page that it has counted, so an empty one may not be the last.
        order = "Attribute.id asc"
        return await self._all(_ATTRIBUTES, {**asked, "order": order}, _attributes_in, emptied_most=_EMPTIED_MOST)

    async def _all(
        self,
        path: str,
        asked: Mapping[str, Any],
        records: Callable[[Response], list[Record]],
        *,
        emptied_most: int = 0,
    ) -> list[Record]:
        emptied = 0

        async def page(number: int | None) -> tuple[list[Record], int | None]:
            nonlocal emptied
            at = number or 1
            body = {**asked, "returnFormat": "json", "page": at, "limit": PAGE}
            answer = await self.http.post(path, json=body)
            found = records(answer)
            emptied = 0 if found else emptied + 1
            more = found or (emptied <= emptied_most and _counted(answer) > 1)
            return found, at + 1 if more else None

        return await all_pages(page, f"{self.name}: {path}")

    def _page(self, event: str) -> str:
        return f"{self.settings.base_url.rstrip('/')}/events/view/{event}"

    async def _authorization(self) -> Mapping[str, str]:
        return {"authorization": self.reveal(self.settings.api_key), "accept": "application/json"}


def _refused(lot: Sequence[str], answer: Response | NotSaved, where: str) -> dict[str, ConnectorError]:
    if isinstance(answer, NotSaved):
        return {**dict.fromkeys(lot, answer), **refusals(lot, answer.errors, where)}
    with understood(answer.where):
        saved = json_object(answer)
        _ = saved["Attribute"]  # without it this is no answer of MISP's
    return refusals(lot, saved.get("errors"), where)


def _attributes_in(answer: Response) -> list[Record]:
    with understood(answer.where):
        return _objects(json_object(answer)["response"]["Attribute"], answer)


def _events_in(answer: Response) -> list[Record]:
    with understood(answer.where):
        return _objects([each["Event"] for each in json_object(answer)["response"]], answer)


def _objects(found: Any, answer: Response) -> list[Record]:
    if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
        raise Invalid(f"{answer.where}: the answer has no list of objects")
    return found


def _counted(answer: Response) -> int:
    """Return how many entries a page had before some were taken out, where 1 stands for none, too.

    Other versions may mean the whole list instead, which is why this alone never keeps a list going.
    """
    text = answer.headers.get("x-result-count", "")
    return int(text) if text.isdecimal() else 0


def _number(given: Any) -> str:
    """Return an ID, which becomes a part of a path. Raises ValueError for anything else."""
    return str(int(given))


def _folded(name: Any) -> str:
    return str(name).casefold()
