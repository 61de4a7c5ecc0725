"""AWS IAM: users, their groups and access keys, and what they called."""

from hikeshi_connectors.aws_iam.connector import AwsIam

__all__ = ["AwsIam"]
