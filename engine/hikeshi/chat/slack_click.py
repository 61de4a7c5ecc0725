"""A click on one of our buttons, out of what Slack sends: the payload of an interaction.

Source: https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
"""

from __future__ import annotations

import re
from typing import Any, Final

from hikeshi.chat.deciding import Decision
from hikeshi.chat.question import Asked
from hikeshi.quick_dataclass import dataclass
from hikeshi.triggers.body import Malformed, object_of

__all__ = ["ACTIONS", "Click", "NoClick"]

ACTIONS: Final[dict[str, Decision]] = {"hikeshi_approve": "approve", "hikeshi_reject": "reject"}
"""The IDs of the buttons, as the Slack connector writes them into its messages."""

_MEMBER: Final = re.compile(r"[UW][A-Z0-9]{2,30}")
_TRIGGER: Final = re.compile(r"[\x21-\x7e]{1,256}", re.ASCII)


class NoClick(Exception):
    """The payload is no click on one of our buttons."""


@dataclass(frozen=True, slots=True)
class Click:
    """Who clicked on what. `trigger` is what Slack calls this one click; `respond_at` takes the answer to it."""

    member: str
    decision: Decision
    asked: Asked
    trigger: str
    respond_at: str | None

    @classmethod
    def of(cls, payload: Any) -> Click:
        """Return the click in a payload. Raises NoClick."""
        if not isinstance(payload, dict) or payload.get("type") != "block_actions":
            raise NoClick("this is no click on a button")
        user, actions, trigger = payload.get("user"), payload.get("actions"), payload.get("trigger_id")
        member = user.get("id") if isinstance(user, dict) else None
        if not isinstance(member, str) or not _MEMBER.fullmatch(member):
            raise NoClick("it says of nobody that they clicked")
        if not isinstance(trigger, str) or not _TRIGGER.fullmatch(trigger):
            raise NoClick("it has no trigger_id")
        if not isinstance(actions, list) or len(actions) != 1 or not isinstance(actions[0], dict):
            raise NoClick("it is not about exactly one button")
        action_id = actions[0].get("action_id")
        if actions[0].get("type") != "button" or not isinstance(action_id, str) or action_id not in ACTIONS:
            raise NoClick("it is about no button of Hikeshi's")
        respond_at = payload.get("response_url")
        return cls(
            member,
            ACTIONS[action_id],
            _asked_in(actions[0].get("value")),
            trigger,
            respond_at if isinstance(respond_at, str) else None,
        )


def _asked_in(value: Any) -> Asked:
    try:
        asked = Asked.of(object_of(value)) if isinstance(value, str) else None
    except Malformed:
        asked = None
    if asked is None:
        raise NoClick("its button names no question")
    return asked
