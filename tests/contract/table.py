"""The contract kit over every connector, as a table: products times checks.

python tests/contract/table.py                     all of them
python tests/contract/table.py crowdstrike panos   some
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

sys.path.append(str(Path(__file__).parent))

from test_connectors import CONTRACTS

from hikeshi.testing.contract import CHECKS, Result, run_check

_SHOWN = {"ok": "ok", "failed": "FAILED", "exempt": "exempt", "idle": "-"}


def main() -> int:
    chosen = sys.argv[1:]
    results: list[Result] = []
    for contract in CONTRACTS:
        if not chosen or contract.connector.product in chosen:
            sys.stderr.write(f"{contract.connector.product}\n")
            results += [run_check(contract, check) for check in CHECKS]
    products = list(dict.fromkeys(result.product for result in results))
    cells = {(result.product, result.check): _SHOWN[result.status] for result in results}
    width = max(map(len, products), default=7)
    for at, check in enumerate(CHECKS, start=1):
        sys.stdout.write(f"{at:3} {check.name}: {check.doc.splitlines()[0]}\n")
    sys.stdout.write("\n" + " " * width + "".join(f"{at:>7}" for at in range(1, len(CHECKS) + 1)) + "\n")
    for product in products:
        sys.stdout.write(f"{product:<{width}}" + "".join(f"{cells[product, each.name]:>7}" for each in CHECKS) + "\n")
    reasons = [f"{each.product}: {text}" for each in results for text in (*each.problems, *each.exemptions)]
    sys.stdout.write("\n" + "\n".join(reasons) + "\n")
    counts = Counter(result.status for result in results)
    sys.stdout.write(f"\n{len(products)} products, {len(results)} cells: ")
    sys.stdout.write(f"{counts['ok']} ok, {counts['exempt']} exempt with a reason, {counts['idle']} about nothing the "
                     f"product does (-), {counts['failed']} failed\n")  # fmt: skip
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
