"""URLs as what they lead to: the scheme, a default port, credentials and the spelling of the path do not count."""

from __future__ import annotations

import re
from urllib.parse import unquote

from hikeshi.guardrails.host_name import canonical_host, without_port

__all__ = ["is_url", "url_host", "url_key"]

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:[/\\]{2,}")
_DEFAULT_PORT = re.compile(r":(?:80|443)$")


def is_url(folded: str) -> bool:
    """Say whether a folded text is a URL with its scheme."""
    return _SCHEME.match(folded) is not None


def url_host(folded: str) -> str:
    """Return the host of a folded URL in its canonical spelling, without port."""
    return canonical_host(without_port(_parts(folded)[0]))


def url_key(folded: str) -> str:
    """Return what two folded URLs have in common if they lead to the same."""
    authority, rest = _parts(folded)
    port = _DEFAULT_PORT.sub("", authority)[len(without_port(authority)) :]
    path = unquote(rest.partition("#")[0]).rstrip("/")
    return f"//{url_host(folded)}{port}{path}"


def _parts(folded: str) -> tuple[str, str]:
    rest = _SCHEME.sub("", folded, count=1)
    authority = re.split(r"[/?#\\]", rest)[0]
    return unquote(authority.rpartition("@")[2]), rest[len(authority) :]
