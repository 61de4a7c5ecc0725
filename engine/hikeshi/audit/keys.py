"""The signing key of a project, in a file that its owner alone can read."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from hikeshi.audit.errors import KeyNotUsable
from hikeshi.audit.note import SignerKey, VerifierKey, new_signer

__all__ = ["KEY_FILE", "NEXT_KEY_FILE", "key_to_sign", "key_to_verify", "load_key", "put_key_in_place", "write_key"]

KEY_FILE: Final = "audit.key"
NEXT_KEY_FILE: Final = "audit.key.next"
"""A key that is being changed to. It counts from the moment in which the journal names it."""

_LARGEST_BYTES: Final = 4096


def key_to_sign(folder: Path) -> SignerKey:
    """Return the key of the project whose state is in this folder; it is made at first use. Raises KeyNotUsable."""
    path = folder / KEY_FILE
    try:
        return load_key(path)
    except FileNotFoundError:
        pass
    with suppress(FileExistsError):  # another process was quicker; its key counts
        write_key(path, new_signer(f"hikeshi/{os.urandom(8).hex()}"))
    return load_key(path)


def load_key(path: Path) -> SignerKey:
    """Return the private key in a file. Raises FileNotFoundError; KeyNotUsable if others may read it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        raise
    except OSError as exc:
        what_next = "Give the file to the user that runs Hikeshi, with mode 0600"
        raise KeyNotUsable(f"The signing key cannot be read: {exc.strerror}", str(path), what_next) from exc
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise KeyNotUsable("The signing key is not a file", str(path), "Move away what stands there")
    with open(descriptor, encoding="utf-8", errors="replace") as file:
        if found.st_mode & 0o077:
            what_next = f"Others may have a copy: chmod 600 {path}, then change the key with 'hikeshi audit rotate'"
            raise KeyNotUsable(
                f"Others may read the signing key (mode {found.st_mode & 0o777:04o})", str(path), what_next
            )
        return SignerKey.parse(file.read(_LARGEST_BYTES), str(path))


def write_key(path: Path, key: SignerKey) -> None:
    """Write a private key for its owner alone, and make it durable. Raises FileExistsError, KeyNotUsable."""
    temporary = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(key.private_text + "\n")
                file.flush()
                os.fsync(descriptor)
            os.link(temporary, path)  # whole or not at all, and never over another one
        finally:
            temporary.unlink()
        _make_durable(path.parent)
    except FileExistsError:
        raise
    except OSError as exc:
        what_next = "Check the rights of the folder and the disk; checkpoints are made again once it works"
        raise KeyNotUsable(f"The signing key cannot be written: {exc.strerror}", str(path), what_next) from exc


def put_key_in_place(folder: Path) -> None:
    """Let the key that is being changed to be the key. Raises KeyNotUsable."""
    try:
        (folder / NEXT_KEY_FILE).replace(folder / KEY_FILE)
        _make_durable(folder)
    except OSError as exc:
        what_next = "Check the rights of the folder; the next checkpoint tries again"
        raise KeyNotUsable(f"The new key cannot take its place: {exc.strerror}", str(folder), what_next) from exc


def key_to_verify(path: Path) -> VerifierKey:
    """Return the public key in a file: the first line that is neither empty nor a comment (#). Raises KeyNotUsable."""
    what_next = "Name the file into which 'hikeshi audit key' was written"
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST_BYTES)
    except OSError as exc:
        raise KeyNotUsable(f"The key cannot be read: {exc.strerror}", str(path), what_next) from exc
    except UnicodeDecodeError as exc:
        raise KeyNotUsable("This is no key to verify with", str(path), what_next) from exc
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if not lines:
        raise KeyNotUsable("The file is empty", str(path), what_next)
    return VerifierKey.parse(lines[0], str(path))


def _make_durable(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
