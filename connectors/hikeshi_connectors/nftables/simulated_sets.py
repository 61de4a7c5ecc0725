"""Named sets as the kernel keeps them: transactions, overlaps, elements that run out."""

from __future__ import annotations

import ipaddress
from bisect import bisect_right, insort
from typing import Any

from hikeshi.testing.estate import Estate

__all__ = ["Refusal", "SimulatedSets"]

TABLE = ("inet", "hikeshi")
SETS = {"blocked4": (4, False), "blocked6": (6, False), "networks4": (4, True), "networks6": (6, True)}


class Refusal(Exception):
    """nft's own words for what it does not do."""


class SimulatedSets:
    """One table with four sets, in the estate: elements with their time-outs, and apart from them when each ends."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._spans: dict[str, list[tuple[int, int]]] = {}  # of interval sets, in order, while known
        self._new: set[tuple[str, tuple[int, int]]] = set()  # what the transaction under way has added to them
        empty: dict[str, Any] = {"elements": {name: {} for name in SETS}, "ends": {name: {} for name in SETS}}
        estate.product_state.setdefault("nftables", empty)

    @property
    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._estate.product_state["nftables"]
        return state

    def forget(self) -> None:
        """Forget what was worked out from the estate: it is another one now."""
        self._spans.clear()

    def settle(self) -> None:
        """Take out what has run out."""
        now = self._estate.now().timestamp()
        for name, ends in self._state["ends"].items():
            for key in [key for key, end in ends.items() if end <= now]:
                del ends[key], self._state["elements"][name][key]
                self._spans.pop(name, None)

    def names(self) -> dict[str, list[str]]:
        """Return the elements of each set, sorted."""
        self.settle()
        return {name: sorted(elements) for name, elements in self._state["elements"].items() if elements}

    def listed(self, family: str, table: str, name: str) -> dict[str, Any]:
        """Return what `nft -j list set` tells."""
        kind, interval = self._set(family, table, name)
        now, ends = self._estate.now().timestamp(), self._state["ends"][name]
        elements = [
            _told(key) if timeout_s is None
            else {"elem": {"val": _told(key), "timeout": timeout_s, "expires": int(ends[key] - now)}}
            for key, timeout_s in self._state["elements"][name].items()
        ]  # fmt: skip
        told = {"family": family, "name": name, "table": table, "type": f"ipv{kind}_addr", "handle": 1}
        flags = ["interval", "timeout"] if interval else ["timeout"]
        found = {**told, "flags": flags, **({"elem": elements} if elements else {})}
        return {"nftables": [{"metainfo": {"version": "1.0.6", "json_schema_version": 1}}, {"set": found}]}

    def transaction(self, commands: list[Any]) -> None:
        """Carry out commands, all of them or none. Raises Refusal."""
        before = {part: {name: dict(each) for name, each in sets.items()} for part, sets in self._state.items()}
        self._new.clear()
        try:
            for number, command in enumerate(commands):
                self._command(number, command)
        except Refusal:
            self._estate.product_state["nftables"] = before
            self._spans.clear()
            raise

    def _command(self, number: int, command: Any) -> None:
        verb, what = next(iter(command.items())) if isinstance(command, dict) and command else ("", {})
        if verb not in ("add", "create", "delete") or not isinstance(what, dict) or "element" not in what:
            raise Refusal(f"Unknown object passed to add command.\n\nParsing command array at index {number} failed.")
        element = what["element"]
        name = element.get("name", "")
        version, interval = self._set(element.get("family", ""), element.get("table", ""), name)
        if not element.get("elem"):
            raise Refusal(f"Invalid set.\n\nParsing command array at index {number} failed.")
        for each in element["elem"]:
            value, timeout_s = (each["elem"]["val"], each["elem"].get("timeout")) if "elem" in each else (each, None)
            key = _key(value, version, interval=interval)
            if verb == "delete":
                self._delete(name, key, interval=interval)
            else:
                self._add(name, key, timeout_s, interval=interval, exclusive=verb == "create")

    def _add(self, name: str, key: str, timeout_s: int | None, *, interval: bool, exclusive: bool) -> None:
        elements, ends = self._state["elements"][name], self._state["ends"][name]
        if key in elements and exclusive:
            raise Refusal("Could not process rule: File exists")
        if interval and key not in elements:
            self._lay(name, key)
        elements[key] = timeout_s  # also when it is there: Linux takes over the new end
        ends.pop(key, None)
        if timeout_s is not None:
            ends[key] = self._estate.now().timestamp() + timeout_s

    def _lay(self, name: str, key: str) -> None:
        """Put a network between the others of its set. Raises Refusal if it does not fit."""
        if name not in self._spans:
            self._spans[name] = sorted(map(_span, self._state["elements"][name]))
        spans, (first, last) = self._spans[name], _span(key)
        at = bisect_right(spans, (last + 1, 0)) - 1
        if at >= 0 and spans[at][1] >= first:
            both_new = (name, spans[at]) in self._new
            raise Refusal("conflicting intervals specified" if both_new else "interval overlaps with an existing one")
        self._new.add((name, (first, last)))
        insort(spans, (first, last))

    def _delete(self, name: str, key: str, *, interval: bool) -> None:
        if key not in self._state["elements"][name]:
            missing = "element does not exist" if interval else "Could not process rule: No such file or directory"
            raise Refusal(missing)
        del self._state["elements"][name][key]
        self._spans.pop(name, None)
        self._state["ends"][name].pop(key, None)

    def _set(self, family: str, table: str, name: str) -> tuple[int, bool]:
        if (family, table) != TABLE or name not in SETS:
            raise Refusal("No such file or directory")
        return SETS[name]


def _key(value: Any, version: int, *, interval: bool) -> str:
    prefix = value.get("prefix") if isinstance(value, dict) else None
    if prefix is not None and not interval:
        raise Refusal("You must add 'flags interval' to your set declaration if you want to add prefix elements")
    try:
        if prefix is not None:
            network = ipaddress.ip_network((prefix["addr"], prefix["len"]))
            key, is_of = str(network), network.version
        else:
            address = ipaddress.ip_address(value)
            mapped = getattr(address, "ipv4_mapped", None)
            key, is_of = str(address) if mapped is None else f"::ffff:{mapped}", address.version
    except (KeyError, TypeError, ValueError):
        raise Refusal("Could not resolve hostname: Name or service not known") from None
    if is_of != version:
        raise Refusal("Could not resolve hostname: Address family for hostname not supported")
    return key


def _told(key: str) -> Any:
    address, slash, length = key.partition("/")
    return {"prefix": {"addr": address, "len": int(length)}} if slash else key


def _span(key: str) -> tuple[int, int]:
    network = ipaddress.ip_network(key)
    return int(network.network_address), int(network.broadcast_address)
