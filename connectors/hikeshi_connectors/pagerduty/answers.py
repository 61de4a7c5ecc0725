"""Answers of PagerDuty's Events API: what they mean.

Source: https://developer.pagerduty.com/docs/events-api-v2-overview ("Response Codes & Retry Logic"), and "Events API
Rate Limits": a refused event was not taken in, and may be sent again after 30 seconds.
"""

from __future__ import annotations

from typing import Final

from hikeshi.connector import Applied, Invalid, RateLimited, Response, Unauthorized, error_of_status, retry_after_s

__all__ = ["check_answer"]

_AGAIN_AFTER_S: Final = 30.0
_SHOWN_MOST = 300


def check_answer(response: Response) -> None:
    """Raise the ConnectorError that an answer stands for; only 202 with the status "success" passes."""
    if response.status == 429:
        after_s = retry_after_s(response.headers)
        text = f"{response.where}: too many events for this key"
        raise RateLimited(text, retry_after_s=_AGAIN_AFTER_S if after_s is None else after_s)
    if response.status >= 400:
        errors = _errors_in(response)
        said = "; ".join(errors)[:_SHOWN_MOST]
        if response.status == 400 and any("routing key" in each.replace("_", " ").lower() for each in errors):
            # There is no code for it; these words are all that PagerDuty says of a key that it does not know.
            advice = "it has to be the 32 characters of an integration 'Events API V2'"
            raise Unauthorized(f"{response.where}: {said} ({advice})")
        raise error_of_status(response, said)
    body = response.json()
    if response.status != 202 or not isinstance(body, dict) or body.get("status") != "success":
        raise Invalid(f"{response.where}: not an answer of the Events API", applied=Applied.MAYBE)


def _errors_in(response: Response) -> list[str]:
    try:
        body = response.json()
    except Invalid:
        return []
    found = body.get("errors") if isinstance(body, dict) else None
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []
