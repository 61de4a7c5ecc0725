"""What hikeshi.yaml says of an instance that speaks to AWS."""

from __future__ import annotations

from typing import Final

from pydantic import Field

from hikeshi.connector import ConnectorSettings, Secret

__all__ = ["REGION", "AwsSettings"]

REGION: Final = r"^[a-z]{2,3}(-[a-z]+)+-\d{1,2}$"


class AwsSettings(ConnectorSettings):
    """One account in one region.

    `base_url` is empty for AWS's own addresses. Elsewhere (VPC endpoints, an emulator) it may hold `{service}` and
    `{region}`. With `role_arn` that role is assumed, and the keys only serve to assume it.
    """

    base_url: str = ""
    region: str = Field(pattern=REGION)
    access_key_id: Secret
    secret_access_key: Secret
    session_token: Secret | None = None
    role_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")
    external_id: str | None = None
