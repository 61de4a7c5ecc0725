"""A question that people are asked, and an answer that names it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from hikeshi.project import Config

__all__ = ["Asked", "facts_of", "link_of", "name_of", "question_of", "shown", "targets_of"]

_TARGETS_MOST: Final = 20
_LINE_MOST: Final = 120
_QUESTION_MOST: Final = 1500
_RUN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_PATH_MOST: Final = 2000


@dataclass(frozen=True, slots=True)
class Asked:
    """Which question: its run, its path there, and the digest of what was shown."""

    run: str
    path: str
    digest: str

    @classmethod
    def of(cls, given: Any) -> Asked | None:
        """Return the question that an answer from outside names, or None if it is none."""
        if not isinstance(given, Mapping) or set(given) != {"run", "path", "digest"}:
            return None
        run, path, digest = given["run"], given["path"], given["digest"]
        if not isinstance(run, str) or not isinstance(path, str) or not isinstance(digest, str):
            return None
        is_sound = _RUN.fullmatch(run) and _DIGEST.fullmatch(digest) and 0 < len(path) <= _PATH_MOST
        return cls(run, path, digest) if is_sound else None

    def id_for(self, connector: str, channel: str) -> str:
        """Return what names the announcement of this question in one channel, wherever and however often it is made."""
        parts = json.dumps([self.run, self.path, self.digest, connector, channel])
        return hashlib.sha256(parts.encode()).hexdigest()[:24]


def shown(text: str, most: int = _LINE_MOST) -> str:
    """Return a text from outside as one line: nothing invisible is in it, and an end that was cut off is marked."""
    line = "".join(character if character.isprintable() else "\ufffd" for character in " ".join(text.split()))
    return line if len(line) <= most else line[: most - 1] + "…"


def name_of(config: Config, actor: str) -> str:
    """Return what people call somebody, by their ID or login."""
    person = config.people.get(actor) or config.person_of(actor)
    return actor if person is None else person.name


def facts_of(config: Config, row: Mapping[str, Any]) -> list[str]:
    """Return who asks, who may decide, how many have to agree, and what could not be predicted."""
    asked = json.loads(row["asked"])
    who = ", ".join(_asked_of(config, entry) for entry in asked["by"]) or "nobody"
    facts = [
        f"Asked by {shown(name_of(config, row['actor']))}, playbook {row['playbook']}, run {row['run']}",
        f"May decide: {shown(who, 500)}" + (f"; {row['quorum']} have to agree" if row["quorum"] > 1 else ""),
    ]
    return facts + [f"Not known yet: {shown(str(what))}" for what in asked["not_known"][:5]]


def _asked_of(config: Config, entry: str) -> str:
    role = entry.removeprefix("role:")
    return name_of(config, entry) if role == entry else f"role {role}"


def question_of(row: Mapping[str, Any]) -> str:
    """Return what is asked, as one line."""
    return shown(str(json.loads(row["asked"])["question"]), _QUESTION_MOST)


def targets_of(row: Mapping[str, Any]) -> tuple[list[str], int]:
    """Return what would be changed, a line each, and how many further ones there are."""
    shows = json.loads(row["asked"])["shows"]
    lines = [shown(f"{each['label']}: {each['action']} ({each['connector']})") for each in shows[:_TARGETS_MOST]]
    return lines, max(0, len(shows) - _TARGETS_MOST)


def link_of(config: Config, run: str, path: str) -> str:
    """Return the page of the console that shows all of a question, or "" if nobody said where the console is."""
    if config.console.url is None:
        return ""
    return f"{config.console.url}/runs/{quote(run, safe='')}#{quote(path, safe='.[]')}"
