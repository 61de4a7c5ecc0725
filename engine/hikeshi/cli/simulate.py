"""Serving the vendor simulators over a simulated company."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

if TYPE_CHECKING:
    from hikeshi.cli.simulated_project import SimulatedProject
    from hikeshi.testing.simulation import Simulation

__all__ = ["simulate"]


def simulate(
    session: Session,
    estate: Annotated[Path, typer.Option("--estate", metavar="FILE", help="The estate: a recipe or a snapshot.")],
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="The port.")] = 8710,
    host: Annotated[str, typer.Option("--host", help="A loopback address.")] = "127.0.0.1",
    product: Annotated[
        list[str] | None,
        typer.Option("--product", metavar="NAME", help="A product; repeatable. Without: one product of each kind."),
    ] = None,
) -> int:
    """Serve simulators of a company's products until Ctrl-C."""
    from hikeshi.cli.simulated_project import described
    from hikeshi.testing.estate_maker import load_estate
    from hikeshi.testing.simulation import USUAL_PRODUCTS, Simulation, discover_simulators, serve

    chosen = discover_simulators(products=product or USUAL_PRODUCTS)
    simulation = Simulation(load_estate(estate), chosen.simulators)
    simulation.broken = chosen.broken
    shown = f"[{host}]" if ":" in host else host
    base_url = f"http://{shown}:{port}"
    project = described(simulation.project_settings(base_url))
    output = session.output
    if output.as_json:
        output.document({"base_url": base_url, "hikeshi_yaml": project.text, "environment": project.environment})
    else:
        _explain(session, simulation, project, base_url)
    output.flush()
    with suppress(KeyboardInterrupt):
        serve(simulation, host=host, port=port)
    return 0


def _explain(session: Session, simulation: Simulation, project: SimulatedProject, base_url: str) -> None:
    output = session.output
    output.line(f"{simulation.estate.name}: ", Styled(", ".join(simulation.simulators), "bold"), f" at {base_url}")
    for name, why in simulation.broken.items():
        output.note(f"warning: the simulator {name} does not load: {why}")
    output.line()
    output.line("Set these in the shell of the project (the values are invented, they open nothing):")
    output.line()
    for name, value in project.environment.items():
        output.line(f"export {name}='{value}'")
    output.line()
    output.line("and write this into its hikeshi.yaml:")
    output.line()
    output.verbatim(project.text)
    output.line()
    output.line(f"What happens there: {base_url}/_estate/summary and {base_url}/_estate/changes")
    output.line("Ctrl-C ends it.")
