"""MISP's REST API over an estate: events, their attributes, tags; filters with the signs that MISP gives a meaning."""

from __future__ import annotations

import fnmatch
import json
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.manufacturer import C2_ADDRESS
from hikeshi.testing.simulator import Simulator

__all__ = ["MispSimulator"]

_READS = ("/attributes/restSearch", "/events/restSearch", "/tags/search")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_FORMS = {
    "ip-dst": re.compile(r"[0-9a-f.:]+(/\d+)?"),
    "domain": re.compile(r"[a-z0-9_.-]+\.[a-z0-9-]+"),
    "url": re.compile(r"[^\s]+"),
    "email-src": re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+"),
    "md5": re.compile(r"[0-9a-f]{32}"),
    "sha1": re.compile(r"[0-9a-f]{40}"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
}
_REFUSED_KEY = (
    "Authentication failed. Please make sure you pass the API key of an API enabled user along in the "
    "Authorization header."
)

Record = dict[str, Any]


class MispSimulator(Simulator):
    """`product_state["misp"]` holds three lists: `events`, `attributes` and `tags`, as MISP gives them.

    An event has besides `ours` (the key may add to it), `publish_timestamp` (seconds) and `tags` (IDs); an attribute
    `tags`, and where there are any `Sighting`, `warnings` and `decay_score`.
    """

    product = "misp"
    instance_name = "misp"
    demo_settings: ClassVar[dict[str, str]] = {"api_key": "simulated-misp-key"}
    taken_out: Callable[[Record], bool] | None = None
    """Which attributes an allow list of the instance takes out of a page after it was counted."""

    @property
    def state(self) -> dict[str, list[Record]]:
        """Everything that the instance keeps."""
        kept: dict[str, list[Record]] | None = self.estate.product_state.get("misp")
        if kept is None:
            kept = self.estate.product_state["misp"] = _at_first(int(self.estate.base.timestamp()))
        return kept

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/attributes/restSearch", self._attributes, methods=["POST"]),
            Route("/events/restSearch", self._events, methods=["POST"]),
            Route("/tags/search", self._tags, methods=["POST"]),
            Route("/attributes/add/{id}", self._add, methods=["POST"]),
        ]

    def is_change(self, request: Request, body: bytes) -> bool:
        return super().is_change(request, body) and not request.url.path.endswith(_READS)

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        del body
        if request.headers.get("accept") != "application/json":
            return Response(status_code=302, headers={"Location": "/users/login"})  # MISP takes it for a browser
        good = request.headers.get("authorization") == self.credentials["api_key"]
        return None if good else self.error(403, _REFUSED_KEY)

    def error(self, status: int, detail: str) -> Response:
        return JSONResponse({"name": detail, "message": detail, "url": "/"}, status_code=status)

    def too_many_requests(self, retry_after_s: float) -> Response:
        answer = self.error(429, "Rate limit exceeded.")
        answer.headers["X-Rate-Limit-Reset"] = str(max(1, round(retry_after_s)))
        return answer

    def shows(self) -> dict[str, Any]:
        names = {event["id"]: event["info"] for event in self.state["events"]}
        shown: dict[str, list[str]] = {name: [] for name in names.values()}
        for each in self.state["attributes"]:
            shown[names[each["event_id"]]].append(each["value"])
        return shown

    # --- searches

    async def _attributes(self, request: Request) -> Response:
        asked = await _asked(request)
        events = {event["id"]: event for event in self.state["events"]}
        found = [each for each in self.state["attributes"] if self._fits(each, events[each["event_id"]], asked)]
        page = _page(found, asked)
        kept = [each for each in page if self.taken_out is None or not self.taken_out(each)]
        whole = len(page) < int(asked.get("limit") or len(page) + 1)
        counted = len(page) + (0 if kept and whole else 1)
        shown = [self._shown(each, events[each["event_id"]], asked) for each in kept]
        return JSONResponse({"response": {"Attribute": shown}}, headers={"X-Result-Count": str(counted)})

    async def _events(self, request: Request) -> Response:
        asked = await _asked(request)
        found = [each for each in self.state["events"] if _event_fits(each, asked)]
        shown = [{"Event": {key: each[key] for key in ("id", "uuid", "info", "published")}} for each in found]
        # Other than for attributes, the header counts the whole list.
        return JSONResponse({"response": _page(shown, asked)}, headers={"X-Result-Count": str(len(shown))})

    async def _tags(self, request: Request) -> Response:
        name = str((await _asked(request)).get("tag", "")).lower()
        found = [each for each in self.state["tags"] if _like(each["name"].lower(), name)]
        return JSONResponse([{"Tag": {"id": each["id"], "name": each["name"]}} for each in found])

    def _fits(self, attribute: Record, event: Record, asked: Mapping[str, Any]) -> bool:
        if not _event_fits(event, asked):
            return False
        parts = [part.casefold() for part in str(attribute["value"]).split("|")]
        tags = {*event["tags"], *attribute["tags"]}
        return (
            _any_fits(parts, asked.get("value"))
            and _any_fits([attribute["type"]], asked.get("type"))
            and ("tags" not in asked or bool(tags & set(_filter(asked["tags"])[0])))
            and ("to_ids" not in asked or bool(attribute["to_ids"]) == bool(asked["to_ids"]))
            and ("published" not in asked or bool(event["published"]) == bool(asked["published"]))
            and ("publish_timestamp" not in asked or event["publish_timestamp"] >= self._since(asked))
        )

    def _since(self, asked: Mapping[str, Any]) -> float:
        text = str(asked["publish_timestamp"])
        if not text.endswith("s"):
            return float(text)
        return (self.estate.now() - timedelta(seconds=float(text[:-1]))).timestamp()

    def _shown(self, attribute: Record, event: Record, asked: Mapping[str, Any]) -> Record:
        extra = {
            "includeSightings": "Sighting",
            "includeWarninglistHits": "warnings",
            "includeDecayScore": "decay_score",
        }
        hidden = {"tags", *(key for option, key in extra.items() if not asked.get(option))}
        shown = {key: value for key, value in attribute.items() if key not in hidden}
        return {**shown, "Event": {"id": event["id"], "info": event["info"], "uuid": event["uuid"]}}

    # --- adding

    async def _add(self, request: Request) -> Response:
        event = next((each for each in self.state["events"] if each["id"] == request.path_params["id"]), None)
        if event is None:
            raise HTTPException(404, "Invalid event")
        if not event["ours"]:
            raise HTTPException(403, "You do not have permission to do that.")
        sent = await _body(request)
        entries = sent if isinstance(sent, list) else [sent]
        fails: dict[str, Any] = {}
        added: list[Record] = []
        standing = {
            (each["type"], each["value"]) for each in self.state["attributes"] if each["event_id"] == event["id"]
        }
        for number, entry in enumerate(entries):
            why = _wrong_with(entry, standing)
            if why:
                fails[f"attribute_{number}"] = {"value": [why]}
            else:
                added.append(self._new(entry, event))
                standing.add((entry["type"], entry["value"]))
        if not added:
            errors = fails["attribute_0"] if len(entries) == 1 else fails
            said = "Could not add Attribute"
            body = {"saved": False, "name": said, "message": said, "url": "/attributes/add", "errors": errors}
            return JSONResponse(body, status_code=403)
        event["published"] = False
        shown: Any = [{key: value for key, value in each.items() if key != "tags"} for each in added]
        answer = {"Attribute": shown[0] if len(shown) == 1 else shown}
        return JSONResponse({**answer, "errors": fails} if fails else answer)

    def _new(self, entry: Record, event: Record) -> Record:
        made = {
            "id": str(1 + max((int(each["id"]) for each in self.state["attributes"]), default=0)),
            "event_id": event["id"],
            "type": entry["type"],
            "category": entry.get("category", "Network activity"),
            "value": entry["value"],
            "to_ids": bool(entry.get("to_ids", True)),
            "comment": entry.get("comment", ""),
            "tags": [],
        }
        self.state["attributes"].append(made)
        return made


def _at_first(now_s: int) -> dict[str, list[Record]]:
    """Return what an instance holds if nobody says: an event of one's own, and a partner's with one attribute."""
    told = {"published": True, "publish_timestamp": now_s}
    own = {"id": "1", "uuid": "5f0c1a2e-0000-4000-8000-000000000001", "info": "Seen at our place", "tags": []}
    theirs = {"id": "2", "uuid": "5f0c1a2e-0000-4000-8000-000000000002", "info": "From a partner", "tags": ["1"]}
    known = {"id": "1", "event_id": "2", "type": "ip-dst", "category": "Network activity", "value": C2_ADDRESS}
    return {
        "events": [{**own, **told, "ours": True}, {**theirs, **told, "ours": False}],
        "attributes": [{**known, "to_ids": True, "comment": "", "tags": []}],
        "tags": [{"id": "1", "name": "tlp:green"}],
    }


async def _asked(request: Request) -> dict[str, Any]:
    body = await _body(request)
    if not isinstance(body, dict) or not body:
        raise HTTPException(
            400, "Either specify the search terms in the url, or POST a json with the filter parameters."
        )
    return body


async def _body(request: Request) -> Any:
    try:
        return json.loads(await request.body())
    except ValueError:
        raise HTTPException(
            400, "Invalid JSON input. Make sure that the JSON input is a correctly formatted JSON string."
        ) from None


def _wrong_with(entry: Record, standing: set[tuple[str, str]]) -> str:
    form = _FORMS.get(str(entry.get("type")))
    value = str(entry.get("value", ""))
    if form is None or not form.fullmatch(value):
        return f"Value not in the right type/format for {entry.get('type')}"
    there = (entry["type"], value) in standing
    return "A similar attribute already exists for this event." if there else ""


def _page(found: list[Any], asked: Mapping[str, Any]) -> list[Any]:
    if not asked.get("limit"):
        return found
    start = (int(asked.get("page") or 1) - 1) * int(asked["limit"])
    return found[start : start + int(asked["limit"])]


def _event_fits(event: Record, asked: Mapping[str, Any]) -> bool:
    wanted, _ = _filter(asked.get("eventid"))
    if wanted and not any(each == event["uuid" if _UUID.fullmatch(each.lower()) else "id"] for each in wanted):
        return False
    return _any_fits([event["info"]], asked.get("eventinfo"))


def _filter(given: Any) -> tuple[list[str], list[str]]:
    """Return what is wanted and what is not. A text is cut at `&&`, and `!` in front of a part turns it around."""
    if given is None:
        return [], []
    if isinstance(given, dict):
        return [str(each) for each in given.get("OR", [])], [str(each) for each in given.get("NOT", [])]
    parts = [str(each) for each in (given if isinstance(given, list) else str(given).split("&&")) if str(each)]
    return [each for each in parts if each[0] != "!"], [each[1:] for each in parts if each[0] == "!"]


def _any_fits(values: list[str], given: Any) -> bool:
    wanted, unwanted = _filter(given)
    if any(_fits_one(value, each) for value in values for each in unwanted):
        return False
    return not wanted or any(_fits_one(value, each) for value in values for each in wanted)


def _fits_one(value: str, wanted: str) -> bool:
    if wanted[:1] == "%" or wanted[-1:] == "%":
        return _like(value.casefold(), wanted.casefold())
    return value.casefold() == wanted.casefold()


def _like(value: str, pattern: str) -> bool:
    """Compare as SQL's LIKE does, as far as `%` and `_` go."""
    glob = pattern.replace("[", "[[]").replace("*", "[*]").replace("?", "[?]").replace("%", "*").replace("_", "?")
    return fnmatch.fnmatchcase(value, glob)
