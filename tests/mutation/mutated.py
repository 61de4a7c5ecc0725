"""A pytest plugin for one module with a defect: `HIKESHI_MUTANT=hikeshi.guardrails.limit:12`.

The module is loaded with it, here and in every process that a test starts: see sitecustomize.py beside this file.
`HIKESHI_MUTANT_TESTS` is a file with the names of the tests to run, in this order; the process ends if one of them
takes more than `HIKESHI_MUTANT_LONGEST_S` seconds.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from defective import install

if TYPE_CHECKING:
    import pytest

__all__ = ["LONGEST", "TESTS", "without_shrinking"]

TESTS = "HIKESHI_MUTANT_TESTS"
LONGEST = "HIKESHI_MUTANT_LONGEST_S"


def without_shrinking() -> None:
    """Have Hypothesis try the same cases each time, and stop at the first that fails.

    What fails with a defect is not kept either: the next defect would be tried with examples made for this one.
    """
    from hypothesis import Phase, settings

    phases = (Phase.explicit, Phase.generate)
    settings.register_profile("mutation", database=None, deadline=None, derandomize=True, phases=phases)
    settings.load_profile("mutation")


def pytest_configure() -> None:
    install()
    without_shrinking()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if TESTS in os.environ:
        names = Path(os.environ[TESTS]).read_text(encoding="utf-8").splitlines()
        place = {name: at for at, name in enumerate(names)}
        items[:] = sorted((item for item in items if item.nodeid in place), key=lambda item: place[item.nodeid])


def pytest_runtest_setup() -> None:
    signal.setitimer(signal.ITIMER_REAL, float(os.environ.get(LONGEST, "0")))
