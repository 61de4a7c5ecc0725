"""What SentinelOne's simulator consists of."""
