"""Which lines of some modules each test executes, how long it takes, and whether it starts a process."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import coverage
import pytest

__all__ = ["Reach", "Tracing", "begun", "lines_until_now"]

_STARTS = ("subprocess.Popen", "os.posix_spawn", "os.fork", "os.forkpty", "os.exec", "os.system")


class Reach:
    """What was learned of all tests: their names by module path and line, their times, and which start processes."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.by_line: dict[str, dict[int, list[str]]] = {
            path: {int(line): names for line, names in lines.items()} for path, lines in document["lines"].items()
        }
        self.took_s: dict[str, float] = document["took_s"]
        self.starts_processes: frozenset[str] = frozenset(document["starts_processes"])
        self.failed: list[str] = document["failed"]

    def of(self, path: str, lines: frozenset[int]) -> set[str]:
        """Return the tests that execute one of these lines."""
        known = self.by_line.get(path, {})
        return {name for line in lines for name in known.get(line, ())}

    def of_module(self, path: str) -> set[str]:
        """Return the tests that execute any line."""
        return self.of(path, frozenset(self.by_line.get(path, {})))


class Tracing:
    """Traces whatever runs between `begin` and `end`, each test by its name. The rest of it is a pytest plugin."""

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = paths
        self._coverage = _coverage(paths)
        self._now = ""
        self._took_s: dict[str, float] = {}
        self._starts: set[str] = set()
        self._failed: list[str] = []

    def begin(self) -> None:
        sys.addaudithook(self._audit)
        self._coverage.start()

    def end(self, to: Path) -> None:
        """Write what was learned."""
        self._coverage.stop()
        data = self._coverage.get_data()
        lines = {path: data.contexts_by_lineno(path) for path in self._paths}
        document = {
            "lines": {
                path: {at: sorted(filter(None, names)) for at, names in by.items()} for path, by in lines.items()
            },
            "took_s": self._took_s,
            "starts_processes": sorted(self._starts),
            "failed": self._failed,
        }
        to.write_text(json.dumps(document), encoding="utf-8")

    def _audit(self, event: str, _: tuple[object, ...]) -> None:
        if event in _STARTS and self._now:
            self._starts.add(self._now)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._now = item.nodeid
        self._coverage.switch_context(item.nodeid)
        before = time.perf_counter()
        result = yield
        self._took_s[item.nodeid] = time.perf_counter() - before
        self._coverage.switch_context("")
        self._now = ""
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.append(report.nodeid)


def lines_until_now(traced: coverage.Coverage, paths: Sequence[str]) -> dict[str, frozenset[int]]:
    """Return the lines that were executed until now, when no test has run yet, and stop."""
    traced.stop()
    return {path: frozenset(traced.get_data().lines(path) or ()) for path in paths}


def begun(paths: Sequence[str]) -> coverage.Coverage:
    """Return what traces these modules from now on."""
    traced = _coverage(paths)
    traced.start()
    return traced


def _coverage(paths: Sequence[str]) -> coverage.Coverage:
    return coverage.Coverage(data_file=None, config_file=False, include=list(paths), messages=False)
