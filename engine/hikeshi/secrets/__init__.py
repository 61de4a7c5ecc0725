"""Secrets: references to them, their resolution, and keeping their values out of every byte we write."""

from hikeshi.secrets.redaction import MASK, Redactor
from hikeshi.secrets.reference import Secret
from hikeshi.secrets.unavailable import SecretUnavailable

__all__ = ["MASK", "Redactor", "Secret", "SecretUnavailable"]
