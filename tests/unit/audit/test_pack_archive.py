"""The archive of a pack: one file in which others lie, which somebody may have cut, damaged or packed anew."""

from __future__ import annotations

import struct
import zipfile

import pytest
from pack_editor import Pack

from hikeshi.audit.errors import PackError
from hikeshi.audit.verification import verify_pack

pytestmark = pytest.mark.safety(24)


def test_two_files_of_one_name_are_refused(pack: Pack) -> None:
    """One program would read the first, another the second."""
    path = pack.edited(lambda lines: None)
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("leaves.jsonl", b"")

    with pytest.raises(PackError, match="two files of one name"):
        verify_pack(path, pack.key)


def test_the_last_line_need_not_be_ended(pack: Pack) -> None:
    """Somebody's editor may have taken that away."""
    path = pack.edited(lambda lines: None)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).removesuffix(b"\n") for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, each in parts.items():
            archive.writestr(name, each)

    assert verify_pack(path, pack.key, [pack.anchor]).status == "ok"


def test_a_part_of_several_megabytes_is_read_whole(pack: Pack) -> None:
    """Piece by piece; a line that is longer than a piece is one line."""
    long = b'{"seq": 1, "x": "' + b"y" * 2_500_000 + b'"}'

    assert pack.judged(lambda lines: lines["keys.jsonl"].extend([long, long])).status == "ok_unanchored_tail"


def test_an_entry_that_is_not_where_the_archive_says_is_refused(pack: Pack) -> None:
    """The directory of the archive points behind its end."""
    path = pack.edited(lambda lines: None)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        order = archive.namelist().index("leaves.jsonl")
    at = -1
    for _ in range(order + 1):
        at = content.index(b"PK\x01\x02", at + 1)
    content[at + 42 : at + 46] = struct.pack("<I", len(content) - 28)
    path.write_bytes(content)

    with pytest.raises(PackError):
        verify_pack(path, pack.key)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_part_that_cannot_be_unpacked_is_refused(pack: Pack, method: int) -> None:
    """Of a pack that somebody has compressed, and somebody else damaged."""
    path = pack.edited(lambda lines: None)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, each in parts.items():
            archive.writestr(name, each)
    assert verify_pack(path, pack.key, [pack.anchor]).status == "ok"
    with zipfile.ZipFile(path) as archive:
        begin = archive.getinfo("leaves.jsonl").header_offset + 30 + len("leaves.jsonl")
    content = bytearray(path.read_bytes())
    content[begin + 10 : begin + 20] = b"\xff" * 10
    path.write_bytes(content)

    with pytest.raises(PackError, match="cannot be unpacked"):
        verify_pack(path, pack.key)


def test_a_manifest_that_says_it_is_huge_is_not_read(pack: Pack) -> None:
    """What the archive says of its size is looked at first: 64 megabytes are the most."""
    path = pack.edited(lambda lines: None)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        order = archive.namelist().index("manifest.json")
    at = -1
    for _ in range(order + 1):
        at = content.index(b"PK\x01\x02", at + 1)
    most = 64 * 1024 * 1024
    content[at + 24 : at + 28] = struct.pack("<I", most)
    path.write_bytes(content)
    assert verify_pack(path, pack.key, [pack.anchor]).status == "ok"

    content[at + 24 : at + 28] = struct.pack("<I", most + 1)
    path.write_bytes(content)
    with pytest.raises(PackError, match="its manifest is too large"):
        verify_pack(path, pack.key)


@pytest.mark.parametrize("name", ["manifest.json", "leaves.jsonl", "records.jsonl", "checkpoints.jsonl", "keys.jsonl"])
def test_a_pack_without_one_of_its_parts_is_refused(pack: Pack, name: str) -> None:
    """A part that is gone is never an empty one."""
    assert "not a pack" in pack.refused(lambda lines: lines.pop(name))
