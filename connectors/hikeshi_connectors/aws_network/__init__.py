"""AWS network: IP sets of WAF, and virtual machines cut off by their security groups."""

from hikeshi_connectors.aws_network.connector import AwsNetwork

__all__ = ["AwsNetwork"]
