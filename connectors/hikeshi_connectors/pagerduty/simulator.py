"""PagerDuty's Events API v2 over an estate: alerts, which are opened once for a dedup_key, and change events.

Source: https://developer.pagerduty.com/docs/events-api-v2-overview, "Send an Alert Event", "Send a Change Event";
the words of refusals as users of the API report them (github.com/envato/pagerduty/issues/70).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Message
from hikeshi.testing.simulator import Simulator

__all__ = ["PagerDutySimulator"]

_KEY_LENGTH, _SUMMARY_MOST, _DEDUP_MOST, _LARGEST_BYTES = 32, 1024, 255, 512 * 1024
_CHANNELS = ("soc", "incidents", "management")
_ACTIONS = ("trigger", "acknowledge", "resolve")
_SEVERITIES = ("critical", "error", "warning", "info")


class PagerDutySimulator(Simulator):
    """Services of one account. `product_state["pagerduty"]` holds the open `alerts` and the `changes` that were noted.

    Keys are those of the credentials, and those in `services`.
    """

    product = "pagerduty"
    instance_name = "pagerduty"
    demo_settings: ClassVar[Mapping[str, str]] = {"routing_key": "simulated0not0a0secret0012345678"}
    rate_limit = (120, 60.0)

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        channels = dict.fromkeys(_CHANNELS)
        return {**super().connector_settings(base_url), "on_call": {"soc_oncall": None}, "channels": channels}

    def settings_at(self, base_url: str) -> dict[str, Any]:
        names = [channel.name for channel in self.estate.channels.values()]
        return {**self.connector_settings(base_url), "channels": dict.fromkeys([*_CHANNELS, *names])}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/v2/enqueue", self._enqueue, methods=["POST"]),
            Route("/v2/change/enqueue", self._enqueue_change, methods=["POST"]),
        ]

    def error(self, status: int, detail: str) -> Response:
        return JSONResponse({"status": "invalid event", "message": detail, "errors": [detail]}, status_code=status)

    def too_many_requests(self, retry_after_s: float) -> Response:  # noqa: ARG002 - no delay is named
        return JSONResponse({"status": "throttle exceeded", "message": "Request Limit Exceeded"}, status_code=429)

    def shows(self) -> dict[str, Any]:
        return {
            "alerts": [{key: alert[key] for key in ("summary", "severity")} for alert in self.alerts.values()],
            "changes": [change["summary"] for change in self.changes],
        }

    @property
    def alerts(self) -> dict[str, dict[str, Any]]:
        """The open alerts, by dedup_key; `times` counts how often each was triggered."""
        found: dict[str, dict[str, Any]] = self._state.setdefault("alerts", {})
        return found

    @property
    def changes(self) -> list[dict[str, Any]]:
        """The payloads of change events."""
        found: list[dict[str, Any]] = self._state.setdefault("changes", [])
        return found

    @property
    def _state(self) -> dict[str, Any]:
        return self.estate.product_state.setdefault("pagerduty", {})

    async def _enqueue(self, request: Request) -> Response:
        event = await self._event(request)
        if isinstance(event, Response):
            return event
        payload, action = event.get("payload"), event.get("event_action")
        dedup_key = event.get("dedup_key") or uuid.uuid4().hex
        wrong = [] if action in _ACTIONS else ["'event_action' is invalid"]
        if not isinstance(dedup_key, str) or len(dedup_key) > _DEDUP_MOST:
            wrong.append("'dedup_key' is too long (maximum is 255 characters)")
        if action == "trigger":
            wrong += _wrong_with(payload, "summary", "source", "severity")
        if wrong:
            return _no(*wrong)
        self._apply(str(action), str(dedup_key), payload or {})
        return JSONResponse(
            {"status": "success", "message": "Event processed", "dedup_key": dedup_key}, status_code=202
        )

    def _apply(self, action: str, dedup_key: str, payload: dict[str, Any]) -> None:
        if action == "resolve":
            self.alerts.pop(dedup_key, None)
        elif action == "trigger" and dedup_key in self.alerts:
            self.alerts[dedup_key]["times"] += 1
        elif action == "trigger":
            self.alerts[dedup_key] = {**payload, "times": 1}
            self.estate.messages.append(Message(self.estate.now(), "pagerduty", dedup_key, payload["summary"]))

    async def _enqueue_change(self, request: Request) -> Response:
        event = await self._event(request)
        if isinstance(event, Response):
            return event
        payload = event.get("payload")
        if wrong := _wrong_with(payload, "summary"):
            return _no(*wrong)
        assert isinstance(payload, dict)
        self.changes.append(payload)
        return JSONResponse({"status": "success", "message": "Change event processed"}, status_code=202)

    async def _event(self, request: Request) -> dict[str, Any] | Response:
        body = await request.body()
        if len(body) > _LARGEST_BYTES:
            return JSONResponse({"status": "invalid event", "message": "Payload too large"}, status_code=413)
        try:
            event = json.loads(body)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            return _no("JSON is invalid")
        return self._wrong_key(event.get("routing_key")) or event

    def _wrong_key(self, key: Any) -> Response | None:
        if key in (self.credentials["routing_key"], *self._state.get("services", ())):
            return None
        if not isinstance(key, str) or len(key) != _KEY_LENGTH:
            return _no("Length of 'routing_key' is incorrect (should be 32 characters)")
        return _no("Invalid routing key")


def _wrong_with(payload: Any, *required: str) -> list[str]:
    if not isinstance(payload, dict):
        return ["'payload' is missing or blank"]
    wrong = [f"'payload.{name}' is missing or blank" for name in required if not payload.get(name)]
    if len(str(payload.get("summary", ""))) > _SUMMARY_MOST:
        wrong.append("'payload.summary' is too long (maximum is 1024 characters)")
    if "severity" in required and payload.get("severity") not in _SEVERITIES:
        wrong.append("'payload.severity' is invalid (must be one of: critical, warning, error, info)")
    return wrong


def _no(*errors: str) -> Response:
    body = {"status": "invalid event", "message": "Event object is invalid", "errors": list(errors)}
    return JSONResponse(body, status_code=400)
