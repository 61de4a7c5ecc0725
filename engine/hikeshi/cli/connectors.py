"""The products that Hikeshi can speak to here, those that this project has, and whether they answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.session import Session
from hikeshi.cli.text import Piece, Styled
from hikeshi.documents.connectors import instances_of, product_document

if TYPE_CHECKING:
    from hikeshi.app.probing import Probe

__all__ = ["connectors", "show", "test"]

_COLOURS = {"done": "green", "todo": "yellow", "exempt": "dim"}
_OUTCOMES = {"ok": "green", "not tried": "dim"}


def connectors(session: Session) -> int:
    """List the project's connectors and the installed products: what each can do, and how far it is tried."""
    products = [product_document(session.app, name) for name in session.app.registry.products()]
    instances = instances_of(session.app)
    if session.output.as_json:
        session.output.document({"instances": instances, "products": products})
    else:
        _show_all(session, instances, products)
    return 0


def show(
    session: Session, product: Annotated[str, typer.Argument(metavar="PRODUCT", help="An installed product.")]
) -> int:
    """Show one product: its verbs, the least privileges it needs, how far it is tried, what is not verified of it."""
    from hikeshi.project import ProjectError

    names = session.app.registry.products()
    if product not in names:
        raise ProjectError([f"there is no connector for the product {product!r} (installed: {', '.join(names)})"])
    document = product_document(session.app, product)
    if session.output.as_json:
        session.output.document(document)
    else:
        _show_product(session, document)
    return 0


def test(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A connector of this project.")],
) -> int:
    """Try the credentials and the reads of a configured connector, and say what is missing. Changes nothing."""
    from hikeshi.app.probing import probes_of

    probes = session.wait_for(probes_of(session.app, name))
    wrong = [probe for probe in probes if probe.status not in _OUTCOMES]
    tried = [probe for probe in probes if probe.status != "not tried"]
    is_good = bool(tried) and not wrong
    if session.output.as_json:
        document = {"connector": name, "ok": is_good, "probes": [probe.to_json() for probe in probes]}
        session.output.document(document)
    else:
        _show_probes(session, name, probes)
    return ExitCode.SUCCEEDED if is_good else ExitCode.FAILED


def _show_all(session: Session, instances: list[dict[str, Any]], products: list[dict[str, Any]]) -> None:
    output = session.output
    output.line(Styled("In this project", "bold"), "" if instances else ": none")
    for instance in instances:
        bound = f", only for {', '.join(instance['bound_to'])}" if instance["bound_to"] else ""
        output.line(Styled(f"  {instance['name']}", "cyan"), f"  {instance['product']}{bound}")
    output.line()
    rows: list[list[Piece]] = []
    for product in products:
        rows.append(
            [
                Styled(product["product"], "cyan"),
                Styled(product["error"], "red") if product["error"] else ", ".join(product["capabilities"]),
                _standing(product["quality"]),
                str(len(product["unverified"])) if product["quality"] else "",
            ]
        )
    output.table(["PRODUCT", "CAPABILITIES", "QUALITY", "FACTS NOT VERIFIED"], rows)
    output.line()
    output.line("'hikeshi connectors show PRODUCT' shows one with its verbs and the privileges that it needs.")
    if not instances:
        output.line("Add one under 'connectors' in hikeshi.yaml; docs/getting-started.md shows how.")


def _standing(quality: dict[str, Any] | None) -> Piece:
    if quality is None:
        return Styled("no checklist", "dim")
    counts = {status: sum(rule["status"] == status for rule in quality.values()) for status in _COLOURS}
    text = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return Styled(text, "yellow") if counts["todo"] else text


def _show_product(session: Session, product: dict[str, Any]) -> None:
    output = session.output
    output.line(Styled(product["product"], "bold"))
    if product["error"] is not None:
        output.line(Styled(product["error"], "red"))
        return
    for capability, verbs in product["capabilities"].items():
        output.line(f"  {capability:12} ", ", ".join(map(_verb, verbs)))
    for privilege in product["least_privileges"]:
        output.line("  needs        ", privilege)
    output.line()
    if product["quality"] is None:
        output.line("It has no checklist, so nothing is known of how far it is tried.")
        return
    rows = [
        [name, Styled(rule["status"], _COLOURS[rule["status"]]), rule["reason"]]
        for name, rule in product["quality"].items()
    ]
    output.table(["RULE", "STATUS", "WHY"], rows)
    for fact in product["unverified"]:
        output.line()
        output.line(Styled("Not verified: ", "yellow"), fact["fact"])
        output.line("  ", fact["effect"])


def _verb(verb: dict[str, Any]) -> str:
    return f"{verb['verb']} ({', '.join(verb['kinds'])})" if verb["kinds"] is not None else str(verb["verb"])


def _show_probes(session: Session, name: str, probes: list[Probe]) -> None:
    output = session.output
    rows: list[list[Piece]] = [
        [probe.action, Styled(probe.status, _OUTCOMES.get(probe.status, "red")), f"{probe.took_s:.1f} s", probe.message]
        for probe in probes
    ]
    output.table(["READ", "OUTCOME", "TOOK", "WHAT WAS SAID"], rows)
    output.line()
    wrong = [probe for probe in probes if probe.status not in _OUTCOMES]
    if all(probe.status == "not tried" for probe in probes):  # or there is none
        text = f"{name} was not asked: it has no read that can be tried, so nothing is known of it."
        output.line(Styled(text, "yellow"))
        return
    if not wrong:
        output.line(
            Styled(f"{name} answers.", "green"), " Changes are not tried: a dry run shows what they would send."
        )
        return
    document = product_document(session.app, session.app.config.products[name])
    output.line(Styled(f"{name}: {len(wrong)} of {len(probes)} reads fail.", "red"))
    if any(probe.status in ("unauthorized", "forbidden") for probe in wrong):
        output.line("The product has to grant:")
        for privilege in document["least_privileges"]:
            output.line("  ", privilege)
