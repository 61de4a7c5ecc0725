"""An HTTP API that keeps documents: enough for playbooks that speak to an API without a connector of its own."""

from __future__ import annotations

from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.simulator import Simulator, bearer_token

__all__ = ["HttpSimulator"]


class HttpSimulator(Simulator):
    """Documents by path: PUT and POST keep one, PATCH changes it, DELETE removes it; POST /search finds by a field."""

    product = "http"
    instance_name = "web"
    demo_settings: ClassVar[dict[str, str]] = {"token": "simulated-web-token"}

    @property
    def documents(self) -> dict[str, Any]:
        """What is kept, by path."""
        return self.estate.product_state.setdefault("http", {})

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/search", self._search, methods=["POST"]),
            Route("/{path:path}", self._document, methods=["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"]),
        ]

    def is_change(self, request: Request, body: bytes) -> bool:
        return super().is_change(request, body) and not request.url.path.endswith("/search")

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        del body
        return None if bearer_token(request) == self.credentials["token"] else self.error(401, "who are you?")

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        routes = [{"method": "GET", "path": "/**"}, {"method": "POST", "path": "/search"}]
        more = {"read_routes": routes, "allow_private": True, "allow_plain_http": True}
        return {**super().connector_settings(base_url), **more}

    def shows(self) -> dict[str, Any]:
        return dict(self.documents)

    async def _search(self, request: Request) -> Response:
        wanted = await request.json()
        found = [path for path, kept in sorted(self.documents.items()) if wanted.items() <= kept.items()]
        return JSONResponse({"found": found})

    async def _document(self, request: Request) -> Response:
        path = "/" + request.path_params["path"]
        if request.method in ("PUT", "POST"):
            self.documents[path] = await request.json()
            return JSONResponse({}, 201)
        if path not in self.documents:
            raise HTTPException(404, f"there is no {path}")
        if request.method == "PATCH":
            self.documents[path].update(await request.json())
        elif request.method == "DELETE":
            del self.documents[path]
            return Response(status_code=204)
        return JSONResponse(self.documents[path])
