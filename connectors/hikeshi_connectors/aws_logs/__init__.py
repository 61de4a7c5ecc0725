"""AWS logs: searches by CloudWatch Logs Insights, detections of GuardDuty and Security Hub."""

from hikeshi_connectors.aws_logs.connector import AwsLogs

__all__ = ["AwsLogs"]
