"""Policies: the two that Hikeshi writes, and whether others make whoever has them powerful.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html;
https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_use_revoke-sessions.html (AWSRevokeOlderSessions).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import unquote

from hikeshi.connector import Invalid

__all__ = [
    "DENY_ALL",
    "DENY_ALL_NAME",
    "OLDER_SESSIONS_NAME",
    "POWERFUL",
    "document_in",
    "is_deny_all",
    "is_powerful",
    "older_sessions",
    "sessions_count_from",
]

DENY_ALL_NAME: Final = "HikeshiDenyAll"
OLDER_SESSIONS_NAME: Final = "AWSRevokeOlderSessions"  # as AWS's own console calls it
POWERFUL: Final = frozenset({"AdministratorAccess", "IAMFullAccess", "PowerUserAccess"})
_EVERYTHING: Final = frozenset({"*", "*:*"})
_ISSUED: Final = "aws:TokenIssueTime"

DENY_ALL: Final = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Sid": "HikeshiDenyAll", "Effect": "Deny", "Action": "*", "Resource": "*"}],
    },
    separators=(",", ":"),
)


def older_sessions(before: datetime) -> str:
    """Return the policy that denies everything to sessions that began before a moment."""
    condition = {"DateLessThan": {_ISSUED: before.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"}}
    statement = {"Effect": "Deny", "Action": ["*"], "Resource": ["*"], "Condition": condition}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def document_in(text: str, where: str) -> Mapping[str, Any]:
    """Return a policy document as IAM gives it: JSON, encoded as in a URL. Raises Invalid."""
    try:
        document = json.loads(unquote(text))
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise Invalid(f"{where}: a policy document that is no JSON object")
    return document


def is_deny_all(document: Mapping[str, Any]) -> bool:
    """Say whether a document is the very one that Hikeshi writes."""
    return bool(document == json.loads(DENY_ALL))


def sessions_count_from(document: Mapping[str, Any]) -> datetime | None:
    """Return the latest moment before which sessions are denied everything, or None."""
    found = [moment for each in _statements(document) if (moment := _denied_before(each)) is not None]
    return max(found, default=None)


def is_powerful(document: Mapping[str, Any]) -> bool:
    """Say whether a policy allows everything, or everything of IAM, on all resources.

    With `iam:*` one can give oneself the rest. A condition makes no difference: it may be met.
    """
    return any(_allows_everything(each) for each in _statements(document))


def _statements(document: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from (each for each in _each(document.get("Statement")) if isinstance(each, dict))


def _denied_before(statement: Mapping[str, Any]) -> datetime | None:
    condition = statement.get("Condition")
    dates = condition.get("DateLessThan") if isinstance(condition, dict) else None
    if statement.get("Effect") != "Deny" or not isinstance(dates, dict):
        return None
    if not {"*"} & set(map(str, _each(statement.get("Action")))):
        return None
    text = next((value for key, value in dates.items() if key.casefold() == _ISSUED.casefold()), None)
    try:
        return datetime.fromisoformat(str(text)).astimezone(UTC)
    except ValueError:
        return None


def _allows_everything(statement: Mapping[str, Any]) -> bool:
    if statement.get("Effect") != "Allow" or "*" not in _each(statement.get("Resource")):
        return False
    if "NotAction" in statement:  # everything but something
        return True
    actions = {str(each).casefold() for each in _each(statement.get("Action"))}
    return bool(actions & (_EVERYTHING | {"iam:*"}))


def _each(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]
