"""Deciding for somebody who answered in chat: who they are, what they may, and what they are told.

The rule: chat knows who wrote, and nothing more. Whether they may decide is judged by the service and by the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import structlog

from hikeshi.access.identity import Identity
from hikeshi.access.roles import Role
from hikeshi.app.errors import UnknownRun
from hikeshi.app.failure import failure_of
from hikeshi.service.errors import Denied

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi
    from hikeshi.chat.question import Asked
    from hikeshi.project import Config, Person
    from hikeshi.service.service import Service

__all__ = ["DONE", "Decision", "decide", "has_decided", "identity_of", "person_with"]

Decision = Literal["approve", "reject"]
_log = structlog.get_logger("hikeshi.chat")
DONE: Mapping[Decision, str] = {"approve": "Your approval is recorded.", "reject": "Your rejection is recorded."}


def person_with(config: Config, product: Literal["slack", "matrix"], member: str) -> Person | None:
    """Return who has an ID in Slack or Matrix, or None if that is not exactly one person."""
    found = [person for person in config.people.values() if getattr(person, product) == member]
    return found[0] if len(found) == 1 else None


def identity_of(person: Person, product: str, member: str) -> Identity:
    """Return who acts when a person writes in chat."""
    roles = frozenset(Role(role) for role in person.access)
    return Identity(person.id, f"{product}:{member}", roles, person.id, person.name)


def has_decided(app: Hikeshi, who: Identity, decision: Decision, asked: Asked) -> bool:
    """Say whether somebody's decision about a question is on record."""
    try:
        node = app.fold(asked.run).nodes.get(asked.path)
    except UnknownRun:
        return False
    if node is None or node.question is None or node.question.digest != asked.digest:
        return False
    votes = node.question.votes.items()
    return any(vote == decision and app.same_person(voter, who.actor) for voter, vote in votes)


async def decide(
    service: Service, who: Identity, decision: Decision, asked: Asked, note: str | None = None
) -> tuple[bool, str]:
    """Decide about a question. Return whether that is recorded, and what to tell who decided."""
    data = {"path": asked.path, "digest": asked.digest, "note": note}
    try:
        await service.tell(who, asked.run, decision, data)
    except Denied as exc:
        return False, service.app.redactor.text(f"Nothing was decided: {exc}.")
    except Exception as exc:  # noqa: BLE001 - whoever decided has to hear that it was not taken
        failure = failure_of(exc)
        if failure is None:
            _log.error("chat_decision_failed", run=asked.run, path=asked.path, kind=type(exc).__name__)
        why = "an error that nobody expected; the service's log says more" if failure is None else failure.message
        taken = "It is not known yet whether this counts" if failure and failure.code == "not_taken" else "Not recorded"
        return False, service.app.redactor.text(f"{taken}: {why}.")
    return True, DONE[decision]
