"""What only the simulated Defender keeps: machine actions and indicators, in the estate's `product_state`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import count
from typing import Any
from uuid import UUID

from hikeshi.testing.estate import Estate, Host
from hikeshi.testing.service_clock import Expiry, ServiceClock
from hikeshi_connectors.microsoft.simulated_answers import Refusal

__all__ = ["Actions", "IndicatorList"]

MOST_INDICATORS = 15_000
_FORMS = {"FileMd5": 32, "FileSha1": 40, "FileSha256": 64}
_HEX = re.compile(r"[0-9a-f]+")
_ACTIONS = frozenset({"Warn", "Block", "Audit", "Alert", "AlertAndBlock", "BlockAndRemediate", "Allowed"})
_KNOWN = frozenset(
    {"indicatorValue", "indicatorType", "action", "title", "description", "application", "expirationTime", "severity"}
    | {"recommendedActions", "rbacGroupNames", "educateUrl", "generateAlert"}
)
_TARGETS = {"Isolate": "contained", "Unisolate": "normal"}
_ACTIVE = ("Pending", "InProgress")


class Actions:
    """Machine actions. One is done when the estate's host has got there, which it does when it is online."""

    def __init__(self, estate: Estate, clock: ServiceClock) -> None:
        self._estate = estate
        self._clock = clock

    def all(self) -> list[dict[str, Any]]:
        """Return all actions, the newest first, with the status that they have got to by now."""
        actions: list[dict[str, Any]] = self._estate.product_state.get("defender", {}).get("actions", [])
        for action in actions:
            host = self._estate.hosts.get(action["hostId"])
            if action["status"] in _ACTIVE and host is not None:
                self._progress(action, host)
        return actions[::-1]

    def begin(self, kind: str, host: Host, machine_id: str, comment: str) -> dict[str, Any]:
        """Take on an action. Raises Refusal while another one is under way on the machine."""
        if any(each["hostId"] == host.id and each["status"] in _ACTIVE for each in self.all()):
            raise Refusal(400, "ActiveRequestAlreadyExists", "Action is already in progress")
        actions = self._estate.product_state.setdefault("defender", {}).setdefault("actions", [])
        now = self._clock.shown(self._estate.now())
        action = {
            "id": str(UUID(int=len(actions) + 1)),
            "type": kind,
            "scope": "Full" if kind == "Isolate" else None,
            "requestor": "simulated-app",
            "requestorComment": comment,
            "status": "Pending",
            "machineId": machine_id,
            "computerDnsName": host.name.lower(),
            "creationDateTimeUtc": now,
            "lastUpdateDateTimeUtc": now,
            "hostId": host.id,
            "stuck": kind == "Isolate" and host.isolation == "contained",
        }
        actions.append(action)
        if kind == "Isolate" and host.isolation == "normal":
            self._estate.contain(host.id)
        elif kind == "Unisolate" and host.isolation == "contained":
            self._estate.lift_containment(host.id)
        return action

    def cancel(self, action_id: str) -> dict[str, Any]:
        """Cancel an action that is not finished. Raises Refusal for others."""
        action = next((each for each in self.all() if each["id"] == action_id), None)
        if action is None:
            raise Refusal(404, "ResourceNotFound", f"Resource {action_id} was not found")
        if action["status"] not in _ACTIVE:
            raise Refusal(400, "ActionNotCancellable", "The action is in a final state")
        host = self._estate.hosts[action["hostId"]]
        if not action["stuck"]:
            host.isolation = "normal" if action["type"] == "Isolate" else "contained"
            host.isolation_due = None
        action["status"] = "Cancelled"
        action["lastUpdateDateTimeUtc"] = self._clock.shown(self._estate.now())
        return action

    def _progress(self, action: dict[str, Any], host: Host) -> None:
        # An isolation of what is isolated stays pending, as reported of the real one.
        if not action["stuck"] and host.isolation == _TARGETS[action["type"]]:
            action["status"] = "Succeeded"
            action["lastUpdateDateTimeUtc"] = self._clock.shown(self._estate.now())


class IndicatorList:
    """The active indicators, by value. One goes away at its time."""

    def __init__(self, estate: Estate, clock: ServiceClock) -> None:
        self._estate = estate
        self._expiry = Expiry(clock, lambda record: record["expirationTime"])
        self._numbers = count(1000)

    def forget(self) -> None:
        """Take account of a list that was put back to its beginning."""
        self._expiry.forget()

    def active(self) -> dict[str, dict[str, Any]]:
        """Return the indicators by value."""
        kept: dict[str, dict[str, Any]] = self._estate.product_state.get("defender", {}).get("indicators", {})
        for value in self._expiry.over(kept):
            self.remove(value)
        return kept

    def put(self, entry: Mapping[str, Any]) -> str:
        """Add an indicator, or change the one for its value; return its ID. Raises ValueError, saying why not."""
        _refuse_wrong(entry)
        active = self.active()
        value = str(entry["indicatorValue"]).lower()
        found = active.get(value)
        if found is None and len(active) >= MOST_INDICATORS:
            raise ValueError(f"Maximum number of indicators ({MOST_INDICATORS}) was reached")
        kept = self._estate.product_state.setdefault("defender", {}).setdefault("indicators", {})
        shown = {"expirationTime": None, "rbacGroupNames": [], "rbacGroupIds": [], **entry}
        one = found["id"] if found else str(next(self._numbers))
        kept[value] = {**shown, "id": one, "indicatorValue": value}
        self._expiry.note(kept[value])
        return str(one)

    def remove(self, value: str) -> None:
        """Take an indicator away, and leave nothing of it."""
        state = self._estate.product_state["defender"]
        del state["indicators"][value]
        if not state["indicators"]:
            del state["indicators"]
        if not state:
            del self._estate.product_state["defender"]


def _refuse_wrong(entry: Mapping[str, Any]) -> None:
    kind, value = str(entry.get("indicatorType")), str(entry.get("indicatorValue", "")).lower()
    for field in ("indicatorValue", "indicatorType", "action", "title", "description"):
        if not entry.get(field):
            raise ValueError(f"Parameter {field} is missing")
    if unknown := entry.keys() - _KNOWN:
        raise ValueError(f"Request body is incorrect: {sorted(unknown)}")
    if kind not in _FORMS or entry["action"] not in _ACTIONS:
        raise ValueError("Invalid input indicatorType or action")
    if len(value) != _FORMS[kind] or not _HEX.fullmatch(value):
        raise ValueError(f"Hash value {value} is invalid")
