"""The playbooks of a project: loaded with all they call, and checked against what the project has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hikeshi.app.errors import PlaybookProblems
from hikeshi.app.project_parts import ProjectParts
from hikeshi.core import Program, decode_event
from hikeshi.core import events as ev
from hikeshi.journal import Record
from hikeshi.playbook.model import Playbook, PlaybookStep
from hikeshi.playbook.parse import load_playbook
from hikeshi.project import ProjectError

if TYPE_CHECKING:
    from hikeshi.playbook.problem import Problem

__all__ = ["Checked", "Programs"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What `check` looked at, and everything that is wrong with it. A problem of the project is a text."""

    playbooks: int
    problems: list[Problem | str]


class Programs(ProjectParts):
    """The playbooks that a project can run."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._programs: dict[str, Program] = {}
        self._pinned: dict[tuple[str, ...], Program] = {}

    def program(self, playbook_id: str) -> Program:
        """Return a playbook with all it calls, checked against this project. Raises PlaybookProblems."""
        if playbook_id not in self._programs:
            self._programs[playbook_id] = self._checked_program(playbook_id)
        return self._programs[playbook_id]

    def take_playbooks(self) -> None:
        """Read the playbooks anew; each is checked again when it is asked for."""
        super().take_playbooks()
        self._programs = {}

    def _checked_program(self, playbook_id: str) -> Program:
        from hikeshi.playbook.check import check_bindings, check_playbook
        from hikeshi.playbook.check_voters import check_people
        from hikeshi.playbook.library import NotLoadable, UnknownPlaybook

        found: dict[str, Playbook] = {}
        problems: list[Problem | str] = []
        wanted = [playbook_id]
        while wanted:
            name = wanted.pop()
            if name in found:
                continue
            try:
                playbook = found[name] = self.library.load(name)
            except UnknownPlaybook as exc:
                if name == playbook_id:  # who calls a playbook that does not exist is told so by its own checks
                    problems.append(str(exc))
                continue
            except NotLoadable as exc:
                problems += exc.problems
                continue
            problems += check_playbook(playbook, self.catalogue, self.library)
            problems += check_bindings(playbook, self.catalogue, self.library)
            problems += check_people(playbook, self.config.people)
            wanted += [step.playbook for _, step in playbook.walk() if isinstance(step, PlaybookStep)]
        if problems:
            raise PlaybookProblems(playbook_id, sorted(set(problems), key=str))
        return Program(playbook_id, found)

    def check(self, paths: Sequence[Path] | None = None) -> Checked:
        """Find everything that is wrong with some files and folders of playbooks, or with the whole project.

        Whether its actions have a connector is asked where connectors are configured. Nothing is sent.
        """
        from hikeshi.connector.registry import fill_catalogue
        from hikeshi.playbook.check import check_bindings
        from hikeshi.playbook.check_voters import check_people
        from hikeshi.playbook.library import Library, check_folder
        from hikeshi.playbook.problem import in_order
        from hikeshi.project.guardrails import load_guardrails

        rules = None if paths else load_guardrails(self.config.folder)
        wrong: list[Problem | str] = [] if paths else [*self.wrong_settings(self.config.connectors)]
        if rules is not None and rules.broken_because:
            wrong.append(f"every change is refused: {rules.broken_because}")
        try:
            catalogue = self.catalogue
        except ProjectError as exc:
            wrong += [problem for problem in exc.problems if problem not in wrong]
            catalogue = fill_catalogue(self.registry, {})
        wrong += [] if rules is None or not catalogue.instances else rules.idle(catalogue.specs)
        places = list(paths or [folder for folder in self.config.playbooks if folder.is_dir()])
        own = Library([place for place in places if place.is_dir()])
        library = Library([*own.folders, *(each for each in self.library.folders if each not in own.folders)])
        problems = check_folder(places, catalogue, library=library)
        if catalogue.instances:
            found = (own.playbook(name) for name in own.ids())
            for one in found:
                if one is not None:
                    problems += check_bindings(one, catalogue, library) + check_people(one, self.config.people)
        files = {str(place) for place in places if not place.is_dir()}
        files |= {str(path) for file in own.files.values() for path in (file.path, *file.twins)}
        files |= {problem.position.file for problem in problems}
        return Checked(len(files), [*wrong, *in_order(problems)])

    def wrong_settings(self, names: Iterable[str], *, secrets: bool = False) -> list[str]:
        """Return what is wrong with the settings of these connectors, and if asked their secrets. Sends nothing."""
        from hikeshi.connector.registry import ConnectorNotUsable
        from hikeshi.secrets import SecretUnavailable

        wrong = []
        for name in sorted(names):
            try:
                connector = self.instances.get(name)
                if secrets:
                    connector.check_secrets()
            except (ConnectorNotUsable, SecretUnavailable) as exc:
                wrong.append(f"{self.config.folder / 'hikeshi.yaml'}: {name}: {exc}")
        return wrong

    def pinned_program(self, started: Record) -> Program:
        """Return what a run executes, from the texts that its first record pins. Runs of the same texts share it."""
        event = decode_event(started.kind, started.path, started.data)
        assert isinstance(event, ev.RunStarted)
        key = (event.playbook, *sorted(event.digests.values()))
        if key not in self._pinned:
            playbooks: dict[str, Playbook] = {}
            for name, source in event.sources.items():
                playbook, problems = load_playbook(source, f"{name} (as run {started.run} pinned it)")
                if playbook is None:
                    raise PlaybookProblems(name, problems)
                playbooks[name] = playbook
            self._pinned[key] = Program(event.playbook, playbooks)
        return self._pinned[key]
