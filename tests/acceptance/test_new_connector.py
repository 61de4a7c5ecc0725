"""`hikeshi connector new`: what it writes works at once, and is the author's own from then on."""

from __future__ import annotations

import compileall
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import CommandLine

from hikeshi.cli.new_connector import CAPABILITIES


@pytest.fixture
def hikeshi(tmp_path: Path) -> CommandLine:
    """A shell in an empty folder."""
    return CommandLine(tmp_path)


def test_a_new_connector_keeps_the_contract_at_once(hikeshi: CommandLine) -> None:
    """Its own tests pass as they are written: the contract kit, and the checklist beside it."""
    ended = hikeshi("connector", "new", "blue_wall")

    assert ended.code == 0
    assert "cd hikeshi-blue-wall" in ended.out
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q"],
        cwd=hikeshi.folder / "hikeshi-blue-wall",
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "29 passed" in done.stdout or "28 passed, 1 skipped" in done.stdout


@pytest.mark.parametrize("capability", CAPABILITIES)
def test_nothing_of_the_example_is_left_in_it(hikeshi: CommandLine, capability: str) -> None:
    """Every name is the product's own, and every module compiles."""
    assert hikeshi("connector", "new", "blue_wall", "--capability", capability).code == 0
    place = hikeshi.folder / "hikeshi-blue-wall"
    texts = {path: path.read_text() for path in sorted(place.rglob("*")) if path.is_file()}

    assert {path.name for path in texts} >= {
        "connector.py",
        "simulator.py",
        "contract.py",
        "checklist.toml",
        "README.md",
    }
    assert [path for path, text in texts.items() if "acme" in text.lower() or "starters" in text] == []
    assert 'product="blue_wall"' in texts[place / "hikeshi_blue_wall" / "connector.py"]
    assert compileall.compile_dir(str(place), quiet=1)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("Blue-Wall",), "cannot name a product"),
        (("7wall",), "cannot name a product"),
        (("wall", "--capability", "cloud"), "begin with one of firewall, edr, identity, messaging"),
        (("wall", "--in", "nowhere"), "no such folder"),
    ],
)
def test_what_cannot_be_written_is_refused(hikeshi: CommandLine, arguments: tuple[str, ...], told: str) -> None:
    """Before anything is written."""
    ended = hikeshi("connector", "new", *arguments)

    assert (ended.code, told in ended.err) == (2, True)
    assert list(hikeshi.folder.iterdir()) == []


def test_nothing_is_overwritten(hikeshi: CommandLine) -> None:
    """An author's work stays as it is."""
    hikeshi("connector", "new", "wall")
    mine = hikeshi.folder / "hikeshi-wall" / "hikeshi_wall" / "connector.py"
    mine.write_text("mine")
    ended = hikeshi("connector", "new", "wall")

    assert ended.code == 2
    assert "is there already" in ended.err
    assert mine.read_text() == "mine"
