"""Taking playbooks and configuration anew while a service runs. What is broken stays as it was, and that is said."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from hikeshi.playbook.library import Stamp, stamp_of, stamps_of
from hikeshi.project import Config, ProjectError, load_config
from hikeshi.project.config import FILE_NAME

if TYPE_CHECKING:
    from hikeshi.app.service import Hikeshi

__all__ = ["Reload"]


class Reload:
    """Looks at the files of one project, and lets it take what has changed."""

    def __init__(self, app: Hikeshi) -> None:
        self._app = app
        self._config_stamp = stamp_of(app.config.folder / FILE_NAME)
        self._stamps: Mapping[Path, Stamp] | None = None
        self._broken: set[str] = set()

    async def look(self) -> list[str]:
        """Take what has changed, and return what people have to know of it, each thing once. Raises JournalError."""
        told = self._look_at_config()
        folders = self._app.library.folders
        stamps = await asyncio.to_thread(stamps_of, folders)
        if stamps != self._stamps:
            is_first, self._stamps = self._stamps is None, stamps
            if not is_first:
                self._app.take_playbooks()
        return [*told, *self._broken_playbooks()]

    def _look_at_config(self) -> list[str]:
        path = self._app.config.folder / FILE_NAME
        stamp = stamp_of(path)
        if stamp == self._config_stamp:
            return []
        self._config_stamp = stamp
        try:
            config = load_config(self._app.config.folder)
            self._refuse_forgetting(config)
            self._refuse_unknown_products(config)
        except ProjectError as exc:
            return [f"hikeshi.yaml can't be used; everything stays as it was: {problem}" for problem in exc.problems]
        needs_restart = config.audit != self._app.config.audit
        self._app.take_config(config)
        self._stamps = None
        self._app.take_playbooks()
        later = ["what hikeshi.yaml says of 'audit' counts from the next start"] if needs_restart else []
        return ["hikeshi.yaml was changed, and is used from now on", *later]

    def _refuse_forgetting(self, config: Config) -> None:
        """Raise ProjectError if a connector is gone that still holds something: nobody could release it."""
        gone = sorted(self._app.holding() - set(config.connectors))
        if gone:
            text = "something is held by it; release that first ('hikeshi holds'), then take it out"
            raise ProjectError([f"the connector {name!r} is gone: {text}" for name in gone])

    def _refuse_unknown_products(self, config: Config) -> None:
        from hikeshi.connector.registry import ConnectorNotUsable, fill_catalogue

        try:
            fill_catalogue(self._app.registry, config.products)
        except ConnectorNotUsable as exc:
            raise ProjectError([str(exc)]) from exc

    def _broken_playbooks(self) -> list[str]:
        """Return what is wrong with playbooks that were good before, each once."""
        broken = {f"{name}: {why}" for name, why in self._app.library.kept.items()}
        new, self._broken = sorted(broken - self._broken), broken
        return [f"the playbook {text}; its last good version stays in use" for text in new]
