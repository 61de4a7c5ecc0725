"""The contract kit: what every connector has to keep, checked against its simulator over real HTTP.

An author gives a `Contract`: the connector, its simulator, a small estate, and a `Case` for each action. `run` checks
all of it and `report` prints it; nothing here needs pytest. For a test function see `contract_pytest.contract_tests`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from hikeshi.capabilities import Effect
from hikeshi.testing import contract_changes, contract_faults, contract_reads, contract_secrets
from hikeshi.testing.contract_bench import Bench, CannotGoOn
from hikeshi.testing.contract_case import Case, Contract, Problem, one
from hikeshi.testing.estate import Estate
from hikeshi.testing.simulation import Simulation, running

__all__ = ["CHECKS", "Case", "Check", "Contract", "Problem", "Result", "one", "report", "run", "run_check"]

Status = Literal["ok", "failed", "exempt", "idle"]


@dataclass(frozen=True, slots=True)
class Check:
    """One promise of the contract, about actions with one of `effects`.

    `examine` gives a Problem for each time that it is broken.
    """

    name: str
    doc: str
    effects: tuple[Effect, ...]
    examine: Callable[[Bench], AsyncIterator[Problem]]


@dataclass(frozen=True, slots=True)
class Result:
    """How one check went for one product: the problems, and the exemptions that applied, with their reasons.

    `idle` says that the connector has no action that the check is about.
    """

    product: str
    check: str
    problems: tuple[str, ...] = ()
    exemptions: tuple[str, ...] = ()
    idle: bool = False

    @property
    def status(self) -> Status:
        if self.problems:
            return "failed"
        if self.idle:
            return "idle"
        return "exempt" if self.exemptions else "ok"

    def __str__(self) -> str:
        lines = self.problems if self.problems else self.exemptions
        return "\n".join([f"{self.product}: {self.check}: {self.status}", *(f"  {line}" for line in lines)])


def _checks() -> tuple[Check, ...]:
    modules = (contract_changes, contract_reads, contract_faults, contract_secrets)
    found = [each for module in modules for each in module.CHECKS.items()]
    return tuple(
        Check(examine.__name__, (examine.__doc__ or "").strip(), effects, examine) for examine, effects in found
    )


CHECKS: tuple[Check, ...] = _checks()


def run(contract: Contract, checks: Iterable[Check] = CHECKS) -> list[Result]:
    """Return how each check went, in order. Raises nothing that a connector causes."""
    return [run_check(contract, check) for check in checks]


def run_check(contract: Contract, check: Check) -> Result:
    """Return how one check went, on a simulation of its own. An exemption that nothing needs any more is a problem."""
    simulation = Simulation(Estate(contract.estate()), [contract.simulator])
    with running(simulation) as base_url:
        bench = Bench(contract, simulation, base_url)
        if not any(spec.effect in check.effects for spec in bench.specs.values()):
            return _judged(contract, check, [], idle=True)
        return _judged(contract, check, asyncio.run(_collect(check, bench)))


async def _collect(check: Check, bench: Bench) -> list[Problem]:
    found: list[Problem] = []
    try:
        async for problem in check.examine(bench):
            found.append(problem)
    except CannotGoOn as exc:
        found.append(Problem(f"the check could not go on: {exc}"))
    return found


def _judged(contract: Contract, check: Check, problems: list[Problem], *, idle: bool = False) -> Result:
    kept: list[str] = []
    used: dict[str, str] = {}
    for problem in problems:
        names = (check.name, f"{check.name}:{problem.action}")
        exempting = [name for name in names if name in contract.exempt]
        if exempting:
            used[exempting[0]] = contract.exempt[exempting[0]]
        else:
            kept.append(f"{problem.action}: {problem.text}" if problem.action else problem.text)
    mine = [name for name in contract.exempt if name.partition(":")[0] == check.name]
    kept += [f"the exemption {name!r} is not needed any more; remove it" for name in mine if name not in used]
    exemptions = tuple(f"{name}: {reason}" for name, reason in used.items())
    return Result(contract.connector.product, check.name, tuple(kept), exemptions, idle)


def report(results: Iterable[Result]) -> str:
    """Return a table of text, a line for each check and a column for each product, then what there is to say."""
    found = list(results)
    products = list(dict.fromkeys(result.product for result in found))
    cells = {(result.check, result.product): result for result in found}
    names = list(dict.fromkeys(result.check for result in found))
    shown = {"ok": "ok", "failed": "FAILED", "exempt": "exempt", "idle": "-"}
    width = max([len(name) for name in names], default=5)
    lines = ["  ".join([f"{'check':<{width}}", *(f"{product:<11}" for product in products)]).rstrip()]
    for name in names:
        row = [cells.get((name, product)) for product in products]
        texts = [f"{shown[cell.status] if cell else '-':<11}" for cell in row]
        lines.append("  ".join([f"{name:<{width}}", *texts]).rstrip())
    notes = [str(result) for result in found if result.status in ("failed", "exempt")]
    return "\n".join([*lines, *([""] if notes else []), *notes])
