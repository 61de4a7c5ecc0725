"""The contract kit as a pytest test: `test_contract = contract_tests(Contract(...))`, and each check is a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hikeshi.testing.contract import CHECKS, Check, Contract, Result, run_check

__all__ = ["contract_tests", "quality_tests"]

_results: dict[tuple[int, str], Result] = {}


def contract_tests(*contracts: Contract) -> Callable[..., None]:
    """Return a test function with a parameter set for each contract and check; exempt ones are skipped, with reasons.

    Needs pytest, which hikeshi itself does not.
    """
    import pytest

    sets = [
        pytest.param(contract, check, id=f"{contract.connector.product}-{check.name}")
        for contract in contracts
        for check in CHECKS
    ]

    @pytest.mark.parametrize(("contract", "check"), sets)
    def test_contract(contract: Contract, check: Check) -> None:
        """The connector keeps this check of the contract."""
        result = _result_of(contract, check)
        if result.status == "exempt":
            pytest.skip("; ".join(result.exemptions))
        if result.status == "idle":
            pytest.skip("the connector has no action that this is about")
        if result.status == "failed":
            pytest.fail(f"{check.doc}\n{result}", pytrace=False)

    return test_contract


def quality_tests(*contracts: Contract, root: Path) -> Callable[..., None]:
    """Return a test function with a parameter set for each contract: its connector's checklist says the truth.

    Paths of further tests that a checklist names are relative to `root`.
    """
    import pytest

    from hikeshi.testing.contract_quality import quality_problems

    sets = [pytest.param(contract, id=contract.connector.product) for contract in contracts]

    @pytest.mark.parametrize("contract", sets)
    def test_quality(contract: Contract) -> None:
        """What the checklist says is what the contract kit finds."""
        problems = quality_problems(contract, _result_of, root)
        if problems:
            pytest.fail("\n".join(problems), pytrace=False)

    return test_quality


def _result_of(contract: Contract, check: Check) -> Result:
    """Return how a check went; it is run once, whoever asks."""
    key = (id(contract), check.name)
    if key not in _results:
        _results[key] = run_check(contract, check)
    return _results[key]
