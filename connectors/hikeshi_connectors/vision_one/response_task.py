"""Response tasks: what Vision One was asked to do, and what became of it.

The rule: a task that waits, for the endpoint or for a person's approval in Vision One, has done nothing yet.
Source: pytmv1 0.11.0 (model/enum.py: the statuses; core.py: asked about every two seconds).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from hikeshi.connector import (
    Applied,
    ConnectorError,
    Forbidden,
    Invalid,
    OutcomeUnknown,
    Timeout,
    Unavailable,
    finished,
    json_object,
)

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["follow"]

_SAFE_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_UNDER_WAY: Final = frozenset({"queued", "running"})


async def follow(http: HttpClient, task_id: str | None, what: str, within_s: float) -> None:
    """Watch a task for a while. Return when it succeeded or is still under way: then the endpoint's state decides.

    Raises OutcomeUnknown for one that waits for approval in Vision One, Forbidden for one that was rejected or
    cancelled there, Unavailable for one that failed.
    """
    if task_id is None or not _SAFE_ID.fullmatch(task_id):
        raise Invalid(f"{what}: Vision One accepted it and named no task", applied=Applied.MAYBE)
    try:
        error = await finished(lambda: _ended(http, task_id, what), what=what, within_s=within_s)
    except Timeout:
        return
    except ConnectorError as exc:
        raise OutcomeUnknown(f"{what}: accepted as task {task_id}, which cannot be read: {exc.message}") from exc
    if error[0] is not None:
        raise error[0]


async def _ended(http: HttpClient, task_id: str, what: str) -> tuple[ConnectorError | None] | None:
    """Return what a task came to, or None while it goes on."""
    task = json_object(await http.get(f"/response/tasks/{task_id}"))
    status = task.get("status")
    told = f"{what}: task {task_id} is {status}"
    if status in _UNDER_WAY:
        return None
    if status == "succeeded":
        return (None,)
    if status == "pendingApproval":
        return (OutcomeUnknown(f"{told}: it waits for a person's approval in Vision One, and nothing was done yet"),)
    if status in ("rejected", "canceled"):
        return (Forbidden(f"{told}: somebody refused it in Vision One"),)
    if status == "failed":
        error = task.get("error")
        why = f"{error.get('code')}: {error.get('message')}" if isinstance(error, dict) else "no explanation"
        return (Unavailable(f"{told}: {why}", applied=Applied.MAYBE),)
    raise Invalid(f"{told}, a status that is not known here")
