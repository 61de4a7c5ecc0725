"""A TAXII 2.1 server over an estate: two collections, fifty objects to a page."""

from __future__ import annotations

import base64
import uuid
from datetime import datetime
from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.simulator import Simulator

__all__ = ["PAGE", "SHARED", "THEIRS", "TaxiiSimulator"]

PAGE = 50
MEDIA_TYPE = "application/taxii+json;version=2.1"
SHARED = "91a7b528-80eb-42ed-a74d-c6fbd5a26116"
THEIRS = "52892447-4d7e-4f70-b94d-d7f22742ff63"
_TITLES = {SHARED: "Shared with partners", THEIRS: "From the sector"}


class TaxiiSimulator(Simulator):
    """Objects are in `product_state["taxii"]`: `{collection: [{added, object}]}`. One may be written, the other not."""

    product = "taxii"
    instance_name = "taxii"
    demo_settings: ClassVar[dict[str, str]] = {"username": "hikeshi", "password": "simulated-taxii-password"}
    pending_looks = 0
    """How often a status is pending before it is complete."""

    @property
    def objects(self) -> dict[str, list[dict[str, Any]]]:
        """What each collection holds, in the order of arrival."""
        kept: dict[str, list[dict[str, Any]]] = self.estate.product_state.setdefault("taxii", {SHARED: [], THEIRS: []})
        return kept

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/collections/", self._collections, methods=["GET"]),
            Route("/collections/{id}/objects/", self._list, methods=["GET"]),
            Route("/collections/{id}/objects/", self._add, methods=["POST"]),
            Route("/status/{id}/", self._status, methods=["GET"]),
        ]

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        del body
        pair = f"{self.credentials['username']}:{self.credentials['password']}".encode()
        if request.headers.get("authorization") != f"Basic {base64.b64encode(pair).decode()}":
            return self.error(401, "Unauthorized")
        if request.headers.get("accept", "").replace(" ", "") != MEDIA_TYPE:
            return self.error(406, "Media type in the Accept header is invalid or not found")
        return None

    def error(self, status: int, detail: str) -> Response:
        body = {"title": detail, "http_status": str(status)}
        return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE)

    def reset(self) -> None:
        self._waiting.clear()

    def shows(self) -> dict[str, Any]:
        return {_TITLES[name]: len(kept) for name, kept in self.objects.items()}

    @property
    def _waiting(self) -> dict[str, tuple[int, dict[str, Any]]]:
        found: dict[str, tuple[int, dict[str, Any]]] = self.__dict__.setdefault("_statuses", {})
        return found

    async def _collections(self, request: Request) -> Response:
        del request
        listed = [
            {"id": each, "title": title, "can_read": True, "can_write": each == SHARED, "media_types": []}
            for each, title in _TITLES.items()
        ]
        return _answer({"collections": listed})

    async def _list(self, request: Request) -> Response:
        kept = self._kept(request)
        query = request.query_params
        after = datetime.fromisoformat(query["added_after"]) if "added_after" in query else None
        wanted = query.get("match[type]")
        found = [
            each["object"]
            for each in kept
            if (after is None or datetime.fromisoformat(each["added"]) > after)
            and wanted in (None, each["object"]["type"])
        ]
        start = int(query.get("next", "0"))
        limit = min(PAGE, int(query.get("limit", PAGE)))
        if not found[start:]:
            return _answer({})
        more = start + limit < len(found)
        envelope = {"more": more, "objects": found[start : start + limit]}
        return _answer({**envelope, "next": str(start + limit)} if more else envelope)

    async def _add(self, request: Request) -> Response:
        if request.headers.get("content-type", "").replace(" ", "") != MEDIA_TYPE:
            raise HTTPException(415, "Media type in the Content-Type header is invalid or not found")
        kept = self._kept(request)
        if request.path_params["id"] != SHARED:
            raise HTTPException(403, "Forbidden to write this collection")
        added = (await request.json()).get("objects")
        if not added:
            raise HTTPException(422, "The object type or version is not supported or could not be processed")
        known = {each["object"]["id"] for each in kept}
        refused = [each for each in added if not str(each.get("pattern", "")).startswith("[")]
        now = self.estate.now().isoformat()
        kept += [{"added": now, "object": each} for each in added if each not in refused and each["id"] not in known]
        status = {
            "id": str(uuid.uuid4()),
            "status": "complete",
            "total_count": len(added),
            "success_count": len(added) - len(refused),
            "failure_count": len(refused),
            "failures": [{"id": each["id"], "version": each["modified"], "message": "no pattern"} for each in refused],
            "pending_count": 0,
        }
        if self.pending_looks:
            self._waiting[str(status["id"])] = (self.pending_looks, status)
            return _answer({**status, "status": "pending", "success_count": 0, "pending_count": len(added)}, 202)
        return _answer(status, 202)

    async def _status(self, request: Request) -> Response:
        left, status = self._waiting.get(request.path_params["id"], (0, None))
        if status is None:
            raise HTTPException(404, "Status not found")
        self._waiting[status["id"]] = (left - 1, status)
        return _answer(status if left <= 1 else {**status, "status": "pending"})

    def _kept(self, request: Request) -> list[dict[str, Any]]:
        if request.path_params["id"] not in self.objects:
            raise HTTPException(404, "Collection not found")
        return self.objects[request.path_params["id"]]


def _answer(body: Any, status: int = 200) -> Response:
    return JSONResponse(body, status_code=status, media_type=MEDIA_TYPE)
