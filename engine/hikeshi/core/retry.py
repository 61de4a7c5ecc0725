"""When a failed attempt is followed by another. Core alone decides; jitter comes from a hash, so a replay agrees."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from hikeshi.capabilities import Effect
from hikeshi.core.events import ErrorRecord
from hikeshi.playbook.model import Retry

__all__ = ["DEFAULT_KINDS", "PATIENT", "RELEASE", "UNDO", "next_attempt_at", "release_policy"]

DEFAULT_KINDS = frozenset({"rate_limited", "unavailable", "timeout"})
PATIENT = Retry(attempts=12, wait_s=10.0, factor=2.0, max_wait_s=900.0)
"""For releases: what is not released stays contained, so they go on for about two hours."""
UNDO, RELEASE = "undo", "release"
"""What the reason of a run begins with in which somebody undoes what a run did, or ends holds."""
_JITTER = 0.2
_LONGEST_ASKED_S = 86_400.0


def next_attempt_at(
    run: str, path: str, attempts: int, error: ErrorRecord, effect: Effect, policy: Retry | None, now: datetime
) -> datetime | None:
    """Return when to try again (aware UTC), or None to give up.

    A change is tried again only if it provably had no effect. What the product asked for (Retry-After) is a minimum;
    one that asks for more than a day is not waited for, since coming back sooner would be no better.
    """
    policy = policy or Retry()
    asked_s = error.retry_after_s or 0.0
    if attempts >= policy.attempts or error.kind not in (policy.kinds or DEFAULT_KINDS):
        return None
    if (effect is Effect.CHANGE and error.applied != "no") or asked_s > _LONGEST_ASKED_S:
        return None
    wait_s = min(policy.wait_s * policy.factor ** (attempts - 1), policy.max_wait_s)
    wait_s *= 1 + _JITTER * _spread(run, path, attempts)
    return now + timedelta(seconds=max(wait_s, asked_s))


def release_policy(reason: str | None) -> Retry | None:
    """Return how often a release is tried, by the reason of its run. Somebody who looks on can try again later."""
    return None if reason is not None and reason.startswith((UNDO, RELEASE)) else PATIENT


def _spread(run: str, path: str, attempt: int) -> float:
    """Return a number between -1 and 1 that is the same for the same attempt, always."""
    digest = hashlib.sha256(f"{run}\0{path}\0{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") / 0xFFFF_FFFF * 2 - 1
