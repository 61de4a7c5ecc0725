"""`make mutate`: puts small defects into the gate, the guardrails and the audit log, and counts what tests notice.

    run.py                          a sample of 200 of all defects
    run.py --sample 0               all of them, which takes an hour or more
    run.py --only limit             those of modules whose name contains this
    run.py --again FILE             those that an earlier output names
    run.py --control                the same without a defect, and so nothing is to be noticed
    run.py --one hikeshi.guardrails.limit:12      one, with what the tests say

A defect that no test notices is printed with its place. Noticed means that a test fails, or that the tests do not end.
"""

from __future__ import annotations

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from defective import MUTANT
from mutants import mutants_of
from pool import Outcome, Place
from trial import PYTEST, try_all

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
_NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "build", "dist")
_RULES = tuple(f"tests/acceptance/test_{name}.py" for name in ("rules_hold", "limits_hold", "saved_plans"))
_GUARDRAILS = ("tests/unit/guardrails", "tests/properties/guardrails", *_RULES)
_AUDIT = (
    "tests/unit/audit",
    "tests/properties/test_audit_tree.py",
    "tests/integration/audit",
    "tests/integration/operation/test_retention.py",  # what was pruned is verified by the same code
)
_GATE = ("tests/unit/runtime", "tests/unit/connector", "tests/unit/triggers/test_breaker.py", *_RULES)
AREAS: dict[str, tuple[str, ...]] = {
    "guardrails/*.py": _GUARDRAILS,
    "runtime/gate.py": _GATE,
    "runtime/change.py": _GATE,
    "runtime/planned.py": _GATE,
    "runtime/rules.py": _GATE,
    "runtime/limits.py": _GATE,
    "runtime/stops.py": _GATE,
    "connector/door.py": _GATE,
    "audit/*.py": _AUDIT,
}


def places(root: Path, only: str) -> list[tuple[Place, tuple[str, ...]]]:
    """Return every defect, and the tests that should notice it."""
    found = []
    for pattern, tests in AREAS.items():
        for path in sorted((root / "engine" / "hikeshi").glob(pattern)):
            module = ".".join(path.relative_to(root / "engine").with_suffix("").parts)
            if only in module and path.name != "__init__.py":
                listed = mutants_of(path.read_text(encoding="utf-8"))
                found += [(Place(module, str(path), at, mutant), tests) for at, mutant in enumerate(listed)]
    return found


def area_of(module: str) -> str:
    """Return the row that a module counts in."""
    _, area, name = module.split(".")[:3]
    return area if area in ("audit", "guardrails") else f"{area}.{name}"


def tell(place: Place, outcome: Outcome) -> None:
    """Print what was not noticed by a test that failed."""
    if outcome != "a test failed":
        line, what, *_ = place.mutant
        print(f"{outcome}: {place.name}  line {line}: {what}", file=sys.__stdout__, flush=True)


def report(outcomes: Iterable[tuple[Place, Outcome]], of: int) -> int:
    """Print the table, and return the exit code."""
    areas: dict[str, Counter[Outcome]] = {}
    for place, outcome in outcomes:
        areas.setdefault(area_of(place.module), Counter())[outcome] += 1
    print(f"\n{'area':24} {'defects':>8} {'noticed':>8}")
    for area, counted in sorted(areas.items()):
        print(f"{area:24} {_row(counted)}")
    everything: Counter[Outcome] = sum(areas.values(), Counter())
    print(f"{'all':24} {_row(everything)} of a sample of {everything.total()} from {of}")
    print(", ".join(f"{outcome}: {count}" for outcome, count in everything.most_common()))
    return 0 if _noticed(everything) >= 0.9 * everything.total() else 1


def _noticed(counted: Counter[Outcome]) -> int:
    return counted.total() - counted["not noticed"] - counted["no test reaches it"]


def _row(counted: Counter[Outcome]) -> str:
    noticed = _noticed(counted)
    return f"{counted.total():8} {noticed:8}  {noticed / max(1, counted.total()):.1%}"


def show(name: str) -> int:
    """Run the tests of one defect where they can be seen."""
    tests = next(tests for place, tests in places(Path.cwd(), "") if place.name == name)
    command = [sys.executable, "-m", "pytest", "-x", *PYTEST, "-p", "mutated", *tests]
    return subprocess.run(command, env={**os.environ, MUTANT: name}, check=False).returncode


def main() -> int:
    formatter = argparse.RawTextHelpFormatter
    parser = argparse.ArgumentParser(prog="make mutate", description=__doc__, formatter_class=formatter)
    parser.add_argument("--sample", type=int, default=200, help="how many defects, chosen by chance; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", metavar="TEXT")
    parser.add_argument("--again", metavar="FILE", type=lambda text: Path(text).resolve())
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--one", metavar="MODULE:NUMBER")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at the same time")
    asked = parser.parse_args()
    os.nice(10)
    with tempfile.TemporaryDirectory(prefix="mutate-") as folder:
        root = Path(folder).resolve() / "tree"
        shutil.copytree(ROOT, root, ignore=_NOT_COPIED, symlinks=True)  # people may go on editing theirs
        os.chdir(root)
        parts = [root / "tests" / "mutation", root / "engine", root / "connectors"]
        os.environ["PYTHONPATH"] = os.pathsep.join(map(str, parts))
        sys.path[:0] = map(str, parts)
        if asked.one:
            return show(asked.one)
        return run(asked, root)


def run(asked: argparse.Namespace, root: Path) -> int:
    """Try what was asked for, in this copy of the tree."""
    everything = places(root, asked.only)
    if asked.again is not None:
        names = set(re.findall(r"hikeshi\.[\w.]+:\d+", asked.again.read_text(encoding="utf-8")))
        everything = [each for each in everything if each[0].name in names]
    chosen = everything
    if 0 < asked.sample < len(everything):
        chosen = random.Random(asked.seed).sample(everything, asked.sample)
    if not chosen:
        print("there is no such place")
        return 2
    began = time.monotonic()
    tests = sorted({folder for _, folders in chosen for folder in folders})
    tried = [replace(place, has_defect=not asked.control) for place, _ in chosen]
    outcomes, problem = try_all(tried, tests, asked.jobs, root.parent, tell)
    if problem:
        print(problem)
        return 2
    code = report(outcomes, len(everything))
    print(f"in {time.monotonic() - began:.0f} s")
    return code


if __name__ == "__main__":
    sys.exit(main())
