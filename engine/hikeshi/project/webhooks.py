"""`webhooks` in hikeshi.yaml: who may send events, and how it is seen that they did. No source goes without."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

__all__ = ["WEBHOOK_KINDS", "WebhookSource", "webhook_sources"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_REFERENCE: Final = re.compile(r"\$\{[a-z]+:[^}]+\}")
_HEADER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*(?:\.[A-Za-z_][A-Za-z0-9_-]*){0,9}")
_TOPIC: Final = re.compile(r"arn:aws:sns:[a-z0-9-]+:\d{12}:[A-Za-z0-9_.-]{1,256}")
_SIGNED_NAMES: Final = re.compile(r"\{([a-z]*)\}")
_DEFAULT_BYTES, _MOST_BYTES, _LONGEST_S = 1 << 20, 64 << 20, 86_400
_EXAMPLE: Final = '{verify: standard-webhooks, secret: "${env:EDR_WEBHOOK}"}'

_COMMON: Final = ("verify", "max_bytes", "replay_s")
WEBHOOK_KINDS: Final[Mapping[str, tuple[str, ...]]] = {
    "standard-webhooks": ("secret",),
    "github": ("secret",),
    "slack": ("secret",),
    "pagerduty": ("secret",),
    "sns": ("topics", "confirm"),
    "hmac": (
        "secret",
        "header",
        "algorithm",
        "encoding",
        "prefix",
        "signed",
        "timestamp_header",
        "id_header",
        "id_path",
    ),
}
"""Each way to verify, and the keys that it takes besides `verify`, `max_bytes` and `replay_s`."""


@dataclass(frozen=True, slots=True)
class WebhookSource:
    """Somebody who sends events. `secrets` are references; the first is what is used now, others are being retired.

    `replay_s` is how old a signed time may be, and how far ahead. `options` are those of the way to verify.
    """

    name: str
    verify: str
    secrets: tuple[str, ...] = ()
    max_bytes: int = _DEFAULT_BYTES
    replay_s: int = 300
    options: Mapping[str, Any] = field(default_factory=dict)


class _Problems(Protocol):
    def add(self, where: tuple[Any, ...], text: str) -> None: ...
    def unknown(self, key: Any, known: tuple[str, ...], above: tuple[Any, ...] = ()) -> None: ...


def webhook_sources(raw: Any, problems: _Problems) -> dict[str, WebhookSource]:
    """Return what `webhooks` says, by the name that stands in the address and in triggers."""
    if not isinstance(raw, dict):
        problems.add(("webhooks",), f"'webhooks' is a map from a name you choose to {_EXAMPLE}")
        return {}
    found: dict[str, WebhookSource] = {}
    for name, settings in raw.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problems.add(("webhooks", name), f"{name!r} cannot name a webhook; use a-z, 0-9, '_' and '-'")
            continue
        source = _Source(name, settings, problems).read()
        if source is not None:
            found[name] = source
    return found


class _Source:
    """One source being read."""

    def __init__(self, name: str, given: Any, problems: _Problems) -> None:
        self._name = name
        self._given = given
        self._problems = problems
        self._is_wrong = False

    def read(self) -> WebhookSource | None:
        given = self._given
        kind = given.get("verify") if isinstance(given, dict) else None
        if not isinstance(kind, str) or kind not in WEBHOOK_KINDS:
            known = ", ".join(WEBHOOK_KINDS)
            self._wrong("verify", f"{self._name!r} needs 'verify', one of {known}, such as {_EXAMPLE}")
            return None
        own = WEBHOOK_KINDS[kind]
        for key in given:
            self._problems.unknown(key, (*_COMMON, *own), ("webhooks", self._name))
        source = WebhookSource(
            self._name,
            kind,
            self._secrets() if "secret" in own else (),
            self._number("max_bytes", _DEFAULT_BYTES, _MOST_BYTES),
            self._number("replay_s", 3600 if kind == "sns" else 300, _LONGEST_S),
            {"sns": self._sns, "hmac": self._hmac}.get(kind, dict)(),
        )
        return None if self._is_wrong else source

    def _wrong(self, key: str, text: str) -> None:
        self._is_wrong = True
        self._problems.add(("webhooks", self._name, key), text)

    def _secrets(self) -> tuple[str, ...]:
        raw = self._given.get("secret")
        listed = raw if isinstance(raw, list) and raw else [raw]
        if not all(isinstance(each, str) and _REFERENCE.fullmatch(each.strip()) for each in listed):
            # Never quoted: it may be the secret itself.
            text = "needs 'secret', a reference such as ${env:NAME}, or a list of them while one takes another's place"
            self._wrong("secret", f"{self._name!r} {text}")
            return ()
        return tuple(each.strip() for each in listed)

    def _number(self, key: str, default: int, most: int) -> int:
        value = self._given.get(key, default)
        if type(value) is not int or not 1 <= value <= most:
            self._wrong(key, f"{key!r} of {self._name!r} is a whole number from 1 to {most}")
            return default
        return value

    def _sns(self) -> dict[str, Any]:
        topics = self._given.get("topics")
        listed = [topics] if isinstance(topics, str) else topics
        if (
            not isinstance(listed, list)
            or not listed
            or not all(isinstance(each, str) and _TOPIC.fullmatch(each) for each in listed)
        ):
            text = "the ARNs that may send, such as [arn:aws:sns:eu-west-1:123456789012:alerts]"
            self._wrong("topics", f"{self._name!r} needs 'topics': {text}")
            listed = []
        confirm = self._given.get("confirm", False)
        if not isinstance(confirm, bool):
            self._wrong("confirm", f"'confirm' of {self._name!r} is true or false")
        return {"topics": tuple(listed), "confirm": confirm}

    def _hmac(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "header": self._text("header", _HEADER, "the name of the header with the signature", needed=True),
            "timestamp_header": self._text("timestamp_header", _HEADER, "the name of a header"),
            "id_header": self._text("id_header", _HEADER, "the name of a header"),
            "id_path": self._text("id_path", _PATH, "where the ID stands in the body, such as event.id"),
            "algorithm": self._choice("algorithm", ("sha256", "sha512")),
            "encoding": self._choice("encoding", ("hex", "base64")),
            "prefix": self._prefix(),
        }
        if (found["id_header"] is None) is (found["id_path"] is None):
            text = "exactly one of 'id_header' and 'id_path': the ID by which a second delivery is recognised"
            self._wrong("id_header", f"{self._name!r} needs {text}")
        return {**found, "signed": self._signed(found)}

    def _text(self, key: str, form: re.Pattern[str], meant: str, *, needed: bool = False) -> str | None:
        value = self._given.get(key)
        if value is None and not needed:
            return None
        if not isinstance(value, str) or not form.fullmatch(value):
            self._wrong(key, f"{key!r} of {self._name!r} is {meant}")
            return None
        return value

    def _choice(self, key: str, known: tuple[str, ...]) -> str:
        value = self._given.get(key, known[0])
        if value not in known:
            self._wrong(key, f"{key!r} of {self._name!r} is one of {', '.join(known)}")
        return str(value)

    def _prefix(self) -> str:
        value = self._given.get("prefix", "")
        if not isinstance(value, str) or not value.isascii() or len(value) > 50:
            self._wrong("prefix", f"'prefix' of {self._name!r} is what stands before the signature, such as sha256=")
            return ""
        return value

    def _signed(self, found: Mapping[str, Any]) -> str:
        """Return what is signed. A time or an ID that is not part of it would be whatever somebody writes there."""
        has_time = found["timestamp_header"] is not None
        value = self._given.get("signed", "{timestamp}.{body}" if has_time else "{body}")
        names = _SIGNED_NAMES.findall(value) if isinstance(value, str) else []
        known = {"body", *(["timestamp"] if has_time else []), *(["id"] if found["id_header"] is not None else [])}
        if "body" not in names or not set(names) <= known or len(names) != len(set(names)):
            self._wrong("signed", f"'signed' of {self._name!r} is what is signed, such as '{{timestamp}}.{{body}}'")
            return "{body}"
        if has_time and "timestamp" not in names:
            self._wrong("signed", f"'signed' of {self._name!r} has no {{timestamp}}: unsigned, a time says nothing")
        return str(value)
