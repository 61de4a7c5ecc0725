"""What an action does to the world, and what the engine may do when its outcome is lost."""

from enum import StrEnum

__all__ = ["Effect", "Recovery"]


class Effect(StrEnum):
    """What an action does to the world."""

    READ = "read"  # changes nothing
    NOTIFY = "notify"  # tells people: a message, a page, a ticket
    CHANGE = "change"  # alters a system; has a target and opens a hold


class Recovery(StrEnum):
    """What the engine may do with a change whose outcome is not known."""

    IDEMPOTENT = "idempotent"  # sending it again has no further effect
    VERIFIABLE = "verifiable"  # the state can be read back, then decide
    MANUAL = "manual"  # a person decides
    REPEAT = "repeat"  # notifications: send again, marked as possibly repeated
