"""Response tasks: what Vision One was asked to do, and what became of it.

The rule: a task that waits, for the endpoint or for a person's approval in Vision One, has done nothing yet, and may
still do it. Sources: pytmv1 0.11.0 (model/enum.py: the statuses; core.py: asked about every two seconds); for the list
of tasks, the vendor's specification as public clients repeat it (`GET /v3.0/response/tasks`, `filter` a parameter).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    OutcomeUnknown,
    Timeout,
    Unavailable,
    finished,
    json_object,
    understood,
)
from hikeshi_connectors.vision_one.answers import collection
from hikeshi_connectors.vision_one.moment import moment

if TYPE_CHECKING:
    from hikeshi.connector.http import HttpClient

__all__ = ["TASKS_PATH", "State", "follow", "state_with", "waiting_tasks"]

TASKS_PATH: Final = "/response/tasks"

_SAFE_ID: Final = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)
_UNDER_WAY: Final = frozenset({"queued", "running"})
_KEPT_S: Final = 179 * 86_400  # tasks can be listed for 180 days
_WAITING: Final = (
    "(status eq 'queued' or status eq 'running' or status eq 'pendingApproval')"
    " and (action eq 'isolate' or action eq 'restoreIsolate')"
)
State = Literal["normal", "isolating", "isolated", "releasing"]
Task = Mapping[str, Any]


async def waiting_tasks(http: HttpClient, agent_guid: str) -> list[Task]:
    """Return the isolations and restorations of an endpoint that are not finished, the oldest first.

    Raises Conflict if one of them waits for a person's approval in Vision One: until somebody decides there, nobody
    can say what becomes of the endpoint, and no request can take such a task back.
    """
    params = {"filter": _WAITING, "startDateTime": moment(_KEPT_S), "top": 200}
    found = await collection(http, TASKS_PATH, params, {})
    with understood(TASKS_PATH):
        tasks = [each for each in found if str(each.get("agentGuid", "")).lower() == agent_guid.lower()]
        for task in tasks:
            if task["status"] == "pendingApproval":
                what = f"the task {task['id']} ({task['action']}) of {task.get('endpointName') or agent_guid}"
                raise Conflict(f"{what} waits for a person's approval in Vision One (pendingApproval); decide it there")
        return sorted(tasks, key=lambda task: (str(task["createdDateTime"]), str(task["id"])))


def state_with(isolated: bool, tasks: list[Task]) -> State:
    """Return the state of an endpoint with these unfinished tasks: the last of them says where it goes."""
    actions = [str(task["action"]) for task in tasks]
    if "restoreIsolate" not in actions:
        return "isolated" if isolated else "isolating" if actions else "normal"
    if "isolate" not in actions and not isolated:
        return "normal"
    return "releasing" if actions[-1] == "restoreIsolate" else "isolating"


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
    task = json_object(await http.get(f"{TASKS_PATH}/{task_id}"))
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
