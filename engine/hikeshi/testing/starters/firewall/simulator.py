"""Acme's API over an estate: a block list, a hundred entries to a page."""

from datetime import datetime, timedelta
from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.simulator import Simulator, bearer_token

PAGE = 100


class AcmeSimulator(Simulator):
    """A firewall that keeps its list in the estate, so that snapshots and undo see it."""

    product = "acme"
    instance_name = "acme"
    demo_settings: ClassVar = {"api_key": "acme-simulated-key"}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/blocks", self._list, methods=["GET"]),
            Route("/blocks", self._add, methods=["POST"]),
            Route("/blocks", self._remove, methods=["DELETE"]),
        ]

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        del body
        return None if bearer_token(request) == self.credentials["api_key"] else self.error(401, "unknown key")

    def shows(self) -> dict[str, Any]:
        return {"blocked": sorted(self._blocks())}

    def _blocks(self) -> dict[str, str | None]:
        """Return what is blocked, each with when it ends, without what has ended."""
        blocks: dict[str, str | None] = self.estate.product_state.setdefault("acme", {})
        now = self.estate.now()
        for value in [each for each, ends in blocks.items() if ends and datetime.fromisoformat(ends) <= now]:
            del blocks[value]
        return blocks

    async def _list(self, request: Request) -> Response:
        start = int(request.query_params.get("cursor", "0"))
        blocks = self._blocks()
        entries = [{"value": value, "expires_at": blocks[value]} for value in sorted(blocks)]
        more = str(start + PAGE) if start + PAGE < len(entries) else None
        return JSONResponse({"entries": entries[start : start + PAGE], "next": more})

    async def _add(self, request: Request) -> Response:
        entries = (await request.json())["entries"]
        if not entries:
            raise HTTPException(400, "name at least one entry")
        for entry in entries:
            life_s = entry["expires_in_s"]
            ends = None if life_s is None else (self.estate.now() + timedelta(seconds=life_s)).isoformat()
            self._blocks().setdefault(entry["value"], ends)  # what is blocked already stays as it is
        return Response(status_code=204)

    async def _remove(self, request: Request) -> Response:
        values = (await request.json())["values"]
        missing = [value for value in values if value not in self._blocks()]
        if missing or not values:
            raise HTTPException(409, f"not blocked: {', '.join(missing)}")
        for value in values:
            del self._blocks()[value]
        return Response(status_code=204)
