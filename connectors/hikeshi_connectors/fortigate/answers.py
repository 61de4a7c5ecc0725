"""What FortiOS answered, and the error that it stands for.

Every answer repeats its status in the body; a refusal adds FortiOS's own code, a negative number, and that counts more
than the HTTP status: a duplicate is 424 in some versions and 500 in others.
Sources: the responses in Fortinet's OpenAPI files of FortiOS 6.4.14 (monitor, cmdb); lock-outs:
https://community.fortinet.com/t5/FortiGate/Technical-Tip-Administrative-lockout-durations-for-FortiGate-API/ta-p/362817
"""

from __future__ import annotations

from typing import Any, Final

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Response,
    error_of_status,
    json_object,
)

__all__ = ["LOCKED_OUT_S", "check_answer"]

LOCKED_OUT_S: Final = 900.0
"""How long to keep away after a lock-out, in seconds. The first lasts a minute by default, each further one twice as
long as the one before, and nothing in the answer says which it is."""

_CODES: Final[dict[int, tuple[type[ConnectorError], str]]] = {
    -3: (NotFound, "there is no such entry"),
    -4: (Invalid, "the table is full"),
    -5: (Conflict, "there is such an entry already"),
    -8: (Invalid, "an IP address is wrong"),
    -9: (Invalid, "a network mask is wrong"),
    -14: (Forbidden, "the administrator's profile does not allow it"),
    -15: (Conflict, "there is such an entry already"),
    -20: (Invalid, "a value is missing"),
    -23: (Conflict, "the entry is in use"),
    -37: (Forbidden, "the administrator's profile does not allow it"),
    -56: (Invalid, "a list may not be empty"),
    -61: (Invalid, "a value is wrong"),
    -651: (Invalid, "a value is wrong"),
}
_PROFILE: Final = "grant the API administrator's profile what the connector's README lists"
_CHECK: Final = "check token in hikeshi.yaml and the API administrator's trusted hosts"


def check_answer(response: Response) -> None:
    """Raise the error that an answer stands for; pass one that FortiOS calls a success."""
    if response.status < 400:
        _check_success(response)
        return
    body = _body_of(response)
    code = body.get("error")
    if response.status == 429:
        raise RateLimited(
            f"{response.where}: this caller is locked out after failed sign-ins, and each further lock-out lasts twice "
            f"as long: do not try again before it has passed, and {_CHECK}",
            retry_after_s=LOCKED_OUT_S,
        )
    if response.status == 401:
        raise error_of_status(response, f"the token is not accepted; {_CHECK}: after three refusals FortiOS locks out")
    if response.status == 403:
        raise error_of_status(response, _PROFILE)
    if isinstance(code, int) and code in _CODES:
        kind, meaning = _CODES[code]
        raise kind(f"{response.where}, code {code}: {meaning}{_words(body)}")
    if response.status == 424:
        raise Conflict(
            f"{response.where}, code {code}: a dependency is missing, or there is such an entry{_words(body)}"
        )
    if response.status == 404 and "http_status" not in body:
        # It says that this is no FortiGate, not that something is absent on it.
        raise Invalid(f"{response.where}, and not as FortiOS does; check base_url")
    raise error_of_status(response, f"code {code}{_words(body)}" if body else "")


def _check_success(response: Response) -> None:
    body = json_object(response)
    if body.get("status") != "success":
        raise Invalid(f"{response.where}, but does not call it a success{_words(body)}", applied=Applied.MAYBE)


def _body_of(response: Response) -> dict[str, Any]:
    try:
        return json_object(response)
    except Invalid:
        return {}  # a web page, as FortiOS sends with 401


def _words(body: dict[str, Any]) -> str:
    text = body.get("cli_error") or body.get("message")
    return f" ({' '.join(str(text).split())[:200]})" if text else ""
