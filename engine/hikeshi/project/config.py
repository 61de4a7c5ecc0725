"""hikeshi.yaml: which connectors a project has, which of them serve which capability, and who may decide."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hikeshi.project.audit import AuditSettings
from hikeshi.project.chat import ChatSettings, chat_settings
from hikeshi.project.console import ConsoleSettings, console_settings
from hikeshi.project.people import Person
from hikeshi.project.reading import parse_yaml

if TYPE_CHECKING:
    from hikeshi.project.routing import Destination
    from hikeshi.project.webhooks import WebhookSource

__all__ = ["FILE_NAME", "Config", "ProjectError", "load_config"]

FILE_NAME = "hikeshi.yaml"
_NAME = re.compile(r"[a-z][a-z0-9_-]*")
_KEYS = (
    "connectors",
    "bindings",
    "playbooks",
    "people",
    "guardrails",
    "audit",
    "webhooks",
    "console",
    "chat",
    "routing",
)


class ProjectError(Exception):
    """The project cannot be used as it is. Each problem says where it is and what to do; the operator mends it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Config:
    """What hikeshi.yaml says. Settings of connectors are checked by the connector when it is first used."""

    folder: Path
    connectors: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    bindings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    playbooks: tuple[Path, ...] = ()
    people: Mapping[str, Person] = field(default_factory=dict)
    audit: AuditSettings = field(default_factory=AuditSettings)
    webhooks: Mapping[str, WebhookSource] = field(default_factory=dict)
    console: ConsoleSettings = field(default_factory=ConsoleSettings)
    chat: ChatSettings = field(default_factory=ChatSettings)
    tags: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    routing: Mapping[str, tuple[Destination, ...]] = field(default_factory=dict)

    def person_of(self, login: str) -> Person | None:
        """Return who has a login, or None if nobody has."""
        return next((person for person in self.people.values() if person.login == login), None)

    @property
    def state_folder(self) -> Path:
        """Where the journal and the signs of life of running processes are."""
        return self.folder / ".hikeshi"

    @property
    def products(self) -> dict[str, str]:
        return {name: str(settings["product"]) for name, settings in self.connectors.items()}


def load_config(folder: Path) -> Config:
    """Return the project's configuration; a folder without hikeshi.yaml is a project without connectors.

    Raises ProjectError with every problem of the file.
    """
    if not folder.is_dir():
        raise ProjectError([f"{folder}: there is no such folder; name the project's folder with --project"])
    path = folder / FILE_NAME
    if not path.exists():
        return Config(folder, playbooks=(folder / "playbooks",))
    document, lines = _read(path)
    problems = _Problems(path, lines)
    if not isinstance(document, dict):
        raise ProjectError([f"{path}:1:1: the file has to be a map with the keys {', '.join(_KEYS)}"])
    for key in document:
        problems.unknown(key, _KEYS)
    tags = _tags(document.get("connectors"), problems)
    connectors = _connectors(document.get("connectors"), problems)
    bindings = _bindings(document.get("bindings"), connectors, problems)
    playbooks = _folders(document.get("playbooks"), folder, problems)
    people = _people(document.get("people"), problems)
    audit = _audit(document.get("audit"), folder, problems)
    webhooks = _webhooks(document.get("webhooks"), problems)
    console = console_settings(document.get("console"), problems)
    chat = chat_settings(document.get("chat"), connectors, problems)
    routing = _routing(document.get("routing"), list(connectors), tags, problems)
    if problems.found:
        raise ProjectError(problems.found)
    return Config(folder, connectors, bindings, playbooks, people, audit, webhooks, console, chat, tags, routing)


class _Problems:
    """Collects what is wrong, each with its place."""

    def __init__(self, path: Path, lines: Mapping[tuple[Any, ...], tuple[int, int]]) -> None:
        self._path = path
        self._lines = lines
        self.found: list[str] = []

    def add(self, where: tuple[Any, ...], text: str) -> None:
        keys = tuple(map(str, where))  # as they are written
        while keys and keys not in self._lines:
            keys = keys[:-1]
        line, column = self._lines.get(keys, (1, 1))
        self.found.append(f"{self._path}:{line}:{column}: {text}")

    def unknown(self, key: Any, known: tuple[str, ...], above: tuple[Any, ...] = ()) -> None:
        if key in known:
            return
        near = difflib.get_close_matches(str(key), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f" (known: {', '.join(known)})"
        self.add((*above, key), f"unknown key {key!r}{hint}")


def _connectors(raw: Any, problems: _Problems) -> dict[str, Mapping[str, Any]]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        problems.add(("connectors",), "'connectors' is a map from a name you choose to the settings of a product")
        return {}
    found: dict[str, Mapping[str, Any]] = {}
    for name, settings in raw.items():
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            problems.add(("connectors", name), f"{name!r} cannot name a connector; use a-z, 0-9, '_' and '-'")
        elif not isinstance(settings, dict) or not isinstance(settings.get("product"), str):
            problems.add(("connectors", name), f"{name!r} needs 'product', such as product: crowdstrike")
        else:
            found[name] = {key: value for key, value in settings.items() if key != "tags"}
    return found


def _tags(raw: Any, problems: _Problems) -> dict[str, tuple[str, ...]]:
    """Return the tags of each connector: words of the project's own, which `routing` and `at` may name."""
    found: dict[str, tuple[str, ...]] = {}
    for name, settings in raw.items() if isinstance(raw, dict) else ():
        given = settings.get("tags") if isinstance(settings, dict) else None
        listed = [] if given is None else [given] if isinstance(given, str) else given
        if isinstance(listed, list) and all(isinstance(tag, str) and _NAME.fullmatch(tag) for tag in listed):
            found[str(name)] = tuple(listed)
        else:
            problems.add(("connectors", name, "tags"), "'tags' is a word or a list of words; a-z, 0-9, '_' and '-'")
    return found


def _routing(
    raw: Any, connectors: list[str], tags: Mapping[str, tuple[str, ...]], problems: _Problems
) -> dict[str, tuple[Destination, ...]]:
    if raw is None:
        return {}
    from hikeshi.project.routing import routing_of

    return routing_of(raw, connectors, tags, problems)


def _bindings(raw: Any, connectors: Mapping[str, Any], problems: _Problems) -> dict[str, tuple[str, ...]]:
    if raw is None:
        return {}
    if not isinstance(raw, dict):
        problems.add(("bindings",), "'bindings' is a map from a capability to a list of connector names")
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for capability, names in raw.items():
        listed = [names] if isinstance(names, str) else names
        if not isinstance(listed, list) or not listed:
            problems.add(("bindings", capability), f"{capability!r} needs a list of connector names")
            continue
        for name in listed:
            if name not in connectors:
                near = difflib.get_close_matches(str(name), list(connectors), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                problems.add(("bindings", capability), f"there is no connector {name!r}{hint}")
        found[str(capability)] = tuple(str(name) for name in listed)
    return found


def _folders(raw: Any, folder: Path, problems: _Problems) -> tuple[Path, ...]:
    names = ["playbooks"] if raw is None else [raw] if isinstance(raw, str) else raw
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        problems.add(("playbooks",), "'playbooks' is a folder, or a list of folders, beside hikeshi.yaml")
        return ()
    return tuple(folder / name for name in names)


def _people(raw: Any, problems: _Problems) -> dict[str, Person]:
    if raw is None:
        return {}
    from hikeshi.project.people_parsing import people_of

    return people_of(raw, problems)


def _audit(raw: Any, folder: Path, problems: _Problems) -> AuditSettings:
    if raw is None:
        return AuditSettings()
    from hikeshi.project.audit_parsing import audit_settings

    return audit_settings(raw, folder, problems)


def _webhooks(raw: Any, problems: _Problems) -> dict[str, WebhookSource]:
    if raw is None:
        return {}
    from hikeshi.project.webhooks import webhook_sources

    return webhook_sources(raw, problems)


def _read(path: Path) -> tuple[Any, dict[tuple[Any, ...], tuple[int, int]]]:
    """Return the document and where each of its keys stands, counted from 1."""
    from ruamel.yaml.error import MarkedYAMLError

    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise ProjectError([f"{path}: cannot be read: {exc}"]) from None
    try:
        node, document = parse_yaml(text)
    except MarkedYAMLError as exc:
        mark = exc.problem_mark
        where = f"{mark.line + 1}:{mark.column + 1}" if mark is not None else "1:1"
        raise ProjectError([f"{path}:{where}: no valid YAML: {exc.problem}"]) from None
    lines: dict[tuple[Any, ...], tuple[int, int]] = {}
    _note_lines(node, (), lines)
    return (document if document is not None else {}), lines


def _note_lines(node: Any, above: tuple[Any, ...], lines: dict[tuple[Any, ...], tuple[int, int]]) -> None:
    if not isinstance(getattr(node, "value", None), list) or node.id != "mapping":
        return
    for key, value in node.value:
        where = (*above, key.value)
        lines[where] = (key.start_mark.line + 1, key.start_mark.column + 1)
        _note_lines(value, where, lines)
