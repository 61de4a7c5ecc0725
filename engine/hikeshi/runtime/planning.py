"""What a plan says of one action: the exact requests, the target, and what was not checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from hikeshi.capabilities import ActionSpec, Effect, build_spec
from hikeshi.connector import Connector
from hikeshi.connector.door import CaptureEnded, Door
from hikeshi.core import StartAction
from hikeshi.core.events import ActionPlanned
from hikeshi.playbook.unknown import Unknown
from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.call import call
from hikeshi.runtime.reads import read_one
from hikeshi.runtime.targets import Target, targets_of

__all__ = ["Altered", "plan_call", "plan_unknown", "preview", "unknown_output"]


@dataclass(slots=True)
class Altered:
    """The things that planned changes would alter, under every name they have."""

    names: set[str] = field(default_factory=set)

    def add(self, value: Any) -> None:
        for entry in value if isinstance(value, list) else [value]:
            aliases = getattr(entry, "aliases", None)
            self.names.update(name.lower() for name in (aliases() if aliases else [getattr(entry, "value", "")]))

    def touches(self, value: Any) -> bool:
        """Say whether plain data names one of them anywhere."""
        if not self.names:
            return False
        if isinstance(value, str):
            return value.lower() in self.names
        if isinstance(value, Mapping):
            return any(self.touches(entry) for entry in value.values())
        return isinstance(value, (list, tuple)) and any(self.touches(entry) for entry in value)


def unknown_output(spec: ActionSpec, why: str) -> Unknown:
    """Return an unknown of the action's output type."""
    return Unknown(getattr(spec.output, "__name__", str(spec.output)), why)


def plan_unknown(spec: ActionSpec, command: StartAction, unknown: list[str]) -> ActionPlanned:
    """Return what can be said of an action whose arguments are not known: it is not called at all."""
    return ActionPlanned(
        command.path,
        action=command.action,
        effect=spec.effect.value,
        connector=command.at[0] if len(command.at) == 1 else None,
        target=None,
        requests=[],
        complete=False,
        not_checked=unknown,
        output=unknown_output(spec, unknown[0]),
    )


async def plan_call(
    spec: ActionSpec, command: StartAction, typed: Mapping[str, Any], connector: Connector, altered: Altered
) -> ActionPlanned:
    """Call a change or notification with the door closed and return what it would have sent. Raises ConnectorError."""
    targets = targets_of(spec, typed)
    not_checked = [_not_checked(spec, connector)]
    states: list[Any] = []
    if spec.marks.verify is not None and altered.touches(command.arguments):
        not_checked.append("the state of the target: an earlier step of this plan changes it")
    elif spec.marks.verify is not None:
        states = await _prior(spec, typed, connector)
    assert spec.marks.done is not None or not states
    done = [spec.marks.done is not None and spec.marks.done(state, state) for state in states]
    already = bool(done) and all(done)
    sent = [target for target, is_done in zip(targets, done or [False] * len(targets), strict=True) if not is_done]
    door, complete = Door(mode="plan", effect=spec.effect, action=spec.name), True
    if not already:
        complete = await _capture(spec, dict(typed), [target.value for target in sent], connector, door)
    if spec.target is not None and not already:
        altered.add(typed[spec.target])
    if not complete:
        not_checked.append("further requests: they depend on the answers to these")
    return ActionPlanned(
        command.path,
        action=command.action,
        effect=spec.effect.value,
        connector=connector.name,
        target=_target(spec, [target.to_json() for target in targets]),
        requests=[_request(request) for request in door.captured],
        complete=complete,
        not_checked=[] if already else not_checked,
        output=_output(spec, states) if already else unknown_output(spec, "the action is only planned"),
        already=already,
        prior=_priors(targets, states),
    )


async def preview(
    spec: ActionSpec, typed: Mapping[str, Any], entries: list[Any], connector: Connector
) -> tuple[list[dict[str, Any]], bool]:
    """Return the requests that a change would send now for these targets, and whether these are all of them."""
    door = Door(mode="plan", effect=spec.effect, action=spec.name)
    complete = await _capture(spec, dict(typed), entries, connector, door)
    return [_request(request) for request in door.captured], complete


async def _prior(spec: ActionSpec, typed: Mapping[str, Any], connector: Connector) -> list[Any]:
    assert spec.marks.verify is not None
    verify = build_spec(spec.capability, spec.owner_class, spec.marks.verify)
    arguments = {name: typed[name] for name in verify.by_name if name in typed}
    answer = await read_one(verify, verify.verb, arguments, connector, "plan", None)
    return list(answer) if spec.batched else [answer]


async def _capture(
    spec: ActionSpec, typed: dict[str, Any], entries: list[Any], connector: Connector, door: Door
) -> bool:
    """Say whether the preview is complete: nothing was read that was never answered."""
    if spec.batched:
        assert spec.target is not None
        typed[spec.target] = entries
    try:
        await call(connector, spec.verb, typed, door, None)
    except* CaptureEnded:  # alone, or out of a task group
        pass
    return door.complete


def _not_checked(spec: ActionSpec, connector: Connector) -> str:
    if spec.effect is Effect.NOTIFY:
        return f"whether {connector.name} accepts and delivers the message"
    return f"whether {connector.name} accepts the change and carries it out"


def _priors(targets: list[Target], states: list[Any]) -> Any:
    if not states:
        return None
    pairs = zip(targets, states, strict=True)
    return [{"target": target.identity, "state": state.model_dump(mode="json")} for target, state in pairs]


def _target(spec: ActionSpec, targets: list[dict[str, str]]) -> Any:
    if not targets:
        return None
    return targets if spec.batched else targets[0]


def _request(request: Any) -> dict[str, Any]:
    return {
        "method": request.method,
        "url": request.url,
        "body": request.body,
        "volatile": list(request.volatile),
    }


def _output(spec: ActionSpec, states: list[Any]) -> Any:
    plain = [state.model_dump(mode="json") for state in states]
    return plain if spec.batched else plain[0]
