"""Workflows of Teams over an estate: each has a secret address, and posts the cards that it gets into its channel.

As in Teams, a request is accepted before anybody looks at its card: what is too large or no card is lost afterwards.
Source: github.com/MicrosoftDocs/msteams-docs/issues/11302, 11274.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Message
from hikeshi.testing.simulator import Simulator
from hikeshi_connectors.teams.cards import counted_bytes

__all__ = ["TeamsSimulator"]

_MESSAGE_MOST_BYTES = 28_672
_CHANNELS = ("soc", "incidents", "management")
_ADAPTIVE = "application/vnd.microsoft.card.adaptive"
_CODES = {401: "AuthorizationFailed", 404: "WorkflowNotFound", 429: "WorkflowRunsThrottled"}
_USUAL = (
    "/workflows/5f1d0c9a7e0e4c0fb2c5000000000000/triggers/manual/paths/invoke"
    "?api-version=2016-06-01&sp=%2Ftriggers%2Fmanual%2Frun&sv=1.0&sig=simulated-not-a-secret-0123456789"
)


class TeamsSimulator(Simulator):
    """The workflow of the credentials, and those in `product_state["teams"]["workflows"]`: their `sig` by their ID.

    What was lost after it had been accepted is in `lost`, with the reason.
    """

    product = "teams"
    instance_name = "teams"
    demo_settings: ClassVar[Mapping[str, str]] = {"secret_url": _USUAL}

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        person = {"channel": "soc", "user": "on-call@corp.example", "name": "SOC on call"}
        return {
            **super().connector_settings(base_url),
            "channels": dict.fromkeys(_CHANNELS),
            "on_call": {"soc_oncall": person},
        }

    def settings_at(self, base_url: str) -> dict[str, Any]:
        names = [channel.name for channel in self.estate.channels.values()]
        return {**self.connector_settings(base_url), "channels": dict.fromkeys([*_CHANNELS, *names])}

    def routes(self) -> list[BaseRoute]:
        return [Route("/workflows/{workflow}/triggers/manual/paths/invoke", self._invoke, methods=["POST"])]

    def error(self, status: int, detail: str) -> Response:
        return JSONResponse({"error": {"code": _CODES.get(status, "BadRequest"), "message": detail}}, status)

    def shows(self) -> dict[str, Any]:
        return {"lost": self.lost}

    @property
    def lost(self) -> list[str]:
        """Why requests were lost after they had been accepted."""
        found: list[str] = self.estate.product_state.setdefault("teams", {}).setdefault("lost", [])
        return found

    def _signatures(self) -> dict[str, str]:
        usual = urlsplit(self.credentials["secret_url"])
        workflows: dict[str, str] = self.estate.product_state.get("teams", {}).get("workflows", {})
        return {**workflows, usual.path.split("/")[2]: parse_qs(usual.query)["sig"][0]}

    async def _invoke(self, request: Request) -> Response:
        workflow, params = request.path_params["workflow"], request.query_params
        known = self._signatures()
        if workflow not in known:
            return self.error(404, f"The workflow '{workflow}' could not be found.")
        if params.get("sig") != known[workflow] or not params.get("sv") or not params.get("sp"):
            return self.error(401, f"The signature for the workflow '{workflow}' is not valid.")
        if "json" not in request.headers.get("content-type", ""):
            return self.error(400, "The request content is not JSON.")
        try:
            message = json.loads(await request.body())
        except ValueError:
            return self.error(400, "The request content is not valid JSON.")
        run = uuid.uuid4().hex
        reason = _why_lost(message)
        if reason:
            self.lost.append(reason)
        else:
            card = message["attachments"][0]["content"]
            self.estate.messages.append(Message(self.estate.now(), workflow, run, _text_of(card), blocks=[card]))
        return Response(status_code=202, headers={"x-ms-workflow-run-id": run})


def _why_lost(message: Any) -> str:
    attachments = message.get("attachments") if isinstance(message, dict) else None
    if not isinstance(attachments, list) or not attachments:
        return "the result of 'attachments' is no list"
    card = attachments[0].get("content") if attachments[0].get("contentType") == _ADAPTIVE else None
    if not isinstance(card, dict) or card.get("type") != "AdaptiveCard" or not isinstance(card.get("body"), list):
        return "Property 'type' must be 'AdaptiveCard'"
    return "MessageSizeExceeded" if counted_bytes(message) > _MESSAGE_MOST_BYTES else ""


def _text_of(card: dict[str, Any]) -> str:
    texts = [each["text"] for each in card["body"] if each["type"] == "TextBlock"]
    runs = ["".join(run["text"] for run in each["inlines"]) for each in card["body"] if each["type"] == "RichTextBlock"]
    return "\n".join([*texts, *runs])
