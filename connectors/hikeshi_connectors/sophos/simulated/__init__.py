"""What Sophos Central's simulator consists of."""
