"""`chat` of hikeshi.yaml: where approvals are asked for in chat, and how answers from there are known to be real."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

__all__ = ["Announcement", "ChatSettings", "chat_settings"]

_KEYS: Final = ("announce", "slack", "matrix")
_SLACK_KEYS: Final = ("connector", "signing_secret")
_MATRIX_KEYS: Final = ("connector",)
_REFERENCE: Final = re.compile(r"\$\{[a-z]+:[^}]+\}")
_MATRIX_ROOM: Final = re.compile(r"![^\s/?#\\]{1,254}|#[^\s:/?\\]{1,200}:[^\s/?#\\]{1,200}")
_SLACK_CHANNEL: Final = re.compile(r"#?[^\s:#!@/]{1,100}")
_EXAMPLE: Final = '{announce: ["#approvals"], slack: {signing_secret: "${env:SLACK_SIGNING_SECRET}"}}'


class _Problems(Protocol):
    def add(self, where: tuple[Any, ...], text: str) -> None: ...
    def unknown(self, key: Any, known: tuple[str, ...], above: tuple[Any, ...] = ()) -> None: ...


@dataclass(frozen=True, slots=True)
class Announcement:
    """A channel in which approvals are asked for, and the name of the connector that reaches it."""

    channel: str
    connector: str


@dataclass(frozen=True, slots=True)
class ChatSettings:
    """What `chat` says. `signing_secret` is a reference; `matrix` is the connector whose rooms are listened to."""

    announce: tuple[Announcement, ...] = ()
    slack: str | None = None
    signing_secret: str | None = None
    matrix: str | None = None


def chat_settings(raw: Any, connectors: Mapping[str, Mapping[str, Any]], problems: _Problems) -> ChatSettings:
    """Return what `chat` says, with every problem of it."""
    if raw is None:
        return ChatSettings()
    return _Reading(raw, connectors, problems).settings()


class _Reading:
    """`chat` being read."""

    def __init__(self, raw: Any, connectors: Mapping[str, Mapping[str, Any]], problems: _Problems) -> None:
        self._given: Mapping[str, Any] = raw if isinstance(raw, dict) else {}
        self._connectors = connectors
        self._problems = problems
        if not isinstance(raw, dict):
            problems.add(("chat",), f"'chat' is a map, such as {_EXAMPLE}")

    def settings(self) -> ChatSettings:
        for key in self._given:
            self._problems.unknown(key, _KEYS, ("chat",))
        slack, matrix = self._part("slack", _SLACK_KEYS), self._part("matrix", _MATRIX_KEYS)
        names = {
            "slack": None if slack is None else self._connector("slack", slack),
            "matrix": None if matrix is None else self._connector("matrix", matrix),
        }
        secret = None if slack is None else self._signing_secret(slack)
        return ChatSettings(self._announce(names), names["slack"], secret, names["matrix"])

    def _wrong(self, *where: str, text: str) -> None:
        self._problems.add(("chat", *where), text)

    def _part(self, name: str, keys: tuple[str, ...]) -> Mapping[str, Any] | None:
        given = self._given.get(name)
        if given is None and name not in self._given:
            return None
        if given is not None and not isinstance(given, dict):
            self._wrong(name, text=f"{name!r} of 'chat' is a map with the keys {', '.join(keys)}")
            return None
        for key in given or ():
            self._problems.unknown(key, keys, ("chat", name))
        return given or {}

    def _connector(self, product: str, given: Mapping[str, Any]) -> str | None:
        """Return the connector that is named, or the only one there is."""
        able = [name for name, settings in self._connectors.items() if settings.get("product") == product]
        named = given.get("connector")
        if named is None and len(able) == 1:
            return able[0]
        if named in able:
            return str(named)
        there = f"there is {', '.join(able)}" if able else f"add one under 'connectors' with product: {product}"
        text = f"'connector' names a connector of the product {product} ({there})"
        self._wrong(product, "connector", text=text)
        return None

    def _signing_secret(self, given: Mapping[str, Any]) -> str | None:
        secret = given.get("signing_secret")
        if isinstance(secret, str) and _REFERENCE.fullmatch(secret.strip()):
            return secret.strip()
        # Never quoted: it may be the secret itself.
        text = "'slack' of 'chat' needs 'signing_secret', a reference such as ${env:SLACK_SIGNING_SECRET}"
        self._wrong("slack", "signing_secret", text=text)
        return None

    def _announce(self, names: Mapping[str, str | None]) -> tuple[Announcement, ...]:
        given = self._given.get("announce")
        listed = [given] if isinstance(given, str) else given
        if not isinstance(listed, list) or not listed:
            self._wrong("announce", text=f"'chat' needs 'announce', a list of channels, such as {_EXAMPLE}")
            return ()
        found: dict[str, Announcement] = {}
        for channel in listed:
            product = _product_of(channel)
            if product is None:
                text = f"{channel!r} is no channel: #name or an ID of Slack, #alias:server or !room of Matrix"
                self._wrong("announce", text=text)
            elif product not in self._given:
                self._wrong("announce", text=f"{channel!r} is a channel of {product}, and 'chat' has no {product!r}")
            elif (connector := names[product]) is not None:
                found.setdefault(channel, Announcement(channel, connector))
        return tuple(found.values())


def _product_of(channel: Any) -> str | None:
    if not isinstance(channel, str):
        return None
    if _MATRIX_ROOM.fullmatch(channel):
        return "matrix"
    return "slack" if _SLACK_CHANNEL.fullmatch(channel) else None
