"""Reads a section of hikeshi.yaml key by key, and notes the place of everything that is wrong with it.

Rule of this file: what can't be read is never taken for absent.
"""

from __future__ import annotations

import difflib
import re
import reprlib
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["Reading", "Unreadable", "Where", "parse_yaml", "read_document", "shown", "text_of"]

Where = tuple[str | int, ...]
_DURATION = re.compile(r"(?=.)(?:(\d{1,4})d)?(?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,8})s)?", re.ASCII)
_UNITS_S = (86_400, 3_600, 60, 1)


class Unreadable(Exception):
    """Nothing of a file can be used; the message says where and why."""


class Reading:
    """One reading. Every method returns something usable; what was wrong stands in `problems`, with its place."""

    def __init__(self, path: Path, places: Mapping[Where, int]) -> None:
        self.path = path
        self._places = places
        self.problems: list[str] = []

    def place(self, where: Where) -> str:
        """Return `hikeshi.yaml:LINE` of a key or entry, or of the nearest one above it."""
        while where and where not in self._places:
            where = where[:-1]
        return f"{self.path.name}:{self._places.get(where, 1)}"

    def problem(self, where: Where, text: str) -> None:
        """Note what is wrong at a place."""
        self.problems.append(f"{self.place(where)}: {text}")

    def map(self, raw: Any, where: Where, known: tuple[str, ...]) -> dict[str, Any]:
        """Return a map of known keys; anything else is a problem, and gives an empty one."""
        if not isinstance(raw, dict):
            self.problem(where, f"this is a map of {', '.join(known)}; to have none, take it away")
            return {}
        for key in raw:
            if key not in known:
                near = difflib.get_close_matches(str(key), known, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
                self.problem((*where, str(key)), f"unknown key {shown(key)}; {hint}")
        return raw

    def entries(self, given: Mapping[str, Any], key: str, where: Where) -> list[Any]:
        """Return the list under a key, empty if the key is not there. An empty list is a problem: it may mean all."""
        raw = given.get(key)
        if isinstance(raw, list) and raw:
            return raw
        if key in given:
            self.problem((*where, key), f"{key!r} is a list of one entry or more; to have none, take the key away")
        return []

    def texts(self, given: Mapping[str, Any], key: str, where: Where) -> tuple[str, ...]:
        """Return the texts under a key: a list of them, or one alone. Empty if the key is not there."""
        raw = given.get(key)
        listed = [raw] if isinstance(raw, str) else self.entries(given, key, where)
        for number, text in enumerate(listed):
            if not isinstance(text, str) or not text.strip() or "\n" in text:
                self.problem((*where, key, number), f"{shown(text)} under {key!r} is no text; put it in quotes")
        return tuple(text for text in listed if isinstance(text, str))

    def text(self, given: Mapping[str, Any], key: str, where: Where) -> str:
        """Return the text under a key, empty if the key is not there."""
        raw = given.get(key, "")
        if key in given and (not isinstance(raw, str) or not raw.strip()):
            self.problem((*where, key), f"{key!r} is a text, and this is {shown(raw)}")
            return ""
        return str(raw)

    def whole(self, given: Mapping[str, Any], key: str, where: Where) -> int | None:
        """Return the whole number from 1 on under a key, None if the key is not there."""
        raw = given.get(key)
        if isinstance(raw, int) and not isinstance(raw, bool) and raw >= 1:
            return raw
        if key in given:
            self.problem((*where, key), f"{key!r} is a whole number from 1 on, and this is {shown(raw)}")
        return None

    def per_cent(self, given: Mapping[str, Any], key: str, where: Where) -> float | None:
        """Return the share above 0 and up to 100 under a key, None if the key is not there."""
        raw = given.get(key)
        if isinstance(raw, int | float) and not isinstance(raw, bool) and 0 < raw <= 100:
            return raw
        if key in given:
            self.problem((*where, key), f"{key!r} is a number above 0 and up to 100, and this is {shown(raw)}")
        return None

    def duration_s(self, given: Mapping[str, Any], key: str, where: Where) -> int | None:
        """Return the duration in seconds under a key, None if the key is not there."""
        raw = given.get(key)
        found = _DURATION.fullmatch(raw) if isinstance(raw, str) else None
        seconds = 0
        if found is not None:
            seconds = sum(int(count) * unit for count, unit in zip(found.groups("0"), _UNITS_S, strict=True))
        if seconds:
            return seconds
        if key in given:
            self.problem((*where, key), f"{shown(raw)} under {key!r} is no duration; write it as 30m, 1h, 1h30m or 2d")
        return None


def read_document(path: Path) -> tuple[Any, dict[Where, int]] | None:
    """Return a YAML document and the line of each of its keys and entries; None if there is no such file.

    Raises Unreadable.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if not _is_there(path):
        return None
    text = text_of(path)
    try:
        node, document = parse_yaml(text)
    except MarkedYAMLError as exc:
        line = exc.problem_mark.line + 1 if exc.problem_mark is not None else 1
        raise Unreadable(f"{path.name}:{line}: no valid YAML: {exc.problem}") from None
    except (YAMLError, ValueError, RecursionError) as exc:
        raise Unreadable(f"{path.name}: no valid YAML: {type(exc).__name__}") from None
    return ({} if document is None else document), _lines_of(node)


def shown(value: Any) -> str:
    """Return a value as a message quotes it: its beginning, since aliases can make it longer than any memory."""
    return reprlib.repr(value)


def parse_yaml(text: str) -> tuple[Any, Any]:
    """Return the node and the value of a YAML document. Raises YAMLError, and ValueError for a wrong time."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError

    try:
        return YAML(typ="safe").compose(text), YAML(typ="safe").load(text)
    except MarkedYAMLError:
        # The quick parser also refuses `[role:lead]`, which YAML 1.2 allows; the slow one doesn't.
        return YAML(typ="safe", pure=True).compose(text), YAML(typ="safe", pure=True).load(text)


def text_of(path: Path) -> str:
    """Return the text of a file in UTF-8, with or without a byte order mark. Raises Unreadable."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a named pipe would wait for ever
            raise Unreadable(f"{path} is no file")
        return path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise Unreadable(f"{path} cannot be read: {exc.strerror}") from None
    except UnicodeDecodeError as exc:
        raise Unreadable(f"{path} is no UTF-8 text from byte {exc.start} on") from None
    except ValueError as exc:  # such as a NUL in its name
        raise Unreadable(f"{str(path)!r} cannot be read: {exc}") from None


def _is_there(path: Path) -> bool:
    """Say whether there is a file, or a link to where one should be. A folder that is not there is no answer."""
    try:
        path.lstat()
    except FileNotFoundError:
        if path.parent.is_dir():
            return False
        raise Unreadable(f"{path.parent}: there is no such folder") from None
    except OSError as exc:
        raise Unreadable(f"{path} cannot be read: {exc.strerror}") from None
    return True


def _lines_of(root: Any) -> dict[Where, int]:
    """The line of each key and entry. What an alias repeats is noted once: aliases may multiply or circle."""
    places: dict[Where, int] = {}
    seen: set[int] = set()
    waiting: list[tuple[Any, Where]] = [(root, ())]
    while waiting:
        node, above = waiting.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        for key, line, value in _inside(node):
            places[*above, key] = line
            waiting.append((value, (*above, key)))
    return places


def _inside(node: Any) -> Iterator[tuple[str | int, int, Any]]:
    kind = getattr(node, "id", None)
    if kind == "sequence":
        yield from ((number, entry.start_mark.line + 1, entry) for number, entry in enumerate(node.value))
    elif kind == "mapping":
        yield from ((str(key.value), key.start_mark.line + 1, value) for key, value in node.value)
