"""Packs that would fill the memory of whoever verifies them: what has to be held in one piece has its limit."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest
from audit_archive import Archive, build_now

from hikeshi.audit.errors import PackError
from hikeshi.audit.pack import write_pack
from hikeshi.audit.verification import verify_pack

MOST_BYTES = 64 * 1024 * 1024


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A journal of one run."""
    return build_now(tmp_path_factory.mktemp("large"), records=10, runs=1, every=5)


def with_line(archive: Archive, pack: Path, line_bytes: int) -> Path:
    """Write a pack with a line of so many bytes among the changes of keys, compressed to almost nothing."""
    plain = pack.with_suffix(".plain")
    write_pack(archive.path, plain, archive.key)
    with zipfile.ZipFile(plain) as reads, zipfile.ZipFile(pack, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as writes:
        for name in reads.namelist():
            content = b"x" * line_bytes if name == "keys.jsonl" else reads.read(name)
            writes.writestr(name, content)
    return pack


def test_a_line_has_at_most_64_megabytes(archive: Archive, tmp_path: Path) -> None:
    """A small file may be unpacked to anything: one that goes on after that is refused, and not read to its end."""
    longest = with_line(archive, tmp_path / "longest", MOST_BYTES)
    assert longest.stat().st_size < MOST_BYTES // 100
    assert verify_pack(longest, archive.key, [archive.anchor]).status == "ok"

    with pytest.raises(PackError, match=r"keys\.jsonl has a line that is too long"):
        verify_pack(with_line(archive, tmp_path / "longer", MOST_BYTES + 1), archive.key)
