"""The table of what of the language is tested: complete, current, and made of the parser's own tables."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hikeshi.playbook.parse_keys import COMMON_KEYS, LOOP_KEYS, PLAYBOOK_KEYS, STEP_KINDS, WHILE_KEYS

HERE = Path(__file__).parent
LANGUAGE = HERE.parents[1] / "docs" / "language.md"


@pytest.fixture
def table() -> ModuleType:
    """Give the script as a module."""
    spec = importlib.util.spec_from_file_location("language_table", HERE / "table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look their own module up
    spec.loader.exec_module(module)
    return module


def test_every_part_of_the_language_is_run_and_its_misuse_refused() -> None:
    """To mend it, write the missing tests, mark them, and: python tests/language/table.py --write"""
    command = [sys.executable, str(HERE / "table.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE.parents[1])

    assert (done.stdout + done.stderr).splitlines() == ["every part of the language is run and its misuse refused"]
    assert done.returncode == 0


def test_every_key_of_the_language_has_a_row(table: ModuleType) -> None:
    """Each key of each of the parser's tables is found in some row."""
    words = {word for row in table.rows() for word in (row[0], *row[1].split("."))}
    keys = [*COMMON_KEYS, *LOOP_KEYS, *WHILE_KEYS, *PLAYBOOK_KEYS, *(key for kind in STEP_KINDS for key in kind.keys)]

    assert {key.name for key in keys} <= words
    assert len(table.rows()) == len(set(table.rows()))


def test_every_key_of_the_language_is_in_its_page(table: ModuleType) -> None:
    """The page for authors names each key and type."""
    page = LANGUAGE.read_text(encoding="utf-8")
    words = {row[1].split(".")[-1] for row in table.rows()} - {"a handler", "a handler, then continue"}

    assert [
        word for word in sorted(words) if not re.search(rf"\b{word}\b", page) and not word.startswith("for a")
    ] == []


def test_a_row_without_a_test_is_told(table: ModuleType) -> None:
    """Nothing is complete by itself."""
    collector = table.Collector()

    assert len(table.missing(collector.covered)) == 2 * len(table.rows()) - len(table.NOT_DONE)
    collector.covered["approve", "quorum"].runs.append("test_it")
    assert "nothing runs 'approve quorum'" not in table.missing(collector.covered)
    assert "nothing refuses a misuse of 'approve quorum'" in table.missing(collector.covered)
    assert "| `quorum` | `test_it` | **nothing** |" in table.page(collector.covered)
