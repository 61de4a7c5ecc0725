"""Every connector keeps the contract, against its simulator over real HTTP."""

import importlib.util
import sys
from pathlib import Path

from hikeshi.testing.contract import Contract
from hikeshi.testing.contract_pytest import contract_tests, quality_tests

HERE = Path(__file__).parent
EXAMPLE = HERE.parent.parent / "examples" / "third-party-connector"
sys.path.append(str(EXAMPLE))  # the example is a package of its own, which is installed nowhere

FILES = [*sorted(HERE.glob("*_contract.py")), EXAMPLE / "tests" / "test_deskline_contract.py"]


def contract_in(path: Path) -> Contract:
    spec = importlib.util.spec_from_file_location(f"contract_of_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    contract: Contract = module.CONTRACT
    return contract


CONTRACTS = [contract_in(path) for path in FILES]
OURS = [contract for contract in CONTRACTS if contract.connector.__module__.startswith("hikeshi_connectors.")]

test_contract = contract_tests(*CONTRACTS)
test_quality = quality_tests(*OURS, root=HERE.parent.parent)
