"""Rooms and messages: how they are named, and what a sync gives of them.

Source: https://spec.matrix.org/v1.15/appendices/#identifier-grammar.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from hikeshi.connector import Invalid, Response
from hikeshi_connectors.matrix.answers import object_in

__all__ = ["ALIAS", "EVENT", "ROOM", "joined_in", "place_of", "quoted"]

ROOM = re.compile(r"![A-Za-z0-9._~=+-]{1,200}(?::[A-Za-z0-9.\[\]:-]{1,200})?")
ALIAS = re.compile(r"#[^\s:/\\?;%\x00-\x1f]{1,200}(?::[A-Za-z0-9.\[\]:-]{1,200})?")
EVENT = re.compile(r"\$[A-Za-z0-9_=+~-]{1,250}(?::[A-Za-z0-9.\[\]:-]{1,200})?")


def quoted(text: str) -> str:
    return quote(text, safe="")


def place_of(message: str) -> tuple[str, str]:
    room, _, event = message.partition("|")
    if not ROOM.fullmatch(room) or not EVENT.fullmatch(event):
        raise Invalid(f"{message[:100]!r} is not the ID of a Matrix message; use the 'id' that posting it gave")
    return room, event


def joined_in(answer: Response) -> Mapping[str, Any]:
    """Return the rooms of a sync. Raises Invalid unless they have the form that they must have."""
    rooms = object_in(answer).get("rooms", {})
    joined = rooms.get("join", {}) if isinstance(rooms, dict) else None
    if not isinstance(joined, dict) or not all(isinstance(each, dict) for each in joined.values()):
        raise Invalid(f"{answer.where}: the rooms of the answer are none")
    for each in joined.values():
        timeline = each.get("timeline", {})
        if not isinstance(timeline, dict) or not isinstance(timeline.get("events", []), list):
            raise Invalid(f"{answer.where}: the timeline of a room is none")
    return joined
