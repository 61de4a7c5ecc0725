"""Calling a connector: through a door, within a time, and with one family of errors coming back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from hikeshi.connector import Connector
from hikeshi.connector.door import Door, through
from hikeshi.connector.errors import Applied, ConnectorError, Timeout
from hikeshi.journal import JournalError
from hikeshi.secrets import SecretUnavailable

__all__ = ["call"]


async def call(
    connector: Connector, verb: str, arguments: Mapping[str, Any], door: Door, timeout_s: float | None
) -> Any:
    """Return what a verb of a connector gives. Raises ConnectorError or SecretUnavailable, whatever it raised."""
    where = f"{connector.name}: {door.action}"
    try:
        with through(door):
            async with asyncio.timeout(timeout_s):
                return await getattr(connector, verb)(**arguments)
    except (ConnectorError, JournalError):  # the latter: this process may not send any more
        raise
    except SecretUnavailable as exc:
        if not door.sent:
            raise
        raise ConnectorError(str(exc), applied=Applied.MAYBE) from exc
    except TimeoutError:
        text = "ran into a timeout" if timeout_s is None else f"took longer than {timeout_s:g} s"
        raise Timeout(f"{where} {text}", applied=_applied(door)) from None
    except asyncio.CancelledError as exc:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise  # somebody ends this call from outside; else the connector cancelled something of its own
        raise _defect(connector, door, exc) from exc
    except Exception as exc:
        raise _defect(connector, door, exc) from exc


def _defect(connector: Connector, door: Door, exc: BaseException) -> ConnectorError:
    """Return the error for a connector's own defect, after which nobody knows more than whether it had sent."""
    text = f"{connector.name}: a defect in the connector: {type(exc).__name__} in {door.action}"
    return ConnectorError(text, applied=_applied(door))


def _applied(door: Door) -> Applied:
    return Applied.MAYBE if door.sent else Applied.NO
