"""Beginning an action: its arguments, the items of a loop over it, and the instances it goes to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hikeshi.capabilities import Effect
from hikeshi.capabilities.routing import RoutingRule, rule_for
from hikeshi.core import events as ev
from hikeshi.core.cover import approvals_over
from hikeshi.core.events import Event
from hikeshi.core.program import Routing
from hikeshi.core.refusal import Refused
from hikeshi.core.state import Node, RunState
from hikeshi.playbook.durations import parse_duration
from hikeshi.playbook.expression import Expression
from hikeshi.playbook.model import ActionStep
from hikeshi.playbook.plain_data import EvaluationError, describe
from hikeshi.playbook.template import Template
from hikeshi.playbook.unknown import Unknown, find_unknown, to_json

__all__ = ["arguments_of", "begin_action", "begin_loop", "duration_of", "hold_back"]


def hold_back(state: RunState, node: Node) -> Event | None:
    """Return what keeps a change waiting for an approval that covers it, or None. Raises Refused after a rejection."""
    if state.mode == "plan":
        return None
    for approval, standing in approvals_over(state, node):
        if standing == "refused":
            raise Refused(f"the approval {approval!r} covers this step and was not given", "rejected")
        if standing == "open":
            return ev.ApprovalHeld(node.path, approval)
    return None


_SORTED = json.JSONEncoder(sort_keys=True)


def begin_loop(node: Node, scope: dict[str, Any]) -> Event:
    """Return the event with the items of a loop, which are recorded once. Raises EvaluationError, Refused."""
    loop = getattr(node.step, "loop")  # noqa: B009 - the caller looked
    items = loop.items.evaluate(scope)
    if isinstance(items, Unknown):
        one: Any = Unknown("item", items.why)
        return ev.LoopStarted(node.path, [[one] if loop.batch else one], more_unknown=True)
    if not isinstance(items, list):
        raise EvaluationError(f"`for_each` gave {describe(items)}; it needs a list")
    _refuse_duplicates(items)
    if loop.batch is not None:
        items = [items[at : at + loop.batch] for at in range(0, len(items), loop.batch)]
    return ev.LoopStarted(node.path, items)


def _refuse_duplicates(items: list[Any]) -> None:
    seen: dict[str, int] = {}
    all_known = find_unknown(items) is None
    for index, item in enumerate(items):
        if not all_known and find_unknown(item) is not None:
            continue
        known = _SORTED.encode(to_json(item))
        if known in seen:
            raise Refused(
                f"`for_each` has the same item twice, at {seen[known]} and {index}: {describe(item)}; use `| unique`"
            )
        seen[known] = index


def begin_action(state: RunState, node: Node, step: ActionStep, scope: dict[str, Any], maybe: bool) -> Event:
    """Return the event that requests an action, from one instance or several. Raises EvaluationError, Refused."""
    routing = state.routes[step.action]
    if routing.effect is Effect.CHANGE and (held := hold_back(state, node)) is not None:
        return held
    arguments = arguments_of(step.arguments.evaluate(scope))
    if step.if_unsupported == "skip" and (reason := _unsupported(step.action, routing, arguments)):
        return ev.StepSkipped(node.path, reason, waived=True)
    at = None if step.at is None else _limited(step.at, scope, routing)
    hold_s = None if step.hold is None else duration_of(step.hold, scope, "hold")
    if not routing.fan_out:
        at = _ruled_lookup(routing, arguments, at)
        return ev.ActionRequested(node.path, step.action, arguments, at, maybe, hold_s)
    calls = _calls(routing, list(routing.instances) if at is None else at, arguments)
    return ev.FannedOut(node.path, step.action, calls, maybe, hold_s)


def _unsupported(action: str, routing: Routing, arguments: dict[str, Any]) -> str:
    """Return why no product can do this, or nothing: none here can, or not the one that owns the target."""
    if not routing.instances:
        return f"no connector of this project supports {action}"
    given = arguments.get(routing.owner) if routing.owner is not None else None
    owner = given.get("connector") if isinstance(given, dict) else None
    if not isinstance(owner, str) or owner in routing.instances:
        return ""
    return f"{owner} does not support {action}"


def duration_of(template: Template, scope: dict[str, Any], key: str) -> Any:
    """Return a duration in seconds, or Unknown. Raises EvaluationError."""
    value = template.evaluate(scope)
    if isinstance(value, Unknown):
        return value
    try:
        seconds = parse_duration(value)
    except ValueError as exc:
        raise EvaluationError(f"`{key}`: {exc}") from None
    if not seconds:
        raise EvaluationError(f"`{key}` gave {describe(value)}; it needs more than nothing")
    return float(seconds)


def _limited(at: Expression, scope: dict[str, Any], routing: Routing) -> list[str]:
    value = at.evaluate(scope)
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise EvaluationError(f"`at` gave {describe(value)}; it needs the name of a connector, or a list of names")
    tagged = {f"tag:{tag}": has for tag, has in routing.tags.items()}
    unknown = [name for name in names if name not in routing.instances and name not in tagged]
    if unknown:
        raise Refused(
            f"`at` names {', '.join(map(str, unknown))}; known here: {', '.join([*routing.instances, *tagged])}",
            "not_found",
        )
    return list(dict.fromkeys(each for name in map(str, names) for each in tagged.get(name, (name,))))


def _ruled_lookup(routing: Routing, arguments: dict[str, Any], at: list[str] | None) -> list[str] | None:
    """Return the instances that a lookup asks: those that a rule of the project names, or what it was."""
    value = arguments.get(routing.lookup) if routing.lookup is not None else None
    rule = rule_for(value, routing.rules) if isinstance(value, str) else None
    return at if rule is None else _of_rule(rule, routing, at, str(value))


def _of_rule(rule: RoutingRule, routing: Routing, at: list[str] | None, value: str) -> list[str]:
    allowed = [name for name in (routing.instances if at is None else at) if name in rule.to]
    if not allowed:
        raise Refused(
            f"the project's routing sends {value} to {', '.join(rule.to)}, and this step can't use any of them",
            "unsupported",
        )
    return allowed


def _calls(routing: Routing, instances: list[str], arguments: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return what each instance is asked to do: an indicator goes to every instance that takes its kind."""
    if routing.effect is not Effect.CHANGE or routing.target is None:
        return dict.fromkeys(instances, arguments)
    target = arguments.get(routing.target)
    if target is None or target == []:
        raise Refused(f"{routing.target!r} is empty, and an empty target never means everything")
    if find_unknown(target) is not None:
        return dict.fromkeys(instances, arguments)
    wanted = target if isinstance(target, list) else [target]
    places = {_key(entry): set(_places(routing, instances, entry)) for entry in wanted} if routing.rules else {}
    _refuse_homeless(wanted, instances, routing, places)
    calls: dict[str, dict[str, Any]] = {}
    for instance in instances:
        kinds = routing.instances[instance]
        taken = [entry for entry in wanted if _takes(kinds, entry) and (not places or instance in places[_key(entry)])]
        if taken:
            calls[instance] = {**arguments, routing.target: taken if isinstance(target, list) else taken[0]}
    return calls


def _takes(kinds: frozenset[str] | None, entry: Any) -> bool:
    return kinds is None or not isinstance(entry, dict) or entry.get("kind") in kinds


def _key(entry: Any) -> str:
    return str(entry["value"]) if isinstance(entry, dict) else str(entry)


def _places(routing: Routing, instances: list[str], entry: Any) -> list[str]:
    rule = rule_for(_key(entry), routing.rules)
    return instances if rule is None else _of_rule(rule, routing, instances, _key(entry))


def _refuse_homeless(wanted: list[Any], instances: list[str], routing: Routing, places: Mapping[str, set[str]]) -> None:
    kinds = {instance: routing.instances[instance] for instance in instances}
    homeless = [
        entry
        for entry in wanted
        if not any(_takes(kinds[each], entry) and (not places or each in places[_key(entry)]) for each in instances)
    ]
    if homeless:
        first = homeless[0]
        raise Refused(
            f"no connector takes {len(homeless)} of the indicators, such as {first['value']} ({first['kind']})",
            "unsupported",
        )


def arguments_of(value: Any) -> dict[str, Any]:
    """Return what `with` gave. Raises EvaluationError if that is no map."""
    if isinstance(value, dict):
        return value
    raise EvaluationError(f"`with` gave {describe(value)}; it needs a map of arguments")
