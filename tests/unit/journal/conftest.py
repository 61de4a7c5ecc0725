"""Small records, opened journals that get closed, and other processes."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import hikeshi
from hikeshi.journal import SqliteJournal, encode_record

Encode = Callable[..., list[bytes]]


@pytest.fixture
def encoded() -> Encode:
    """Encode records of a run by their sequence numbers."""

    def encode(run: str, *seqs: int, kind: str = "Noted", **data: Any) -> list[bytes]:
        at = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
        return [encode_record(run=run, seq=seq, at=at, kind=kind, path="s", data={"n": seq, **data}) for seq in seqs]

    return encode


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal of the test lives."""
    return tmp_path / "journal.db"


@pytest.fixture
def open_journal(path: Path) -> Iterator[Callable[..., SqliteJournal]]:
    """Open the journal of the test, as often as one likes."""
    opened: list[SqliteJournal] = []

    def open_one(*projections: Any, **options: Any) -> SqliteJournal:
        opened.append(SqliteJournal.open(path, projections, **options))
        return opened[-1]

    yield open_one
    for journal in opened:
        journal.close()


@pytest.fixture
def start_python() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a script in another process, which is killed at the end of the test."""
    started: list[subprocess.Popen[str]] = []

    def start(script: str, *arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", script, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(hikeshi.__file__).parents[1])},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()
