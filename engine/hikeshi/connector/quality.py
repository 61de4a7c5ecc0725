"""How far a connector is tried: one list of rules, and a checklist of each connector that says which it keeps.

`checklist.toml` lies beside the connector's module. A rule is `"done"`, `"todo"` or `{ exempt = "the reason" }`; what
is said to be done is compared with the contract kit's results by a test. Where the kit can't show it, as with a
protocol that is not HTTP, `{ done = "tests/..." }` names the tests that do. `facts` names what of the product's
behaviour nobody has verified, and what would follow if it were otherwise.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from hikeshi.connector.connector import Connector

__all__ = ["RULES", "Checklist", "ChecklistError", "QualityRule", "Standing", "UnverifiedFact", "checklist_of"]

FILE_NAME = "checklist.toml"


class ChecklistError(ValueError):
    """A checklist does not say what it has to; the message names each problem. The connector's author mends it."""


@dataclass(frozen=True, slots=True)
class QualityRule:
    """One promise. `checks` are those of the contract kit that show it; without, it is judged by `hikeshi.testing`."""

    name: str
    what: str
    checks: tuple[str, ...] = ()


RULES: tuple[QualityRule, ...] = (
    QualityRule(
        "errors_mapped",
        "every error of the product becomes the right one here, with whether it can have had its effect",
        ("status_401", "status_403", "status_404", "status_409", "status_500", "status_503", "html_is_no_answer",
         "strange_bodies", "large_body",
         "half_a_body", "no_answer_in_time", "connection_dropped_before", "connection_dropped_after"),
    ),
    QualityRule("verify", "a change counts as done when it was read back", ("verify_sees_the_change",)),
    QualityRule("undo_restores", "undoing brings back what was there before", ("undo_restores_the_estate",)),
    QualityRule("idempotent_retry", "sending something again does no harm", ("repeating_is_safe",)),
    QualityRule(
        "read_routes_minimal",
        "nothing but reads gets through without an intended change, and a plan shows what would be sent",
        ("read_routes_are_minimal", "read_door_refuses_changes", "reads_change_nothing", "plan_changes_nothing",
         "plan_equals_what_is_sent"),
    ),
    QualityRule("pagination", "lists are complete, whatever the size of a page", ("pages_are_complete",)),
    QualityRule("rate_limits", "the product's own hint says when to come back", ("rate_limit_hint",)),
    QualityRule("native_expiry", "the product ends a block by itself", ("native_expiry_ends_a_change",)),
    QualityRule("least_privileges", "what the product has to grant is written down"),
    QualityRule(
        "simulator_faithful",
        "the simulator refuses what the product refuses, wrong credentials and hostile names among it",
        ("wrong_credentials", "hostile_names_find_nothing"),
    ),
    QualityRule("secrets", "no credential is written anywhere", ("secrets_are_never_shown",)),
    QualityRule("docs", "a README says what it does, needs and does not do"),
)  # fmt: skip

Status = Literal["done", "todo", "exempt"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a connector keeps a rule; `reason` is why it is exempt, or where it is shown, else empty."""

    rule: QualityRule
    status: Status
    reason: str = ""


@dataclass(frozen=True, slots=True)
class UnverifiedFact:
    """Something that is assumed of a product, and what follows if it is otherwise."""

    fact: str
    effect: str


@dataclass(frozen=True, slots=True)
class Checklist:
    """A connector's standings, in the order of `RULES`, and what is not verified of its product."""

    product: str
    standings: tuple[Standing, ...]
    facts: tuple[UnverifiedFact, ...]

    def count(self, status: Status) -> int:
        """Return how many rules stand so."""
        return sum(standing.status == status for standing in self.standings)


def checklist_of(connector: type[Connector]) -> Checklist | None:
    """Return the checklist that lies beside a connector's module, or None if there is none. Raises ChecklistError."""
    path = Path(str(sys.modules[connector.__module__].__file__)).with_name(FILE_NAME)
    if not path.exists():
        return None
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        raise ChecklistError(f"{path.parent.name}/{FILE_NAME}: {exc}") from exc
    return _parsed(data, connector.product, f"{path.parent.name}/{FILE_NAME}")


def _parsed(data: Mapping[str, Any], product: str, where: str) -> Checklist:
    given = data.get("rules")
    rules: Mapping[str, Any] = given if isinstance(given, dict) else {}
    known = [rule.name for rule in RULES]
    problems = [f"{where}: the rule {name!r} is missing" for name in known if name not in rules]
    problems += [
        f"{where}: there is no rule {name!r} (known: {', '.join(known)})" for name in rules if name not in known
    ]
    if data.get("product") != product:
        problems.append(f"{where}: product is {data.get('product')!r}, and the connector's is {product!r}")
    standings = []
    for rule in RULES:
        standing = _standing(rule, rules.get(rule.name, "todo"))
        if standing is None:
            problems.append(f'{where}: {rule.name} is "done", "todo" or {{ exempt = "the reason" }}')
        else:
            standings.append(standing)
    facts = [_fact(each) for each in data.get("facts", [])]
    if None in facts:
        problems.append(f"{where}: each of 'facts' has a text as 'fact' and one as 'effect'")
    if problems:
        raise ChecklistError("\n".join(problems))
    return Checklist(product, tuple(standings), tuple(fact for fact in facts if fact is not None))


def _standing(rule: QualityRule, given: Any) -> Standing | None:
    if given in ("done", "todo"):
        return Standing(rule, given)
    status: Status
    for status in ("exempt", "done"):
        if isinstance(given, dict) and given.keys() == {status} and str(given[status]).strip():
            return Standing(rule, status, str(given[status]))
    return None


def _fact(given: Any) -> UnverifiedFact | None:
    if not isinstance(given, dict) or not all(isinstance(given.get(key), str) for key in ("fact", "effect")):
        return None
    return UnverifiedFact(given["fact"], given["effect"])
