"""What only the simulated Vision One keeps: response tasks and suspicious objects, in the estate's `product_state`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from hikeshi.testing.estate import Estate, Host
from hikeshi.testing.service_clock import Expiry, ServiceClock

__all__ = ["EntryRefused", "Objects", "Tasks"]

_TARGETS = {"isolate": "contained", "restoreIsolate": "normal"}
_FORMS = {
    "fileSha1": re.compile(r"[0-9a-f]{40}"),
    "fileSha256": re.compile(r"[0-9a-f]{64}"),
    "ip": re.compile(r"[0-9a-f.:]{2,45}"),
    "domain": re.compile(r"[^\s/]{1,253}"),
    "url": re.compile(r".{1,2046}"),
    "senderMailAddress": re.compile(r"[^\s@]+@[^\s@]+"),
}
_KNOWN = frozenset({*_FORMS, "description", "scanAction", "riskLevel", "daysToExpiration"})
_DAYS_MOST = 365
_UNDER_WAY = ("queued", "running")


class EntryRefused(ValueError):
    """One entry of a list is refused, with a status and a code of its own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


class Tasks:
    """Response tasks. Those of an endpoint are done one after the other, when it is online.

    With `needs_approval` each new one waits until `decide` is called, as a person does in the console.
    """

    def __init__(self, estate: Estate, clock: ServiceClock) -> None:
        self._estate = estate
        self._clock = clock
        self.needs_approval = False

    def begin(self, action: str, host: Host, guid: str, description: str) -> str:
        """Take on a task and return its ID."""
        tasks = self._estate.product_state.setdefault("vision_one", {}).setdefault("tasks", {})
        task_id = f"{len(tasks) + 1:08}"
        now = self._clock.shown(self._estate.now())
        tasks[task_id] = {
            "id": task_id,
            "action": action,
            "status": "pendingApproval" if self.needs_approval else "queued",
            "agentGuid": guid,
            "endpointName": host.name,
            "description": description,
            "createdDateTime": now,
            "lastActionDateTime": now,
            "hostId": host.id,
        }
        self.all()
        return task_id

    def all(self) -> dict[str, dict[str, Any]]:
        """Return the tasks by ID, the oldest first, each with the status that it has got to by now."""
        tasks: dict[str, dict[str, Any]] = self._estate.product_state.get("vision_one", {}).get("tasks", {})
        busy: set[str] = set()
        for _, task in sorted(tasks.items()):
            if task["status"] in _UNDER_WAY and task["hostId"] not in busy and not self._done(task):
                busy.add(task["hostId"])
        return tasks

    def decide(self, task_id: str, *, approved: bool) -> None:
        """Do what a person does in Vision One's console to a task that waits for approval."""
        self.all()[task_id]["status"] = "queued" if approved else "rejected"
        self.all()

    def _done(self, task: dict[str, Any]) -> bool:
        """Begin a task if it was not, and say whether it is done."""
        host, wanted = self._estate.hosts[task["hostId"]], _TARGETS[task["action"]]
        if wanted == "contained" and host.isolation == "normal":
            self._estate.contain(host.id)
        elif wanted == "normal" and host.isolation == "contained":
            self._estate.lift_containment(host.id)
        task["status"] = "succeeded" if host.isolation == wanted else "running" if host.online else "queued"
        return host.isolation == wanted


class Objects:
    """The Suspicious Object List. An object goes away at its time; one that is added again is overwritten."""

    def __init__(self, estate: Estate, clock: ServiceClock) -> None:
        self._estate = estate
        self._clock = clock
        self._expiry = Expiry(clock, lambda record: record["expiredDateTime"])

    def forget(self) -> None:
        """Take account of a list that was put back to its beginning."""
        self._expiry.forget()

    def active(self) -> dict[str, dict[str, Any]]:
        """Return the objects by type and value."""
        kept: dict[str, dict[str, Any]] = self._estate.product_state.get("vision_one", {}).get("objects", {})
        for key in self._expiry.over(kept):
            self._drop(key)
        return kept

    def add(self, entry: Mapping[str, Any]) -> None:
        """Add an object or overwrite it. Raises EntryRefused."""
        kind, value = self._named(entry)
        if unknown := entry.keys() - _KNOWN:
            raise EntryRefused(400, "BadRequest", f"Unknown fields {sorted(unknown)}")
        days = entry.get("daysToExpiration", 30)
        if not isinstance(days, int) or not (days == -1 or 1 <= days <= _DAYS_MOST):
            raise EntryRefused(400, "BadRequest", "daysToExpiration must be between 1 and 365, or -1")
        if entry.get("scanAction", "log") not in ("block", "log"):
            raise EntryRefused(400, "BadRequest", "Invalid scanAction")
        end = None if days == -1 else self._clock.shown(self._estate.now() + timedelta(days=days))
        self.active()
        kept = self._estate.product_state.setdefault("vision_one", {}).setdefault("objects", {})
        kept[f"{kind}:{value}"] = {
            "type": kind,
            kind: value,
            "description": entry.get("description", ""),
            "scanAction": entry.get("scanAction", "log"),
            "riskLevel": entry.get("riskLevel", "high"),
            "inExceptionList": False,
            "expiredDateTime": end,
        }
        self._expiry.note(kept[f"{kind}:{value}"])

    def remove(self, entry: Mapping[str, Any]) -> None:
        """Take an object away. Raises EntryRefused."""
        kind, value = self._named(entry)
        if f"{kind}:{value}" not in self.active():
            raise EntryRefused(404, "NotFound", "The object is not in the list")
        self._drop(f"{kind}:{value}")

    def _named(self, entry: Mapping[str, Any]) -> tuple[str, str]:
        kinds = [kind for kind in _FORMS if kind in entry]
        if len(kinds) != 1 or not _FORMS[kinds[0]].fullmatch(str(entry[kinds[0]])):
            raise EntryRefused(400, "BadRequest", "Invalid object")
        return kinds[0], str(entry[kinds[0]])

    def _drop(self, key: str) -> None:
        state = self._estate.product_state["vision_one"]
        del state["objects"][key]
        if not state["objects"]:
            del state["objects"]
        if not state:
            del self._estate.product_state["vision_one"]
