"""The contract kit as a pytest test: `test_contract = contract_tests(Contract(...))`, and each check is a test."""

from __future__ import annotations

from collections.abc import Callable

from hikeshi.testing.contract import CHECKS, Check, Contract, run_check

__all__ = ["contract_tests"]


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
        result = run_check(contract, check)
        if result.status == "exempt":
            pytest.skip("; ".join(result.exemptions))
        if result.status == "idle":
            pytest.skip("the connector has no action that this is about")
        if result.status == "failed":
            pytest.fail(f"{check.doc}\n{result}", pytrace=False)

    return test_contract
