"""Saying what keeps runs from going on, and not over and over."""

from __future__ import annotations

from datetime import datetime, timedelta

from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

__all__ = ["Complaints"]

_REPEAT = timedelta(minutes=1)


class Complaints:
    """Writes each trouble when it is new, and once a minute while it lasts."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._said: dict[str, datetime] = {}

    def __call__(self, text: str) -> None:
        """Say it, unless it was said a moment ago."""
        now = self._session.app.clock.now()
        self._said = {each: at for each, at in self._said.items() if now - at < _REPEAT}
        if text not in self._said:
            self._said[text] = now
            self._session.output.note(Styled("trouble: ", "red"), text)
