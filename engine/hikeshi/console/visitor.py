"""Who looks at a page, in which language, and what they are let do from it.

The rule: a page keeps the cookie that it was opened with and asks anew whose it is before everything it does, since a
session may have been revoked since.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from starlette.requests import Request

from hikeshi.access.identity import Identity
from hikeshi.access.roles import Permission
from hikeshi.console.doors import identity_of
from hikeshi.console.words import language_of, words
from hikeshi.service.service import Service

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi
    from hikeshi.app.failure import Failure

__all__ = ["SessionOver", "Visitor", "failure_for"]

_log = structlog.get_logger("hikeshi.console")

T = TypeVar("T")


class SessionOver(Exception):
    """The session of a page was revoked, or its time is over."""


class Visitor:
    """One opened page's reader."""

    def __init__(self, service: Service, request: Request) -> None:
        self.service = service
        self._headers = [(name, value) for name, value in request.headers.raw if name.lower() == b"cookie"]
        chosen = request.cookies.get("hikeshi_language")
        self.say = words(language_of(request.headers.get("accept-language"), chosen))
        self.path = request.url.path
        self.query = dict(request.query_params)

    def who(self) -> Identity:
        """Return who it is now. Raises SessionOver, JournalError."""
        who = identity_of(self.service, self._headers)
        if who is None:
            raise SessionOver
        return who

    def may(self, permission: Permission) -> bool:
        """Say whether they may, for what is offered to them; whether they do is asked again."""
        return self.who().may(permission)

    @property
    def app(self) -> Hikeshi:
        """The application to read from. Raises SessionOver, Denied."""
        return self.service.look(self.who())

    def name_of(self, actor: str) -> str:
        """Return what people call somebody."""
        config = self.service.app.config
        person = config.people.get(actor) or config.person_of(actor)
        return actor if person is None else person.name

    async def do(
        self, what: Callable[[Identity], Awaitable[T]], failed: Callable[[Failure], None]
    ) -> tuple[bool, T | None]:
        """Do something as who it is now; return whether it was done and what came of it, or tell why it was not."""
        try:
            return True, await what(self.who())
        except Exception as exc:  # noqa: BLE001 - whatever goes wrong is said to who asked for it
            failed(failure_for(exc))
            return False, None


def failure_for(exc: Exception) -> Failure:
    """Return what is said of an exception. What nobody expected is logged, and its text is not shown."""
    from hikeshi.access.tokens import NotKnown
    from hikeshi.app.failure import Failure, failure_of
    from hikeshi.playbook.library import UnknownPlaybook
    from hikeshi.service.errors import Denied
    from hikeshi.triggers.errors import OfferRefused, UnknownOffer

    match exc:
        case SessionOver():
            return Failure("session_over", "")
        case Denied():
            return Failure("not_allowed", str(exc))
        case NotKnown():
            return Failure("unknown_token", str(exc))
        case UnknownPlaybook():
            return Failure("unknown_playbook", exc.message)
        case UnknownOffer():
            return Failure("unknown_offer", str(exc))
        case OfferRefused():
            return Failure("refused", str(exc))
    known = failure_of(exc)
    if known is not None:
        return _without_folders(known)
    _log.error("page_failed", kind=type(exc).__name__, exc_info=exc)
    return Failure("internal", type(exc).__name__)


def _without_folders(failure: Failure) -> Failure:
    """Return a failure that does not say where files are on the server."""
    from dataclasses import replace

    problems: list[dict[str, Any]] = []
    for each in failure.problems:
        shown = dict(each)
        if "file" in shown:
            shown["file"] = str(shown["file"]).rpartition("/")[2]
        if "hikeshi.yaml: " in str(shown.get("message", "")):
            shown["message"] = shown["message"].rpartition("hikeshi.yaml: ")[2]
        problems.append(shown)
    return replace(failure, problems=problems)
