"""What MISP says when it refuses.

Source: MISP 2.5.1, app/Controller/AppController.php, app/Controller/Component/RestResponseComponent.php.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hikeshi.connector import (
    Applied,
    ConnectorError,
    Forbidden,
    Invalid,
    RateLimited,
    Response,
    Unauthorized,
    error_of_status,
    retry_after_s,
)

__all__ = ["NotSaved", "error_of", "refusals"]

_SAID_MOST: Final = 300
_ABOUT_KEYS: Final = ("authentication failed", "auth key")


class NotSaved(Invalid):
    """MISP saved none of the entries that it was sent; `errors` is what it said of them."""

    def __init__(self, message: str, errors: Any) -> None:
        super().__init__(message)
        self.errors = errors


def error_of(response: Response) -> ConnectorError:
    """Return the error that an answer of 400 and above stands for."""
    try:
        given = response.json()
    except Invalid:
        given = None
    told = given if isinstance(given, dict) else {}
    said = str(told.get("message") or told.get("name") or "")[:_SAID_MOST]
    where = f"{response.where}: {said}"
    if response.status == 404 and not said:
        return Invalid(f"{response.where}: this is not MISP's way of saying that something is missing: check base_url")
    if response.status == 403 and told.get("saved") is False:
        return NotSaved(f"{where}: {_text(told.get('errors'))}", told.get("errors"))
    # MISP says 403 for a key that is wrong, has expired or may not come from here. There is no code beside the text.
    if response.status == 403 and any(each in said.lower() for each in _ABOUT_KEYS):
        return Unauthorized(where)
    if response.status == 405:
        return Forbidden(f"{where}; check the permissions of the key's role")
    if response.status == 429:
        return RateLimited(where, retry_after_s=retry_after_s(response.headers, "x-rate-limit-reset"))
    return error_of_status(response, said)


def refusals(lot: Sequence[str], errors: Any, where: str) -> dict[str, ConnectorError]:
    """Return which entries of a lot were refused, and why.

    `errors` names them by their place, `{"attribute_3": {"value": ["why"]}}`. Where a lot is one entry, it is the
    inner part alone.
    """
    if not errors:
        return {}
    places = {f"attribute_{number}": value for number, value in enumerate(lot)}
    if isinstance(errors, Mapping) and errors.keys() <= places.keys():
        return {places[place]: Invalid(f"{where}: {_text(why)}") for place, why in errors.items()}
    if len(lot) == 1:
        return {lot[0]: Invalid(f"{where}: {_text(errors)}")}
    unclear = Invalid(f"{where}: some were refused, and not clear which: {_text(errors)}", applied=Applied.MAYBE)
    return dict.fromkeys(lot, unclear)


def _text(errors: Any) -> str:
    """Return what MISP said of an entry: a text, or lists of them by field."""
    if isinstance(errors, Mapping):
        return "; ".join(f"{field}: {_text(why)}" for field, why in errors.items())[:_SAID_MOST]
    if isinstance(errors, list):
        return ", ".join(_text(each) for each in errors)[:_SAID_MOST]
    return str(errors)[:_SAID_MOST]
