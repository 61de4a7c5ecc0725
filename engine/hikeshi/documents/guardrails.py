"""Guardrails as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hikeshi.guardrails import ApprovalRule, Breaker, Limit, Listed, Protected, Refusal, RequiredApproval

__all__ = ["approval_of", "breaker_of", "limit_of", "protected_of", "refusal_of", "required_of"]

_SHOWN = 4


def protected_of(rule: Protected) -> dict[str, Any]:
    """Return a rule that protects things; of long lists only the beginning."""
    lists = [_list_of(each) for each in rule.lists]
    return {"rule": rule.origin, "lists": lists, "why": rule.why, "actions": list(rule.actions), "lift": rule.lift}


def limit_of(rule: Limit) -> dict[str, Any]:
    """Return a limit. `within_s` is in seconds."""
    return {
        "rule": rule.origin,
        "most": rule.most,
        "per": str(rule.per),
        "within_s": rule.within_s,
        "actions": list(rule.actions),
        "playbooks": list(rule.playbooks),
        "by": list(rule.by),
        "why": rule.why,
    }


def approval_of(rule: ApprovalRule) -> dict[str, Any]:
    """Return a rule that requires an approval. `within_s` is in seconds."""
    return {
        "rule": rule.origin,
        "by": list(rule.by),
        "quorum": rule.quorum,
        "within_s": rule.within_s,
        "lists": [_list_of(each) for each in rule.lists],
        "actions": list(rule.actions),
        "playbooks": list(rule.playbooks),
        "why": rule.why,
    }


def required_of(need: RequiredApproval) -> dict[str, Any]:
    """Return an approval that one change needs."""
    return {
        "rule": need.rule,
        "by": list(need.by),
        "quorum": need.quorum,
        "within_s": need.within_s,
        "why": need.why,
        "matched": need.matched,
    }


def breaker_of(rule: Breaker) -> dict[str, Any]:
    """Return the breaker. `within_s` is in seconds."""
    return {
        "rule": rule.origin,
        "at_most_per_cent": rule.at_most_per_cent,
        "at_least": rule.at_least,
        "within_s": rule.within_s,
        "actions": list(rule.actions),
        "sources": list(rule.sources),
    }


def refusal_of(refusal: Refusal) -> dict[str, Any]:
    """Return a refusal."""
    return {
        "code": str(refusal.code),
        "rule": refusal.rule,
        "matched": refusal.matched,
        "why": refusal.why,
        "who_may_lift": refusal.who_may_lift,
    }


def _list_of(listed: Listed) -> dict[str, Any]:
    entries = [text for _, text in listed.lines()]
    return {"kind": str(listed.sense), "file": listed.file or None, "count": len(entries), "first": entries[:_SHOWN]}
