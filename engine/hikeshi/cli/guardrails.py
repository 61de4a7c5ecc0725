"""What the project's guardrails hold back, and what they say of one target."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.guardrail_view import line_of
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled
from hikeshi.documents.guardrails import approval_of, breaker_of, limit_of, protected_of, refusal_of, required_of

if TYPE_CHECKING:
    from hikeshi.guardrails import Guardrails, Names, Refusal

__all__ = ["check", "guardrails"]


def guardrails(session: Session) -> int:
    """List the rules that hold for every change, and where each of them stands."""
    rules, warnings = _in_force(session)
    sections: dict[str, list[dict[str, Any]]] = {
        "protected": [protected_of(rule) for rule in rules.protected],
        "limits": [limit_of(rule) for rule in rules.limits],
        "approvals": [approval_of(rule) for rule in rules.approvals],
        "breaker": [] if rules.breaker is None else [breaker_of(rules.breaker)],
    }
    code = ExitCode.WRONG_INPUT if rules.broken_because else ExitCode.SUCCEEDED
    if session.output.as_json:
        rest = {
            "broken_because": rules.broken_because or None,
            "domains": list(rules.domains),
            "release_people": rules.release_people,
            "digest": rules.digest,
            "warnings": warnings,
        }
        session.output.document({**sections, **rest})
        return code
    if rules.broken_because:
        session.output.line(Styled("Every change is refused", "red"), f": {rules.broken_because}")
    for title, entries in sections.items():
        session.output.line(Styled(title.capitalize(), "bold"), "" if entries else ": none")
        session.output.lines([("  ", Styled(entry["rule"], "cyan"), "  ", line_of(entry)) for entry in entries])
    if rules.release_people is not None:
        session.output.line(f"Releasing the kill switch takes {rules.release_people}")
    _warn(session, warnings)
    return code


def check(
    session: Session,
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A host, account, group, address, domain or URL.")],
    action: Annotated[
        str | None, typer.Option("--action", metavar="ACTION", help="As in edr.isolate_host; default: every change.")
    ] = None,
    playbook: Annotated[str, typer.Option("--playbook", metavar="ID", help="The playbook that would do it.")] = "",
) -> int:
    """Explain which changes of TARGET are refused, by which rule, and who may lift that. Asks no product."""
    from hikeshi.guardrails import Names

    rules, warnings = _in_force(session)
    names, actions = Names.of(target), _actions(session, action)
    refused = _refused(rules, actions, names)
    limits = {rule.origin: limit_of(rule) for each in actions for rule in rules.limits_for(each, playbook)}
    needs = {rule.rule: required_of(rule) for each in actions for rule in rules.approvals_for(each, names, playbook)}
    if session.output.as_json:
        found = [{**refusal_of(refusal), "actions": which} for refusal, which in refused]
        document = {"target": target, "action": action, "refused": found}
        rest = {"limits": list(limits.values()), "approvals": list(needs.values()), "warnings": warnings}
        session.output.document({**document, **rest})
    else:
        _tell(session, refused, len(actions))
        if not refused:
            what = f"nothing protects {target!r} from {action or 'any change'}"
            session.output.line(Styled("allowed   ", "green"), what)
        _list(session, "limit     ", limits.values())
        _list(session, "approval  ", needs.values())
        _warn(session, warnings)
    return ExitCode.REFUSED if refused else ExitCode.SUCCEEDED


def _tell(session: Session, refused: Sequence[tuple[Refusal, list[str]]], actions: int) -> None:
    for refusal, which in refused:
        session.output.line(Styled("refused   ", "red"), refusal.message)
        if len(which) < actions:
            session.output.line("          for ", ", ".join(which))


def _list(session: Session, title: str, entries: Iterable[Mapping[str, Any]]) -> None:
    for entry in entries:
        session.output.line(Styled(title, "yellow"), Styled(entry["rule"], "cyan"), "  ", line_of(entry))


def _refused(rules: Guardrails, actions: Sequence[str], names: Names) -> list[tuple[Refusal, list[str]]]:
    """Each refusal once, with the actions that it is of."""
    found: list[tuple[Refusal, list[str]]] = []
    for action in actions:
        refusal = rules.verdict(action, names)
        if refusal is None:
            continue
        which = next((each for known, each in found if known == refusal), None)
        if which is None:
            found.append((refusal, which := []))
        which.append(action)
    return found


def _actions(session: Session, action: str | None) -> list[str]:
    """Every change that there is, or the one that was named. Raises CommandError for a name that means none."""
    from hikeshi.capabilities import Effect, UnknownAction
    from hikeshi.cli.failure import CommandError

    catalogue = session.app.catalogue
    if action is None:
        return sorted(name for name, spec in catalogue.specs.items() if spec.effect is Effect.CHANGE)
    try:
        return [catalogue.spec(action).name]
    except UnknownAction as exc:
        raise CommandError("unknown_action", str(exc)) from None


def _in_force(session: Session) -> tuple[Guardrails, list[str]]:
    """The project's guardrails with the engine's own, and what makes them weaker than they look."""
    app = session.app
    wrong = app.wrong_settings(app.config.connectors)
    unknown = [f"where a connector is reached is not known, so it is not protected: {text}" for text in wrong]
    return app.guardrails, [*unknown, *app.guardrails.idle(app.catalogue.specs)]


def _warn(session: Session, warnings: Sequence[str]) -> None:
    session.output.lines([(Styled("warning: ", "yellow"), text) for text in warnings])
