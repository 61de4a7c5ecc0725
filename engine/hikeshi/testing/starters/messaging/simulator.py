"""Acme's API over an estate: the estate's channels are its rooms."""

from typing import Any, ClassVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Message
from hikeshi.testing.simulator import Simulator, bearer_token


class AcmeSimulator(Simulator):
    """A workspace whose messages are the estate's."""

    product = "acme"
    instance_name = "acme"
    demo_settings: ClassVar = {"api_key": "acme-simulated-key"}

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        return {**super().connector_settings(base_url), "on_call": {"soc_oncall": "soc-on-call"}}

    def routes(self) -> list[BaseRoute]:
        return [Route("/rooms/{room}/messages", self._post, methods=["POST"])]

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        del body
        return None if bearer_token(request) == self.credentials["api_key"] else self.error(401, "unknown key")

    async def _post(self, request: Request) -> Response:
        given = await request.json()
        room = next((each for each in self.estate.channels.values() if each.name == request.path_params["room"]), None)
        if room is None:
            raise HTTPException(404, "no such room")
        key = request.headers.get("idempotency-key", "")
        for message in self.estate.messages:
            if key and message.ts == key:
                return JSONResponse({"id": key})
        ts = key or f"m{len(self.estate.messages) + 1}"
        self.estate.messages.append(Message(self.estate.now(), room.id, ts, given["text"], given["answers"]))
        return JSONResponse({"id": ts}, status_code=201)
