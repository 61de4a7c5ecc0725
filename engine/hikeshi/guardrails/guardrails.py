"""The guardrails of a project: what holds for every change, whatever a playbook says."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from hikeshi.guardrails.aim import doubt_about
from hikeshi.guardrails.approval import ApprovalRule, RequiredApproval
from hikeshi.guardrails.breaker import Breaker
from hikeshi.guardrails.limit import Limit
from hikeshi.guardrails.names import Names
from hikeshi.guardrails.refusal import Code, Refusal
from hikeshi.guardrails.rule import NOBODY, Protected, any_matches
from hikeshi.guardrails.rulebook import Rulebook

__all__ = ["Guardrails"]

_AIM = "Nobody lifts this: aim the change at one thing that can be named"
_OWN = "Nobody lifts this: the engine does not cut itself off"
_EDITOR = "Whoever may edit hikeshi.yaml may lift it, by taking it off the list"
_MEND = "Whoever may edit hikeshi.yaml mends it; until then nothing is changed"


class Guardrails:
    """The rules in force. Facts in, verdict out: nothing here reads, counts or stores."""

    def __init__(
        self,
        protected: Iterable[Protected] = (),
        *,
        limits: Iterable[Limit] = (),
        approvals: Iterable[ApprovalRule] = (),
        breaker: Breaker | None = None,
        release_people: int | None = None,
        domains: Iterable[str] = (),
        digest: str = "",
        files: Iterable[str] = (),
        broken_because: str = "",
    ) -> None:
        """Raises NotAnEntry for an entry of a list that can't be compared with anything.

        `release_people` is how many people it takes to release the kill switch, None for what is usual; `domains` are
        those in which a host may be that is named without its domain, none for any; `digest` stands for everything
        that was read, and `files` are where it was read from.
        """
        self.files = tuple(files)
        self.domains = tuple(domains)
        self._books: tuple[Rulebook[Protected], ...] = (Rulebook(tuple(protected), self.domains),)
        self._approvals = Rulebook(tuple(approvals), self.domains)
        self._digest = digest
        self.limits = tuple(limits)
        self.breaker = breaker
        self.release_people = release_people
        self.broken_because = broken_because

    @classmethod
    def broken(cls, reason: str, files: Iterable[str] = ()) -> Guardrails:
        """Return guardrails that refuse every change: what is protected is not known, and `reason` says why."""
        return cls(broken_because=reason or "the reason is not known", files=files)

    def with_lifeline(self, rules: Iterable[Protected]) -> Guardrails:
        """Return these guardrails with the rules of `lifeline` beside them; long lists are not read again."""
        own = tuple(rules)
        digest = _digest_of(self._digest, *(repr(rule) for rule in own))
        copy = Guardrails(
            limits=self.limits,
            breaker=self.breaker,
            release_people=self.release_people,
            domains=self.domains,
            digest=digest,
            files=self.files,
            broken_because=self.broken_because,
        )
        copy._books = (*self._books, Rulebook(own, self.domains))
        copy._approvals = self._approvals
        return copy

    @property
    def protected(self) -> tuple[Protected, ...]:
        """The rules that protect things, the engine's own last."""
        return tuple(rule for book in self._books for rule in book.rules)

    @property
    def approvals(self) -> tuple[ApprovalRule, ...]:
        """The rules that require approvals."""
        return self._approvals.rules

    @property
    def digest(self) -> str:
        """What a plan is bound to: 64 hexadecimal digits that change with every rule and every line of a list."""
        return _digest_of(self._digest, self.broken_because)

    def needs_groups(self, action: str) -> bool:
        """Say whether a rule about an action names groups, so that those of its target are read before a verdict."""
        facts = [self._approvals.facts_for(action), *(book.facts_for(action) for book in self._books)]
        return any("groups" in each for each in facts)

    def verdict(self, action: str, names: Names, *, expected: Iterable[str] = ()) -> Refusal | None:
        """Return why a change is refused, or None if nothing here speaks against it.

        `action` is `capability.verb`, `expected` the kinds of target that it takes (`host`, `user`, `group`,
        `indicator`, `text`; empty for any). It does not depend on the playbook or on what was approved.
        Undoing a change is not asked about here.
        """
        if self.broken_because:
            why = f"what is protected could not be read: {self.broken_because}"
            return Refusal(Code.UNREADABLE, "hikeshi.yaml", names.label, "", why, _MEND)
        doubt = doubt_about(names, expected if isinstance(expected, frozenset) else frozenset(expected))
        if doubt is not None:
            return Refusal(doubt.code, "engine", names.label, "", doubt.why, _AIM)
        for book in self._books:
            for hit in book.hits(action, names):
                return Refusal(
                    Code.PROTECTED,
                    hit.where,
                    names.label,
                    hit.text,
                    hit.rule.why or "it is protected",
                    _who_may_lift(hit.rule),
                )
        return self._unresolvable(action, names)

    def verdicts(self, action: str, targets: Sequence[Names], *, expected: Iterable[str] = ()) -> list[Refusal]:
        """Return the refusals of a change of several targets. No target at all is refused: it must not mean all."""
        kinds = frozenset(expected)
        asked = targets or [Names.of("")]
        given = (self.verdict(action, names, expected=() if not targets else kinds) for names in asked)
        return [refusal for refusal in given if refusal is not None]

    def limits_for(self, action: str, playbook: str) -> list[Limit]:
        """Return the limits under which a change counts, in the order of the file."""
        return [limit for limit in self.limits if limit.is_about(action, playbook)]

    def approvals_for(self, action: str, names: Names, playbook: str = "") -> list[RequiredApproval]:
        """Return what consent a change needs besides what its playbook asks for, in the order of the file.

        A rule about groups or tags that are not known for the target counts as if it had them.
        """
        found = []
        for rule in self._approvals.rules:
            if rule.is_about(action, playbook):
                matched = self._approvals.why_about(rule, names)
                if matched is not None:
                    found.append(RequiredApproval(rule.origin, rule.by, rule.quorum, rule.within_s, rule.why, matched))
        return found

    def idle(self, known_actions: Iterable[str]) -> list[str]:
        """Return, for each pattern of an action that means none of the known ones, its place and what it says.

        Such a rule holds nothing back, most often because its name is misspelled.
        """
        known = tuple(known_actions)
        rules = (*self.protected, *self.limits, *self.approvals, *((self.breaker,) if self.breaker else ()))
        return [
            f"{rule.origin}: no action is called {pattern!r}"
            for rule in rules
            for pattern in rule.actions
            if pattern != "*" and not any(any_matches((pattern,), action) for action in known)
        ]

    def _unresolvable(self, action: str, names: Names) -> Refusal | None:
        """What is not known is never taken for absent: a rule about groups needs the groups."""
        asked = {fact for book in self._books for fact in book.facts_for(action)}
        missing = sorted(asked & names.not_known)
        if not missing:
            return None
        why = f"its {' and '.join(missing)} are not known, and some are protected"
        return Refusal(Code.UNRESOLVABLE, "engine", names.label, "", why, _AIM)


def _who_may_lift(rule: Protected) -> str:
    if rule.lift == NOBODY:
        return _OWN
    return f"{rule.lift} may lift it, by taking it off the list" if rule.lift else _EDITOR


def _digest_of(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
