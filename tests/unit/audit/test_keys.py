"""The signing key on disk: its owner's alone, made once, never written over."""

import os
import re
from pathlib import Path

import pytest

from hikeshi.audit.errors import KeyNotUsable
from hikeshi.audit.keys import KEY_FILE, key_to_sign, key_to_verify, load_key, put_key_in_place, write_key
from hikeshi.audit.note import new_signer


def test_the_key_is_made_at_first_use_and_is_the_same_from_then_on(tmp_path: Path) -> None:
    """In a folder that may not be there yet, with mode 0600 whatever the umask is."""
    folder = tmp_path / "project" / ".hikeshi"
    before = os.umask(0)
    try:
        made = key_to_sign(folder)
    finally:
        os.umask(before)

    assert key_to_sign(folder).verifier == made.verifier
    assert (folder / KEY_FILE).stat().st_mode & 0o777 == 0o600
    assert [each.name for each in folder.iterdir()] == [KEY_FILE]
    assert made.verifier.name.startswith("hikeshi/")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o677])
def test_a_key_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    """It may be anybody's by now."""
    key_to_sign(tmp_path)
    (tmp_path / KEY_FILE).chmod(mode)

    with pytest.raises(KeyNotUsable, match=f"mode {mode:04o}.*chmod 600"):
        key_to_sign(tmp_path)


def test_a_key_is_never_written_over(tmp_path: Path) -> None:
    """Whoever comes second finds the first one's."""
    first = key_to_sign(tmp_path)

    with pytest.raises(FileExistsError):
        write_key(tmp_path / KEY_FILE, new_signer("log"))
    assert load_key(tmp_path / KEY_FILE).verifier == first.verifier


@pytest.mark.parametrize("content", ["", "nonsense", "PRIVATE+KEY+log+00000000+", "\x00\xff"])
def test_a_damaged_key_file_is_refused(tmp_path: Path, content: str) -> None:
    """It is not replaced by a new key: nobody would believe that one."""
    path = tmp_path / KEY_FILE
    path.write_text(content, encoding="latin-1")
    path.chmod(0o600)

    with pytest.raises(KeyNotUsable, match="does not hold a private key"):
        key_to_sign(tmp_path)
    assert path.read_text(encoding="latin-1") == content


def test_a_link_and_a_folder_are_no_key(tmp_path: Path) -> None:
    """What stands there has to be the file itself."""
    real = tmp_path / "real"
    write_key(real, new_signer("log"))
    (tmp_path / KEY_FILE).symlink_to(real)

    with pytest.raises(KeyNotUsable, match="cannot be read"):
        key_to_sign(tmp_path)
    (tmp_path / KEY_FILE).unlink()
    (tmp_path / KEY_FILE).mkdir(mode=0o700)
    with pytest.raises(KeyNotUsable):
        key_to_sign(tmp_path)


def test_a_public_key_is_read_from_a_file_with_comments(tmp_path: Path) -> None:
    """So that people can say in it where it is from."""
    key = new_signer("log").verifier
    path = tmp_path / "pinned"
    path.write_text(f"# of the machine in Tokyo\n\n{key}\n", encoding="utf-8")

    assert key_to_verify(path) == key


@pytest.mark.parametrize("content", [b"", b"# nothing\n", b"what\n", b"\xff\xfe"])
def test_a_file_without_a_public_key_is_refused(tmp_path: Path, content: bytes) -> None:
    """And so is one that is not there."""
    path = tmp_path / "pinned"
    path.write_bytes(content)

    for each in (path, tmp_path / "missing", tmp_path):
        with pytest.raises(KeyNotUsable, match="audit key"):
            key_to_verify(each)


def test_the_folder_of_a_new_key_is_its_owners_alone(tmp_path: Path) -> None:
    """Whatever the umask is: names and times of files are nobody else's business."""
    before = os.umask(0)
    try:
        key_to_sign(tmp_path / ".hikeshi")
    finally:
        os.umask(before)

    assert (tmp_path / ".hikeshi").stat().st_mode & 0o777 == 0o700


def test_a_new_key_has_a_name_that_no_other_has(tmp_path: Path) -> None:
    """Of sixteen hexadecimal digits, which auditors compare."""
    names = {key_to_sign(tmp_path / folder).verifier.name for folder in ("one", "two", "three")}

    assert len(names) == 3
    assert all(re.fullmatch(r"hikeshi/[0-9a-f]{16}", name) for name in names)


def test_a_key_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    """A file stands where a folder should be, so there is none to sign with."""
    (tmp_path / "file").touch()

    with pytest.raises(KeyNotUsable, match="cannot be written"):
        write_key(tmp_path / "file" / "folder" / KEY_FILE, new_signer("log"))


def test_a_key_to_change_to_that_is_not_there_takes_no_place(tmp_path: Path) -> None:
    """The old one stays where it is."""
    key = key_to_sign(tmp_path).verifier

    with pytest.raises(KeyNotUsable, match="cannot take its place"):
        put_key_in_place(tmp_path)
    assert key_to_sign(tmp_path).verifier == key


def test_a_key_to_verify_with_stands_in_the_first_four_kilobytes(tmp_path: Path) -> None:
    """One that begins before their end and goes on after it is cut, and no other key for that."""
    key = f"{new_signer('log').verifier}"
    path = tmp_path / "pinned"
    path.write_text(f"#{'x' * (4096 - 2 - len(key))}\n{key}", encoding="utf-8")
    assert str(key_to_verify(path)) == key

    path.write_text(f"#{'x' * (4096 - 1 - len(key))}\n{key}", encoding="utf-8")
    with pytest.raises(KeyNotUsable):
        key_to_verify(path)
