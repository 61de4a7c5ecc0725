"""Inputs of a playbook: given values checked against their declarations, all problems at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.playbook.model import InputDeclaration, Playbook
from hikeshi.playbook.plain_data import nearest
from hikeshi.playbook.unknown import find_unknown
from hikeshi.playbook.values import coerce, from_text

__all__ = ["WrongInputs", "accept_fields", "accept_inputs", "fields_from_text", "inputs_from_text"]


class WrongInputs(Exception):
    """What was given does not fit what the playbook declares; `problems` has one line for each input."""

    def __init__(self, playbook: str, problems: list[str]) -> None:
        super().__init__(f"the inputs do not fit {playbook!r}: " + "; ".join(problems))
        self.playbook = playbook
        self.problems = problems


def accept_inputs(playbook: Playbook, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return every declared input with its normalised value; an input that was not given has its default or null.

    Values that a plan cannot know pass as they are. Raises WrongInputs.
    """
    return accept_fields(playbook.id, playbook.inputs, given)


def accept_fields(
    of: str, declared: Mapping[str, InputDeclaration], given: Mapping[str, Any], kind: str = "input"
) -> dict[str, Any]:
    """Return every declared field with its normalised value, as accept_inputs does. `of` names what asks for them."""
    problems = [_unknown(name, declared, kind) for name in given if name not in declared]
    accepted: dict[str, Any] = {}
    for name, declaration in declared.items():
        try:
            accepted[name] = _value(declaration, given)
        except ValueError as exc:
            problems.append(f"{name}: {exc}")
    if problems:
        raise WrongInputs(of, problems)
    return accepted


def inputs_from_text(playbook: Playbook, given: Mapping[str, str]) -> dict[str, Any]:
    """Return typed inputs from the texts of a command line or a form. Raises WrongInputs."""
    return fields_from_text(playbook.id, playbook.inputs, given)


def fields_from_text(of: str, declared: Mapping[str, InputDeclaration], given: Mapping[str, str]) -> dict[str, Any]:
    """Return typed fields from texts. Raises WrongInputs."""
    problems = [_unknown(name, declared, "input") for name in given if name not in declared]
    typed: dict[str, Any] = {}
    for name, text in given.items():
        declaration = declared.get(name)
        if declaration is None:
            continue
        try:
            typed[name] = from_text(declaration.type, text, constraints=declaration.constraints)
        except ValueError as exc:
            problems.append(f"{name}: {exc}")
    if problems:
        raise WrongInputs(of, problems)
    return typed


def _value(declaration: InputDeclaration, given: Mapping[str, Any]) -> Any:
    raw = given.get(declaration.name)
    if raw is None:
        raw = declaration.default
    if raw is None:
        if declaration.required:
            text = declaration.description or "no description"
            raise ValueError(f"is required ({declaration.type}): {text}")
        return None
    if find_unknown(raw) is not None:
        return raw
    return coerce(declaration.type, raw, constraints=declaration.constraints)


def _unknown(name: str, declared: Mapping[str, InputDeclaration], kind: str) -> str:
    near = nearest(name, declared)
    known = ", ".join(declared) or "none"
    return f"there is no {kind} {name!r}" + (f"; did you mean {near!r}?" if near else f" ({kind}s: {known})")
