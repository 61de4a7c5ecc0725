"""What can go wrong with the audit log. Every message says what happened, where, and what to do next."""

from hikeshi.journal import JournalError

__all__ = ["AuditError", "KeyNotUsable", "NotSigned", "NoteError", "PackError"]


class AuditError(JournalError):
    """Anything that signing, sending or exporting could not do. Never carries a private key."""


class KeyNotUsable(AuditError):
    """The signing key, or a key to verify with, cannot be used. The operator's to mend."""


class NoteError(AuditError):
    """The text is not a signed note, or a signature that a known key is said to have made is wrong."""


class NotSigned(NoteError):
    """None of the known keys has signed the note."""


class PackError(AuditError):
    """The file is not a pack, or one that this version does not read."""
