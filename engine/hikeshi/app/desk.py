"""What people look at: runs by their name, what waits for somebody, and a run as it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from hikeshi.app.errors import UnknownRun
from hikeshi.app.plans import Plans

if TYPE_CHECKING:
    from hikeshi.access.tokens import Tokens
    from hikeshi.app.following import Following

__all__ = ["Desk"]

_MOST_NAMES = 2000


class Desk(Plans):
    """The runs of a project, as people ask for them."""

    @cached_property
    def tokens(self) -> Tokens:
        """What programs and people come in with. Raises JournalError."""
        from hikeshi.access.tokens import Tokens

        return Tokens(self.journal, self.clock.now, self._names)

    def _names(self) -> Mapping[str, str]:
        return {id_: person.name for id_, person in self.config.people.items()}

    def check_run(self, run: str) -> None:
        """Raise UnknownRun, with the run that may have been meant, unless there is a run of this ID."""
        if not self.journal_path.exists():
            raise UnknownRun(f"there is no run {run[:60]!r}; nothing ran in this project yet")
        if self.journal.query("SELECT 1 FROM runs WHERE run = ?", (run,)):
            return
        for row in self.journal.query("SELECT pack, at FROM pruned_runs WHERE run = ?", (run,)):
            raise UnknownRun(f"run {run} was pruned at {row['at']}; what it did is in the pack {row['pack']}")
        from hikeshi.playbook.plain_data import hint

        rows = self.journal.query("SELECT run FROM runs ORDER BY started_at DESC, run DESC LIMIT ?", (_MOST_NAMES,))
        names = [str(row["run"]) for row in rows]
        parts = [name for name in names if len(run) > 3 and run in name]
        meant = f"; did you mean {parts[0]!r}?" if len(parts) == 1 else hint(run, names)
        raise UnknownRun(f"there is no run {run[:60]!r}" + (meant or "; 'hikeshi runs' lists them"))

    def following(self, run: str) -> Following:
        """Look on at a run, whoever drives it. Raises UnknownRun."""
        from hikeshi.app.following import Following

        return Following(self, run)

    def stuck(self) -> list[dict[str, Any]]:
        """Return what waits for somebody besides questions, oldest first.

        Shape: `{run, path, kind, playbook, actor, started_at}`; `kind` is `resolve` for a change of unknown outcome,
        and `resume` for a run that is paused, which has no path.
        """
        rows = self.journal.query(
            "SELECT run, path, 'resolve' AS kind, playbook, actor, started_at FROM run_unknown JOIN runs USING (run)"
            " UNION ALL SELECT run, '', 'resume', playbook, actor, started_at FROM runs"
            " WHERE paused = 1 AND finished_at IS NULL ORDER BY started_at, run, path"
        )
        return [dict(row) for row in rows]
