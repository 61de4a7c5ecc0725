"""Slack: time and body signed together. Bodies are JSON (events), or forms (commands, and what people click on).

Source: https://docs.slack.dev/authentication/verifying-requests-from-slack
"""

from __future__ import annotations

import hashlib
from typing import Any

from hikeshi.triggers.body import Malformed, form_of, object_of
from hikeshi.triggers.verify.delivery import JSON_TYPES, Delivery, Verified, malformed, wrong_signature
from hikeshi.triggers.verify.signing_secret import SigningSecret

__all__ = ["Slack"]

_SIGNATURE, _TIME = "x-slack-signature", "x-slack-request-timestamp"
_FORM = "application/x-www-form-urlencoded"
_LONGEST_CHALLENGE = 1000


class Slack:
    """Verifies `X-Slack-Signature`. An event that Slack sends again has the same `event_id` and another time."""

    content_types = (*JSON_TYPES, _FORM)
    needs = (_SIGNATURE, _TIME)

    def __init__(self, secret: SigningSecret, replay_s: int) -> None:
        self._secret = secret
        self._replay_s = replay_s

    async def verify(self, delivery: Delivery) -> Verified:
        """Return what a message is. Raises Refused, Unavailable."""
        sent_s, stamp, given = delivery.seconds(_TIME), delivery.header(_TIME), delivery.header(_SIGNATURE)
        signed = f"v0:{stamp}:".encode() + delivery.body
        if not given.startswith("v0=") or not self._secret.is_signed(signed, [given[3:]]):
            raise wrong_signature()
        delivery.refuse_stale(sent_s, self._replay_s)
        data = _form(delivery) if delivery.content_type == _FORM else delivery.object()
        if data.get("type") == "url_verification":
            return Verified("", data, answer={"challenge": _challenge(data)})
        return Verified(_id_of(data) or hashlib.sha256(signed).hexdigest(), data)


def _form(delivery: Delivery) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = dict(form_of(delivery.body))
        if "payload" in fields:
            fields["payload"] = object_of(fields["payload"])
    except Malformed as exc:
        raise malformed(str(exc)) from None
    return fields


def _challenge(data: dict[str, Any]) -> str:
    challenge = data.get("challenge")
    if not isinstance(challenge, str) or len(challenge) > _LONGEST_CHALLENGE:
        raise malformed("it has no challenge")
    return challenge


def _id_of(data: dict[str, Any]) -> str | None:
    """Return what Slack calls a message: an event, a command, or a click."""
    payload = data.get("payload")
    inside = payload if isinstance(payload, dict) else {}
    for value in (data.get("event_id"), data.get("trigger_id"), inside.get("trigger_id")):
        if isinstance(value, str) and value:
            return value
    return None
