"""Finding playbooks in folders: by ID without reading all of them, or all of them with everything that is wrong.

The first folder that has an ID wins, so a project's own playbook takes the place of one that ships.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hikeshi.playbook.model import Playbook, Position
from hikeshi.playbook.parse import load_playbook
from hikeshi.playbook.plain_data import nearest
from hikeshi.playbook.problem import Problem, in_order
from hikeshi.playbook.yaml_tree import MAX_BYTES

if TYPE_CHECKING:
    from hikeshi.capabilities import Catalogue

__all__ = [
    "Library",
    "NotLoadable",
    "PlaybookFile",
    "Stamp",
    "UnknownPlaybook",
    "check_folder",
    "read_playbook",
    "shipped_folder",
    "stamp_of",
    "stamps_of",
]

_ID_LINE = re.compile(
    rb"""^id:[ \t]+(?:"([^"\n]*)"|'([^'\n]*)'|([^\s#"'][^\n]*?))[ \t]*(?:#[^\n]*)?\r?$""", re.MULTILINE
)
_HEAD = 64 * 1024
_SUFFIXES = (".yaml", ".yml")

Stamp = tuple[int, int, int, int]
"""When a file was changed, its size, its number, who may read it: what differs when something else is read."""


class UnknownPlaybook(LookupError):
    """No playbook has this ID. The message names the nearest ones, and the text of `str` where they were looked for."""

    def __init__(self, message: str, folders: Sequence[Path]) -> None:
        super().__init__(message)
        self.message = message
        self.folders = folders

    def __str__(self) -> str:
        return f"{self.message} (looked in: {', '.join(map(str, self.folders))})"


class NotLoadable(Exception):
    """A playbook is there and has problems. Its author is to mend it."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class PlaybookFile:
    """One file of a library: its ID as the text says it, the folder it was found in.

    `twins` are other files of that folder with the same ID, `overrides` those of later folders.
    """

    id: str
    path: Path
    folder: Path
    twins: tuple[Path, ...] = ()
    overrides: tuple[Path, ...] = ()


def shipped_folder() -> Path | None:
    """Return the folder of the playbooks that ship: inside an installed package, or in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed, checkout = package / "_playbooks", package.parent.parent / "playbooks"
    if installed.is_dir():
        return installed
    return checkout if package.parent.name == "engine" and checkout.is_dir() else None


def read_playbook(path: Path, shown: str | None = None) -> tuple[Playbook | None, list[Problem]]:
    """Return the playbook of a file, or None and its problems; `shown` is the name that positions give.

    A file that can't be read is a problem like any other.
    """
    name = shown if shown is not None else str(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        return load_playbook(data.decode("utf-8-sig"), name)
    except OSError as error:
        message = f"the file can't be read: {error.strerror or error}"
        return None, [Problem("unreadable", message, Position(name, 1, 1))]
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        column = len(before[before.rfind(b"\n") + 1 :].decode("utf-8", "replace")) + 1
        message = f"the byte 0x{data[error.start]:02X} is not UTF-8; save the file as UTF-8"
        return None, [Problem("yaml-encoding", message, Position(name, line, column))]


class Library:
    """The playbooks of some folders, the most important folder first. Files are listed and parsed when asked for.

    `before` is the library of the same folders as they were: what is broken now stays as it was in that one.
    """

    def __init__(self, folders: Sequence[Path], before: Library | None = None) -> None:
        self.folders = tuple(folders)
        self._good: dict[str, Playbook] = {} if before is None else {**before._good, **before._read_well()}
        self.kept: dict[str, str] = {}
        """Why the last good version of a playbook is in use, by its ID; of those that were asked for."""
        self._loaded: dict[str, tuple[Playbook | None, list[Problem]]] = {}

    @classmethod
    def of_project(cls, folder: Path) -> Library:
        """Return the library of a project: its `playbooks` folder, then what ships."""
        shipped = shipped_folder()
        own = folder / "playbooks"
        folders = [own] if shipped is None or own.resolve() == shipped.resolve() else [own, shipped]
        return cls(folders)

    @cached_property
    def files(self) -> dict[str, PlaybookFile]:
        """Return the file of every ID, as far as the texts say without being parsed."""
        found: dict[str, PlaybookFile] = {}
        for folder in self.folders:
            for path in _files_in(folder):
                id_ = _peek_id(path)
                if id_ is None:
                    continue
                first = found.get(id_)
                if first is None:
                    found[id_] = PlaybookFile(id_, path, folder)
                elif first.folder == folder:
                    found[id_] = replace(first, twins=(*first.twins, path))
                else:
                    found[id_] = replace(first, overrides=(*first.overrides, path))
        return found

    def ids(self) -> list[str]:
        """Return every ID, sorted."""
        return sorted(self.files)

    def load(self, playbook_id: str) -> Playbook:
        """Return a playbook. Raises UnknownPlaybook, or NotLoadable if its text has problems."""
        if playbook_id not in self.files:
            near = nearest(playbook_id, self.files)
            hint = f"; did you mean {near!r}?" if near is not None else ""
            raise UnknownPlaybook(f"there is no playbook {playbook_id[:60]!r}{hint}", self.folders)
        playbook, problems = self._read(playbook_id)
        if playbook is None:
            raise NotLoadable(problems)
        return playbook

    def read_again(self) -> None:
        """Read everything that was good before, so that what is broken now is known."""
        for playbook_id in self._good.keys() & self.files.keys():
            self._read(playbook_id)

    def problems(self, playbook_id: str) -> list[Problem]:
        """Return what is wrong with the text of a playbook that there is, whether or not an older one is in use."""
        self._read(playbook_id)
        return self._loaded[playbook_id][1]

    def _read_well(self) -> dict[str, Playbook]:
        return {name: playbook for name, (playbook, _) in self._loaded.items() if playbook is not None}

    def playbook(self, playbook_id: str) -> Playbook | None:
        """Return a playbook, or None if there is none of this ID or it has problems of its own."""
        return self._read(playbook_id)[0] if playbook_id in self.files else None

    def _read(self, playbook_id: str) -> tuple[Playbook | None, list[Problem]]:
        if playbook_id not in self._loaded:
            playbook, problems = self._read_anew(self.files[playbook_id])
            if playbook is None and playbook_id in self._good:
                playbook, self.kept[playbook_id] = self._good[playbook_id], str(problems[0])
            self._loaded[playbook_id] = playbook, problems
        return self._loaded[playbook_id]

    def _read_anew(self, file: PlaybookFile) -> tuple[Playbook | None, list[Problem]]:
        if file.twins:
            others = " and ".join(map(str, file.twins))
            message = f"the playbook ID {file.id!r} is given twice in one folder: here and in {others}"
            return None, [Problem("duplicate-playbook", message, Position(str(file.path), 1, 1))]
        playbook, problems = read_playbook(file.path)
        if playbook is not None and playbook.id != file.id:
            message = f"the ID is written so that it reads {file.id!r} and {playbook.id!r}; write 'id: {playbook.id}'"
            return None, [Problem("unclear-id", message, playbook.position)]
        return playbook, problems


def check_folder(
    paths: Iterable[Path],
    catalogue: Catalogue,
    *,
    library: Library | None = None,
) -> list[Problem]:
    """Return every problem of every playbook in some folders or files, in one pass.

    Playbooks that they run are looked up in `library`, which is those folders if it is left out.
    """
    from hikeshi.playbook.check import check_playbook

    paths = tuple(paths)
    known = Library([path for path in paths if path.is_dir()]) if library is None else library
    found: list[Problem] = []
    for folder in paths:
        seen: dict[str, Position] = {}
        for path in _files_in(folder) if folder.is_dir() else (folder,):
            playbook, problems = read_playbook(path)
            found += problems
            if playbook is None:
                continue
            found += check_playbook(playbook, catalogue, known)
            found += _duplicates(playbook, seen)
    return in_order(found)


def stamps_of(folders: Iterable[Path]) -> dict[Path, Stamp]:
    """Return the stamp of each playbook file. A file that goes while this looks is not there."""
    found: dict[Path, Stamp] = {}
    for folder in folders:
        for above, names, files in os.walk(folder):
            names[:] = sorted(name for name in names if not name.startswith("."))
            for name in sorted(files):
                path = Path(above, name)
                if path.suffix in _SUFFIXES and not path.stem.endswith(".test") and not name.startswith("."):
                    stamp = stamp_of(path)
                    if stamp is not None:
                        found[path] = stamp
    return found


def stamp_of(path: Path) -> Stamp | None:
    """Return what differs when the text of a file does, or None if there is no such file."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_mtime_ns, stat.st_size, stat.st_ino, stat.st_mode


def _duplicates(playbook: Playbook, seen: dict[str, Position]) -> Iterator[Problem]:
    first = seen.setdefault(playbook.id, playbook.position)
    if first is not playbook.position:
        message = f"the playbook ID {playbook.id!r} is given twice in this folder; first in {first.file}"
        yield Problem("duplicate-playbook", message, playbook.position)


def _files_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = (path for path in folder.rglob("*") if path.suffix in _SUFFIXES and not path.stem.endswith(".test"))
    return sorted(path for path in found if path.is_file() and not _is_hidden(path.relative_to(folder)))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _peek_id(path: Path) -> str | None:
    """Return the ID that a file gives on a line of its own, without parsing it; a file that hides it is parsed."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    found = _ID_LINE.search(head)
    if found is not None:
        return next(group for group in found.groups() if group is not None).decode("utf-8", "replace").strip()
    playbook, _ = read_playbook(path)
    return None if playbook is None else playbook.id
