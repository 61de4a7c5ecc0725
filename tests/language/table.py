"""Which test runs each part of the playbook language, and which one refuses its misuse: docs/language-coverage.md.

The rows come from the tables that the parser reads by, so a key that is added there is a row here. Tests say what they
cover with `@pytest.mark.language(construct, key, runs=True)` or `refuses=True`.

    python tests/language/table.py --check     says what is missing or not current, and fails if anything is
    python tests/language/table.py --write     writes the page
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import pytest

from hikeshi.playbook.parse_inputs import DECLARATION_KEYS
from hikeshi.playbook.parse_keys import COMMON_KEYS, LOOP_KEYS, PLAYBOOK_KEYS, STEP_KINDS, WHILE_KEYS
from hikeshi.playbook.parse_kinds import Kind
from hikeshi.playbook.parse_record import Key, OneOf, Record
from hikeshi.playbook.values import TYPE_NAMES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "language-coverage.md"
TESTS = ("tests/language", "tests/unit/core")

Row = tuple[str, str]
"""A construct, and a key or form of it; the construct itself has the empty key."""

FILE, STEP, LOOP, WHILE, INPUT, TYPE = "the file", "any step", "for_each", "while", "an input", "a type"
# What this version reads and checks, and does not do: said in the table, and to be taken out when it does.
NOT_DONE: dict[Row, str] = {}


def rows() -> list[Row]:
    """Return every row, in the order of the language's tables."""
    found = [(FILE, name) for name in _names(PLAYBOOK_KEYS)]
    for kind in STEP_KINDS:
        found.append((kind.name, ""))
        found += [(kind.name, name) for name in _inside(kind.key.kind)]
        found += [(kind.name, name) for name in _names(kind.own)]
        found += [(kind.name, LOOP)] if kind.loops else []
        found += [(kind.name, WHILE)] if kind.repeats else []
    found += [(STEP, name) for name in _names(COMMON_KEYS)]
    found += [(LOOP, name) for name in _names(LOOP_KEYS) if name != LOOP]
    found += [(WHILE, name) for name in _names(WHILE_KEYS) if name != WHILE]
    found += [(INPUT, name) for name in _names(DECLARATION_KEYS)]
    return found + [(TYPE, name) for name in TYPE_NAMES]


def _names(keys: Iterable[Key]) -> Iterator[str]:
    """Give the name of each key, and of each key inside of it as `outer.inner`."""
    for key in keys:
        yield key.name
        yield from (f"{key.name}.{name}" for name in _inside(key.kind))


def _inside(kind: Kind) -> Iterator[str]:
    """Give the forms in which a value may be written, and the keys of those that are maps."""
    if isinstance(kind, Record):
        yield from _names(kind.keys)
    elif isinstance(kind, OneOf):
        for other in kind.kinds.values():
            yield from _inside(other)
    for form, written in kind.forms.items():
        yield form
        yield from () if written is None else (f"{form}.{name}" for name in _inside(written))


@dataclass
class Covered:
    """The tests of one row, as `file.py::test`."""

    runs: list[str] = field(default_factory=list)
    refuses: list[str] = field(default_factory=list)


@dataclass
class Collector:
    """Collects the marks of all tests without running one. Tests that are skipped or expected to fail don't count."""

    covered: dict[Row, Covered] = field(default_factory=lambda: {row: Covered() for row in rows()})
    unknown: list[str] = field(default_factory=list)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            if not _is_idle(item):
                self._take(item)

    def _take(self, item: pytest.Item) -> None:
        name = f"{_file(item.path)}::{getattr(item, 'originalname', None) or item.name}"
        for mark in item.iter_markers("language"):
            row = (mark.args[0], mark.args[1] if len(mark.args) > 1 else "")
            if row not in self.covered:
                self.unknown.append(f"{name} covers {row}, which is no row")
                continue
            for kind in ("runs", "refuses"):
                found = getattr(self.covered[row], kind)
                if mark.kwargs.get(kind) and name not in found:
                    found.append(name)


def _file(path: Path) -> str:
    """Return a test's file, shorter for those that stand beside this one."""
    here = Path(__file__).parent
    return path.name if path.parent == here else path.relative_to(ROOT / "tests").as_posix()


def _is_idle(item: pytest.Item) -> bool:
    return any(item.get_closest_marker(name) is not None for name in ("skip", "skipif", "xfail"))


def collect() -> Collector:
    """Return what the tests cover. Raises RuntimeError if they can't be collected."""
    collector, printed = Collector(), StringIO()
    with redirect_stdout(printed):
        code = pytest.main(
            ["--collect-only", "-q", "-p", "no:randomly", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
            + [str(ROOT / folder) for folder in TESTS],
            plugins=[collector],
        )
    if code != pytest.ExitCode.OK:
        raise RuntimeError(f"the tests can't be collected:\n{printed.getvalue()[-4000:]}")
    return collector


def page(covered: dict[Row, Covered]) -> str:
    """Return the text of the page."""
    lines = [
        "# What of the language is tested",
        "",
        "Written by `python tests/language/table.py --write`; don't edit it. The rows are those of the parser's own",
        "tables. Each needs a test that runs it and one that refuses its misuse; a test fails while one is missing.",
        "",
        f"{len(covered)} rows, {len(missing(covered))} tests missing, {len(NOT_DONE)} not done by this version.",
    ]
    construct = None
    for row, tests in covered.items():
        if row[0] != construct:
            construct = row[0]
            lines += ["", f"## {construct}", "", "| key or form | is run by | misuse is refused by |", "|---|---|---|"]
        lines.append(f"| {_key(row)} | {NOT_DONE.get(row) or _tests(tests.runs)} | {_tests(tests.refuses)} |")
    return "\n".join(lines) + "\n"


def _key(row: Row) -> str:
    return f"`{row[1]}`" if row[1] else f"`{row[0]}` itself"


def _tests(names: list[str]) -> str:
    """Return the first test in words that fit a table, and how many more there are."""
    if not names:
        return "**nothing**"
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"`{names[0]}`{more}"


def missing(covered: dict[Row, Covered]) -> list[str]:
    """Return what no test does, in words."""
    words = {"runs": "nothing runs", "refuses": "nothing refuses a misuse of"}
    return [
        f"{text} {' '.join(filter(None, row))!r}"
        for row, tests in covered.items()
        for kind, text in words.items()
        if not getattr(tests, kind) and not (kind == "runs" and row in NOT_DONE)
    ]


def problems(found: Collector) -> list[str]:
    """Return everything that --check complains about."""
    stale = not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page(found.covered)
    outdated = [f"{PAGE.relative_to(ROOT)} is not current: python tests/language/table.py --write"] if stale else []
    return [*found.unknown, *missing(found.covered), *outdated]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    choice = parser.add_mutually_exclusive_group(required=True)
    choice.add_argument("--check", action="store_true", help="say what is missing")
    choice.add_argument("--write", action="store_true", help="write the page")
    found = collect()
    if parser.parse_args().write:
        PAGE.write_text(page(found.covered), encoding="utf-8")
        return 0
    wrong = problems(found)
    print("\n".join(wrong) or "every part of the language is run and its misuse refused")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
