"""The playbooks of a project: which there are, what one of them does, and its diagram."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

import typer

from hikeshi.cli.session import Session
from hikeshi.cli.text import Piece, Styled
from hikeshi.documents.playbooks import actions_of, playbook_document, playbook_row, what_of

if TYPE_CHECKING:
    from hikeshi.playbook.model import InputDeclaration, StepList

__all__ = ["graph", "list_playbooks", "show"]

PlaybookId = Annotated[str, typer.Argument(metavar="ID", help="The playbook, as 'hikeshi list' names it.")]


def list_playbooks(session: Session) -> int:
    """List the playbooks there are."""
    rows = [playbook_row(session.app, playbook_id) for playbook_id in session.app.library.ids()]
    if session.output.as_json:
        session.output.document({"playbooks": rows})
        return 0
    if not rows:
        session.output.line("There are no playbooks here. Put YAML files into the folder 'playbooks'.")
        return 0
    session.output.table(
        ["ID", "NAME", "PHASE", "SEVERITY", "SOURCE"],
        [
            [
                Styled(row["id"], "bold"),
                row["name"] if row["problems"] is None else Styled("has problems: see 'hikeshi check'", "red"),
                row["phase"] or "",
                row["severity"] or "",
                Styled(row["source"], "dim"),
            ]
            for row in rows
        ],
    )
    return 0


def show(session: Session, playbook: PlaybookId) -> int:
    """Show what a playbook does and needs, or a saved plan."""
    if playbook.endswith(".json"):  # no playbook's ID has a dot
        from pathlib import Path

        from hikeshi.cli.plans import show_saved

        return show_saved(session, Path(playbook))
    found = session.app.library.load(playbook)
    if session.output.as_json:
        session.output.document(playbook_document(session.app, found))
        return 0
    output = session.output
    output.line(Styled(found.id, "bold"), f"  {found.name}  (version {found.version})")
    for text in wrap(found.description, min(100, output.columns - 2)):
        output.line("  ", text)
    facts = (
        ("phase", found.phase.value if found.phase else ""),
        ("severity", found.severity or ""),
        ("ATT&CK", ", ".join(found.attack)),
        ("owner", found.owner or ""),
        ("file", found.position.file),
    )
    output.line()
    for name, value in facts:
        if value:
            output.line(f"  {name:9} ", value)
    output.line()
    output.line(Styled("Inputs", "bold"), "" if found.inputs else ": none")
    for declaration in found.inputs.values():
        output.line(Styled(f"  {declaration.name}", "cyan"), f"  {_type(declaration)}; {_need(declaration)}")
        if declaration.description:
            output.line("      ", declaration.description)
    output.line()
    output.line(Styled("Steps", "bold"))
    for title, steps in (("", found.steps), ("if something failed", found.on_failure), ("at the end", found.finally_)):
        if title and len(steps):
            output.line(f"  {title}")
        output.lines(list(_outline(steps, 2 if title else 1)))
    output.line()
    output.line(Styled("Actions used", "bold"))
    for action in actions_of(session.app, found):
        output.line("  ", action)
    return 0


def graph(session: Session, playbook: PlaybookId) -> int:
    """Write a playbook's diagram as Mermaid text."""
    from hikeshi.playbook.graph import mermaid

    text = mermaid(session.app.library.load(playbook))
    if session.output.as_json:
        session.output.document({"id": playbook, "mermaid": text})
    else:
        session.output.verbatim(text)
    return 0


def _type(declaration: InputDeclaration) -> str:
    limits = declaration.constraints
    text = f"{declaration.type} of {limits.items.type_name}" if limits.items else declaration.type
    if limits.enum is not None:
        text += f", one of {', '.join(map(str, limits.enum))}"
    if limits.minimum is not None:
        text += f", from {limits.minimum}"
    return text if limits.maximum is None else f"{text}, up to {limits.maximum}"


def _need(declaration: InputDeclaration) -> str:
    if declaration.required:
        return "required"
    return "optional" if declaration.default is None else f"default {declaration.default}"


def _outline(steps: StepList, depth: int) -> Iterator[list[Piece]]:
    from hikeshi.playbook.model import BlockStep

    for step in steps:
        yield ["  " * depth, step.label, Styled(f"  {what_of(step)}", "dim")]
        if isinstance(step, BlockStep):
            yield from _outline(step.children, depth + 1)
        if step.on_error is not None and step.on_error.steps is not None:
            yield ["  " * (depth + 1), "if it fails"]
            yield from _outline(step.on_error.steps, depth + 2)
