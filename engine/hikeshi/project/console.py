"""`console` of hikeshi.yaml: where people reach the service, and how they sign in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

__all__ = ["ConsoleSettings", "OidcSettings", "console_settings"]

_KEYS = ("url", "oidc")
_OIDC_KEYS = ("issuer", "client_id", "client_secret", "claim", "name")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class _Problems(Protocol):
    def add(self, where: tuple[Any, ...], text: str) -> None: ...
    def unknown(self, key: Any, known: tuple[str, ...], above: tuple[Any, ...] = ()) -> None: ...


@dataclass(frozen=True, slots=True)
class OidcSettings:
    """An OpenID Connect provider. `claim` of its ID token is the login of a person in `people`.

    `client_secret` is a reference, such as `${env:NAME}`.
    """

    issuer: str
    client_id: str
    client_secret: str
    claim: str = "email"
    name: str = "single sign-on"


@dataclass(frozen=True, slots=True)
class ConsoleSettings:
    """`url` is what people's browsers open, without a slash at the end; None for the address that is listened at."""

    url: str | None = None
    oidc: OidcSettings | None = None


def console_settings(raw: Any, problems: _Problems) -> ConsoleSettings:
    """Return what `console` says, with every problem of it."""
    if raw is None:
        return ConsoleSettings()
    if not isinstance(raw, Mapping):
        problems.add(("console",), f"'console' is a map with the keys {', '.join(_KEYS)}")
        return ConsoleSettings()
    for key in raw:
        problems.unknown(key, _KEYS, ("console",))
    url = raw.get("url")
    if url is not None and not _is_url(url):
        problems.add(
            ("console", "url"), "'url' is an address such as https://hikeshi.example.com; http only for this machine"
        )
        url = None
    oidc = _oidc(raw.get("oidc"), problems)
    if oidc is not None and url is None:
        problems.add(
            ("console", "oidc"), "'oidc' needs 'url' beside it: the address that the provider sends people back to"
        )
    return ConsoleSettings(None if url is None else str(url).rstrip("/"), oidc)


def _oidc(raw: Any, problems: _Problems) -> OidcSettings | None:
    where = ("console", "oidc")
    if raw is None:
        return None
    if not isinstance(raw, Mapping):
        problems.add(where, f"'oidc' is a map with the keys {', '.join(_OIDC_KEYS)}")
        return None
    for key in raw:
        problems.unknown(key, _OIDC_KEYS, where)
    given = {key: raw[key] for key in _OIDC_KEYS if key in raw}
    missing = [key for key in _OIDC_KEYS[:3] if key not in given]
    if missing:
        problems.add(where, f"'oidc' needs {', '.join(map(repr, missing))}")
        return None
    wrong = [key for key, value in given.items() if not isinstance(value, str) or not value.strip()]
    for key in wrong:
        problems.add((*where, key), f"{key!r} is text")
    if not wrong and not _is_url(given["issuer"]):
        problems.add((*where, "issuer"), "'issuer' is the provider's address, such as https://login.example.com/realm")
        return None
    if not wrong and not _is_reference(given["client_secret"]):
        problems.add((*where, "client_secret"), "write a reference, such as ${env:OIDC_SECRET}, not the secret itself")
        return None
    return None if wrong else OidcSettings(**given)


def _is_reference(text: str) -> bool:
    return text.startswith("${") and text.endswith("}")


def _is_url(value: Any) -> bool:
    try:
        parts = urlsplit(value) if isinstance(value, str) else None
    except ValueError:
        return False
    if parts is None or not parts.hostname or parts.username is not None or parts.query or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)
