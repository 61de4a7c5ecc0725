"""Playbooks as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hikeshi.app import Hikeshi
    from hikeshi.playbook.model import InputDeclaration, Playbook

__all__ = ["actions_of", "playbook_document", "playbook_row", "what_of"]


def playbook_row(app: Hikeshi, playbook_id: str) -> dict[str, Any]:
    """Return one line of a list of playbooks; `problems` are texts, or None for a playbook that can be read."""
    from hikeshi.playbook.library import NotLoadable

    file = app.library.files[playbook_id]
    try:
        found = app.library.load(playbook_id)
    except NotLoadable as exc:
        empty = dict.fromkeys(("name", "description", "phase", "severity", "version"))
        return {"id": playbook_id, **empty, "source": str(file.path), "problems": [str(each) for each in exc.problems]}
    return {
        "id": found.id,
        "name": found.name,
        "description": found.description,
        "phase": found.phase.value if found.phase else None,
        "severity": found.severity,
        "version": found.version,
        "source": str(file.path),
        "problems": [str(each) for each in app.library.problems(playbook_id)] or None,
    }


def playbook_document(app: Hikeshi, playbook: Playbook) -> dict[str, Any]:
    """Return what a playbook does and needs."""
    return {
        "id": playbook.id,
        "name": playbook.name,
        "version": playbook.version,
        "description": playbook.description,
        "phase": playbook.phase.value if playbook.phase else None,
        "severity": playbook.severity,
        "attack": list(playbook.attack),
        "owner": playbook.owner,
        "tags": list(playbook.tags),
        "inputs": {name: _input(each) for name, each in playbook.inputs.items()},
        "steps": [
            {"path": ".".join(keys), "name": step.label, "does": what_of(step)} for keys, step in playbook.walk()
        ],
        "actions": actions_of(app, playbook),
        "digest": playbook.digest,
        "source": playbook.position.file,
    }


def _input(declaration: InputDeclaration) -> dict[str, Any]:
    return {
        "type": declaration.type,
        "items": declaration.constraints.items.type_name if declaration.constraints.items else None,
        "required": declaration.required,
        "default": declaration.default,
        "description": declaration.description,
        "enum": list(declaration.constraints.enum) if declaration.constraints.enum is not None else None,
    }


def what_of(step: Any) -> str:
    """Return what a step does, in a few words."""
    from hikeshi.playbook.model import ActionStep, BlockStep, PlaybookStep

    match step:
        case ActionStep():
            text = step.action
        case PlaybookStep():
            text = f"runs {step.playbook}"
        case BlockStep():
            text = "all at once" if step.children.parallel else "in order"
        case _:
            text = type(step).__name__.removesuffix("Step").lower()
    loop = getattr(step, "loop", None)
    if loop is not None:
        text += f", for each of {loop.items.text}"
    return text if step.when is None else f"{text}, when {step.when.text}"


def actions_of(app: Hikeshi, playbook: Playbook) -> list[str]:
    """Return the actions of a playbook and of all that it runs."""
    from hikeshi.playbook.model import ActionStep, PlaybookStep

    actions: set[str] = set()
    seen, open_ = {playbook.id}, [playbook]
    while open_:
        for _, step in open_.pop().walk():
            if isinstance(step, ActionStep):
                actions.add(step.action)
            elif isinstance(step, PlaybookStep) and step.playbook not in seen:
                seen.add(step.playbook)
                called = app.library.playbook(step.playbook)
                open_ += [] if called is None else [called]
    return sorted(actions)
