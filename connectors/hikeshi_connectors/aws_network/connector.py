"""AWS's network: blocks by WAF or by network ACLs, and the security groups of EC2's virtual machines."""

from __future__ import annotations

from typing import ClassVar

from hikeshi.connector import ConnectorSettings, Pace, Route
from hikeshi_connectors.aws.service import EC2, STS, WAFV2
from hikeshi_connectors.aws_network.blocking import Blocking
from hikeshi_connectors.aws_network.machines import Machines
from hikeshi_connectors.aws_network.settings import NetworkSettings

__all__ = ["AwsNetwork"]


class AwsNetwork(Blocking, Machines, product="aws_network"):
    """Blocked addresses and virtual machines of one account in one region."""

    Settings = NetworkSettings
    settings: NetworkSettings
    services = (EC2, WAFV2)
    pace = Pace(10, 1.0, at_once=5)
    volatile = ("LockToken",)
    read_routes = (
        *STS.reads("AssumeRole"),
        *EC2.reads("DescribeInstances", "DescribeSecurityGroups"),
        *WAFV2.reads("GetIPSet"),
    )
    least_privileges: ClassVar[tuple[str, ...]] = (
        "ec2:DescribeInstances, ec2:DescribeSecurityGroups",
        "ec2:ModifyNetworkInterfaceAttribute, ec2:CreateTags, ec2:DeleteTags",
        "wafv2:GetIPSet, wafv2:UpdateIPSet; or ec2:DescribeNetworkAcls, ec2:CreateNetworkAclEntry, "
        "ec2:DeleteNetworkAclEntry",
    )

    @classmethod
    def routes_of(cls, settings: ConnectorSettings) -> tuple[Route, ...]:
        """Return the read routes: with network ACLs, theirs as well."""
        assert isinstance(settings, NetworkSettings)
        return (*cls.read_routes, *(EC2.reads("DescribeNetworkAcls") if settings.network_acls else ()))
