"""A receiver of webhooks over an estate: it checks signature and time, and takes each ID once.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md ("Verifying").
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Message
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.webhook.signing_key import key_of

__all__ = ["WebhookSimulator"]

_FIVE_MINUTES_S = 300
_FIELDS = {
    "hikeshi.message.posted": ("channel", "text", "severity", "thread"),
    "hikeshi.person.paged": ("to", "text", "severity"),
}


class WebhookSimulator(Simulator):
    """A program that puts what it is told into the estate's messages. `product_state["webhook"]["ids"]` are known."""

    product = "webhook"
    instance_name = "webhook"
    demo_settings: ClassVar[Mapping[str, str]] = {"signing_key": "whsec_c2ltdWxhdGVkIGFuZCBub3QgYSBzZWNyZXQgc2ltdWxh"}

    def routes(self) -> list[BaseRoute]:
        return [Route("/hooks", self._take, methods=["POST"])]

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        given = super().connector_settings(base_url)
        return {**given, "base_url": f"{given['base_url']}/hooks"}

    def authenticate(self, request: Request, body: bytes) -> Response | None:
        id_, sent_at = request.headers.get("webhook-id", ""), request.headers.get("webhook-timestamp", "")
        key = key_of(self.credentials["signing_key"])
        digest = hmac.new(key, f"{id_}.{sent_at}.".encode() + body, hashlib.sha256).digest()
        given = request.headers.get("webhook-signature", "").split()
        if not id_ or f"v1,{base64.b64encode(digest).decode()}" not in given:
            return self.error(401, "the signature is wrong")
        if not sent_at.isdigit() or abs(time.time() - int(sent_at)) > _FIVE_MINUTES_S:
            return self.error(401, "the time is not within five minutes")
        return None

    async def _take(self, request: Request) -> Response:
        try:
            event = json.loads(await request.body())
            data = event["data"]
            wanted = _FIELDS[event["type"]]
        except (ValueError, KeyError, TypeError):
            return self.error(400, "unknown event")
        if set(data) != set(wanted) or not isinstance(event.get("timestamp"), str):
            return self.error(400, "unknown fields")
        ids: list[str] = self.estate.product_state.setdefault("webhook", {}).setdefault("ids", [])
        id_ = request.headers["webhook-id"]
        if id_ not in ids:
            ids.append(id_)
            channel, thread = data.get("channel") or data["to"], data.get("thread")
            self.estate.messages.append(Message(self.estate.now(), channel, id_, data["text"], thread))
        return JSONResponse({"taken": True}, status_code=202)
