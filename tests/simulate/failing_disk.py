"""The disk: a journal in memory that outlives every process, and each process's own way to it, which may fail."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dice import Dice

from hikeshi.journal import JournalUnavailable, Record, SequenceConflict
from hikeshi.runtime.projections import standard_projections
from hikeshi.testing.memory_journal import MemoryJournal

if TYPE_CHECKING:
    from process import Process

__all__ = ["Disk", "ProcessJournal"]


@dataclass
class Disk:
    """What is stored, and how well storing works."""

    dice: Dice
    slow_percent: float = 0.0
    full: bool = False
    stored: Callable[[Process, Sequence[bytes | Record]], None] = lambda process, records: None
    conflict: Callable[[str, str], None] = lambda run, text: None
    journal: MemoryJournal = field(default_factory=lambda: MemoryJournal(standard_projections()))
    refused: int = 0


class ProcessJournal:
    """The journal as one process has it open.

    What is stored stays stored when the process dies, also if that is before it has heard of it. A dead process reads
    and writes nothing.
    """

    def __init__(self, disk: Disk, process: Process) -> None:
        self._disk = disk
        self._process = process

    async def append(self, run: str, expected_seq: int, records: Sequence[bytes | Record], **more: Any) -> None:
        """Append as a journal does: slowly, or not, or without anybody left to hear of it."""
        self._check_alive()
        await self._take_time()
        await self._process.may_die("before an append")
        if self._disk.full:
            self._disk.refused += 1
            raise JournalUnavailable("Cannot write: the disk is full", "the simulated disk", "Wait")
        try:
            await self._disk.journal.append(run, expected_seq, records, **more)
        except SequenceConflict as exc:
            if expected_seq > 1:  # a run's first record may be tried by several, and one alone succeeds
                self._disk.conflict(run, str(exc))
            raise
        self._disk.stored(self._process, records)
        await self._process.may_die("after an append")
        await self._take_time()

    def read(self, run: str, *, after: int = 0) -> Iterator[Record]:
        self._check_alive()
        return self._disk.journal.read(run, after=after)

    def query(self, sql: str, parameters: Any = ()) -> Any:
        self._check_alive()
        return self._disk.journal.query(sql, parameters)

    def close(self) -> None:
        """Leave the disk as it is."""

    def __getattr__(self, name: str) -> Any:
        """Give whatever else a journal has; what it has to wait for may fail and take time as an append may."""
        found = getattr(self._disk.journal, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def awaited(*args: Any, **kwargs: Any) -> Any:
            self._check_alive()
            await self._take_time()
            if self._disk.full:
                raise JournalUnavailable("Cannot write: the disk is full", "the simulated disk", "Wait")
            result = await found(*args, **kwargs)
            self._process.world.clock.happenings += 1
            await self._process.may_die(f"after {name}")
            return result

        return awaited

    async def _take_time(self) -> None:
        if self._disk.slow_percent and self._disk.dice.chance(self._disk.slow_percent):
            await self._process.world.clock.until_outside(self._disk.dice.seconds(0, 4))

    def _check_alive(self) -> None:
        if not self._process.alive:
            raise JournalUnavailable("The process is dead", "the simulated disk", "Nothing")
