"""What the project's rules say of a change that is about to be made: protected assets, and the kill switch.

Undoing is never held back by either: what is contained may always be let go.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, get_args

from hikeshi.capabilities import ActionSpec, Entity, Indicator, User, build_spec
from hikeshi.connector import Connector
from hikeshi.connector.errors import Applied, ConnectorError
from hikeshi.core import StartAction
from hikeshi.core import events as ev
from hikeshi.core.evolve_people import target_key
from hikeshi.guardrails import Guardrails, Names, Refusal, RequiredApproval, Stop, Stops
from hikeshi.quick_dataclass import dataclass
from hikeshi.runtime.alerts import Alerts
from hikeshi.runtime.arguments import plain_data
from hikeshi.runtime.reads import read_one
from hikeshi.runtime.targets import Target, targets_of
from hikeshi.secrets import SecretUnavailable

__all__ = ["ChangeStopped", "Rules", "consent_key", "consent_needed", "refused_by", "stopped_by"]

_ASK_WITHIN_S = 3600.0
_INDEX = re.compile(r"\[\d+\]")


class ChangeStopped(ConnectorError):
    """The kill switch was engaged between the decision to make a change and the moment it was to leave."""

    kind = "refused"


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules for the changes of one run. `stops` reads the kill switch anew each time it is asked."""

    guardrails: Callable[[], Guardrails]
    stops: Callable[[], Stops]
    playbook: str
    people: Sequence[str] = ()  # who may let a run go past a limit
    alerts: Callable[[str, str, float], Alerts | None] | None = None  # what counts for a run, an action, and a time

    async def refusal(
        self, spec: ActionSpec, arguments: Mapping[str, Any], connector: Connector, mode: str
    ) -> Refusal | None:
        """Return why a change may not be made at all, or None. Asks the product for groups if a rule is about them."""
        guardrails = self.guardrails()
        targets = targets_of(spec, arguments)
        others = {name: plain_data(value) for name, value in arguments.items() if name != spec.target}
        groups = _reader_of_groups(connector, mode) if guardrails.needs_groups(spec.name) else _no_groups
        further = Names.further_in(others)
        names = [await _names(target, further, groups) for target in targets]
        if spec.target is None:
            return guardrails.verdict(spec.name, Names.of(connector.name, arguments=others))
        return next(iter(guardrails.verdicts(spec.name, names, expected=_expected(spec))), None)

    async def consents(
        self,
        spec: ActionSpec,
        arguments: Mapping[str, Any],
        targets: Sequence[Target],
        connector: Connector,
        mode: str = "live",
    ) -> list[tuple[RequiredApproval, list[Target]]]:
        """Return the approvals that the project requires for these targets, whatever the playbook says."""
        guardrails = self.guardrails()
        if not guardrails.approvals:
            return []
        others = {name: plain_data(value) for name, value in arguments.items() if name != spec.target}
        groups = _reader_of_groups(connector, mode) if guardrails.needs_groups(spec.name) else _no_groups
        further = Names.further_in(others)
        found: dict[str, tuple[RequiredApproval, list[Target]]] = {}
        for target in targets:
            names = await _names(target, further, groups)
            for need in guardrails.approvals_for(spec.name, names, self.playbook):
                found.setdefault(need.rule, (need, []))[1].append(target)
        return list(found.values())

    def uses(self, command: StartAction, run: str, targets: Sequence[Target]) -> list[dict[str, Any]]:
        """Return what these targets count as, under each limit that is about the change."""
        found = []
        for limit in self.guardrails().limits_for(command.action, self.playbook):
            step = _INDEX.sub("", command.path)  # all items of a loop are one step
            key = limit.scope_key(run=run, step=step, playbook=self.playbook, action=command.action)
            for target in targets:
                consented = consent_key(limit.origin, command.action, target) in command.consents
                found.append(
                    {
                        "key": key,
                        "target": target.identity,
                        "rule": limit.origin,
                        "most": limit.most,
                        "within_s": limit.within_s,
                        "consented": consented,
                    }
                )
        return found

    def breaks(self, command: StartAction, run: str, targets: Sequence[Target]) -> tuple[str, str] | None:
        """Return the breaker that holds a change back which a trigger's run wants, with its question; or None."""
        breaker = self.guardrails().breaker
        counted = None
        if breaker is not None and self.alerts is not None:
            counted = self.alerts(run, command.action, breaker.within_s)
        if breaker is None or counted is None:
            return None
        names = (counted.source, counted.source.partition(":")[2])
        if not any(breaker.is_about(command.action, name) for name in names):
            return None
        if all(consent_key(breaker.origin, command.action, each) in command.consents for each in targets):
            return None
        if not breaker.trips(asking=counted.asking, alerts=counted.total):
            return None
        many = f"{counted.asking} of {counted.total} alerts of {counted.source} ask for {command.action}"
        return breaker.origin, f"{many}: the source is more likely wrong than right. Go on?"

    def asked_past(self, rule: str) -> Sequence[str]:
        """Return who is asked past a limit."""
        named = next((limit.by for limit in self.guardrails().limits if limit.origin == rule), ())
        return named or self.people

    def stop(self, action: str, connector: str) -> Stop | None:
        """Return the kill switch that holds a change back, or None."""
        return self.stops().match(action, connector, self.playbook)

    def check_stop(self, action: str, connector: str, applied: Applied) -> None:
        """Raise ChangeStopped if the kill switch holds a change back. The last look, when its bytes are about to go."""
        stop = self.stop(action, connector)
        if stop is not None:
            raise ChangeStopped(_stop_text(stop, action, connector), applied=applied)


def consent_key(rule: str, action: str, target: Target) -> str:
    """Return what people allow when they consent to a target that a guardrail asks about."""
    return f"{rule}\0{target_key(action, target.identity)}"


def consent_needed(
    command: StartAction,
    connector: str,
    rule: str,
    question: str,
    by: Sequence[str],
    targets: Sequence[Target],
    *,
    quorum: int = 1,
    within_s: float | None = None,
) -> ev.ConsentNeeded:
    """Return the event that lets people decide about a change."""
    shows = [
        {
            "action": command.action,
            "connector": connector,
            "target": target.identity,
            "label": target.label,
            "path": command.path,
        }
        for target in targets
    ]
    wait_s = _ASK_WITHIN_S if within_s is None else within_s
    return ev.ConsentNeeded(command.path, command.attempt, rule, question, list(by), quorum, wait_s, shows)


def refused_by(refusal: Refusal, command: StartAction) -> ev.ChangeRefused:
    """Return the event of a change that a guardrail refuses."""
    return ev.ChangeRefused(
        command.path,
        command.attempt,
        str(refusal.code),
        refusal.rule,
        refusal.target,
        refusal.message,
        refusal.who_may_lift,
    )


def stopped_by(stop: Stop, command: StartAction, connector: str, targets: Sequence[Target]) -> ev.ChangeRefused:
    """Return the event of a change that the kill switch holds back."""
    label = ", ".join(target.label for target in targets[:3])
    return ev.ChangeRefused(
        command.path,
        command.attempt,
        "stopped",
        f"kill switch {stop.text}",
        label,
        _stop_text(stop, command.action, connector),
        "whoever may release it: hikeshi release-stop",
    )


def _stop_text(stop: Stop, action: str, connector: str) -> str:
    by = f" by {stop.by}" if stop.by else ""
    why = f": {stop.why}" if stop.why else ""
    return f"{action} on {connector} is stopped: the kill switch {stop.text!r} is engaged{by}{why}"


Groups = Callable[[User], Awaitable[list[str] | None]]


async def _no_groups(_: User) -> list[str] | None:
    return None


def _reader_of_groups(connector: Connector, mode: str) -> Groups:
    async def read(user: User) -> list[str] | None:
        try:
            spec = build_spec("identity", type(connector), "groups_of")
            found = await read_one(spec, "groups_of", {"user": user}, connector, mode, None)
        except (ConnectorError, SecretUnavailable, AttributeError):
            return None  # not known, which is not the same as none
        return [text for group in found for text in (group.id, group.name)]

    return read


async def _names(target: Target, further: tuple[str, ...], groups: Groups) -> Names:
    value = target.value
    if isinstance(value, Indicator):
        return Names.of_indicator(value.kind, value.value, further)
    kind = value.entity_kind if isinstance(value, Entity) else None
    names = replace(Names.of(plain_data(value), kind), further=further)
    return names.with_groups(await groups(value)) if isinstance(value, User) else names


def _expected(spec: ActionSpec) -> tuple[str, ...]:
    """Return the kind of target that an action takes, by its signature; nothing if that does not say."""
    assert spec.target is not None
    parameter = spec.by_name[spec.target]
    if parameter.entity is not None:
        return (parameter.entity.entity_kind,)
    taken = (parameter.annotation, *get_args(parameter.annotation))
    return ("indicator",) if Indicator in taken else ()
