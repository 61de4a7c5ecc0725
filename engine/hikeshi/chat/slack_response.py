"""Answers to clicks: only who clicked sees them. They go to the address that Slack gives with a click, or nowhere.

Source: https://docs.slack.dev/interactivity/handling-user-interaction#message_responses
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import structlog

from hikeshi.capabilities import Effect
from hikeshi.connector.door import Door, through
from hikeshi.connector.errors import ConnectorError

__all__ = ["SLACK_RESPONSES", "SlackResponses"]

SLACK_RESPONSES: Final = "https://hooks.slack.com"
_TIMEOUT_S: Final = 5.0
_ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_log = structlog.get_logger("hikeshi.chat")


class SlackResponses:
    """Sends answers. `base` is where Slack takes them; an address anywhere else is not asked."""

    def __init__(self, base: str = SLACK_RESPONSES) -> None:
        self._base = base

    async def tell(self, respond_at: str | None, text: str) -> None:
        """Tell who clicked. What can't be told is logged: the decision stands, and the console shows it."""
        if respond_at is None or not self._is_below(respond_at):
            _log.warning("chat_response_not_sent", why="the address is not Slack's")
            return
        from hikeshi.connector.http import HttpClient

        body = {"response_type": "ephemeral", "replace_original": False, "text": text.translate(_ENTITIES)}
        door = Door(mode="live", effect=Effect.NOTIFY, action="chat.respond", intended=True)
        # Clicks are rare, and a client that nobody keeps is one that nobody has to close.
        client = HttpClient(name="slack", bases={"": self._base}, read_routes=(), timeout_s=_TIMEOUT_S)
        try:
            with through(door):
                await client.post(respond_at, json=body, last=True)
        except ConnectorError as exc:
            # Its text may hold the address, and whoever has that can write there as us.
            _log.warning("chat_response_not_sent", why=exc.kind)
        finally:
            await client.aclose()

    def _is_below(self, address: str) -> bool:
        """Say whether an address is at Slack. The client judges it again, as it would be sent."""
        try:
            given, base = urlsplit(address), urlsplit(self._base)
        except ValueError:
            return False
        return (given.scheme, given.netloc) == (base.scheme, base.netloc) and given.path.startswith("/")
