"""The blocklist of a simulated console: entries by number, and by value so that a long list stays quick."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from hikeshi.testing.estate import Estate
from hikeshi_connectors.sentinelone.simulated.records import agent_id, iso

__all__ = ["BlocklistError", "SimulatedBlocklist"]

_SYSTEMS = frozenset({"windows", "windows_legacy", "macos", "linux"})
_KNOWN = frozenset({"type", "osType", "value", "sha256Value", "description", "source"})
_SHA1, _SHA256 = re.compile(r"[0-9a-fA-F]{40}"), re.compile(r"[0-9a-fA-F]{64}")
Record = dict[str, Any]


class BlocklistError(ValueError):
    """The console refuses an entry; `code` is its own number for the reason."""

    def __init__(self, code: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.code, self.title, self.detail = code, title, detail


class SimulatedBlocklist:
    """Entries live in the estate, under the product's name; the index follows from them.

    `unlicensed` are operating systems whose entries the console refuses.
    """

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self.unlicensed: set[str] = set()
        self._indexed: dict[str, Record] | None = None
        self._size = 0
        self._by_value: dict[str, list[Record]] = {}

    @property
    def records(self) -> dict[str, Record]:
        """The entries by their ID."""
        state: dict[str, Any] = self._estate.product_state.get("sentinelone", {})
        found: dict[str, Record] = state.get("restrictions", {})
        return found

    def add(self, data: Mapping[str, Any], scope: Mapping[str, Any]) -> Record:
        """Add an entry. Raises BlocklistError for one that is wrong or there already."""
        _refuse_wrong(data)
        if data["osType"] in self.unlicensed:
            raise BlocklistError(4000010, "Validation Error", "data: osType: Not licensed.")
        same = [each for each in self.of_value(_value(data)) if each["osType"] == data["osType"]]
        if any(each["scope"] == dict(scope) for each in same):
            raise BlocklistError(4000030, "Already Exists Error", "Blocklist item already exists")
        now = iso(self._estate.now())
        number = agent_id(f"{_value(data)}:{data['osType']}:{sorted(scope)}:{now}:{len(self.records)}")
        record = {
            "id": number,
            "type": "black_hash",
            "osType": data["osType"],
            "value": data.get("value"),
            "sha256Value": data.get("sha256Value"),
            "description": data.get("description"),
            "source": "user",
            "scope": dict(scope),
            "createdAt": now,
            "updatedAt": now,
        }
        by_value = self._index()
        state = self._estate.product_state.setdefault("sentinelone", {})
        records = state.setdefault("restrictions", {})
        records[number] = record
        by_value.setdefault(_value(record), []).append(record)
        self._indexed, self._size = records, len(records)
        return record

    def remove(self, ids: Iterable[str]) -> int:
        """Delete entries and return how many there were."""
        by_value, records, gone = self._index(), self.records, 0
        for one in ids:
            record = records.pop(one, None)
            if record is not None:
                gone += 1
                by_value[_value(record)].remove(record)
        self._size = len(records)
        if not records:
            self._estate.product_state.pop("sentinelone", None)
            self._indexed = None
        return gone

    def of_value(self, part: str) -> list[Record]:
        """Return the entries with this in their value. A whole hash is looked up, a part is searched for."""
        wanted = part.lower()
        if _SHA1.fullmatch(wanted) or _SHA256.fullmatch(wanted):
            return list(self._index().get(wanted, ()))
        return [each for each in self.records.values() if wanted in _value(each)]

    def _index(self) -> dict[str, list[Record]]:
        records = self.records
        if self._indexed is not records or self._size != len(records):
            self._by_value = {}
            for each in records.values():
                self._by_value.setdefault(_value(each), []).append(each)
            self._indexed, self._size = records, len(records)
        return self._by_value


def _value(record: Mapping[str, Any]) -> str:
    return str(record.get("value") or record.get("sha256Value") or "").lower()


def _refuse_wrong(data: Mapping[str, Any]) -> None:
    if unknown := data.keys() - _KNOWN:
        raise BlocklistError(4000010, "Validation Error", f"data: {sorted(unknown)[0]}: Unknown field.")
    if data.get("type") != "black_hash":
        raise BlocklistError(4000010, "Validation Error", "data: type: this would be an exclusion")
    if data.get("osType") not in _SYSTEMS:
        raise BlocklistError(4000010, "Validation Error", "data: osType: Not a valid choice.")
    for name, form in (("value", _SHA1), ("sha256Value", _SHA256)):
        if data.get(name) is not None and not form.fullmatch(str(data[name])):
            raise BlocklistError(4000010, "Validation Error", f"data: {name}: Invalid hash.")
    if not data.get("value") and not data.get("sha256Value"):
        raise BlocklistError(4000010, "Validation Error", "data: value: Missing data for required field.")
