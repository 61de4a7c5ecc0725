"""Inputs of a playbook: given values checked against their declarations, all problems at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hikeshi.playbook.model import InputDeclaration, Playbook
from hikeshi.playbook.plain_data import nearest
from hikeshi.playbook.unknown import find_unknown
from hikeshi.playbook.values import coerce, from_text

__all__ = ["WrongInputs", "accept_inputs", "inputs_from_text"]


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
    problems = [_unknown(name, playbook) for name in given if name not in playbook.inputs]
    accepted: dict[str, Any] = {}
    for name, declaration in playbook.inputs.items():
        try:
            accepted[name] = _value(declaration, given)
        except ValueError as exc:
            problems.append(f"{name}: {exc}")
    if problems:
        raise WrongInputs(playbook.id, problems)
    return accepted


def inputs_from_text(playbook: Playbook, given: Mapping[str, str]) -> dict[str, Any]:
    """Return typed inputs from the texts of a command line or a form. Raises WrongInputs."""
    problems = [_unknown(name, playbook) for name in given if name not in playbook.inputs]
    typed: dict[str, Any] = {}
    for name, text in given.items():
        declaration = playbook.inputs.get(name)
        if declaration is None:
            continue
        try:
            typed[name] = from_text(declaration.type, text, constraints=declaration.constraints)
        except ValueError as exc:
            problems.append(f"{name}: {exc}")
    if problems:
        raise WrongInputs(playbook.id, problems)
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


def _unknown(name: str, playbook: Playbook) -> str:
    near = nearest(name, playbook.inputs)
    known = ", ".join(playbook.inputs) or "none"
    return f"there is no input {name!r}" + (f"; did you mean {near!r}?" if near else f" (inputs: {known})")
