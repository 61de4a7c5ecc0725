"""Logs: one JSON object on each line of the standard error, and only for somebody who asked for them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import TYPE_CHECKING, Any

import structlog

from hikeshi.runtime.log_context import WORKS_FOR
from hikeshi.secrets import Redactor

if TYPE_CHECKING:
    from hikeshi.core import RunState
    from hikeshi.core.events import Event

__all__ = ["LEVELS", "log_event", "write_logs"]

_events = structlog.get_logger("hikeshi.run")
LEVELS = ("debug", "info", "warning", "error")

# These write headers and bodies into their debug logs; how many connections there are is none of our business.
_TALKATIVE = ("httpx", "httpcore", "aiohttp", "asyncio", "uvicorn", "hpack")


_WARNINGS = frozenset(
    {
        "ActionFailed",
        "ActionUnknown",
        "CancelRequested",
        "DecisionFailed",
        "MessageRefused",
        "RunTakenOver",
        "StepFailed",
        "TargetsNotShown",
    }
)


def log_event(event: Event, state: RunState) -> None:
    """Log that something happened in a run. What exactly is in the journal, under this number."""
    kind = type(event).__name__
    write = _events.warning if kind in _WARNINGS else _events.info
    write("run_event", run=state.run, seq=state.seq, kind=kind, path=event.path)


def _add_place(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Say of which run and step a line is, where whoever wrote it did not: a library beneath an action."""
    works_for = WORKS_FOR.get()
    if works_for is not None and event.get("run") in (None, works_for[0]):
        event["run"] = works_for[0]
        event.setdefault("path", works_for[1])
    return event


def write_logs(level: str, redactor: Redactor) -> None:
    """Write the logs of this process from this level on, ours and those of the libraries, with every secret masked."""

    def mask(_: Any, __: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
        masked: Mapping[str, Any] = redactor.data(dict(event))
        return masked

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _add_place,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                mask,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))
