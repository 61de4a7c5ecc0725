"""Moments as Vision One takes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

__all__ = ["moment"]


def moment(before_s: float = 0) -> str:
    """Return a moment so many seconds ago: UTC, in whole seconds."""
    return (datetime.now(UTC) - timedelta(seconds=before_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
