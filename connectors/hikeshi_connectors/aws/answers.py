"""What AWS answered: the XML of the query protocol, and the error that an answer stands for.

Sources: "Common error types" in each service's API reference; the codes for which SDKs slow down,
https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html; the error shapes in botocore's models.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from xml.etree import ElementTree as ET

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    RateLimited,
    Response,
    Unauthorized,
    Unavailable,
    error_of_status,
    json_object,
    retry_after_s,
)

__all__ = ["Node", "StaleLock", "check_answer", "code_in", "result_in", "texts"]

_SLOW_DOWN = frozenset(
    {
        "BandwidthLimitExceeded", "EC2ThrottledException", "LimitExceededException", "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException", "RequestLimitExceeded", "RequestThrottled",
        "RequestThrottledException", "SlowDown", "Throttling", "ThrottlingException", "ThrottledException",
        "TooManyRequestsException",
    }
)  # fmt: skip
_REFUSED_CREDENTIALS = frozenset(
    {
        "AuthFailure", "ExpiredToken", "ExpiredTokenException", "IncompleteSignature", "IncompleteSignatureException",
        "InvalidAccessKeyId", "InvalidClientTokenId", "InvalidSignatureException", "MissingAuthenticationToken",
        "MissingAuthenticationTokenException", "RequestExpired", "SignatureDoesNotMatch", "TokenRefreshRequired",
        "UnrecognizedClientException",
    }
)  # fmt: skip
_NOT_ALLOWED = frozenset(
    {
        "AccessDenied", "AccessDeniedException", "AuthorizationError", "InvalidAccessException", "NotAuthorized",
        "OptInRequired", "SubscriptionRequiredException", "UnauthorizedAccess", "UnauthorizedOperation",
    }
)  # fmt: skip
_CONFLICTS = frozenset(
    {
        "ConcurrentModification", "ConcurrentModificationException", "ConflictException", "DeleteConflict",
        "EntityTemporarilyUnmodifiable", "IncorrectInstanceState", "IncorrectState", "InvalidPermission.Duplicate",
        "InvalidPermission.NotFound", "ResourceConflictException", "UnmodifiableEntity", "WAFDuplicateItemException",
    }
)  # fmt: skip
_STALE = frozenset({"NetworkAclEntryAlreadyExists", "WAFOptimisticLockException"})
_MISSING = frozenset({"NoSuchEntity", "WAFNonexistentItemException", "NotFoundException"})
_OUT_OF_ORDER = frozenset({"InternalError", "InternalFailure", "InternalServerError", "ServiceFailure", "Unavailable"})
_MESSAGE_MOST = 300


class StaleLock(Conflict):
    """Somebody else changed the thing since it was read; nothing happened. Read it again, and try once more."""


class _WithoutDoctype(ET.TreeBuilder):
    """Refuses document types: no answer of AWS's has one, and entities are a weapon."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:  # noqa: ARG002 - expat calls it so
        raise ET.ParseError("a document type")


class Node:
    """One element of an XML answer, its children by name. What has to be there and is not raises Invalid."""

    __slots__ = ("_element", "_where")

    def __init__(self, element: ET.Element, where: str) -> None:
        self._element = element
        self._where = where

    @property
    def own_text(self) -> str:
        return (self._element.text or "").strip()

    def child(self, name: str) -> Node | None:
        """Return the child of this name, or None."""
        return next((Node(each, self._where) for each in self._element if _local(each.tag) == name), None)

    def under(self, name: str) -> Node:
        """Return the child of this name. Raises Invalid if there is none."""
        found = self.child(name)
        if found is None:
            raise Invalid(f"{self._where}: the answer has no {name!r}", applied=Applied.MAYBE)
        return found

    def text(self, name: str) -> str:
        """Return the text of a child. Raises Invalid if it is not there or empty."""
        found = self.under(name).own_text
        if not found:
            raise Invalid(f"{self._where}: {name!r} is empty", applied=Applied.MAYBE)
        return found

    def maybe(self, name: str) -> str | None:
        """Return the text of a child, or None if it is not there or empty."""
        found = self.child(name)
        return (found.own_text or None) if found is not None else None

    def all_under(self, name: str) -> list[Node]:
        """Return the members of a list. Raises Invalid if the list is not there."""
        return self.under(name)._members()

    def all_maybe(self, name: str) -> list[Node]:
        """Return the members of a list that is left out where it is empty."""
        found = self.child(name)
        return [] if found is None else found._members()

    def _members(self) -> list[Node]:
        return [Node(each, self._where) for each in self._element if _local(each.tag) in ("member", "item")]


def result_in(response: Response, operation: str) -> Node:
    """Return what the query protocol answered to an operation. Raises Invalid for anything else."""
    root = Node(_xml(response), response.where)
    if _local(root._element.tag) != f"{operation}Response":
        raise Invalid(f"{response.where}: the answer is none to {operation}", applied=Applied.MAYBE)
    # EC2 answers without the element in between.
    return root.child(f"{operation}Result") or root


def check_answer(response: Response) -> None:
    """Raise the error that an answer stands for; an answer that is not AWS's is Invalid, whatever its status."""
    if response.status >= 400:
        raise _error(response)
    if not response.content.lstrip().startswith(b"<"):
        json_object(response)
    elif not _local(_xml(response).tag).endswith("Response"):
        raise Invalid(f"{response.where}: the answer is not AWS's XML", applied=Applied.MAYBE)


def code_in(response: Response) -> tuple[str, str]:
    """Return the code and the message of a refusal, each "" if the answer does not have it."""
    if response.content.lstrip().startswith(b"<"):
        try:
            found = next((each for each in _xml(response).iter() if _local(each.tag) == "Error"), None)
        except Invalid:
            found = None
        parts = {} if found is None else {_local(each.tag): each.text or "" for each in found}
        return parts.get("Code", "").strip(), parts.get("Message", "").strip()
    try:
        body: Any = response.json()
    except Invalid:
        body = None
    body = body if isinstance(body, dict) else {}
    kind = response.headers.get("x-amzn-errortype") or body.get("__type") or body.get("code") or body.get("Code") or ""
    code = str(kind).partition(":")[0].rpartition("#")[2]
    return code, str(body.get("message") or body.get("Message") or "")


def _error(response: Response) -> ConnectorError:
    code, said = code_in(response)
    message = f"{response.where}, {code or 'no code'}"
    if code in _REFUSED_CREDENTIALS:
        # Not what it said: such messages repeat the request that was signed, a session token in it.
        return Unauthorized(f"{message}; check the keys in hikeshi.yaml, and the clock of this machine")
    told = f"{message}: {said[:_MESSAGE_MOST] or 'no message'}"
    if code in _SLOW_DOWN:
        return RateLimited(told, retry_after_s=retry_after_s(response.headers))
    if code in _NOT_ALLOWED:
        return Forbidden(f"{told}; grant what the connector's README lists")
    if code in _STALE:
        return StaleLock(told)
    if code in _CONFLICTS or code.endswith(("AlreadyExists", "AlreadyExistsException", ".Duplicate", ".InUse")):
        return Conflict(told)
    if code in _MISSING or code.endswith((".NotFound", "NotFoundException")):
        return NotFound(told)
    if code in _OUT_OF_ORDER:
        return Unavailable(told, applied=Applied.MAYBE)
    if response.status == 404 and not code:
        # It says that this is not AWS, not that something is absent there.
        return Invalid(f"{response.where}, and not as AWS does; check base_url")
    return error_of_status(response, f"{code}: {said[:_MESSAGE_MOST]}" if code else "")


def _xml(response: Response) -> ET.Element:
    try:
        parser = ET.XMLParser(target=_WithoutDoctype())  # noqa: S314 - document types, hence entities, are refused
        parser.feed(response.content)
        root: Any = parser.close()
    except (ET.ParseError, LookupError, ValueError):
        root = None
    if not isinstance(root, ET.Element):
        kind = response.headers.get("content-type", "no content type")
        raise Invalid(f"{response.where}: the answer is not AWS's XML ({kind})", applied=Applied.MAYBE)
    return root


def _local(tag: str) -> str:
    return tag.rpartition("}")[2]


def texts(nodes: Iterable[Node]) -> list[str]:
    """Return the texts of a list's members."""
    return [each.own_text for each in nodes]
