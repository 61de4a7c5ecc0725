"""PagerDuty, by its Events API v2. Source: https://developer.pagerduty.com/docs/events-api-v2-overview."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from pydantic import Field

from hikeshi.capabilities import Message, Messaging, Severity
from hikeshi.connector import (
    Applied,
    Connector,
    ConnectorSettings,
    Invalid,
    NotFound,
    Pace,
    Response,
    Secret,
    Unauthorized,
    Unsupported,
    cut,
    json_object,
)
from hikeshi.connector.route import SeenRequest
from hikeshi_connectors.pagerduty.answers import check_answer

__all__ = ["PagerDuty"]

_ALERT, _CHANGE = "/v2/enqueue", "/v2/change/enqueue"
_SEVERITIES: Final[Mapping[Severity, str]] = {
    "critical": "critical",
    "high": "error",
    "medium": "warning",
    "low": "info",
}
_SUMMARY_MOST, _TEXT_MOST = 1024, 100_000
_SOURCE = "hikeshi"


class PagerDuty(Connector, Messaging, product="pagerduty"):
    """Sends events to services of one PagerDuty account, each by its integration key."""

    class Settings(ConnectorSettings):
        base_url: str = "https://events.pagerduty.com"
        # The key of the service for every name below that has none of its own.
        routing_key: Secret
        on_call: dict[str, Secret | None] = Field(default_factory=dict)
        channels: dict[str, Secret | None] = Field(default_factory=dict)

    # What follows from the run differs from a plan; of the key, a request shows whose it is.
    volatile = ("dedup_key", "routing_key")
    # About 120 in a minute for each key. Source: "Events API Rate Limits".
    pace = Pace(100, 60.0)
    least_privileges = ("an integration 'Events API V2' on each service; its key can send events and read nothing",)

    settings: Settings

    def set_up(self) -> None:
        self._keys = {
            **{_label("channel", name): key for name, key in self.settings.channels.items()},
            **{_label("on call", name): key for name, key in self.settings.on_call.items()},
        }
        # The Events API takes its credential in the body alone, and bodies are shown in plans and records.
        self.http.seal = self._with_key

    async def page(self, to: str, text: str, severity: Severity = "high") -> Message:
        """Open an alert at the service that `to` stands for in the setting `on_call`; sent again, it opens no second.

        Raises NotFound, naming those that are known, for another name. Source: "Send an Alert Event".
        """
        event = {
            "routing_key": _label("on call", self._known(to, self.settings.on_call, "on_call")),
            "event_action": "trigger",
            "dedup_key": self._dedup_key(),
            "payload": {**_payload(text), "severity": _SEVERITIES[severity]},
        }
        answer = await self.http.post(_ALERT, json=event, last=True)
        opened = json_object(answer).get("dedup_key")
        if not isinstance(opened, str) or not opened:
            raise Invalid(f"{answer.where}: the answer does not say which alert it opened", applied=Applied.MAYBE)
        return Message(connector=self.name, id=opened, channel=to)

    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        """Note a change at the service that `channel` stands for in the setting `channels`. It wakes nobody.

        A change has neither an ID nor a thread: raises Unsupported for one. Source: "Send a Change Event".
        """
        if thread is not None:
            raise Unsupported(f"{self.name}: PagerDuty's change events have no threads; leave 'thread' out")
        prefix = f"[{severity.upper()}] " if severity else ""
        name = self._known(channel, self.settings.channels, "channels")
        event = {"routing_key": _label("channel", name), "payload": _payload(prefix + text)}
        answer = await self.http.post(_CHANGE, json=event, last=True)
        json_object(answer)
        return Message(connector=self.name, id=f"change:{self._dedup_key()}", channel=channel)

    def check(self, response: Response) -> None:
        check_answer(response)

    def _known(self, asked: str, names: Mapping[str, Any], setting: str) -> str:
        """Return the name as the settings have it; case and a '#' before it do not matter."""
        wanted = asked.removeprefix("#").casefold()
        for name in names:
            if name.removeprefix("#").casefold() == wanted:
                return name
        known = ", ".join(sorted(names)) or "none"
        raise NotFound(f"{self.name}: there is no {asked[:100]!r} in {setting} of hikeshi.yaml (known: {known})")

    def _dedup_key(self) -> str:
        return f"hikeshi-{self.own_id()}"

    async def _with_key(self, seen: SeenRequest) -> SeenRequest:
        """Return a request with the key that it names. Raises SecretUnavailable, Unauthorized."""
        event = json.loads(seen.content)
        label = event["routing_key"]
        key = self.reveal(self._keys[label] or self.settings.routing_key)
        if not (key.isascii() and key.isprintable()) or " " in key:
            raise Unauthorized(f"{self.name}: the {label} has characters that no key has; copy it again")
        content = json.dumps({**event, "routing_key": key}, separators=(",", ":"))
        return replace(seen, content=content.encode())


def _label(kind: str, name: str) -> str:
    return f"key of {kind} {name}"


def _payload(text: str) -> dict[str, Any]:
    """Return what an event says: a summary, and all of it in the details where it is longer."""
    summary = " ".join(text.split()) or "(no text)"
    payload: dict[str, Any] = {"summary": cut(summary, _SUMMARY_MOST), "source": _SOURCE}
    if summary != text or len(summary) > _SUMMARY_MOST:
        payload["custom_details"] = {"text": cut(text, _TEXT_MOST)}
    return payload
