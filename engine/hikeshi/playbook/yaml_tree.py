"""YAML text as a small tree in which every key and value knows its place.

Rule of this file: what comes out is plain data of the YAML 1.2 core schema and of bounded size. No tag makes an object,
`no` and `on` are text, dates are text, and aliases can't blow a small file up.

The tree is built from the events of ruamel.yaml's C parser: its own loaders are five times slower, and resolve scalars
by YAML 1.1. That parser also refuses `[role:lead, sure?]`, which YAML 1.2 allows; so these signs are hidden from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import field
from typing import TYPE_CHECKING, Any, TypeAlias

from hikeshi.playbook.yaml_advice import advice_for
from hikeshi.playbook.yaml_scalar import NotANumber, resolve_plain
from hikeshi.quick_dataclass import dataclass

if TYPE_CHECKING:
    from ruamel.yaml.error import YAMLError

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_NODES",
    "Entry",
    "Fault",
    "Mapping",
    "Node",
    "Scalar",
    "Sequence",
    "parse_yaml",
]

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
MAX_NODES = 200_000
"""How many nodes a document may have once its aliases are written out."""

# A colon between two characters of a word, as in role:lead, and a question mark after one. Tags keep theirs.
_INSIDE_WORD = re.compile(r"""(?:^|(?<=[\s\[{,]))!\S*|(?<=[^\s"'\[\]{},])(?::(?=[^\s"'\[\]{},])|\?)""", re.MULTILINE)
_NOT_PRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with the YAML itself; line and column count from 1."""

    code: str
    message: str
    line: int
    column: int


class _Stop(Exception):
    """Nothing after this fault can be understood."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


@dataclass(slots=True, eq=False)
class Scalar:
    """Text, a number, true, false or null. `offset` is where the text starts on its line, after a quote, or None."""

    value: bool | int | float | str | None
    line: int
    column: int
    offset: int | None
    size: int = 1
    height: int = 0


@dataclass(slots=True, eq=False)
class Sequence:
    """A list."""

    line: int
    column: int
    items: list[Node] = field(default_factory=list)
    size: int = 1
    height: int = 0


@dataclass(slots=True)
class Entry:
    """One key of a map with its value; line and column are the key's."""

    key: str
    line: int
    column: int
    value: Node


@dataclass(slots=True, eq=False)
class Mapping:
    """A map. Keys are text and stand once each."""

    line: int
    column: int
    entries: dict[str, Entry] = field(default_factory=dict)
    size: int = 1
    height: int = 0


Node: TypeAlias = Scalar | Sequence | Mapping


def parse_yaml(text: str) -> tuple[Node | None, list[Fault]]:
    """Return the tree of the one document in `text`, and what is wrong with it.

    Without a tree there is exactly one fault; with one there may be several, such as keys that are written twice.
    Raises RuntimeError if ruamel.yaml's C parser is not installed: the operator is to mend it.
    """
    builder = _Builder()
    try:
        _check_text(text)
        return builder.build(text), builder.faults
    except _Stop as stop:
        return None, [stop.fault]


def _check_text(text: str) -> None:
    if len(text) > MAX_BYTES or len(text.encode("utf-8", "replace")) > MAX_BYTES:
        raise _Stop(Fault("yaml-size", f"the file is larger than {MAX_BYTES // 1024 // 1024} MiB", 1, 1))
    found = _NOT_PRINTABLE.search(text, 1 if text.startswith("\ufeff") else 0)
    if found is not None:
        line = text.count("\n", 0, found.start()) + 1
        column = found.start() - (text.rfind("\n", 0, found.start()) + 1) + 1
        shown = f"U+{ord(found.group()):04X}"
        raise _Stop(
            Fault("yaml-syntax", f"the character {shown} may not stand in a YAML file; remove it", line, column)
        )


class _Builder:
    """Makes the tree of one document out of events, without recursion."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._anchors: dict[str, Node | None] = {}  # None while the node is not complete
        self._hidden = {":": ":", "?": "?"}  # what stands for these signs inside a word

    def build(self, text: str) -> Node:
        from ruamel.yaml import events as kinds
        from ruamel.yaml.error import YAMLError

        parser = _c_parser(self._hide(text))
        try:
            root = self._document(parser, kinds)
        except YAMLError as error:
            raise _Stop(_syntax_fault(error, text)) from None
        if isinstance(root, Scalar) and root.value is None:
            raise _Stop(Fault("yaml-empty", "the file holds no YAML: it is empty, or all comments", 1, 1))
        return root

    def _hide(self, text: str) -> str:
        unused = (chr(code) for code in range(0xE000, 0xF8FF) if chr(code) not in text)
        self._hidden = {sign: next(unused, sign) for sign in self._hidden}
        return _INSIDE_WORD.sub(lambda found: self._hidden.get(found[0], found[0]), text)

    def _shown(self, text: str) -> str:
        for sign, hidden in self._hidden.items():
            if hidden in text:
                text = text.replace(hidden, sign)
        return text

    def _document(self, parser: Any, kinds: Any) -> Node:
        root: Node | None = None
        open_: list[_Open] = []
        while (event := parser.get_event()) is not None:
            kind = type(event)
            if kind is kinds.ScalarEvent:
                node: Node = self._scalar(event)
            elif kind is kinds.AliasEvent:
                node = self._aliased(event, len(open_))
            elif kind is kinds.MappingStartEvent or kind is kinds.SequenceStartEvent:
                open_.append(self._opened(event, kind is kinds.MappingStartEvent, len(open_)))
                continue
            elif kind is kinds.MappingEndEvent or kind is kinds.SequenceEndEvent:
                node = self._closed(open_.pop())
            elif kind is kinds.DocumentStartEvent and root is not None:
                raise _Stop(_at(event, "yaml-documents", "the file holds a second document; put it into its own file"))
            else:
                continue
            if open_:
                self._add(open_[-1], node, event)
            else:
                root = node
        return root if root is not None else Scalar(None, 1, 1, None)

    def _scalar(self, event: Any) -> Scalar:
        mark = event.start_mark
        written = self._shown(event.value)
        value: bool | int | float | str | None = written
        self._check_tag(event, allowed="tag:yaml.org,2002:str")
        if event.implicit[0] and event.tag is None and not event.style:
            try:
                value = resolve_plain(written)
            except NotANumber as error:
                self.faults.append(_at(event, "yaml-number", str(error)))
        one_line = mark.line == event.end_mark.line and event.style not in ("|", ">")
        bare = event.anchor is None and event.tag is None  # otherwise the mark is theirs, not the text's
        offset = mark.column + (1 if event.style else 0) if one_line and bare else None
        scalar = Scalar(value, mark.line + 1, mark.column + 1, offset)
        if event.anchor is not None:
            self._anchors[event.anchor] = scalar
        return scalar

    def _opened(self, event: Any, is_map: bool, depth: int) -> _Open:
        if depth >= MAX_DEPTH:
            raise _Stop(_at(event, "yaml-depth", f"lists and maps are nested deeper than {MAX_DEPTH} levels"))
        self._check_tag(event, allowed="tag:yaml.org,2002:map" if is_map else "tag:yaml.org,2002:seq")
        mark = event.start_mark
        node = Mapping(mark.line + 1, mark.column + 1) if is_map else Sequence(mark.line + 1, mark.column + 1)
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        return _Open(node, event.anchor)

    def _closed(self, done: _Open) -> Node:
        if done.anchor is not None:
            self._anchors[done.anchor] = done.node
        return done.node

    def _aliased(self, event: Any, depth: int) -> Node:
        name = event.anchor
        if name not in self._anchors:
            raise _Stop(_at(event, "yaml-alias", f"there is no anchor '&{name}' before this '*{name}'"))
        node = self._anchors[name]
        if node is None:
            raise _Stop(_at(event, "yaml-alias", f"'*{name}' stands inside '&{name}' itself"))
        if depth + node.height > MAX_DEPTH:
            raise _Stop(_at(event, "yaml-depth", f"lists and maps are nested deeper than {MAX_DEPTH} levels"))
        return node

    def _add(self, parent: _Open, node: Node, event: Any) -> None:
        container = parent.node
        container.size += node.size
        container.height = max(container.height, node.height + 1)
        if container.size > MAX_NODES:
            raise _Stop(_at(event, "yaml-alias", f"the file holds more than {MAX_NODES:,} values, aliases written out"))
        if isinstance(container, Sequence):
            container.items.append(node)
        elif parent.awaits_key:
            parent.key, parent.awaits_key = self._key(node, event), False
        else:
            self._add_entry(container, parent.key, node)
            parent.awaits_key = True

    def _key(self, node: Node, event: Any) -> Entry | None:
        if isinstance(node, Scalar) and isinstance(node.value, str):
            mark = event.start_mark
            if node.value == "<<":
                message = "merge keys ('<<') are not part of YAML 1.2; write the keys out"
                self.faults.append(_at(event, "yaml-key", message))
                return None
            return Entry(node.value, mark.line + 1, mark.column + 1, node)
        if isinstance(node, Scalar):
            advice = "keys are text; put this one in quotes"
        else:
            advice = 'a list or map can\'t be a key; if this is an expression, put it in quotes: "{{ ... }}"'
        self.faults.append(Fault("yaml-key", advice, node.line, node.column))
        return None

    def _add_entry(self, mapping: Mapping, key: Entry | None, value: Node) -> None:
        if key is None:
            return
        first = mapping.entries.get(key.key)
        if first is not None:
            message = f"{key.key!r} is written twice; it stands in line {first.line} already"
            self.faults.append(Fault("yaml-duplicate-key", message, key.line, key.column))
            return
        key.value = value
        mapping.entries[key.key] = key

    def _check_tag(self, event: Any, allowed: str) -> None:
        if event.tag is not None and str(event.tag) not in (allowed, "!"):
            message = f"tags such as {_shown_tag(event.tag)} are not allowed; remove it"
            self.faults.append(_at(event, "yaml-tag", message))


@dataclass(slots=True)
class _Open:
    """A list or map whose end has not come yet."""

    node: Mapping | Sequence
    anchor: str | None
    awaits_key: bool = True
    key: Entry | None = None


def _c_parser(text: str) -> Any:
    try:
        from ruamel.yaml.cyaml import CParser  # type: ignore[attr-defined]  # compiled, without types
    except ImportError as error:
        raise RuntimeError(
            "ruamel.yaml's C parser is missing, and playbooks are read by it; "
            "install it with: pip install 'ruamel.yaml.clib>=0.2.12'"
        ) from error
    return CParser(text)


def _at(event: Any, code: str, message: str) -> Fault:
    return Fault(code, message, event.start_mark.line + 1, event.start_mark.column + 1)


def _shown_tag(tag: object) -> str:
    text = str(tag).replace("tag:yaml.org,2002:", "!!")
    return repr(text if len(text) <= 40 else text[:37] + "...")


def _syntax_fault(error: YAMLError, text: str) -> Fault:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "this is not YAML"
    started = getattr(error, "context_mark", None)
    advice = advice_for(str(problem), getattr(error, "context", None), text, line, column)
    message = f"this is not YAML: {problem}"
    if started is not None and started.line != line:
        message += f" ({error.context}, which starts in line {started.line + 1})"  # type: ignore[attr-defined]  # a marked error
    return Fault("yaml-syntax", f"{message}; {advice}", line + 1, column + 1)


def walk(node: Node) -> Iterator[Node]:
    """Give a node and everything below it, in the order of the text; what an alias repeats is given again."""
    open_ = [node]
    while open_:
        current = open_.pop()
        yield current
        if isinstance(current, Sequence):
            open_.extend(reversed(current.items))
        elif isinstance(current, Mapping):
            open_.extend(entry.value for entry in reversed(current.entries.values()))
