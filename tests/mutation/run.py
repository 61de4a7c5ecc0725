"""`make mutate`: puts small defects into the gate, the guardrails and the audit log, and counts what tests notice.

    run.py                          a sample of 200 of all defects
    run.py --sample 0               all of them, which takes hours
    run.py --only limit             those of modules whose name contains this
    run.py --one hikeshi.guardrails.limit:12      one, with what the tests say

A defect that no test notices is printed with its place.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mutants import Mutant, mutants_of

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ENGINE = ROOT / "engine"
_TIMEOUT_S = 120  # a defect that makes a loop endless is noticed by this
_GUARDRAILS = ("tests/unit/guardrails", "tests/properties/guardrails", "tests/acceptance/test_rules_hold.py")
_RULES = tuple(f"tests/acceptance/test_{name}.py" for name in ("rules_hold", "limits_hold", "saved_plans"))
_AUDIT = ("tests/unit/audit", "tests/properties/test_audit_tree.py", "tests/integration/audit")
_GATE = ("tests/unit/runtime", "tests/unit/connector", *_RULES)
AREAS: dict[str, tuple[str, ...]] = {
    "guardrails/*.py": _GUARDRAILS,
    "runtime/gate.py": _GATE,
    "runtime/change.py": _GATE,
    "runtime/planned.py": _RULES,
    "runtime/rules.py": _RULES,
    "runtime/limits.py": _RULES,
    "runtime/stops.py": _RULES,
    "connector/door.py": _GATE,
    "audit/*.py": _AUDIT,
}


def places(only: str) -> list[tuple[str, int, Mutant, tuple[str, ...]]]:
    """Return every defect as its module, its number there, what it is, and the tests that should notice."""
    found = []
    for pattern, tests in AREAS.items():
        for path in sorted((ENGINE / "hikeshi").glob(pattern)):
            module = ".".join(path.relative_to(ENGINE).with_suffix("").parts)
            if only in module and path.name != "__init__.py":
                listed = mutants_of(path.read_text(encoding="utf-8"))
                found += [(module, at, mutant, tests) for at, mutant in enumerate(listed)]
    return found


def notices(module: str, at: int, tests: Sequence[str], *, show: bool = False) -> bool:
    """Say whether a test fails with a defect."""
    return not passes(tests, f"{module}:{at}", show=show)


def passes(tests: Sequence[str], mutant: str | None = None, *, show: bool = False) -> bool:
    """Say whether all of these tests pass in time."""
    environment = {**os.environ, "PYTHONPATH": str(HERE), **({} if mutant is None else {"HIKESHI_MUTANT": mutant})}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "mutated", "-p", "no:randomly"]
    try:
        done = subprocess.run(
            [*command, "-p", "no:cacheprovider", *tests],
            cwd=ROOT,
            env=environment,
            capture_output=not show,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def area_of(module: str) -> str:
    """Return the row that a module counts in."""
    _, area, name = module.split(".")[:3]
    return area if area in ("audit", "guardrails") else f"{area}.{name}"


def main() -> int:
    formatter = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__, formatter_class=formatter)
    parser.add_argument("--sample", type=int, default=200, help="how many defects, chosen by chance; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--one", metavar="MODULE:NUMBER")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    all_places = places(asked.only)
    if asked.one:
        module, _, at = asked.one.partition(":")
        tests = next(tests for name, number, _, tests in all_places if (name, number) == (module, int(at)))
        return 0 if notices(module, int(at), tests, show=True) else 1
    chosen = all_places
    if 0 < asked.sample < len(all_places):
        chosen = random.Random(asked.seed).sample(all_places, asked.sample)
    for tests in {tests for _, _, _, tests in chosen}:
        if not passes(tests):
            print(f"without any defect these do not pass in {_TIMEOUT_S} s: {' '.join(tests)}")
            return 2
    return _report(chosen, len(all_places), asked.jobs)


def _report(chosen: Sequence[tuple[str, int, Mutant, tuple[str, ...]]], of: int, jobs: int) -> int:
    noticed: Counter[str] = Counter()
    tried: Counter[str] = Counter()
    with ThreadPoolExecutor(jobs) as pool:
        results = pool.map(lambda each: notices(each[0], each[1], each[3]), chosen)
        for (module, at, (line, what), _), found in zip(chosen, results, strict=True):
            area = area_of(module)
            tried[area] += 1
            noticed[area] += found
            if not found:
                print(f"not noticed: {module}:{at}  line {line}: {what}", flush=True)
    print(f"\n{'area':24} {'defects':>8} {'noticed':>8}")
    for area in sorted(tried):
        print(f"{area:24} {tried[area]:8} {noticed[area]:8}  {noticed[area] / tried[area]:.0%}")
    share = noticed.total() / max(1, tried.total())
    print(f"{'all':24} {tried.total():8} {noticed.total():8}  {share:.1%} of a sample of {tried.total()} from {of}")
    return 0 if share >= 0.9 else 1


if __name__ == "__main__":
    sys.exit(main())
