"""The secret address of a workflow, checked before anything is sent to it."""

from __future__ import annotations

import httpx

from hikeshi.connector import Unauthorized

__all__ = ["whole_address"]


def whole_address(given: str, base_url: str, what: str) -> str:
    """Return an address as it is sent to: given as a whole, or from its path on.

    Raises Unauthorized, which does not quote it, for one that is elsewhere than at `base_url`.
    """
    base = base_url.rstrip("/")
    address, below = _written(base + given if given.startswith("/") else given), _written(f"{base}/")
    if not address or not below:
        raise Unauthorized(f"{what} is none; copy it again from the workflow")
    if "#" in address or not address.startswith(below):
        raise Unauthorized(f"{what} is not at {base}; copy it again, or correct base_url")
    return address


def _written(text: str) -> str:
    """Return an address as httpx writes it, or "" if it is none."""
    try:
        return str(httpx.URL(text)) if text.isascii() and text.isprintable() and " " not in text else ""
    except httpx.InvalidURL:
        return ""
