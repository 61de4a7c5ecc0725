"""The products that Hikeshi can speak to here, and those that this project has."""

from __future__ import annotations

from typing import Any

from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled
from hikeshi.documents.connectors import instances_of, product_document

__all__ = ["connectors"]


def connectors(session: Session) -> int:
    """List installed products and configured connectors, with the actions and privileges of each."""
    products = [product_document(session.app, name) for name in session.app.registry.products()]
    instances = instances_of(session.app)
    if session.output.as_json:
        session.output.document({"instances": instances, "products": products})
        return 0
    output = session.output
    output.line(Styled("In this project", "bold"), "" if instances else ": none")
    for instance in instances:
        bound = f", only for {', '.join(instance['bound_to'])}" if instance["bound_to"] else ""
        output.line(Styled(f"  {instance['name']}", "cyan"), f"  {instance['product']}{bound}")
    output.line()
    output.line(Styled("Installed products", "bold"))
    for product in products:
        output.line(Styled(f"  {product['product']}", "cyan"))
        if product["error"] is not None:
            output.line("    ", Styled(product["error"], "red"))
            continue
        for capability, verbs in product["capabilities"].items():
            output.line(f"    {capability:13} ", ", ".join(map(_verb, verbs)))
        for privilege in product["least_privileges"]:
            output.line("    needs         ", Styled(privilege, "dim"))
    if not instances:
        output.line()
        output.line("Add one under 'connectors' in hikeshi.yaml; docs/getting-started.md shows how.")
    return 0


def _verb(verb: dict[str, Any]) -> str:
    return f"{verb['verb']} ({', '.join(verb['kinds'])})" if verb["kinds"] is not None else str(verb["verb"])
