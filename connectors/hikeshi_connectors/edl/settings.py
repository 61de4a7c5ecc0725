"""The settings of an instance of external dynamic lists."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from hikeshi.connector import ConnectorSettings, Secret

__all__ = ["EdlSettings"]


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("write the whole path: every process of the project has to find the same folder")
    return path


def _canonical(address: str) -> str:
    return str(ipaddress.ip_address(address))


class EdlSettings(ConnectorSettings):
    """What hikeshi.yaml says of one set of lists. At least one of `password`, `secret_path` and `pollers` is needed."""

    # Where firewalls reach the service.
    base_url: str = "http://127.0.0.1:8315"
    folder: Annotated[Path, AfterValidator(_absolute)]
    # HTTP basic authentication.
    user: str = "edl"
    password: Secret | None = None
    # Part of the address, for products that cannot authenticate.
    secret_path: Secret | None = None
    # The addresses of the firewalls: nobody else may fetch, and each of them has to.
    pollers: tuple[Annotated[str, AfterValidator(_canonical)], ...] = ()
    # Nothing is listed while no firewall has fetched for so long; null asks nobody.
    polled_within_s: int | None = Field(default=600, ge=1)
    # Count an entry as blocked only when it was fetched after it was listed, and as unblocked after it was taken off.
    fetched_first: bool = False

    @model_validator(mode="after")
    def _somebody_may_fetch(self) -> Self:
        if self.password is None and self.secret_path is None and not self.pollers:
            raise ValueError("say who may fetch: `password`, `secret_path` or `pollers`")
        return self
