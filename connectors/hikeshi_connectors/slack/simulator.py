"""Slack's Web API over an estate: chat.postMessage, chat.update and users.lookupByEmail.

As at Slack, everything but a reached rate limit is answered with status 200, and `ok` says whether it worked.
Source: https://docs.slack.dev/apis/web-api (authentication, errors) and the reference of the methods.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from hikeshi.testing.estate import Channel, Message, User
from hikeshi.testing.simulator import Simulator, bearer_token

__all__ = ["SlackSimulator", "direct_channel_id", "slack_user_id"]

TEXT_MOST_CHARACTERS = 40_000
_BLOCKS_MOST, _ELEMENTS_MOST, _SECTION_MOST, _VALUE_MOST, _ACTION_ID_MOST = 50, 25, 3000, 2000, 255
_TS = re.compile(r"[0-9]+\.[0-9]{6}")


class SlackSimulator(Simulator):
    """A workspace whose members are the estate's people with a mail address."""

    product = "slack"
    instance_name = "slack"
    demo_settings: ClassVar[Mapping[str, str]] = {"bot_token": "xoxb-simulated-not-a-secret"}

    @classmethod
    def connector_settings(cls, base_url: str) -> dict[str, Any]:
        return {**super().connector_settings(base_url), "on_call": {"soc_oncall": "#soc-on-call"}}

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/chat.postMessage", self._post_message, methods=["POST"]),
            Route("/chat.update", self._update, methods=["POST"]),
            Route("/users.lookupByEmail", self._lookup_by_email, methods=["GET", "POST"]),
        ]

    def is_change(self, request: Request, body: bytes) -> bool:  # noqa: ARG002 - the path says it
        return not request.url.path.endswith("/users.lookupByEmail")

    def succeeded(self, status: int, body: bytes) -> bool:
        return status == 200 and body.startswith(b'{"ok":true')

    def authenticate(self, request: Request, body: bytes) -> Response | None:  # noqa: ARG002 - a header says it
        token = bearer_token(request)
        if token is None:
            return _no("not_authed")
        return None if token == self.credentials["bot_token"] else _no("invalid_auth")

    def error(self, status: int, detail: str) -> Response:  # noqa: ARG002 - Slack gives codes, not sentences
        return _no("unknown_method" if status in (404, 405) else "invalid_arguments")

    def too_many_requests(self, retry_after_s: float) -> Response:
        headers = {"Retry-After": str(max(1, round(retry_after_s)))}
        return JSONResponse({"ok": False, "error": "ratelimited"}, status_code=429, headers=headers)

    async def _lookup_by_email(self, request: Request) -> Response:
        email = request.query_params.get("email", "").casefold()
        user = next((each for each in self.estate.users.values() if (each.mail or "").casefold() == email != ""), None)
        if user is None:
            return _no("users_not_found")
        profile = {"real_name": user.display_name, "email": user.mail}
        return _yes(user={"id": slack_user_id(user), "name": user.sam, "deleted": False, "profile": profile})

    async def _post_message(self, request: Request) -> Response:
        arguments = await _arguments(request)
        if isinstance(arguments, str):
            return _no(arguments)
        found = self._conversation(str(arguments.get("channel") or ""))
        if isinstance(found, str):
            return _no(found)
        text = arguments.get("text")
        if not isinstance(text, str) or not text.strip():
            return _no("no_text")
        thread = arguments.get("thread_ts")
        if thread is not None and not self._thread_exists(found.id, thread):
            return _no("thread_not_found")
        blocks = arguments.get("blocks", [])
        if not _are_blocks(blocks):
            return _no("invalid_blocks")
        return self._posted(found, text, thread, blocks)

    async def _update(self, request: Request) -> Response:
        arguments = await _arguments(request)
        if isinstance(arguments, str):
            return _no(arguments)
        channel, ts = arguments.get("channel"), arguments.get("ts")
        known = [each for each in self.estate.messages if each.channel == channel and each.ts == ts]
        if not known:
            in_place = channel in self.estate.channels or any(each.channel == channel for each in self.estate.messages)
            return _no("message_not_found" if in_place else "channel_not_found")
        text, blocks = arguments.get("text"), arguments.get("blocks", [])
        if not isinstance(text, str) or not text.strip():
            return _no("no_text")
        if not _are_blocks(blocks):
            return _no("invalid_blocks")
        message = known[0]
        message.text, message.blocks, message.edited_at = text[:TEXT_MOST_CHARACTERS], blocks, self.estate.now()
        return _yes(channel=message.channel, ts=message.ts, text=message.text)

    def _posted(self, channel: Channel, text: str, thread: str | None, blocks: list[Any]) -> Response:
        now = self.estate.now()
        ts = f"{int(now.timestamp())}.{len(self.estate.messages) + 1:06d}"
        kept = text[:TEXT_MOST_CHARACTERS]
        self.estate.messages.append(
            Message(at=now, channel=channel.id, ts=ts, text=kept, thread_ts=thread, blocks=blocks)
        )
        warning = {} if kept == text else {"response_metadata": {"warnings": ["message_truncated"]}}
        return _yes(channel=channel.id, ts=ts, message={"type": "message", "text": kept, "ts": ts}, **warning)

    def _conversation(self, asked: str) -> Channel | str:
        """Return the conversation for an ID, a name or a person, or the error code that keeps the app from it."""
        wanted = asked.removeprefix("#")
        channel = self.estate.channels.get(asked) or next(
            (each for each in self.estate.channels.values() if each.name == wanted), None
        )
        if channel is None:
            return self._direct(asked) or "channel_not_found"
        if not channel.member and channel.private:
            return "channel_not_found"  # a private channel does not exist for those outside
        if channel.archived:
            return "is_archived"
        return channel if channel.member else "not_in_channel"

    def _direct(self, asked: str) -> Channel | None:
        for user in self.estate.users.values():
            if user.mail and asked in (slack_user_id(user), direct_channel_id(user)):
                return Channel(id=direct_channel_id(user), name=user.sam, private=True)
        return None

    def _thread_exists(self, channel_id: str, ts: object) -> bool:
        known = (each for each in self.estate.messages if each.channel == channel_id)
        return isinstance(ts, str) and bool(_TS.fullmatch(ts)) and any(each.ts == ts for each in known)


def slack_user_id(user: User) -> str:
    """Return the ID that a person has in the simulated workspace."""
    return "U0" + hashlib.sha256(user.id.encode()).hexdigest()[:9].upper()


def direct_channel_id(user: User) -> str:
    """Return the ID of the conversation between the app and a person."""
    return "D0" + hashlib.sha256(user.id.encode()).hexdigest()[:9].upper()


def _are_blocks(blocks: object) -> bool:
    """Say whether Slack takes these blocks: their number, and the lengths of what they hold."""
    if not isinstance(blocks, list) or len(blocks) > _BLOCKS_MOST:
        return False
    return all(isinstance(each, dict) and _is_block(each) for each in blocks)


def _is_block(block: dict[str, Any]) -> bool:
    if block.get("type") == "section":
        text = block.get("text")
        return isinstance(text, dict) and 0 < len(str(text.get("text", ""))) <= _SECTION_MOST
    if block.get("type") != "actions" or not 0 < len(block.get("elements", [])) <= _ELEMENTS_MOST:
        return False
    return all(
        len(each.get("value", "")) <= _VALUE_MOST and len(each["action_id"]) <= _ACTION_ID_MOST
        for each in block["elements"]
    )


async def _arguments(request: Request) -> Mapping[str, Any] | str:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not kind:
        return "missing_post_type"
    if kind == "application/x-www-form-urlencoded":
        return dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
    if kind != "application/json":
        return "invalid_post_type"
    try:
        data = json.loads(await request.body())
    except ValueError:
        return "invalid_json"
    return data if isinstance(data, dict) else "json_not_object"


def _yes(**more: Any) -> Response:
    return JSONResponse({"ok": True, **more})


def _no(code: str) -> Response:
    return JSONResponse({"ok": False, "error": code})
