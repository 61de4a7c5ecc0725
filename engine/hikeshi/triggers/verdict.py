"""What one trigger makes of one event: nothing in here reads a clock, stores anything or starts anything."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from hikeshi.playbook.expression import evaluate_condition
from hikeshi.playbook.inputs import WrongInputs, accept_inputs
from hikeshi.playbook.model import Playbook, Trigger
from hikeshi.playbook.plain_data import EvaluationError
from hikeshi.playbook.unknown import find_unknown, to_json
from hikeshi.quick_dataclass import dataclass
from hikeshi.triggers.occurrence import digest_of

__all__ = ["OutcomeName", "Verdict", "actor_of", "judge", "scope_of"]

OutcomeName = Literal["started", "planned", "deduplicated", "not_wanted", "refused", "missed"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a trigger makes of an event.

    `started`: a run with these inputs; `planned`: a plan of one. `not_wanted`: `when` is false. `refused`: it can't be
    told, for the reason given, which people are told too. `dedupe` is a digest of the value to be compared, if any.
    """

    outcome: OutcomeName
    inputs: Mapping[str, Any] | None = None
    dedupe: str | None = None
    window_s: float | None = None
    reason: str | None = None


def judge(playbook: Playbook, trigger: Trigger, event: Any, *, at: datetime, missed: str | None = None) -> Verdict:
    """Return what a trigger makes of an event that came at a time. Raises nothing that the event or the text causes."""
    if missed is not None:
        return Verdict("missed", reason=missed)
    scope = {**scope_of(playbook, trigger, at), "event": event}
    try:
        if trigger.when is not None and evaluate_condition(trigger.when, scope) is not True:
            return Verdict("not_wanted", reason="'when' is false")
    except (EvaluationError, ValueError) as exc:
        return Verdict("refused", reason=f"'when' failed: {exc}")
    try:
        given = {name: _known(template.evaluate(scope)) for name, template in trigger.inputs.items()}
        inputs = accept_inputs(playbook, given)
        to_json(inputs)  # what is nested too deep to be stored
    except WrongInputs as exc:
        return Verdict("refused", reason=f"'inputs' do not fit: {'; '.join(exc.problems)}")
    except (EvaluationError, ValueError) as exc:
        return Verdict("refused", reason=f"'inputs' failed: {exc}")
    dedupe = None
    try:
        if trigger.dedupe is not None:
            dedupe = digest_of(_known(trigger.dedupe.evaluate(scope)))
    except (EvaluationError, ValueError) as exc:
        return Verdict("refused", reason=f"'dedupe' failed: {exc}")
    return Verdict("planned" if trigger.mode == "plan" else "started", inputs, dedupe, trigger.window_s)


def scope_of(playbook: Playbook, trigger: Trigger, at: datetime) -> dict[str, Any]:
    """Return what the expressions of a trigger may name, but the event. Of inputs there are only the defaults."""
    now = at.isoformat().replace("+00:00", "Z")
    scope: dict[str, Any] = {
        "now": now,
        "run": {"id": None, "started_at": now, "actor": actor_of(playbook.id, trigger.id)},
        "inputs": {name: declared.default for name, declared in playbook.inputs.items()},
    }
    values: dict[str, Any] = {}
    for name, template in playbook.vars.items():
        try:
            values[name] = template.evaluate({**scope, "vars": values})
        except EvaluationError:
            continue  # it needs an input that is not there yet; whoever reads it is told that it is missing
    scope["vars"] = values
    return scope


def actor_of(playbook: str, trigger: str) -> str:
    """Return under which name a trigger starts runs."""
    return f"trigger:{playbook}/{trigger}"


def _known(value: Any) -> Any:
    if find_unknown(value) is not None:
        raise ValueError("it is not known")
    return value
