"""Whether a connector's checklist says the truth: each rule beside what the contract kit found of it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from hikeshi.connector.quality import Checklist, Standing, checklist_of
from hikeshi.testing.contract import CHECKS, Check, Contract, Result

__all__ = ["quality_problems"]

_BY_NAME = {check.name: check for check in CHECKS}
_README = "README.md"


def quality_problems(contract: Contract, result_of: Callable[[Contract, Check], Result], root: Path) -> list[str]:
    """Return what a checklist says otherwise than it is. `root` is what the paths of further tests are relative to."""
    checklist = checklist_of(contract.connector)
    if checklist is None:
        return [f"{contract.connector.product}: there is no checklist.toml beside the connector"]
    return [f"{checklist.product}: {text}" for text in _problems(contract, checklist, result_of, root)]


def _problems(
    contract: Contract, checklist: Checklist, result_of: Callable[[Contract, Check], Result], root: Path
) -> Iterator[str]:
    for standing in checklist.standings:
        name = standing.rule.name
        if standing.status == "done" and standing.reason:
            if not (root / standing.reason).exists():
                yield f"{name} is shown by {standing.reason}, which is not there"
        elif standing.rule.checks:
            results = [result_of(contract, _BY_NAME[check]) for check in standing.rule.checks]
            yield from _beside(standing, results)
        elif standing.status == "done":
            yield from _judged(contract, name)


def _beside(standing: Standing, results: list[Result]) -> Iterator[str]:
    """Give what the results of a rule's checks say against its standing."""
    kept = [result for result in results if result.status == "ok"]
    for result in results:
        if result.status == "failed":
            yield f"{standing.rule.name} is {standing.status}, and {result.check} fails"
    if standing.status == "done" and not any(_shows(result) for result in results):
        yield f"{standing.rule.name} is said to be done, and nothing shows it: {_why(results)}"
    if standing.status == "todo" and len(kept) == len(results):
        yield f"{standing.rule.name} is said to be still to do, and every check of it passes: say done"


def _shows(result: Result) -> bool:
    """Say whether a check shows anything: it passed, or passed but for single actions with a reason."""
    return result.status == "ok" or (
        result.status == "exempt" and not any(each.startswith(f"{result.check}: ") for each in result.exemptions)
    )


def _why(results: list[Result]) -> str:
    return "; ".join(dict.fromkeys(f"{result.check} is {result.status}" for result in results))


def _judged(contract: Contract, name: str) -> Iterator[str]:
    if name == "least_privileges" and not contract.connector.least_privileges:
        yield "least_privileges is said to be done, and the class names none"
    if name == "docs":
        readme = Path(str(sys.modules[contract.connector.__module__].__file__)).with_name(_README)
        text = readme.read_text(encoding="utf-8") if readme.exists() else ""
        wanted = f"product: {contract.connector.product}"
        if wanted not in text:
            yield f"docs is said to be done, and {_README} shows no settings with {wanted!r}"
