"""The settings of a response policy zone."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints

from hikeshi.connector import ConnectorSettings, Secret

__all__ = ["RpzSettings", "host_and_port"]

_PORT = 53
DomainName = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,250}[A-Za-z0-9_])?$", to_lower=True)
]


def host_and_port(base_url: str) -> tuple[str, int]:
    """Return where the name server is. Raises ValueError for what is not of the form dns://HOST or dns://HOST:PORT."""
    parts = urlsplit(base_url)
    if parts.scheme != "dns" or not parts.hostname or parts.path.strip("/") or parts.query or parts.username:
        raise ValueError(f"{base_url!r} is not of the form dns://HOST or dns://HOST:PORT")
    return parts.hostname, _PORT if parts.port is None else parts.port


def _usable(base_url: str) -> str:
    host_and_port(base_url)
    return base_url.rstrip("/")


class RpzSettings(ConnectorSettings):
    """What hikeshi.yaml says of one zone on its primary server."""

    base_url: Annotated[str, AfterValidator(_usable)]
    zone: DomainName
    tsig_name: DomainName
    tsig_secret: Secret
    tsig_algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"
    # What the resolver does instead of resolving: no such name, no such record, or no answer at all.
    action: Literal["nxdomain", "nodata", "drop"] = "nxdomain"
    ttl_s: int = Field(default=60, ge=1, le=86400)
