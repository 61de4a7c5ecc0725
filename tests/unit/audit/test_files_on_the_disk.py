"""What a power failure and a long life leave of keys and packs: files that are whole and durable, and no open ones."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from hikeshi.audit.errors import KeyNotUsable
from hikeshi.audit.key_change import change_key
from hikeshi.audit.keys import KEY_FILE, NEXT_KEY_FILE, key_to_sign, load_key, put_key_in_place, write_key
from hikeshi.audit.note import new_signer
from hikeshi.audit.pack import write_pack
from hikeshi.audit.pack_reader import PackReader

FOLDER = -1


def synced(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, list[str]]]:
    """Return what is synced from now on: how long a file is by then, or FOLDER and the names that are in it."""
    found: list[tuple[int, list[str]]] = []

    def note(descriptor: int) -> None:
        status = os.fstat(descriptor)
        is_folder = stat.S_ISDIR(status.st_mode)
        found.append((FOLDER, sorted(os.listdir(descriptor))) if is_folder else (status.st_size, []))

    monkeypatch.setattr(os, "fsync", note)
    return found


def open_files() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def test_a_new_key_outlives_a_power_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """First all its bytes are synced, then its name in the folder."""
    found = synced(monkeypatch)
    key = new_signer("log")

    write_key(tmp_path / KEY_FILE, key)

    assert found == [(len(key.private_text) + 1, []), (FOLDER, [KEY_FILE])]


def test_a_changed_key_outlives_a_power_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its new name is synced, too."""
    write_key(tmp_path / NEXT_KEY_FILE, new_signer("log"))
    found = synced(monkeypatch)

    put_key_in_place(tmp_path)

    assert found == [(FOLDER, [KEY_FILE])]


async def test_a_pack_is_whole_when_it_is_synced(log: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of it is written later."""
    await log.add("a", 3)
    found = synced(monkeypatch)

    write_pack(log.path, tmp_path / "pack", new_signer("log").verifier)

    assert found == [((tmp_path / "pack").stat().st_size, [])]


def test_keys_leave_no_file_open(tmp_path: Path) -> None:
    """Neither when they are made nor when they are refused: a service looks at its key for months."""
    key_to_sign(tmp_path)
    (tmp_path / "folder").mkdir(mode=0o700)
    before = open_files()

    for at in range(3):
        write_key(tmp_path / f"key-{at}", new_signer("log"))
        load_key(tmp_path / f"key-{at}")
        with pytest.raises(KeyNotUsable, match="not a file"):
            load_key(tmp_path / "folder")

    assert open_files() <= before


async def test_a_change_of_keys_leaves_no_file_open(log: Any, now: Any) -> None:
    """Nor its lock."""
    key_to_sign(log.folder)
    await log.add("a", 1)
    before = open_files()

    for _ in range(3):
        await change_key(log.journal, log.folder, actor="mei", at=now())

    assert open_files() <= before


async def test_a_pack_that_was_read_is_no_longer_open(log: Any, tmp_path: Path) -> None:
    """Also while somebody still holds what has read it: on some systems it could not be moved away."""
    await log.add("a", 1)
    write_pack(log.path, tmp_path / "pack", new_signer("log").verifier)
    before = open_files()

    with PackReader(tmp_path / "pack") as pack:
        assert pack.notes() == []

    assert open_files() <= before
    assert pack.run is None
