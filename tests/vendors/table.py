"""The playbooks that ship, unchanged, against every product: run live, dry, and undone.

    python tests/vendors/table.py                    the whole table
    python tests/vendors/table.py --only fortigate   the rows of some products

Each cell is a company of its own, simulated and served over HTTP on the loopback interface, and a project that is bound
to the products of that cell. `live` means that the run succeeded and the product was changed, `dry` that a plan of the
same run shows changes and sent none, `undo` that afterwards everything is as it was, but for what no undo brings back.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TESTS = HERE.parent
sys.path.append(str(TESTS / "acceptance"))

from drill import ACTOR, Drill, Outcome, Place, served

from hikeshi.connector import Connector
from hikeshi.connector.registry import Registry
from hikeshi.testing.contract import Contract
from hikeshi.testing.manufacturer import C2_ADDRESS, C2_DOMAIN, FILE_SERVER, MALWARE_SHA256
from hikeshi.testing.simulation import discover_simulators

__all__ = ["KINDS", "Cell", "Tried", "cells", "products_of", "shown", "try_cell"]

KINDS = {"edr": "edr.isolate_host", "firewall": "firewall.block_indicators", "identity": "identity.disable_user",
         "messaging": "messaging.page"}  # fmt: skip
"""A kind of product, and the action that only those have which the playbooks can use alone."""
USUAL = {"edr": "crowdstrike", "firewall": "panos", "identity": "entra", "messaging": "slack"}
ADMIN = "adm-kobayashi@minato.example"
INDICATORS = {
    "ipv4": C2_ADDRESS,
    "ipv6": "2001:db8:66::7",
    "cidr": "198.51.100.0/28",
    "domain": C2_DOMAIN,
    "url": "https://sync.fleetmate.example/a",
    "sha256": MALWARE_SHA256,
}
_NOTHING_TO_UNDO = "notify-stakeholders"
# What no undo brings back: what was said, finished jobs, and ended sessions, as each directory keeps them.
_VOLATILE = (
    "messages",
    "firewall.jobs",
    "users.*.sessions_valid_from",
    "product_state.okta.events",
    "product_state.aws_iam.users.*.policies.AWSRevokeOlderSessions",
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One playbook against one product of each kind that it needs; `product` is the one that the cell is about."""

    playbook: str
    product: str
    bound: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.playbook}-{self.product}"


@dataclass(slots=True)
class Tried:
    """What came of a cell: for `dry`, `live` and `undo` nothing, or what was wrong."""

    cell: Cell
    wrong: dict[str, str] = field(default_factory=dict)

    @property
    def is_green(self) -> bool:
        return not any(self.wrong.values())


@cache
def _registry() -> Registry:
    return Registry()


@cache
def products_of(kind: str) -> tuple[str, ...]:
    """Return the installed products of a kind that the playbooks can use, the usual one first."""
    found = [name for name in _simulated() if KINDS[kind] in _registry().load(name).supported()]
    return tuple(sorted(found, key=lambda name: (name != USUAL[kind], name)))


@cache
def _simulated() -> tuple[str, ...]:
    from importlib.metadata import entry_points

    served_ones = {point.name for point in entry_points(group="hikeshi.simulators")}
    return tuple(name for name in _registry().products() if name in served_ones)


def cells() -> Iterator[Cell]:
    """Give every cell of the table: each playbook, with each product that can play a part in it."""
    for product in products_of("edr"):
        yield Cell("isolate-host", product, (product,))
        yield Cell("block-indicators", product, (product, USUAL["firewall"]))
    for product in products_of("firewall"):
        yield Cell("block-indicators", product, (product, USUAL["edr"]))
    for product in products_of("identity"):
        yield Cell("restrict-user", product, (product,))
    for product in products_of("messaging"):
        yield Cell("notify-stakeholders", product, (product,))
    yield from _whole()


def _whole() -> Iterator[Cell]:
    """Give contain-host with every product at least once, one of each kind at a time."""
    by_kind = {kind: products_of(kind) for kind in KINDS}
    seen: set[str] = set()
    for at in range(max(map(len, by_kind.values()))):
        bound = tuple(dict.fromkeys(names[at % len(names)] for names in by_kind.values()))
        for product in bound:
            if product not in seen:
                seen.add(product)
                yield Cell("contain-host", product, bound)


def try_cell(cell: Cell, folder: Path) -> Tried:
    """Plan, run and undo a cell's playbook. Raises nothing that a product causes."""
    return asyncio.run(_tried(cell, folder))


async def _tried(cell: Cell, folder: Path) -> Tried:
    tried = Tried(cell)
    simulators = discover_simulators(products=cell.bound).simulators
    with served(simulators, hosts=30, settle_s=0.02) as place:
        drill = Drill(folder / "project", folder / "secrets")
        drill.configure(place.simulation.project_settings(place.url))
        try:
            inputs = _inputs(cell)
            before = _there(place, cell)
            tried.wrong["dry"] = await _dry(drill, place, cell, inputs, before)
            outcome = await drill.run(cell.playbook, inputs)
            tried.wrong["live"] = _live(outcome, place, cell, before)
            if cell.playbook != _NOTHING_TO_UNDO:
                tried.wrong["undo"] = await _undone(drill, outcome, place, cell, before)
        finally:
            await drill.aclose()
    return tried


async def _dry(drill: Drill, place: Place, cell: Cell, inputs: Mapping[str, Any], before: str) -> str:
    planned = await drill.plan(cell.playbook, inputs)
    if planned.status != "succeeded":
        return f"the plan {planned.status}: {_errors(planned)}"
    if place.changes():
        return f"the plan sent {place.changes()[0]['method']} {place.changes()[0]['url']}"
    if _there(place, cell) != before:
        return "the plan changed something"
    shown_changes = [action for action in planned.report["actions"] if action["effect"] != "read"]
    return "" if shown_changes else "the plan shows no change"


def _live(outcome: Outcome, place: Place, cell: Cell, before: str) -> str:
    if outcome.status != "succeeded":
        return f"the run {outcome.status}: {_errors(outcome)}"
    if not any(change["applied"] for change in place.changes(cell.product)):
        return f"{cell.product} accepted no change"
    if cell.playbook != _NOTHING_TO_UNDO and _there(place, cell) == before:
        return "everything is as it was before"
    return ""


async def _undone(drill: Drill, outcome: Outcome, place: Place, cell: Cell, before: str) -> str:
    plan = await drill.hikeshi.plan_undo(outcome.state.run)
    state = await drill.hikeshi.undo(plan, actor=ACTOR)
    if state.finished != "succeeded":
        return f"the undo {state.finished}"
    if drill.hikeshi.holds():
        return f"{len(drill.hikeshi.holds())} holds are left"
    after = _there(place, cell)
    return "" if after == before else f"not as it was: {_difference(json.loads(before), json.loads(after))}"


def _errors(outcome: Outcome) -> str:
    steps = outcome.report.get("steps", {})
    errors = [f"{path}: {step['error']['message']}" for path, step in steps.items() if step.get("error")]
    return "; ".join(errors)[:400] or str(outcome.report.get("error"))


def _inputs(cell: Cell) -> dict[str, Any]:
    indicators = [INDICATORS[kind] for kind in INDICATORS if kind in _kinds(cell)]
    return {
        "isolate-host": {"hostname": FILE_SERVER},
        "block-indicators": {"indicators": indicators, "duration": "1h"},
        "restrict-user": {"user": ADMIN},
        "notify-stakeholders": {"severity": "critical", "title": "A drill", "details": "Nothing is burning."},
        "contain-host": {"hostname": FILE_SERVER, "indicators": indicators, "user": ADMIN, "severity": "critical"},
    }[cell.playbook]


def _kinds(cell: Cell) -> set[str]:
    """Return the kinds of indicators that the products of a cell take between them."""
    found: set[str] = set()
    for product in cell.bound:
        supported = _class(product).supported()
        for action in ("firewall.block_indicators", "edr.block_hashes"):
            if action in supported:
                found |= supported[action] or set(INDICATORS)
    return found


def _class(product: str) -> type[Connector]:
    return _registry().load(product)


def _there(place: Place, cell: Cell) -> str:
    """Return the company as it is, without what no undo brings back, as one text."""
    place.estate.settle()
    there = json.loads(place.estate.snapshot_bytes())
    for path in (*_VOLATILE, *(path for product in cell.bound for path in _volatile(product))):
        _without(there, path.split("."))
    there["product_state"] = _pruned(there["product_state"])
    return json.dumps(there, sort_keys=True)


def _volatile(product: str) -> list[str]:
    """Return what a product's undo does not bring back; it speaks for itself and not for the others."""
    paths = _contract(product).volatile
    return [f"product_state.{product}" if path == "product_state" else path for path in paths]


@cache
def _contract(product: str) -> Contract:
    """Return what the contract kit knows of a product; its `volatile` names what its undo does not bring back."""
    path = TESTS / "contract" / f"{product}_contract.py"
    spec = importlib.util.spec_from_file_location(f"contract_of_{product}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    contract: Contract = module.CONTRACT
    return contract


def _without(there: Any, path: Sequence[str]) -> None:
    names = () if not isinstance(there, dict) else list(there) if path[0] == "*" else [path[0]]
    for name in names:
        if name in there and len(path) == 1:
            del there[name]
        elif name in there:
            _without(there[name], path[1:])


def _pruned(there: Any) -> Any:
    """Return what a product keeps without the maps that are empty now: it made them when it was first asked."""
    if not isinstance(there, dict):
        return there
    kept = {key: _pruned(value) for key, value in there.items()}
    return {key: value for key, value in kept.items() if value != {}}


def _difference(before: Any, after: Any, at: str = "") -> str:
    """Return the first place in which two documents differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted({*before, *after}):
            if before.get(key) != after.get(key):
                return _difference(before.get(key), after.get(key), f"{at}.{key}")
    return f"{at.lstrip('.')} was {str(before)[:120]}, is {str(after)[:120]}"


def shown(tried: Iterable[Tried]) -> str:
    """Return the table as text: a line for each product, a column for each playbook, then what was wrong."""
    found = list(tried)
    playbooks = list(dict.fromkeys(each.cell.playbook for each in found))
    products = list(dict.fromkeys(each.cell.product for each in found))
    by_place = {(each.cell.product, each.cell.playbook): each for each in found}
    width = max((len(product) for product in products), default=7)
    lines = ["  ".join([f"{'':<{width}}", *(f"{name:<18}" for name in playbooks)]).rstrip()]
    for product in products:
        texts = [_cell_text(by_place.get((product, playbook))) for playbook in playbooks]
        lines.append("  ".join([f"{product:<{width}}", *(f"{text:<18}" for text in texts)]).rstrip())
    wrong = [f"{each.cell} ({', '.join(each.cell.bound)}): {part}: {text}"
             for each in found for part, text in each.wrong.items() if text]  # fmt: skip
    return "\n".join([*lines, *([""] if wrong else []), *wrong])


def _cell_text(tried: Tried | None) -> str:
    if tried is None:
        return "-"
    return " ".join(part.upper() + "!" if text else part for part, text in tried.wrong.items())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="PRODUCT")
    chosen = parser.parse_args().only
    tried = []
    for cell in cells():
        if chosen is None or cell.product in chosen:
            with tempfile.TemporaryDirectory() as folder:
                tried.append(try_cell(cell, Path(folder)))
    sys.stdout.write(shown(tried) + "\n")
    green = sum(each.is_green for each in tried)
    counts = ", ".join(f"{len(products_of(kind))} {kind}" for kind in KINDS)
    sys.stdout.write(f"\n{green} of {len(tried)} cells are green; products: {counts}\n")
    return 0 if tried and green == len(tried) else 1


if __name__ == "__main__":
    sys.exit(main())
