"""The audit log of a project: when it is signed, where its checkpoints go, and what is handed out of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hikeshi.audit.keeper import Keeper
from hikeshi.journal import JournalError, SqliteJournal

if TYPE_CHECKING:
    from hikeshi.app.runs import Runs
    from hikeshi.audit.anchors import Anchor
    from hikeshi.audit.checkpoint import CheckpointMaker
    from hikeshi.audit.delivery import Delivery
    from hikeshi.audit.note import VerifierKey
    from hikeshi.audit.pack import Written
    from hikeshi.audit.verification import Verdict
    from hikeshi.core import RunState
    from hikeshi.project.audit import AnchorSettings

__all__ = ["Audit"]

_log = logging.getLogger("hikeshi.audit")


class Audit:
    """The audit log of one opened project. What it does beside runs never raises: `trouble` of the project is told."""

    def __init__(self, project: Runs) -> None:
        self._project = project
        settings = project.config.audit
        self._keeper = Keeper(
            self._make,
            project.clock.now,
            self._tell,
            every=settings.checkpoint_every,
            idle_s=settings.checkpoint_after_idle_s,
        )

    # --- beside runs ------------------------------------------------------------------------------------------

    def saw(self, *_: Any) -> None:
        """Note that a record is written here. It watches every run."""
        self._keeper.saw()

    def left(self, state: RunState) -> None:
        """Make a checkpoint if a run is over that was driven here."""
        if state.finished is not None:
            self._keeper.want()

    def tick(self) -> None:
        """Make a checkpoint if it is time. Whoever works for the project calls this now and then."""
        self._keeper.tick()

    async def close(self) -> None:
        """Sign and send what was written here."""
        await self._keeper.close()

    async def _make(self) -> Sequence[JournalError]:
        if not isinstance(self._project.journal, SqliteJournal):
            return []  # a journal in memory, as simulations have it: nobody is to be convinced of it later
        await self._maker.make()
        return await self._delivery.send()

    def _tell(self, text: str) -> None:
        if self._project.trouble is not None:
            self._project.trouble(text)
        else:
            _log.warning("checkpoint_failed: %s", text)

    @cached_property
    def _maker(self) -> CheckpointMaker:
        from hikeshi.audit.checkpoint import CheckpointMaker

        return CheckpointMaker(self._project.journal, self._folder, self._project.clock.now)

    @cached_property
    def _delivery(self) -> Delivery:
        from hikeshi.audit.delivery import Delivery

        anchors = [_anchor(each) for each in self._project.config.audit.anchors]
        return Delivery(self._project.journal, anchors, self._project.clock.now)

    @property
    def _folder(self) -> Path:
        return self._project.config.state_folder

    # --- what people ask for ----------------------------------------------------------------------------------

    async def checkpoint(self) -> tuple[int, list[JournalError]]:
        """Make a checkpoint now and send it. Return how many records are signed, and why it could not be sent.

        Raises JournalError.
        """
        await self._maker.make()
        problems = await self._delivery.send()
        last = self._project.journal.last_checkpoint()
        return (0 if last is None else last.size), problems

    async def export(self, pack: Path, run: str | None, *, actor: str) -> tuple[Written, list[JournalError]]:
        """Write a pack of a run or of all, and record who read what. Return what it shows, and what is not sent yet.

        The reading is recorded and signed first, so the pack holds it. Raises UnknownRun, PackError, JournalError.
        """
        from hikeshi.audit.pack import refuse_existing, write_pack

        refuse_existing(pack)
        await self._append_read(actor, "export", run)
        _, problems = await self.checkpoint()
        key = self.public_key()
        return write_pack(self._project.journal_path, pack, key, run=run), problems

    async def record_read(self, actor: str, how: str, run: str | None) -> None:
        """Record that somebody reads the audit log: who, how, and the run, or None for all of it.

        Raises JournalError; nothing should be shown then.
        """
        await self._append_read(actor, how, run)
        self._keeper.saw()

    async def _append_read(self, actor: str, how: str, run: str | None) -> None:
        from hikeshi.audit.stream import LOG_READ, append_own

        journal = self._project.journal
        data: Mapping[str, Any] = {"by": actor, "how": how, "of": run, "first": 1, "last": journal.size()}
        if run is not None:
            rows = journal.query("SELECT seq FROM heads WHERE run = ?", (run,))
            data = {**data, "last": rows[0][0] if rows else 0}
        await append_own(journal, LOG_READ, data, self._project.clock.now())

    def state(self) -> dict[str, Any]:
        """Return how much of the log is signed: `{records, signed, anchors: {name: size}, key}`. Reads only.

        `key` is None before the first signature. Raises JournalError.
        """
        from hikeshi.audit.errors import KeyNotUsable
        from hikeshi.audit.keys import KEY_FILE, load_key

        journal = self._project.journal
        last = journal.last_checkpoint()
        anchors = [_anchor(each).name for each in self._project.config.audit.anchors]
        try:
            key = str(load_key(self._folder / KEY_FILE).verifier)
        except (FileNotFoundError, KeyNotUsable):
            key = None
        return {
            "records": journal.size(),
            "signed": 0 if last is None else last.size,
            "anchors": {name: journal.anchored_size(name) for name in anchors},
            "key": key,
        }

    def public_key(self) -> VerifierKey:
        """Return the key that others pin. It is made if there is none. Raises KeyNotUsable, JournalError."""
        from hikeshi.audit.key_change import SigningKey

        return SigningKey(self._project.journal, self._folder).current().verifier

    async def change_key(self, *, actor: str, lost: bool = False) -> VerifierKey:
        """Change to a new key, sign with it, and return it. Raises KeyNotUsable, JournalError."""
        from hikeshi.audit.key_change import change_key

        now = self._project.clock.now()
        new = await change_key(self._project.journal, self._folder, actor=actor, at=now, lost=lost)
        await self.checkpoint()
        return new

    def verify(self, key: VerifierKey | None = None, anchors: Sequence[Path] = ()) -> Verdict:
        """Judge the journal as it is now. Reads only.

        Without a key it is the project's own, without anchors those files that it sends to and that can be read. Raises
        JournalError if there is no journal, or it cannot be read.
        """
        from hikeshi.audit.errors import KeyNotUsable
        from hikeshi.audit.keys import KEY_FILE, load_key
        from hikeshi.audit.verification import verify_journal

        path = self._project.journal_path
        if not path.exists():
            raise JournalError("There is no journal", str(path), "It is made by the first run")
        if key is None:
            try:
                key = load_key(self._folder / KEY_FILE).verifier
            except (FileNotFoundError, KeyNotUsable):
                key = None  # the verdict says that nothing is signed by a key that is believed
        return verify_journal(path, key, anchors or self.own_anchor_files())

    def own_anchor_files(self) -> list[Path]:
        """Return the files of its anchors that hold something and can be read from here."""
        configured = self._project.config.audit.anchors
        paths = [each.values["path"] for each in configured if each.type == "file"]
        return [path for path in paths if path.is_file() and path.stat().st_size]


def _anchor(settings: AnchorSettings) -> Anchor:
    from hikeshi.audit.anchors import FileAnchor, SyslogAnchor, TimestampAnchor

    kinds: Mapping[str, Any] = {"file": FileAnchor, "syslog": SyslogAnchor, "timestamp": TimestampAnchor}
    anchor: Anchor = kinds[settings.type](**settings.values)
    return anchor
