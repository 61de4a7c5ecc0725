"""Signed notes: a text and, after an empty line, a line for each signature.

Source: https://c2sp.org/signed-note, with Ed25519 (signature type 1). The text form of a private key is that of
https://pkg.go.dev/golang.org/x/mod/sumdb/note, whose tools read notes and keys of this file.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from hikeshi.audit.errors import KeyNotUsable, NoteError, NotSigned

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["Note", "SignerKey", "VerifierKey", "new_signer", "open_note", "read_note", "sign_note"]

_ED25519: Final = b"\x01"
_ID_BYTES: Final = 4
_KEY_BYTES: Final = 32
_PRIVATE: Final = "PRIVATE+KEY+"
_DASH: Final = "\u2014 "
_MOST_SIGNATURES: Final = 100
_LARGEST_BYTES: Final = 1024 * 1024
_KEY_FORM: Final = "A key to verify with is one line such as name+c74f20a3+ARpc2Q...; 'hikeshi audit key' prints it"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """What anybody may know of a key: its name and its 32 public bytes."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes by which a signature says which key has made it."""
        return sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{_base64(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str, where: str) -> VerifierKey:
        """Return the key of a line that `str` gives. Raises KeyNotUsable."""
        name, _, rest = text.strip().partition("+")
        shown_id, _, encoded = rest.partition("+")
        if name == "PRIVATE" and rest.startswith("KEY+"):
            raise KeyNotUsable("This is a private key", where, "Give the line that 'hikeshi audit key' prints")
        raw = _unbase64(encoded)
        if not _is_key_name(name) or raw is None or len(raw) != 1 + _KEY_BYTES or raw[:1] != _ED25519:
            raise KeyNotUsable("This is no key to verify with", where, _KEY_FORM)
        key = cls(name, raw[1:])
        if key.key_id.hex() != shown_id:
            raise KeyNotUsable("The key and its ID do not belong together: it was cut or mistyped", where, _KEY_FORM)
        return key

    def has_signed(self, text: str, signature: bytes) -> bool:
        """Say whether this key made the signature over the text."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, text.encode())
        except (InvalidSignature, ValueError):  # ValueError: these 32 bytes are no point of the curve
            return False
        return True


class SignerKey:
    """A private key. It never shows itself, but for `private_text`."""

    __slots__ = ("_private", "verifier")

    def __init__(self, name: str, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.verifier = VerifierKey(name, private.public_key().public_bytes_raw())

    def __repr__(self) -> str:
        return f"SignerKey({self.verifier})"

    def sign(self, text: str) -> bytes:
        """Return the 64 bytes of the signature over the text."""
        return self._private.sign(text.encode())

    @property
    def private_text(self) -> str:
        """The line that a key file holds."""
        secret = _base64(_ED25519 + self._private.private_bytes_raw())
        return f"{_PRIVATE}{self.verifier.name}+{self.verifier.key_id.hex()}+{secret}"

    @classmethod
    def parse(cls, text: str, where: str) -> SignerKey:
        """Return the key of a line that `private_text` gives. Raises KeyNotUsable, which never quotes the line."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        what_next = "Restore the file from a backup; without it, move it away, and tell auditors of the new key"
        name, _, rest = text.strip().removeprefix(_PRIVATE).partition("+")
        shown_id, _, encoded = rest.partition("+")
        raw = _unbase64(encoded)
        if not text.startswith(_PRIVATE) or not _is_key_name(name) or raw is None or len(raw) != 1 + _KEY_BYTES:
            raise KeyNotUsable("The file does not hold a private key", where, what_next)
        key = cls(name, Ed25519PrivateKey.from_private_bytes(raw[1:]))
        if raw[:1] != _ED25519 or key.verifier.key_id.hex() != shown_id:
            raise KeyNotUsable("The private key and its ID do not belong together", where, what_next)
        return key


def new_signer(name: str) -> SignerKey:
    """Return a new key from the system's randomness."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    return SignerKey(name, Ed25519PrivateKey.generate())


@dataclass(frozen=True, slots=True)
class Signature:
    """One line below a note's text: who is said to have signed, and the bytes."""

    name: str
    key_id: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """A text and the signatures that stand below it, whoever made them. Believe the text only after `open_note`."""

    text: str
    signatures: Sequence[Signature]


def sign_note(text: str, *signers: SignerKey) -> str:
    """Return a note with a signature of each key. Raises NoteError if the text cannot be one of a note."""
    if not text.endswith("\n") or _has_control_characters(text):
        raise NoteError("The text of a note ends with a line break and has no control characters", "signing", "A bug")
    lines = (f"{_DASH}{key.verifier.name} {_base64(key.verifier.key_id + key.sign(text))}\n" for key in signers)
    return f"{text}\n{''.join(lines)}"


def read_note(note: str, where: str) -> Note:
    """Return the parts of a note without checking who signed it. Raises NoteError."""
    if len(note) > _LARGEST_BYTES or _has_control_characters(note):
        raise _not_a_note("it is too large, or has control characters", where)
    body, gap, below = note.rpartition("\n\n")
    if not gap or not below.endswith("\n"):
        raise _not_a_note("no signatures stand below an empty line", where)
    lines = below.removesuffix("\n").split("\n")
    if len(lines) > _MOST_SIGNATURES:
        raise _not_a_note(f"it has more than {_MOST_SIGNATURES} signatures", where)
    return Note(body + "\n", tuple(_signature(line, where) for line in lines))


def open_note(note: str, keys: Iterable[VerifierKey], where: str) -> tuple[str, tuple[VerifierKey, ...]]:
    """Return the text of a note, and which of the keys have signed it: at least one.

    Signatures of unknown keys are passed over. Raises NotSigned if no known key has signed; NoteError if it is no note,
    or a signature under a known key's name and ID is wrong.
    """
    parts = read_note(note, where)
    known = {(key.name, key.key_id): key for key in keys}
    signed: list[VerifierKey] = []
    for each in parts.signatures:
        key = known.get((each.name, each.key_id))
        if key is None:
            continue
        if not key.has_signed(parts.text, each.signature):
            what = f"The signature of {key.name} ({key.key_id.hex()}) does not fit the text"
            raise NoteError(what, where, "The note was changed, or it was never signed with this key")
        if key not in signed:
            signed.append(key)
    if not signed:
        names = ", ".join(f"{each.name} ({each.key_id.hex()})" for each in parts.signatures)
        raise NotSigned(f"No known key has signed this; it is signed by {names}", where, "Compare the key you pinned")
    return parts.text, tuple(signed)


def _signature(line: str, where: str) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    raw = _unbase64(encoded)
    if not line.startswith(_DASH) or not _is_key_name(name) or raw is None or len(raw) <= _ID_BYTES:
        raise _not_a_note("a line below the empty one is not a signature", where)
    return Signature(name, raw[:_ID_BYTES], raw[_ID_BYTES:])


def _not_a_note(why: str, where: str) -> NoteError:
    return NoteError(f"This is not a signed note: {why}", where, "Get it anew from where it was kept")


def _is_key_name(name: str) -> bool:
    return bool(name) and "+" not in name and not any(sign.isspace() for sign in name)


def _has_control_characters(text: str) -> bool:
    return any(sign < " " and sign != "\n" for sign in set(text))


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _unbase64(text: str) -> bytes | None:
    """Return the bytes, or None if the text is not exactly what they are written as."""
    try:
        raw = base64.b64decode(text)
    except (binascii.Error, ValueError):
        return None
    return raw if _base64(raw) == text else None
