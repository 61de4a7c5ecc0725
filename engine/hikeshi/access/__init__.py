"""Who comes through the doors of a running service, and what they may do there."""
