"""What the code that runs now may send: the door that the gate opens for one action, and nothing else.

Connector code never touches this. The gate enters a door before it calls a connector; the guarded client asks it.
Outside of any door only declared read routes pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import field
from typing import Any, Literal, NoReturn

from hikeshi.capabilities import Effect
from hikeshi.connector.errors import RouteRefused
from hikeshi.quick_dataclass import dataclass

__all__ = ["CaptureEnded", "Door", "PreviewedRequest", "current_door", "through"]


class CaptureEnded(BaseException):
    """A connector read the answer to a request that was not sent. What comes after it cannot be previewed.

    Not an Exception, so that a connector's own error handling does not swallow it.
    """


@dataclass(frozen=True, slots=True)
class PreviewedRequest:
    """A request exactly as it would be sent. `volatile` names fields of the body that differ each time."""

    method: str
    url: str
    body: Any
    volatile: tuple[str, ...] = ()


@dataclass(slots=True)
class Door:
    """The permission of one call of one action."""

    mode: Literal["live", "plan"]
    effect: Effect
    action: str
    intended: bool = False  # a live run has recorded that this change or notification is about to be sent
    key: str = ""  # the idempotency key of this change
    keys: tuple[str, ...] = ()  # of changes that are sent together: the key of each, in the order of the targets
    sent: bool = False  # bytes of the change itself may have left
    finished: bool = False  # the connector said that its last request was made
    closed: bool = False  # the call is over; what it left behind may send nothing more
    complete: bool = True  # of a plan: no answer was looked at before the last request
    captured: list[PreviewedRequest] = field(default_factory=list)
    check: Callable[[], None] | None = None  # raises unless this process may still send

    def leave(self) -> None:
        """Note that bytes of the change leave now. The last look at who drives the run: raises what `check` raises."""
        if self.check is not None:
            self.check()
        self.sent = True

    def admit(self, request: PreviewedRequest, *, last: bool) -> bool:
        """Say whether a request outside of the read routes is sent (True) or captured (False).

        Raises RouteRefused if it may do neither.
        """
        where = f"{request.method} {request.url}"
        if self.closed:
            raise RouteRefused(f"{self.action} sent {where} after the action had ended")
        if self.effect is Effect.READ:
            raise RouteRefused(f"{self.action} only reads, but {where} is not one of its declared read routes")
        if self.finished:
            raise RouteRefused(f"{self.action} sent {where} after the request it had called its last")
        if self.mode == "live" and not self.intended:
            raise RouteRefused(f"{self.action}: {where} is not a declared read route, and no change is under way")
        self.finished = last
        if self.mode == "plan":
            self.captured.append(request)
            return False
        return True

    def look(self, at: str) -> NoReturn:
        """End a plan's preview, for the connector looks at an answer that was never given. Raises CaptureEnded."""
        # Noted as well as raised: a connector that swallows even this has still looked.
        self.complete = self.complete and self.finished
        raise CaptureEnded(at)


_door: ContextVar[Door | None] = ContextVar("hikeshi_door", default=None)


def current_door() -> Door | None:
    """Return the door of the action that runs now, or None."""
    return _door.get()


@contextmanager
def through(door: Door) -> Iterator[Door]:
    """Run the body with this door's permission."""
    token = _door.set(door)
    try:
        yield door
    finally:
        door.closed = True
        _door.reset(token)
