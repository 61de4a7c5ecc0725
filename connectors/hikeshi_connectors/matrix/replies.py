"""What people have written in reply to a message, out of what a homeserver gives.

Source: https://spec.matrix.org/v1.15/client-server-api/#rich-replies and section "Threading".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.capabilities import Model

__all__ = ["News", "Question", "Reply", "reply_of"]

_BODY_MOST = 4000


class Reply(Model):
    """A text that somebody wrote in reply to a message, or in its thread; `to` is the ID of that message."""

    room: str
    event: str
    sender: str
    to: str
    body: str


class News(Model):
    """What was written since the last look, oldest first in each room, and the place from which to go on."""

    since: str
    replies: tuple[Reply, ...]


class Question(Model):
    """Which approval one of our messages asks for."""

    run: str
    path: str
    digest: str


def reply_of(room: str, event: Any, own: str) -> Reply | None:
    """Return the reply that an event is, or None if it is something else, or our own."""
    if not isinstance(event, Mapping) or event.get("type") != "m.room.message":
        return None
    content, sender, id_ = event.get("content"), event.get("sender"), event.get("event_id")
    if not isinstance(content, Mapping) or not isinstance(sender, str) or not isinstance(id_, str) or sender == own:
        return None
    body, to = content.get("body"), _answered(content.get("m.relates_to"))
    if content.get("msgtype") != "m.text" or not isinstance(body, str) or to is None:
        return None
    return Reply(room=room, event=id_, sender=sender, to=to, body=_without_fallback(body)[:_BODY_MOST])


def _answered(relation: Any) -> str | None:
    """Return the message that is answered: the root of a thread, or what is quoted. An edit answers nothing."""
    if not isinstance(relation, Mapping) or relation.get("rel_type") == "m.replace":
        return None
    if relation.get("rel_type") == "m.thread" and relation.get("is_falling_back") is True:
        root = relation.get("event_id")
        return root if isinstance(root, str) else None
    quoted = relation.get("m.in_reply_to")
    to = quoted.get("event_id") if isinstance(quoted, Mapping) else None
    return to if isinstance(to, str) else None


def _without_fallback(body: str) -> str:
    """Return a reply without the quotation that older clients put before it."""
    lines = body.split("\n")
    at = 0
    while at < len(lines) and lines[at].startswith("> "):
        at += 1
    return body if at == 0 else "\n".join(lines[at:]).strip("\n")
