"""Reads `guardrails:` of hikeshi.yaml, and the lists that stand in files of their own.

Rule of this file: whatever is wrong with the file, a key or a line of a list gives guardrails that refuse every change.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hikeshi.guardrails import (
    ApprovalRule,
    Breaker,
    Guardrails,
    Limit,
    Listed,
    NotAnEntry,
    Per,
    Population,
    Protected,
    Sense,
)
from hikeshi.project.config import FILE_NAME
from hikeshi.project.reading import Reading, Unreadable, Where, read_document, shown, text_of

__all__ = ["load_guardrails", "stamp_of"]

_KEYS = ("domains", "protected", "limits", "approvals", "breaker", "release_stop")
_SENSES = tuple(str(sense) for sense in Sense)
_TARGETS = (*_SENSES, "file", "kind")
_PROTECTED_KEYS = (*_TARGETS, "why", "lift", "actions")
_LIMIT_KEYS = ("actions", "playbooks", "per", "within", "at_most", "population", "why", "by")
_APPROVAL_KEYS = (*_TARGETS, "actions", "playbooks", "by", "quorum", "within", "why")
_BREAKER_KEYS = ("actions", "sources", "within", "at_most_per_cent", "at_least")
_ANY = ("*",)


def load_guardrails(folder: Path) -> Guardrails:
    """Return the guardrails of the project in a folder, without the engine's own lifeline.

    Without hikeshi.yaml, or without the key `guardrails` in it, there are none. Raises nothing for what stands in the
    files or keeps them from being read: that gives broken guardrails, which refuse every change.
    """
    path = folder / FILE_NAME
    try:
        found = read_document(path)
    except Unreadable as exc:
        return Guardrails.broken(str(exc), [str(path)])
    if found is None:
        return Guardrails(files=[str(path)])
    document, places = found
    if not isinstance(document, dict):
        return Guardrails.broken(f"{path.name}:1: the file has to be a map", [str(path)])
    if "guardrails" not in document:
        return Guardrails(files=[str(path)])
    section = _Section(Reading(path, places))
    built = section.read(document["guardrails"])
    return built if built is not None else Guardrails.broken("; ".join(section.problems), section.files)


def stamp_of(guardrails: Guardrails) -> tuple[object, ...]:
    """Return what changes when a file is written, replaced or lost from which guardrails were read, lists included."""
    return tuple(map(_stamp, guardrails.files))


def _stamp(file: str) -> object:
    try:
        found = Path(file).stat()
    except (OSError, ValueError) as exc:
        return type(exc).__name__
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_mode


class _Section:
    """The section, key by key."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._digests: list[str] = []
        self.files = [str(reading.path)]

    @property
    def problems(self) -> list[str]:
        return self._reading.problems

    def read(self, raw: Any) -> Guardrails | None:
        """Return what the section says, or None if anything is wrong with it."""
        where: Where = ("guardrails",)
        given = self._reading.map(raw, where, _KEYS)
        protected = [self._protected(each, at) for each, at in self._each(given, "protected", where)]
        limits = [self._limit(each, at) for each, at in self._each(given, "limits", where)]
        approvals = [self._approval(each, at) for each, at in self._each(given, "approvals", where)]
        domains = self._reading.texts(given, "domains", where)
        breaker, people = self._breaker(given, where), self._release_people(given, where)
        if self.problems:
            return None
        try:
            return Guardrails(
                protected,
                limits=limits,
                approvals=approvals,
                breaker=breaker,
                release_people=people,
                domains=domains,
                digest=self._digest(raw),
                files=self.files,
            )
        except NotAnEntry as exc:
            self.problems.append(f"{exc.where}: {exc}")
            return None

    def _digest(self, raw: Any) -> str:
        text = json.dumps([raw, self._digests], sort_keys=True, default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def _each(self, given: Mapping[str, Any], key: str, above: Where) -> list[tuple[Any, Where]]:
        entries = self._reading.entries(given, key, above)
        return [(entry, (*above, key, number)) for number, entry in enumerate(entries)]

    def _protected(self, raw: Any, where: Where) -> Protected:
        read = self._reading
        rule = read.map(raw, where, _PROTECTED_KEYS)
        lists = self._lists(rule, where)
        if rule and not any(key in rule for key in (*_SENSES, "file")):
            read.problem(where, f"this rule protects nothing; it needs one of {', '.join((*_SENSES, 'file'))}")
        why, lift = read.text(rule, "why", where), read.text(rule, "lift", where)
        return Protected(read.place(where), lists, why, lift, read.texts(rule, "actions", where) or _ANY)

    def _limit(self, raw: Any, where: Where) -> Limit:
        read = self._reading
        rule = read.map(raw, where, _LIMIT_KEYS)
        per = self._per(rule, where)
        at_most, population = read.whole(rule, "at_most", where), self._population(rule, where)
        if rule and "at_most" not in rule and "population" not in rule:
            read.problem(where, "this limit allows any number; it needs 'at_most', 'population' or both")
        within_s = read.duration_s(rule, "within", where)
        if per in (Per.STEP, Per.RUN) and "within" in rule:
            read.problem((*where, "within"), f"a limit per {per} counts from its beginning; take 'within' away")
        elif per not in (Per.STEP, Per.RUN) and "within" not in rule:
            read.problem(where, f"a limit per {per} needs 'within', such as within: 1h")
        actions, playbooks = read.texts(rule, "actions", where), read.texts(rule, "playbooks", where)
        why = read.text(rule, "why", where)
        by = read.texts(rule, "by", where)
        origin = read.place(where)
        return Limit(origin, per, at_most, population, within_s, actions or _ANY, playbooks or _ANY, why, by)

    def _per(self, rule: Mapping[str, Any], where: Where) -> Per:
        word = rule.get("per")
        if isinstance(word, str) and word in tuple(Per):
            return Per(word)
        if rule:
            at: Where = (*where, "per")
            self._reading.problem(at, f"'per' is one of {', '.join(Per)}, and this is {shown(word)}")
        return Per.STEP

    def _population(self, rule: Mapping[str, Any], above: Where) -> Population | None:
        if "population" not in rule:
            return None
        read, where = self._reading, (*above, "population")
        given = read.map(rule["population"], where, ("count", "per_cent"))
        count, share = read.whole(given, "count", where), read.per_cent(given, "per_cent", where)
        if count is None or share is None:
            if "count" not in given or "per_cent" not in given:
                read.problem(where, "'population' needs both 'count' and 'per_cent'")
            return None
        found = Population(count, share)
        if found.most < 1:
            read.problem(where, f"{share} per cent of {count} is less than one; nothing would be allowed")
        return found

    def _approval(self, raw: Any, where: Where) -> ApprovalRule:
        read = self._reading
        rule = read.map(raw, where, _APPROVAL_KEYS)
        by = read.texts(rule, "by", where)
        if rule and "by" not in rule:
            read.problem(where, "an approval needs 'by': who may give it, such as by: [role:lead]")
        quorum, within_s = read.whole(rule, "quorum", where), read.duration_s(rule, "within", where)
        actions, playbooks = read.texts(rule, "actions", where), read.texts(rule, "playbooks", where)
        why, lists = read.text(rule, "why", where), self._lists(rule, where)
        origin = read.place(where)
        return ApprovalRule(origin, by, quorum or 1, within_s, why, actions or _ANY, playbooks or _ANY, lists)

    def _breaker(self, given: Mapping[str, Any], above: Where) -> Breaker | None:
        if "breaker" not in given:
            return None
        read, where = self._reading, (*above, "breaker")
        rule = read.map(given["breaker"], where, _BREAKER_KEYS)
        share, least = read.per_cent(rule, "at_most_per_cent", where), read.whole(rule, "at_least", where)
        within_s = read.duration_s(rule, "within", where)
        for key in ("at_most_per_cent", "at_least", "within"):
            if key not in rule:
                read.problem(where, f"the breaker needs {key!r}")
        actions, sources = read.texts(rule, "actions", where), read.texts(rule, "sources", where)
        if share is None or least is None or within_s is None:
            return None
        return Breaker(read.place(where), share, least, within_s, actions or _ANY, sources or _ANY)

    def _release_people(self, given: Mapping[str, Any], above: Where) -> int | None:
        if "release_stop" not in given:
            return None
        where = (*above, "release_stop")
        rule = self._reading.map(given["release_stop"], where, ("people",))
        if "people" not in rule:
            self._reading.problem(where, "'release_stop' needs 'people': how many have to agree")
        return self._reading.whole(rule, "people", where)

    def _lists(self, rule: Mapping[str, Any], where: Where) -> tuple[Listed, ...]:
        read = self._reading
        inline = [Listed.of(sense, texts) for sense in Sense if (texts := read.texts(rule, str(sense), where))]
        return (*inline, *self._from_file(rule, where))

    def _from_file(self, rule: Mapping[str, Any], where: Where) -> list[Listed]:
        read = self._reading
        if "file" not in rule:
            if "kind" in rule:
                read.problem((*where, "kind"), "'kind' says what the lines of a 'file' are, and there is none")
            return []
        name, kind = read.text(rule, "file", where), rule.get("kind")
        if kind not in _SENSES:
            read.problem((*where, "file"), f"'kind' says what the lines of the file are: {', '.join(_SENSES)}")
            return []
        listed = self._file(name, Sense(kind), (*where, "file")) if name else None
        return [] if listed is None else [listed]

    def _file(self, name: str, sense: Sense, where: Where) -> Listed | None:
        path = self._reading.path.parent / name
        self.files.append(str(path))
        try:
            body = text_of(path)
        except Unreadable as exc:
            self._reading.problem(where, str(exc))
            return None
        self._digests.append(hashlib.sha256(body.encode()).hexdigest())
        listed = Listed(sense, body, name)
        if next(listed.lines(), None) is None:
            self._reading.problem(where, f"{name} has no entry; if that is meant, take the rule away")
        return listed
