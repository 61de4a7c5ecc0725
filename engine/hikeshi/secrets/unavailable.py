"""What is raised when a secret cannot be had."""

from __future__ import annotations

__all__ = ["SecretUnavailable"]


class SecretUnavailable(Exception):
    """A secret could not be resolved. The message names the reference, never a value. The operator is to mend it."""
