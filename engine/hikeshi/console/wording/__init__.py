"""The console's words, a table for each part of it: a key, and what it says in English and in Japanese."""

from __future__ import annotations

from collections.abc import Mapping

from hikeshi.console.wording.events import EVENTS
from hikeshi.console.wording.failures import FAILURES
from hikeshi.console.wording.pages import PAGES
from hikeshi.console.wording.people import PEOPLE
from hikeshi.console.wording.runs import RUNS
from hikeshi.console.wording.statuses import STATUSES

__all__ = ["WORDING"]

WORDING: Mapping[str, tuple[str, str]] = {**PAGES, **PEOPLE, **RUNS, **STATUSES, **FAILURES, **EVENTS}
