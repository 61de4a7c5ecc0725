"""The services of AWS that connectors speak to: their protocol, their address, and which requests of theirs only read.

Source: the service models of botocore 1.44.5 (metadata of iam, sts, ec2, wafv2, logs, cloudtrail, guardduty,
securityhub), https://github.com/boto/botocore/tree/develop/botocore/data.
"""

from __future__ import annotations

from dataclasses import dataclass

from hikeshi.connector import Route

__all__ = ["CLOUDTRAIL", "EC2", "GUARDDUTY", "IAM", "LOGS", "SECURITYHUB", "STS", "WAFV2", "Service"]


@dataclass(frozen=True, slots=True)
class Service:
    """One service: `name` as signatures and addresses have it.

    `version` is that of the query protocol, `target` the prefix of `x-amz-target` in the JSON protocol; a service
    with neither has a path for each operation. `in_one_place` says that one address serves all regions.
    """

    name: str
    version: str = ""
    target: str = ""
    in_one_place: bool = False

    def reads(self, *operations: str) -> tuple[Route, ...]:
        """Return the read routes of operations: all of a service are sent to one path, so a field tells them apart."""
        if self.version:
            where = [{"form:Action": each, "form:Version": self.version} for each in operations]
        else:
            where = [{"header:x-amz-target": f"{self.target}.{each}"} for each in operations]
        return tuple(Route("POST", "/", base=self.name, where=each) for each in where)

    def place(self, region: str) -> str:
        """Return the region whose name signatures for this service carry."""
        if not self.in_one_place:
            return region
        return {"cn": "cn-north-1", "us-gov": "us-gov-west-1"}.get(_partition(region), "us-east-1")

    def address(self, region: str, pattern: str = "") -> str:
        """Return the base address. `pattern` replaces AWS's own; `{service}` and `{region}` in it are filled in."""
        if pattern:
            return pattern.replace("{service}", self.name).replace("{region}", self.place(region))
        partition = _partition(region)
        if self.in_one_place:
            host = {"cn": f"{self.name}.cn-north-1", "us-gov": f"{self.name}.us-gov"}.get(partition, self.name)
        else:
            host = f"{self.name}.{region}"
        return f"https://{host}.amazonaws.com{'.cn' if partition == 'cn' else ''}"


def _partition(region: str) -> str:
    return next((each for each in ("cn", "us-gov") if region.startswith(f"{each}-")), "")


IAM = Service("iam", version="2010-05-08", in_one_place=True)
STS = Service("sts", version="2011-06-15")
EC2 = Service("ec2", version="2016-11-15")
WAFV2 = Service("wafv2", target="AWSWAF_20190729")
LOGS = Service("logs", target="Logs_20140328")
CLOUDTRAIL = Service("cloudtrail", target="com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101")
GUARDDUTY = Service("guardduty")
SECURITYHUB = Service("securityhub")
