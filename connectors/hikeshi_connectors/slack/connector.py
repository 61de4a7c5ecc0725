"""Slack, by its Web API. Source: https://docs.slack.dev/apis/web-api."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import Field

from hikeshi.capabilities import Message, Messaging, Severity
from hikeshi.connector import (
    Applied,
    Connector,
    ConnectorSettings,
    Invalid,
    NotFound,
    Response,
    Route,
    Secret,
    error_of_status,
    retry_after_s,
)
from hikeshi_connectors.slack.error_codes import error_of_code
from hikeshi_connectors.slack.message_text import message_text
from hikeshi_connectors.slack.question_blocks import conclusion_blocks, question_blocks

__all__ = ["Slack"]

# IDs are capitals and digits, names never hold capitals. U and W are people, the others conversations.
_ID = re.compile(r"[CDGUW](?=[A-Z]*[0-9])[A-Z0-9]{7,}")
_THREAD = re.compile(r"(?P<channel>[CDG][A-Z0-9]+):(?P<ts>[0-9]+\.[0-9]+)")


class Slack(Connector, Messaging, product="slack"):
    """Posts as a Slack app with a bot token."""

    class Settings(ConnectorSettings):
        base_url: str = "https://slack.com/api"
        bot_token: Secret
        # On-call name -> channel or user: an ID, or a channel's name.
        on_call: dict[str, str] = Field(default_factory=dict)

    read_routes = (Route("GET", "/users.lookupByEmail"),)
    least_privileges = (
        "chat:write (or also chat:write.public, to post to public channels the app is not in)",
        "users:read and users:read.email, for messaging.message_person only",
    )

    settings: Settings

    def set_up(self) -> None:
        self.http.authorize = self._authorization

    async def post(
        self, channel: str, text: str, severity: Severity | None = None, thread: str | None = None
    ) -> Message:
        """Post to a channel, given by name or ID.

        With `thread`, the ID of an earlier message, the answer goes into that message's own channel. Raises Invalid for
        a thread that is no message ID or is in another channel than the ID given. Source: chat.postMessage.
        """
        prefix = f"[{severity.upper()}] " if severity else ""
        if thread is None:
            return await self._send(_address(channel), message_text(text, prefix))
        place, ts = _thread_of(thread, channel)
        return await self._send(place, message_text(text, prefix), thread_ts=ts)

    async def page(self, to: str, text: str, severity: Severity = "high") -> Message:
        """Notify whoever `to` stands for in the setting `on_call`: one person, or everybody in a channel.

        Raises NotFound, naming those that are known, for another name. Source: chat.postMessage.
        """
        place = {name.casefold(): place for name, place in self.settings.on_call.items()}.get(to.casefold())
        if place is None:
            known = ", ".join(sorted(self.settings.on_call)) or "none"
            raise NotFound(f"{self.name}: nobody is on call as {to!r} (known: {known}); see on_call in hikeshi.yaml")
        address = _address(place)
        mention = f"<@{address}>" if address[0] in "UW" else "<!channel>"
        return await self._send(address, message_text(text, f"{mention} [{severity.upper()}] "))

    async def message_person(self, email: str, text: str) -> Message:
        """Write to one person. Raises NotFound if nobody has the address, Invalid if their account is deactivated.

        Source: users.lookupByEmail; chat.postMessage, which takes a person's ID for the conversation with them.
        """
        answer = await self.http.get("/users.lookupByEmail", params={"email": email})
        user = answer.json().get("user")
        if not isinstance(user, dict) or not isinstance(user.get("id"), str):
            raise Invalid(f"{answer.where}: the answer names no user")
        if user.get("deleted"):
            raise Invalid(f"{self.name}: the Slack account of {email} is deactivated")
        return await self._send(user["id"], message_text(text))

    async def ask(
        self,
        channel: str,
        question: str,
        run: str,
        path: str,
        digest: str,
        due_at: datetime,
        facts: list[str] | None = None,
        targets: list[str] | None = None,
        more_targets: int = 0,
        link: str = "",
    ) -> Message:
        """Post a message with the buttons Approve and Reject, which carry run, path and digest back.

        Without buttons, and with the link alone, if they are too long for Slack. Source: chat.postMessage,
        https://docs.slack.dev/reference/block-kit/block-elements/button-element.
        """
        blocks = question_blocks(
            question,
            facts or [],
            targets or [],
            more_targets,
            due_at,
            link,
            {"run": run, "path": path, "digest": digest},
        )
        return await self._send(_address(channel), message_text(question, "Approval needed: "), blocks=blocks)

    async def conclude(self, message: str, question: str, outcome: str, link: str = "") -> Message:
        """Replace what a message asked by how it ended, without buttons. Source: chat.update."""
        place, ts = _thread_of(message, "")
        blocks = conclusion_blocks(question, outcome, link)
        return await self._send(place, message_text(f"{outcome} {question}"), "/chat.update", ts=ts, blocks=blocks)

    def check(self, response: Response) -> None:
        """Judge an answer. Only `ok: true` is success; Slack says in `error` what else it is."""
        hint_s = retry_after_s(response.headers)
        if response.status >= 400:
            raise error_of_status(response, _code_in(response) or "")
        answer = response.json()
        if isinstance(answer, dict) and answer.get("ok") is True:
            return
        code = _code_in(response)
        if code is None:
            raise Invalid(f"{response.where}: not an answer of Slack's Web API", applied=Applied.MAYBE)
        raise error_of_code(code, answer, response.where, hint_s)

    async def _authorization(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.reveal(self.settings.bot_token)}"}

    async def _send(self, address: str, text: str, method: str = "/chat.postMessage", **more: Any) -> Message:
        body: dict[str, Any] = {
            "channel": address,
            "text": text,
            "parse": "none",
            "link_names": False,
            # Slack would fetch the links of a message, those of an attacker too.
            **({"unfurl_links": False, "unfurl_media": False} if method == "/chat.postMessage" else {}),
            **more,
        }
        answer = await self.http.post(method, json=body, last=True)
        sent = answer.json()
        channel, ts = sent.get("channel"), sent.get("ts")
        if not (isinstance(channel, str) and isinstance(ts, str)):
            raise Invalid(f"{answer.where}: the answer does not say which message it made", applied=Applied.MAYBE)
        return Message(connector=self.name, id=f"{channel}:{ts}", channel=channel)


def _address(channel: str) -> str:
    """Return a channel as chat.postMessage takes it: an ID, or a name after `#`."""
    if _ID.fullmatch(channel):
        return channel
    name = channel.removeprefix("#").lower()
    if not name.strip():
        raise Invalid("the name of a Slack channel is empty; give a name such as #soc, or an ID")
    return f"#{name}"


def _thread_of(thread: str, channel: str) -> tuple[str, str]:
    match = _THREAD.fullmatch(thread)
    if match is None:
        raise Invalid(f"{thread!r} is not the ID of a Slack message; use the 'id' that posting it gave (CHANNEL:TS)")
    if _ID.fullmatch(channel) and channel[0] not in "UW" and channel != match["channel"]:
        raise Invalid(f"the message {thread} is not in the channel {channel}")
    return match["channel"], match["ts"]


def _code_in(response: Response) -> str | None:
    """Return the error code of an answer, or None if it is none of Slack's."""
    try:
        answer = response.json()
    except Invalid:
        return None
    code = answer.get("error") if isinstance(answer, dict) and answer.get("ok") is False else None
    return code if isinstance(code, str) else None
