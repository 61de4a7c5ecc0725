"""What a project has, each part built when it is first needed."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from hikeshi.journal import Ownership, SqliteJournal
from hikeshi.project import Config, ProjectError
from hikeshi.runtime.clock import Clock, SystemClock
from hikeshi.runtime.projections import standard_projections
from hikeshi.secrets import Redactor

if TYPE_CHECKING:
    from hikeshi.capabilities import Catalogue
    from hikeshi.connector.registry import Registry
    from hikeshi.playbook.library import Library
    from hikeshi.runtime.instances import Instances

__all__ = ["ProjectParts"]


class ProjectParts:
    """The parts of one project."""

    def __init__(self, config: Config, *, clock: Clock | None = None, registry: Registry | None = None) -> None:
        self.config = config
        self.clock = clock or SystemClock()
        self.redactor = Redactor()
        self._registry = registry
        self._retired: list[Instances] = []

    @cached_property
    def registry(self) -> Registry:
        from hikeshi.connector.registry import Registry

        return self._registry or Registry()

    @cached_property
    def catalogue(self) -> Catalogue:
        """Every action there is and where it goes. Raises ProjectError if a connector does not load."""
        from hikeshi.capabilities.routing import RoutingRule
        from hikeshi.connector.registry import ConnectorNotUsable, fill_catalogue

        try:
            catalogue = fill_catalogue(self.registry, self.config.products)
        except ConnectorNotUsable as exc:
            raise ProjectError([f"{self.config.folder / 'hikeshi.yaml'}: {exc}"]) from exc
        catalogue.bindings.update(self.config.bindings)
        catalogue.tags.update(self.config.tags)
        for capability, rules in self.config.routing.items():
            catalogue.rules[capability] = tuple(RoutingRule(each.networks, each.names, each.to) for each in rules)
        return catalogue

    @cached_property
    def instances(self) -> Instances:
        from hikeshi.runtime.instances import Instances

        return Instances(self.registry, self.config.connectors, self.redactor)

    @cached_property
    def library(self) -> Library:
        return self._library(None)

    def _library(self, before: Library | None) -> Library:
        from hikeshi.playbook.library import Library, shipped_folder

        shipped = shipped_folder()
        own = self.config.playbooks
        further = [] if shipped is None or shipped in [folder.resolve() for folder in own] else [shipped]
        return Library([*own, *further], before)

    @cached_property
    def journal(self) -> SqliteJournal:
        """Raises JournalError if it cannot be opened."""
        return SqliteJournal.open(self.journal_path, standard_projections())

    @cached_property
    def ownership(self) -> Ownership:
        return Ownership(self.config.state_folder / "owners")

    @property
    def journal_path(self) -> Path:
        return self.config.state_folder / "journal.db"

    def take_playbooks(self) -> None:
        """Read the playbooks anew. Those that are broken now stay as they were."""
        before = self.__dict__.pop("library", None)
        self.library = self._library(before)
        self.library.read_again()

    def take_config(self, config: Config) -> None:
        """Use another configuration of the same folder from now on. Runs that are under way end with the one before."""
        self.config = config
        self.__dict__.pop("catalogue", None)
        instances = self.__dict__.pop("instances", None)
        if instances is not None:
            self._retired.append(instances)

    async def aclose(self) -> None:
        """Close what was opened."""
        for instances in self._retired:
            await instances.aclose()
        if "instances" in self.__dict__:
            await self.instances.aclose()
        if "journal" in self.__dict__:
            self.journal.close()
        if "ownership" in self.__dict__:
            self.ownership.close()
