"""The errors that a connector raises. Each foreign error becomes one of these at the connector's one door.

Everything that a playbook, a retry or a person may want to know about a failure is decided by the class and by
`applied`: whether the request can have had its effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, ClassVar

__all__ = [
    "Ambiguous",
    "Applied",
    "Conflict",
    "ConnectorError",
    "Forbidden",
    "Invalid",
    "NotFound",
    "OutcomeUnknown",
    "PartialFailure",
    "RateLimited",
    "RouteRefused",
    "Timeout",
    "Unauthorized",
    "Unavailable",
    "Unsupported",
]


class Applied(StrEnum):
    """Whether a failed request can have had its effect."""

    NO = "no"  # provably not
    MAYBE = "maybe"  # it was sent, and nobody knows


class ConnectorError(Exception):
    """A product did not do what was asked. The message says what, where and what to do next, and holds no secret."""

    kind: ClassVar[str] = "error"
    applied_by_default: ClassVar[Applied] = Applied.NO

    def __init__(self, message: str, *, applied: Applied | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.applied = self.applied_by_default if applied is None else applied
        self.retry_after_s = retry_after_s


class NotFound(ConnectorError):
    """The thing does not exist there. "Could not read" is never this."""

    kind = "not_found"


class Ambiguous(ConnectorError):
    """Several things match where one is meant; `candidates` describes each."""

    kind = "ambiguous"

    def __init__(self, message: str, *, candidates: Sequence[Mapping[str, Any]] = ()) -> None:
        super().__init__(message)
        self.candidates = tuple(candidates)


class Unauthorized(ConnectorError):
    """The credentials are not accepted."""

    kind = "unauthorized"


class Forbidden(ConnectorError):
    """The credentials are good, but lack a privilege."""

    kind = "forbidden"


class RateLimited(ConnectorError):
    """The product asks to be called less often; `retry_after_s` is what it asked for, in seconds."""

    kind = "rate_limited"


class Unavailable(ConnectorError):
    """The product cannot be reached or answers that it is out of order."""

    kind = "unavailable"


class Timeout(ConnectorError):
    """No answer in time."""

    kind = "timeout"


class Conflict(ConnectorError):
    """The product's state does not allow it now; often it is already so. Read the state, then decide."""

    kind = "conflict"


class Invalid(ConnectorError):
    """The product refuses the request as wrong, or its answer cannot be understood."""

    kind = "invalid"


class Unsupported(ConnectorError):
    """This product cannot do that, or not for this kind of thing."""

    kind = "unsupported"


class OutcomeUnknown(ConnectorError):
    """The request was sent, and whether it took effect cannot be established."""

    kind = "outcome_unknown"
    applied_by_default = Applied.MAYBE


class PartialFailure(ConnectorError):
    """A batch was sent and some of its entries were refused; `failures` maps each such entry to its error.

    The entries that are not named were accepted.
    """

    kind = "partial"

    def __init__(self, failures: Mapping[str, ConnectorError]) -> None:
        super().__init__(f"{len(failures)} entries were refused: " + "; ".join(_first(failures)))
        self.failures = dict(failures)


class RouteRefused(ConnectorError):
    """A request was stopped before it left the process. The connector's author is to mend it."""

    kind = "route_refused"


def _first(failures: Mapping[str, ConnectorError], most: int = 3) -> list[str]:
    shown = [f"{entry}: {error.message}" for entry, error in list(failures.items())[:most]]
    return [*shown, f"and {len(failures) - most} more"] if len(failures) > most else shown
