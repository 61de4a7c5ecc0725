"""The playbooks that ship, unchanged, work on every product."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from table import KINDS, Cell, cells, products_of, shown, try_cell

AT_LEAST = {"edr": 4, "firewall": 6, "identity": 4, "messaging": 5}


@pytest.mark.parametrize("cell", [pytest.param(cell, id=str(cell)) for cell in cells()])
def test_a_playbook_runs_dry_live_and_back_on_a_product(cell: Cell, tmp_path: Path) -> None:
    """A plan sends nothing, the run succeeds, and its undo leaves the company as it was."""
    tried = try_cell(cell, tmp_path)

    assert tried.wrong.keys() >= {"dry", "live"}
    assert tried.is_green, shown([tried])


def test_every_product_of_a_kind_has_its_cells() -> None:
    """There are as many products as are promised, and none is left out of the table."""
    assert {kind: len(products_of(kind)) >= least for kind, least in AT_LEAST.items()} == dict.fromkeys(KINDS, True)
    tried = {(cell.playbook, cell.product) for cell in cells()}
    every = {product for kind in KINDS for product in products_of(kind)}
    assert {product for playbook, product in tried if playbook == "contain-host"} == every
    assert {product for playbook, product in tried if playbook != "contain-host"} == every
