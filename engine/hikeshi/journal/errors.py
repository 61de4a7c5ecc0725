"""What can go wrong with a journal. Every message says what happened, where, and what to do next."""


class JournalError(Exception):
    """Anything the journal could not do. Never carries the contents of a record."""

    def __init__(self, what: str, where: str, what_next: str) -> None:
        super().__init__(what, where, what_next)
        self.what = what
        self.where = where
        self.what_next = what_next

    def __str__(self) -> str:
        return f"{self.what} ({self.where}). {self.what_next}"


class JournalUnavailable(JournalError):
    """The journal cannot be read or written now: disk, permissions, a lost file. The operator's to mend."""


class JournalLocked(JournalUnavailable):
    """Another process kept the journal locked for longer than the time we wait."""


class JournalForeign(JournalError):
    """The file is not a journal. It was not touched."""


class JournalNewer(JournalError):
    """The journal was written by a newer version of this program. It was not touched."""


class JournalBroken(JournalError):
    """What is stored is not what was appended."""


class JournalPruned(JournalError):
    """The record was taken out after it was archived; its place in the chain is still there."""


class JournalMisused(JournalError, ValueError):
    """The caller asked for something that can never work: a bug of the program, not of the operator."""


class ProjectionFailed(JournalError):
    """A projection refused a record, so the whole append was undone. The cause is in `__cause__`."""


class SequenceConflict(JournalError):
    """Somebody else has appended to the run since the caller read it. Nothing was written."""

    def __init__(self, run: str, expected_seq: int, last_seq: int, where: str) -> None:
        super().__init__(
            f"Run {run} ends at record {last_seq}, so record {expected_seq} cannot be appended to it",
            where,
            "Another owner may have taken the run over: read the run again before deciding anything",
        )
        self.args = (run, expected_seq, last_seq, where)
        self.run = run
        self.expected_seq = expected_seq
        self.last_seq = last_seq


class LeaseOver(JournalError):
    """This owner's lease has lapsed: another process may take its runs over. It may be renewed while none has."""


class LeaseLost(LeaseOver):
    """This owner's runs may belong to others now, for ever: it sends nothing any more and writes nothing."""
