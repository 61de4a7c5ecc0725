"""Which triggers there are: those of the project's playbooks, as their files are now.

A file that is broken keeps the triggers of its last good version, and says so: a slip in an editor must not switch off
what answers to alerts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from hikeshi.app import Hikeshi
from hikeshi.playbook.library import Library, NotLoadable, Stamp, read_playbook, stamps_of
from hikeshi.playbook.model import Playbook, Trigger
from hikeshi.project import ProjectError
from hikeshi.quick_dataclass import dataclass

if TYPE_CHECKING:
    from hikeshi.capabilities import Catalogue
    from hikeshi.triggers.occurrence import Occurrence

__all__ = ["Entry", "Roster"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One trigger of one playbook. With a `problem` it is that of the last good version, or it can't start anything."""

    playbook: Playbook
    trigger: Trigger
    problem: str | None = None
    is_usable: bool = True

    @property
    def name(self) -> tuple[str, str]:
        """The IDs of the playbook and of the trigger."""
        return self.playbook.id, self.trigger.id

    @property
    def source(self) -> str:
        """What its events come from: `webhook:<name>`, or `schedule:` or `poll:` with `<playbook>/<trigger>`."""
        if self.trigger.kind == "webhook":
            return f"webhook:{self.trigger.source['source']}"
        return f"{self.trigger.kind}:{self.playbook.id}/{self.trigger.id}"


@dataclass(frozen=True, slots=True)
class _File:
    """What one file gave: its playbook as it was when it was good last, and what is wrong with it now."""

    stamp: Stamp
    playbook: Playbook | None = None
    problem: str | None = None


class Roster:
    """The triggers of a project. `alert` is told of each file that is broken, once for each version of it."""

    def __init__(self, app: Hikeshi, alert: Callable[[str], None]) -> None:
        self._app = app
        self._alert = alert
        self._files: dict[Path, _File] = {}
        self._entries: dict[tuple[str, str], Entry] = {}
        self._busy = asyncio.Lock()
        self._config: object = None
        self.version = 0
        """A number that grows whenever the triggers may be others."""

    async def refresh(self) -> None:
        """Look at the files and take what has changed. The event loop goes on meanwhile."""
        async with self._busy:
            folders = tuple(self._app.library.folders)
            stamps = await asyncio.to_thread(stamps_of, folders)
            is_as_it_was = stamps == {path: each.stamp for path, each in self._files.items()}
            if is_as_it_was and self._config is self._app.config:
                return
            self._config = self._app.config
            try:
                catalogue = self._app.catalogue
            except ProjectError:
                catalogue = None  # nothing can be run then, and each start says so
            reading = _Reading(folders, catalogue, self._app.config.people, self._files)
            files = await asyncio.to_thread(reading.read, stamps)
            self._tell(files)
            self._files = files
            entries = {each.name: each for each in self._entries_of(files)}
            if _differ(entries, self._entries):
                self._entries = entries
                self.version += 1

    def _tell(self, files: Mapping[Path, _File]) -> None:
        for path, each in files.items():
            before = self._files.get(path)
            if each.problem is None or (before is not None and before.problem == each.problem):
                continue
            kept = "; its triggers stay as they were" if each.playbook is not None else ""
            self._alert(f"{path.name} is broken{kept}: {each.problem}")

    def _entries_of(self, files: Mapping[Path, _File]) -> Iterator[Entry]:
        for each in files.values():
            if each.playbook is None:
                continue
            for trigger in each.playbook.triggers:
                own = self._problem_of(trigger)
                yield Entry(each.playbook, trigger, each.problem or own, own is None)

    def _problem_of(self, trigger: Trigger) -> str | None:
        """Return why a trigger can't start anything in this project, or None."""
        if trigger.kind == "webhook" and trigger.source["source"] not in self._app.config.webhooks:
            return f"hikeshi.yaml has no webhook {trigger.source['source']!r}"
        if trigger.timezone is not None:
            try:
                ZoneInfo(trigger.timezone)
            except (OSError, ValueError, KeyError):  # ZoneInfoNotFoundError is a KeyError
                return f"this machine knows no time zone {trigger.timezone!r}"
        return None

    @property
    def entries(self) -> Sequence[Entry]:
        """Every trigger, by playbook and in the order of its text; those that are not enabled, too."""
        return list(self._entries.values())

    @property
    def has_unread(self) -> bool:
        """Whether a file is broken of which no good version was ever read here: it may have triggers all the same."""
        return any(each.problem is not None and each.playbook is None for each in self._files.values())

    def get(self, playbook: str, trigger: str) -> Entry | None:
        """Return one trigger, or None if there is none."""
        return self._entries.get((playbook, trigger))

    def of_kind(self, kind: str) -> list[Entry]:
        """Return the triggers of a kind that may start something."""
        return [each for each in self._entries.values() if each.trigger.kind == kind and _is_active(each)]

    def meant_by(self, occurrence: Occurrence) -> list[Entry]:
        """Return the triggers that an occurrence is for, as far as they may start something."""
        if occurrence.meant is not None:
            found = (self._entries.get(name) for name in occurrence.meant)
            return [each for each in found if each is not None and _is_active(each)]
        return [each for each in self._entries.values() if each.source == occurrence.source and _is_active(each)]


def _differ(new: Mapping[tuple[str, str], Entry], old: Mapping[tuple[str, str], Entry]) -> bool:
    """Say whether any trigger is another one. A playbook that was read again is, and is not compared text by text."""
    return new.keys() != old.keys() or any(
        each.playbook is not old[name].playbook
        or each.problem != old[name].problem
        or each.is_usable is not old[name].is_usable
        for name, each in new.items()
    )


def _is_active(entry: Entry) -> bool:
    return entry.trigger.enabled and entry.is_usable


class _Reading:
    """One reading of changed files, in a thread of its own."""

    def __init__(
        self,
        folders: Sequence[Path],
        catalogue: Catalogue | None,
        people: Mapping[str, object],
        known: Mapping[Path, _File],
    ) -> None:
        self._library = Library(folders)
        self._catalogue = catalogue
        self._people = people
        self._known = known
        self._twins: set[Path] = set()

    def read(self, stamps: Mapping[Path, Stamp]) -> dict[Path, _File]:
        """Return what each file gives; one that is as it was, and was good, is not read again.

        One that was broken is: what is wrong with it may lie in another file.
        """
        ids = {file.path: name for name, file in self._library.files.items()}
        self._twins = {file.path for file in self._library.files.values() if file.twins}
        shadowed = {path for file in self._library.files.values() for path in file.overrides}
        return {path: self._file(path, stamp, ids.get(path), path in shadowed) for path, stamp in stamps.items()}

    def _file(self, path: Path, stamp: Stamp, name: str | None, is_shadowed: bool) -> _File:
        before = self._known.get(path)
        if is_shadowed:
            return _File(stamp)
        good = None if before is None else before.playbook
        if (
            before is not None
            and before.stamp == stamp
            and before.problem is None
            and path not in self._twins
            and (good is None or name == good.id)
        ):
            return before
        try:
            playbook, problem = self._read(path, name, good)
        except Exception as exc:  # noqa: BLE001 - one file must not take the triggers of all others with it
            playbook, problem = None, type(exc).__name__
        return _File(stamp, good if problem is not None else playbook, problem)

    def _read(self, path: Path, name: str | None, good: Playbook | None) -> tuple[Playbook | None, str | None]:
        if good is None and b"triggers" not in path.read_bytes():
            return None, None  # nothing in it starts by itself, so nobody here minds what it is
        if name is None:
            playbook, problems = read_playbook(path)
            if playbook is None:
                return None, str(problems[0])
            return None, None  # a twin of another file, which is told about there
        try:
            playbook = self._library.load(name)
        except NotLoadable as exc:
            return None, str(exc.problems[0])
        found = self._problems(playbook)
        return playbook, found

    def _problems(self, playbook: Playbook) -> str | None:
        from hikeshi.playbook.check import check_bindings, check_playbook
        from hikeshi.playbook.check_voters import check_people

        if self._catalogue is None or not playbook.triggers:
            return None
        found = [
            *check_playbook(playbook, self._catalogue, self._library),
            *check_bindings(playbook, self._catalogue, self._library),
            *check_people(playbook, self._people),  # type: ignore[arg-type]  # persons, by their ID
        ]
        return str(found[0]) if found else None
