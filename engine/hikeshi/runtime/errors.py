"""Errors of the runtime, and how a connector's error is recorded."""

from __future__ import annotations

from math import isfinite

from hikeshi.connector.errors import Ambiguous, ConnectorError
from hikeshi.core.events import ErrorRecord
from hikeshi.secrets import Redactor, SecretUnavailable

__all__ = ["RunCancelled", "RunHalted", "error_record"]


class RunHalted(Exception):
    """A run cannot go on, for the journal cannot be written. Nothing is lost: it goes on later from what is stored."""


class RunCancelled(Exception):
    """A change was about to be recorded as intended when its run was cancelled: nothing was sent."""


def error_record(exc: Exception, redactor: Redactor) -> ErrorRecord:
    """Return what is recorded of an error: its kind and its words, with every secret masked."""
    message = redactor.text(str(exc)) or type(exc).__name__
    if isinstance(exc, Ambiguous):
        return ErrorRecord(exc.kind, message, candidates=redactor.data(list(exc.candidates)))
    if isinstance(exc, ConnectorError):
        after_s = exc.retry_after_s
        if after_s is not None and not isfinite(after_s):
            after_s = None  # the journal has no form for it, and nobody waits for ever
        return ErrorRecord(exc.kind, message, exc.applied.value, after_s)
    if isinstance(exc, SecretUnavailable):
        return ErrorRecord("secret_unavailable", message)
    return ErrorRecord("not_configured", message)
