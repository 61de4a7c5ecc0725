"""Guardrails: protected assets, limits, required approvals and the kill switch. Facts in, verdict out."""

from hikeshi.guardrails.approval import ApprovalRule, RequiredApproval
from hikeshi.guardrails.breaker import Breaker
from hikeshi.guardrails.guardrails import Guardrails
from hikeshi.guardrails.lifeline import lifeline
from hikeshi.guardrails.limit import Limit, Per, Population
from hikeshi.guardrails.names import Names
from hikeshi.guardrails.protection import NotAnEntry
from hikeshi.guardrails.refusal import Code, Refusal
from hikeshi.guardrails.rule import Listed, Protected, Sense
from hikeshi.guardrails.stop import Scope, Stop, Stops

__all__ = [
    "ApprovalRule",
    "Breaker",
    "Code",
    "Guardrails",
    "Limit",
    "Listed",
    "Names",
    "NotAnEntry",
    "Per",
    "Population",
    "Protected",
    "Refusal",
    "RequiredApproval",
    "Scope",
    "Sense",
    "Stop",
    "Stops",
    "lifeline",
]
