"""Tries defects, each in a process of its own that is forked where what it needs is loaded already.

One run of all tests without a defect, first, tells which lines each test executes. A defect in a function is put into
that function where it stands, and only the tests that execute its line are run: the others cannot tell. After these
come the tests that start processes, which nobody traced; such a process loads the module with the defect.

A defect in what is executed while modules are imported and tests are collected is tried by a process that imports and
collects by itself, with every test that executes anything of the module.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import signal
import sys
import sysconfig
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FunctionType
from typing import Any

import coverage
import mutated
import pytest
from defective import install
from mutants import NO_DEFECT, code_of, functions_of
from pool import Outcome, Place, Pool, forked
from reach import Reach, Tracing, begun, lines_until_now

__all__ = ["PYTEST", "try_all"]

PYTEST = ("-q", "-p", "no:randomly", "-p", "no:xdist", "-p", "no:cacheprovider")
Told = Callable[[Place, Outcome], None]
_QUICK_S = 0.1
_LONGEST_S = 15.0  # which a test that takes no time by itself may take


def try_all(
    places: Sequence[Place], tests: Sequence[str], jobs: int, folder: Path, told: Told
) -> tuple[list[tuple[Place, Outcome]], str]:
    """Try all places, and tell each outcome at once. Return all, or why that was not possible."""
    report = folder / "report.json"
    pid = os.fork()
    if pid == 0:
        _Trial(places, jobs, folder, told).run(tests, report)
    _, status = os.waitpid(pid, 0)
    if status or not report.exists():
        return [], f"the tests without a defect ended with status {status}"
    found = json.loads(report.read_text(encoding="utf-8"))
    outcomes: list[tuple[Place, Outcome]] = [(places[at], outcome) for at, outcome in found["outcomes"]]
    _import_all(found["loaded"])
    pool = Pool(jobs, folder / "collecting", _both(told, lambda place, outcome: outcomes.append((place, outcome))))
    for at, names, limit_s, longest_s in found["left"]:
        action = functools.partial(_by_collecting, names, longest_s)
        pool.start(places[at], action, limit_s=limit_s, is_reached=bool(names))
    pool.finish()
    return outcomes, str(found["problem"])


@dataclass
class _Trial:
    """A pytest plugin that runs no test as it stands, but with each defect that is in a function."""

    places: Sequence[Place]
    jobs: int
    folder: Path
    told: Told
    _problem: str = ""
    _traced: coverage.Coverage | None = None
    _at_import: dict[str, frozenset[int]] = field(default_factory=dict)
    _items: dict[str, pytest.Item] = field(default_factory=dict)
    _functions: dict[tuple[str, str, int], list[FunctionType]] = field(default_factory=dict)
    _outcomes: list[tuple[int, Outcome]] = field(default_factory=list)
    _left: list[Any] = field(default_factory=list)

    def run(self, tests: Sequence[str], report: Path) -> None:
        """Try what can be tried here, write what came of it and what is left, and end the process."""
        self._traced = begun(self._paths())
        code = pytest.main([*PYTEST, "--capture=sys", *tests], plugins=[self])
        document = {
            "problem": self._problem or ("" if code == 0 else f"pytest ended with {code!r}"),
            "outcomes": self._outcomes,
            "left": self._left,
            "loaded": _loaded(),
        }
        report.write_text(json.dumps(document), encoding="utf-8")
        os._exit(0)

    def _paths(self) -> list[str]:
        return sorted({place.path for place in self.places})

    def pytest_configure(self) -> None:
        mutated.without_shrinking()
        for module in sorted({place.module for place in self.places}):
            importlib.import_module(module)  # else the first test that does would count as one that executes it

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            self._problem = "the tests can't be collected"
            return True
        assert self._traced is not None
        self._at_import = lines_until_now(self._traced, self._paths())
        self._items = {item.nodeid: item for item in session.items}
        self._functions = _functions_in(set(self._paths()))
        gc.collect()
        gc.freeze()
        reach = self._learned(session)
        if reach.failed:
            self._problem = f"without any defect these fail: {' '.join(reach.failed[:10])}"
            return True
        numbers = {place: at for at, place in enumerate(self.places)}
        kept = _both(self.told, lambda place, outcome: self._outcomes.append((numbers[place], outcome)))
        pool = Pool(self.jobs, self.folder, kept)
        for at, place in enumerate(self.places):
            self._try(at, place, reach, pool)
        pool.finish()
        return True

    def _learned(self, session: pytest.Session) -> Reach:
        to = self.folder / "reach.json"

        def trace() -> int:
            tracing = Tracing(self._paths())
            session.config.pluginmanager.register(tracing)
            tracing.begin()
            _run_in_turn(list(self._items.values()))
            tracing.end(to)
            return 0

        _, status = os.waitpid(forked(self.folder / "traced", trace), 0)
        if status != 0:
            raise RuntimeError(f"the run of the tests without a defect ended with {status}")
        return Reach(json.loads(to.read_text(encoding="utf-8")))

    def _try(self, at: int, place: Place, reach: Reach, pool: Pool) -> None:
        function = place.mutant.function
        is_at_import = function is None or bool(self._at_import[place.path].intersection(function.body))
        reaching = reach.of_module(place.path) if is_at_import else reach.of(place.path, place.mutant.lines)
        names = self._in_order(reaching, reach)
        names += [name for name in self._items if name in reach.starts_processes and name not in reaching]
        limits_s = [_LONGEST_S + 10 * reach.took_s[name] for name in names]
        limit_s = 20 + 4 * sum(reach.took_s[name] for name in names)
        code = None if is_at_import else self._code(place)
        if code is None:
            self._left.append((at, names, limit_s, max(limits_s, default=0.0)))
        else:
            action = functools.partial(self._with_code, code, names, limits_s)
            pool.start(place, action, limit_s=limit_s, is_reached=bool(reaching))

    def _in_order(self, names: set[str], reach: Reach) -> list[str]:
        """Return the quickest case of each quick test first, and then the others, those of the quickest files first."""
        quickest: dict[str, str] = {}
        for name in sorted(names, key=lambda name: (reach.took_s[name], name)):
            quickest.setdefault(name.partition("[")[0], name)
        first = [name for name in quickest.values() if reach.took_s[name] < _QUICK_S]
        files: dict[str, list[str]] = {}
        for name in self._items:
            if name in names:
                files.setdefault(name.partition("::")[0], []).append(name)
        means_s = {file: sum(map(reach.took_s.__getitem__, each)) / len(each) for file, each in files.items()}
        others = [name for file in sorted(files, key=means_s.__getitem__) for name in files[file]]
        return list(dict.fromkeys([*first, *others]))

    def _code(self, place: Place) -> Callable[[], None] | None:
        """Return what gives a function its code with the defect, wherever something refers to it, if that can be."""
        function = place.mutant.function
        assert function is not None
        key = (function.name, function.begin)
        source = Path(place.path).read_text(encoding="utf-8")
        codes = functions_of(code_of(source, place.at if place.has_defect else NO_DEFECT, place.path))
        code = next((each for each in codes if (each.co_qualname, each.co_firstlineno) == key), None)
        found = self._functions.get((place.path, *key), [])
        # The defect may have left out what the function took from around it.
        if code is None or not found or any(each.__code__.co_freevars != code.co_freevars for each in found):
            return None

        def put_in() -> None:
            for each in found:
                each.__code__ = code

        return put_in

    def _with_code(self, put_in: Callable[[], None], names: Sequence[str], limits_s: Sequence[float]) -> int:
        put_in()
        items = [self._items[name] for name in names]
        if items:
            items[0].config.pluginmanager.register(_Ending())
        _run_in_turn(items, limits_s)
        return 0


class _Ending:
    """Ends the process at the first test that fails."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            os._exit(1)


def _both(one: Told, other: Told) -> Told:
    def told(place: Place, outcome: Outcome) -> None:
        one(place, outcome)
        other(place, outcome)

    return told


def _functions_in(paths: set[str]) -> dict[tuple[str, str, int], list[FunctionType]]:
    found: dict[tuple[str, str, int], list[FunctionType]] = {}
    for each in gc.get_objects():
        if isinstance(each, FunctionType) and each.__code__.co_filename in paths:
            code = each.__code__
            found.setdefault((code.co_filename, code.co_qualname, code.co_firstlineno), []).append(each)
    return found


def _run_in_turn(items: Sequence[pytest.Item], limits_s: Sequence[float] = ()) -> None:
    following_ones = [*items[1:], None] if items else []
    for item, following, limit_s in zip(items, following_ones, limits_s or [0.0] * len(items), strict=True):
        signal.setitimer(signal.ITIMER_REAL, limit_s)  # which ends this process
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)


def _by_collecting(names: Sequence[str], longest_s: float) -> int:
    if not names:
        return 0  # pytest would take none for all
    wanted = Path(os.environ["TMPDIR"]) / "tests"
    wanted.write_text("\n".join(names), encoding="utf-8")
    os.environ[mutated.TESTS], os.environ[mutated.LONGEST] = str(wanted), str(longest_s)
    install()  # here already: a conftest may import the module before any plugin is asked
    files = sorted({name.partition("::")[0] for name in names})
    # What was imported before cannot be rewritten, and need not be: no test is among it.
    known = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
    return int(pytest.main(["-x", *PYTEST, "-p", "mutated", *known, *files]))


def _loaded() -> list[str]:
    """Return the modules of others, which no defect is in."""
    folders = tuple(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))
    return [
        name for name, each in list(sys.modules.items()) if (getattr(each, "__file__", "") or "").startswith(folders)
    ]


def _import_all(names: Sequence[str]) -> None:
    for name in names:
        with suppress(Exception):  # one that cannot be imported by itself is imported when it is needed
            importlib.import_module(name)
