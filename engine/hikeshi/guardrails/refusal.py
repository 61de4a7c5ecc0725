"""Why a change is refused before anybody is asked."""

from __future__ import annotations

from enum import StrEnum

from hikeshi.quick_dataclass import dataclass

__all__ = ["Code", "Refusal"]


class Code(StrEnum):
    """The kinds of refusal."""

    PROTECTED = "protected"
    EMPTY = "empty_target"
    WILDCARD = "wildcard_target"
    WRONG_KIND = "wrong_kind"
    UNRESOLVABLE = "unresolvable"
    UNREADABLE = "guardrails_unreadable"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A change that is not made. No playbook and no approval changes that; `who_may_lift` names who can.

    `rule` is where the rule stands (`hikeshi.yaml:12`, `protected-hosts.txt:4711`, or the engine itself), `matched` is
    the name of the target and the entry that met.
    """

    code: Code
    rule: str
    target: str
    matched: str
    why: str
    who_may_lift: str

    @property
    def message(self) -> str:
        """One line for people: what, where, and what to do next."""
        what = f"{self.target!r} is refused ({self.code}): {self.why}"
        met = f"; {self.matched}" if self.matched else ""
        return f"{what}{met} [{self.rule}]. {self.who_may_lift}"
