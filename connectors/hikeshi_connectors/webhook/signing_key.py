"""The key of signatures: `whsec_` and base64, in either alphabet and with or without its padding."""

from __future__ import annotations

import base64
import binascii
from typing import Final

__all__ = ["PREFIX", "key_of"]

PREFIX: Final = "whsec_"


def key_of(text: str) -> bytes:
    """Return the bytes that a text stands for, none for a text that is no base64."""
    plain = text.removeprefix(PREFIX).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return b""
