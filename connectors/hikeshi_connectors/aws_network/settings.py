"""What hikeshi.yaml says of an instance of AWS's network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Self

from pydantic import Field, model_validator

from hikeshi_connectors.aws.settings import AwsSettings

__all__ = ["IpSetName", "NetworkSettings"]

_ARN = re.compile(
    r"arn:aws[a-z-]*:wafv2:(?P<region>[a-z0-9-]+):\d{12}:(?P<scope>regional|global)/ipset/"
    r"(?P<name>[\w-]{1,128})/(?P<id>[0-9a-fA-F-]{36})",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class IpSetName:
    """What WAF's API wants to know of an IP set."""

    name: str
    id: str
    scope: str

    @property
    def fields(self) -> dict[str, str]:
        return {"Name": self.name, "Scope": self.scope, "Id": self.id}

    @classmethod
    def in_arn(cls, arn: str) -> IpSetName:
        """Return the name of the IP set that an ARN says."""
        found = _ARN.fullmatch(arn)
        assert found is not None, "settings are checked when they are read"
        return cls(found["name"], found["id"], "REGIONAL" if found["scope"] == "regional" else "CLOUDFRONT")


class NetworkSettings(AwsSettings):
    """How addresses are blocked, and the name of the security group that cuts machines off.

    Blocks are IP sets by ARN, one for each version of IP; or network ACLs by ID, with the rule numbers, first and last,
    that are Hikeshi's own there. Not both: an undo could not tell which of the two had blocked something before.
    """

    ip_set_v4: str | None = Field(default=None, pattern=_ARN.pattern)
    ip_set_v6: str | None = Field(default=None, pattern=_ARN.pattern)
    network_acls: tuple[Annotated[str, Field(pattern=r"^acl-[0-9a-f]{8,17}$")], ...] = ()
    acl_rule_numbers: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(le=32766)]] = (1, 90)
    quarantine_group: str = Field(default="hikeshi-quarantine", min_length=1, max_length=255)

    @model_validator(mode="after")
    def _in_this_region(self) -> Self:
        """IP sets are reached in their own region: that of an instance's, and us-east-1 for CloudFront's."""
        for arn in filter(None, (self.ip_set_v4, self.ip_set_v6)):
            found = _ARN.fullmatch(arn)
            if found is None or found["region"] != self.region:
                raise ValueError(f"{arn}: is not an IP set in {self.region}; configure an instance for its region")
        return self

    @model_validator(mode="after")
    def _by_one_means(self) -> Self:
        if self.network_acls and (self.ip_set_v4 or self.ip_set_v6):
            raise ValueError("an instance blocks by IP sets or by network_acls; configure an instance for each")
        return self
