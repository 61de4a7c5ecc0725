"""Which tests try each of the safety rules, and with how many cases: docs/safety.md.

Tests name a rule with `@pytest.mark.safety(NUMBER)`.

    python tests/safety/table.py --check     says which rule no test tries, and whether the page is of other tests
    python tests/safety/table.py --write     writes the page
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import Counter
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "safety.md"
TESTS = ("unit", "properties", "contract", "integration", "acceptance", "browser", "simulate", "crash")

PARTS: dict[str, dict[int, str]] = {
    "What leaves the process": {
        1: "In a dry run only requests to routes that a connector declares as reads leave the process.",
        2: "An action that does not say what it does counts as a change.",
        3: "A dry run of any playbook changes nothing at any product.",
        4: "What a dry run can't know is unknown, and so is everything that is computed from it.",
        5: "A condition that can't be known is shown as `maybe`, and never decided.",
        6: "A saved plan is applied once, in its time, and under the texts, settings and rules it was made of.",
        7: "While a plan is applied, a change that it does not show stops the run before it is sent.",
        8: "While a plan is applied, each target is read again, and one that has changed stops the run.",
        9: "A plan says of each step what was not checked.",
    },
    "Guardrails": {
        10: "A protected, empty or doubtful target is refused under every name, whatever anybody has approved.",
        11: "Limits on distinct targets hold over runs, processes and restarts; past one, people are asked.",
        12: "The kill switch is read right before each change; reads, releases and undo go on.",
        13: "What could not be read is never taken for absent.",
    },
    "Crashes and retries": {
        14: "Each change declares how it recovers: sent again, read back, or left to a person.",
        15: "Killed anywhere and started again, a change has its effect at most once.",
        16: "A change whose answer was lost is unknown. Failed means: it provably had no effect.",
        17: "The idempotency key follows from run, step and target.",
        18: "A process that has lost a run sends no change of it.",
        19: "While the journal can't be written, no change starts.",
    },
    "Holds and undo": {
        20: "What was there before is recorded before a change, and undo brings back exactly that.",
        21: "What another run still holds is not undone, and what somebody else changed is left to a person.",
        22: "Holds end on time, after crashes, restarts, cancelled runs and clocks that were moved.",
    },
    "The audit log": {
        23: "Whatever is done to the records before an anchored checkpoint is found, and the first bad one is named.",
        24: "A pack is verified with a pinned key, without the engine's database.",
        25: "Containments and releases are exported as OCSF events.",
    },
    "Secrets": {
        26: "No secret is in any byte that is written or served.",
        27: "An error that depends on a secret tells its kind and nothing else.",
    },
    "People and doors": {
        28: "Only an allowed person other than the requester decides, once, in time, about exactly what was shown.",
        29: "A webhook that is not signed, stale or repeated starts nothing.",
        30: "Text from outside is never evaluated, and never chooses its type.",
        31: "Who may do what follows from roles, and each request is recorded with its actor.",
    },
}
# Said in the table, and to be taken out when it is done.
NOT_DONE: dict[int, str] = {}


@dataclass
class Collector:
    """Counts the cases of each rule, by test, without running one."""

    cases: dict[int, Counter[str]] = field(default_factory=dict)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            if any(item.get_closest_marker(name) is not None for name in ("skip", "xfail")):
                continue
            name = f"{item.path.relative_to(ROOT / 'tests').as_posix()}::{getattr(item, 'originalname', item.name)}"
            for rule in {rule for mark in item.iter_markers("safety") for rule in mark.args}:
                self.cases.setdefault(rule, Counter())[name] += 1


def collect() -> Collector:
    """Return what the tests try. Raises RuntimeError if they can't be collected."""
    collector, printed = Collector(), StringIO()
    with redirect_stdout(printed):
        code = pytest.main(
            ["--collect-only", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
            + [str(ROOT / "tests" / folder) for folder in TESTS],
            plugins=[collector],
        )
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"the tests can't be collected:\n{printed.getvalue()[-4000:]}")
    return collector


def page(cases: dict[int, Counter[str]]) -> str:
    """Return the text of the page."""
    total = sum(sum(each.values()) for each in cases.values())
    lines = [
        "# Safety",
        "",
        "A playbook engine can reach every host, firewall and account of its owner. These rules make that bearable.",
        "",
        "Written by `python tests/safety/table.py --write`; do not edit it. Tests name the rule they try; a case is",
        f"one run of a test with other data. {total} cases; besides, `make crash` and `make simulate-faults` try the",
        "rules 13 to 22 with thousands of crashes and worlds.",
    ]
    for part, rules in PARTS.items():
        lines += ["", f"## {part}", "", "| rule | what holds | cases | tried by |", "|---|---|---|---|"]
        for number, text in rules.items():
            tests = cases.get(number, Counter())
            tried = NOT_DONE.get(number) or _tests(tests)
            lines.append(f"| {number} | {text} | {sum(tests.values())} | {tried} |")
    return "\n".join(lines) + "\n"


def _tests(tests: Counter[str]) -> str:
    if not tests:
        return "**nothing**"
    shown = sorted(tests, key=lambda name: (-tests[name], name))[:2]
    more = f" and {len(tests) - 2} more" if len(tests) > 2 else ""
    return ", ".join(f"`{name}`" for name in shown) + more


def problems(cases: dict[int, Counter[str]]) -> list[str]:
    """Return the rules that no test tries, the numbers that are no rule, and whether the page lacks a rule."""
    numbers = {number for rules in PARTS.values() for number in rules}
    found = [f"no test tries rule {number}" for number in sorted(numbers - cases.keys() - NOT_DONE.keys())]
    found += [f"{next(iter(cases[each]))} names rule {each}, which there is not" for each in cases.keys() - numbers]
    written = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if _without_numbers(written) != _without_numbers(page(cases)):
        found.append("docs/safety.md is not current: python tests/safety/table.py --write")
    return found


def _without_numbers(text: str) -> list[str]:
    """Return the rules of a page, without the tests and cases, which change from day to day."""
    return [re.sub(r"\| \d+ \| (?:`.*|\*\*.*)$", "|", line) for line in text.splitlines() if line.startswith("| ")]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--check", action="store_true", help="say what is missing")
    choice.add_argument("--write", action="store_true", help="write the page")
    found = collect()
    if parser.parse_args().write:
        PAGE.write_text(page(found.cases), encoding="utf-8")
        return 0
    wrong = problems(found.cases)
    print("\n".join(wrong) or "every rule is tried")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
