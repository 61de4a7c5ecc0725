"""`make test`: the unit tests first, by themselves and against their time limit, then all others, and one count."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree as ET

HERE = Path(__file__).parent
UNIT_LIMIT_S = 15.0


@dataclass
class Result:
    """What one part came to."""

    exit_code: int
    took_s: float
    counts: Counter[str] = field(default_factory=Counter)
    skips: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)

    def tell(self) -> str:
        """Print what failed and each reason of a skip; return the counts as a line."""
        for name in self.failed:
            print(f"failed: {name}")
        for reason, times in self.skips.items():
            print(f"skipped {times}: {reason}")
        return ", ".join(f"{self.counts[each]} {each}" for each in ("passed", "failed", "skipped"))


def run(*arguments: str, env: Mapping[str, str] | None = None) -> Result:
    """Run pytest in a process of its own, with these arguments, and in this environment if one is given."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", "-o", "junit_logging=no", *arguments]
        started = time.monotonic()
        exit_code = subprocess.run(command, cwd=HERE.parent, env=env, check=False).returncode
        result = Result(exit_code, time.monotonic() - started)
        if report.exists():
            _count(report, result)
    return result


def _count(report: Path, result: Result) -> None:
    for case in ET.parse(report).getroot().iter("testcase"):
        skipped = case.find("skipped")
        if skipped is not None and skipped.get("type") != "pytest.xfail":
            result.counts["skipped"] += 1
            result.skips[skipped.get("message") or "no reason was given"] += 1
        elif case.find("failure") is not None or case.find("error") is not None:
            result.counts["failed"] += 1
            result.failed.append(f"{case.get('classname')}::{case.get('name')}")
        else:
            result.counts["passed"] += 1


def main() -> int:
    # Commands are started some hundred times; without their bytecode each would compile the whole program again.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    print("=== unit tests", flush=True)
    unit = run("tests/unit", "--numprocesses=auto", "--dist=worksteal", *sys.argv[1:])
    print(f"=== unit tests took {unit.took_s:.1f} s (limit {UNIT_LIMIT_S:g} s)", flush=True)
    # One file is one worker's: what it serves is shared by its tests. Most of them wait more than they compute, so
    # there is one worker more than there are processors.
    workers = (os.cpu_count() or 1) + 1
    print("=== all other tests", flush=True)
    elsewhere = ("--ignore=tests/unit", "--ignore=tests/real")
    others = run("tests", *elsewhere, f"--numprocesses={workers}", "--dist=loadfile", *sys.argv[1:])
    print(f"=== all other tests took {others.took_s:.1f} s")
    if unit.took_s > UNIT_LIMIT_S:
        print(f"warning: the unit tests took longer than {UNIT_LIMIT_S:g} s")
    both = Result(
        unit.exit_code or others.exit_code,
        unit.took_s + others.took_s,
        unit.counts + others.counts,
        unit.skips + others.skips,
        unit.failed + others.failed,
    )
    print(both.tell())
    return both.exit_code


if __name__ == "__main__":
    sys.exit(main())
