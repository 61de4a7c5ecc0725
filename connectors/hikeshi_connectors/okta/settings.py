"""What hikeshi.yaml says of one org of Okta."""

from __future__ import annotations

from typing import Final, Self

from pydantic import model_validator

from hikeshi.connector import ConnectorSettings, Secret

__all__ = ["OktaSettings"]

_SCOPES: Final = "okta.users.manage okta.groups.manage okta.roles.manage okta.logs.read"


class OktaSettings(ConnectorSettings):
    """The org, one way in, and what counts as privileged. Raises ValueError for no way in, or two."""

    api_token: Secret | None = None
    client_id: str | None = None
    private_key: Secret | None = None
    key_id: str | None = None
    scopes: str = _SCOPES
    privileged_groups: tuple[str, ...] = ()
    admin_roles: bool = True
    forget_devices: bool = True

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.api_token is None) == (self.client_id is None) or (self.client_id is None) != (
            self.private_key is None
        ):
            raise ValueError("okta needs either api_token, or client_id and private_key of a service app")
        return self
