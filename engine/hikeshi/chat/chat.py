"""Chat at work in a service: it announces what is asked, listens to replies, and has a door for clicks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

import structlog
from starlette.routing import BaseRoute, Route

from hikeshi.chat.announcing import Announcer
from hikeshi.chat.matrix_listener import MatrixListener
from hikeshi.chat.slack_door import SlackDoor
from hikeshi.chat.slack_response import SLACK_RESPONSES, SlackResponses
from hikeshi.chat.telling import Telling
from hikeshi.journal import JournalError

if TYPE_CHECKING:
    from hikeshi.service.service import Service

__all__ = ["Chat", "chat_routes"]

_log = structlog.get_logger("hikeshi.chat")

_LOOK_EVERY_S: Final = 0.5
_AFTER_DEFECT_S: Final = 30.0
_SAME_TROUBLE: Final = timedelta(minutes=1)


def chat_routes(service: Service, *, responses_at: str = SLACK_RESPONSES) -> list[BaseRoute]:
    """Return the routes of chat. `responses_at` is where Slack takes answers to clicks."""
    return [Route("/chat/slack", SlackDoor(service, SlackResponses(responses_at)))]


class Chat:
    """What chat does by itself. `alert` is told what people have to know; `wake` is called when a run was begun."""

    def __init__(
        self, service: Service, *, alert: Callable[[str], None], wake: Callable[[], None] = lambda: None
    ) -> None:
        self._service = service
        self._alert = alert
        self._stopping = asyncio.Event()
        self._troubles: dict[str, datetime] = {}
        telling = Telling(service.app, self._tell, wake)
        self._announcer = Announcer(telling)
        self._listener = MatrixListener(service, telling)

    async def run(self) -> None:
        """Announce and listen until `stop` is called."""
        await asyncio.gather(self._announce(), self._listen())

    async def _announce(self) -> None:
        while not self._stopping.is_set():
            await self.turn()
            await self._nap(_LOOK_EVERY_S)

    async def _listen(self) -> None:
        while not self._stopping.is_set():
            try:
                await self._listener.run()
            except Exception as exc:  # noqa: BLE001 - a defect here must not end the service that people can still use
                self._tell(f"chat can't listen to replies: a defect: {type(exc).__name__}")
                _log.exception("chat_defect")
                await self._nap(_AFTER_DEFECT_S)

    async def _nap(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    def stop(self) -> None:
        """Begin nothing more; `run` returns."""
        self._stopping.set()
        self._listener.stop()

    async def turn(self) -> None:
        """Announce and conclude what is due, once. A journal that can't be used is told about, and tried again."""
        try:
            await self._announcer.look()
        except JournalError as exc:
            self._tell(f"chat waits for the journal: {exc}")
        except Exception as exc:  # noqa: BLE001 - a defect here must not end the service that people can still use
            self._tell(f"chat can't announce what is asked: a defect: {type(exc).__name__}")
            _log.exception("chat_defect")

    def _tell(self, text: str) -> None:
        """Tell people, the same thing once a minute."""
        now = self._service.app.clock.now()
        self._troubles = {each: at for each, at in self._troubles.items() if now - at < _SAME_TROUBLE}
        if text not in self._troubles:
            self._troubles[text] = now
            self._alert(text)
