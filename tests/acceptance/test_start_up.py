"""What a command imports: nothing of products that it does not speak to, however many are installed."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from command_line import COMMAND

PROJECT = """connectors:
  falcon: {product: crowdstrike, region: eu-1, client_id: id, client_secret: "${env:FALCON}"}
  fw: {product: panos, base_url: https://fw.example, api_key: "${env:FW}"}
"""


def imported(folder: Path, *arguments: str) -> set[str]:
    """Return every module that a command has imported when it ends."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, "FALCON": "a", "FW": "b"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-500:]
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


def products(modules: set[str]) -> set[str]:
    return {name.split(".")[1] for name in modules if name.startswith("hikeshi_connectors.")}


@pytest.mark.parametrize("arguments", [("list",), ("show", "contain-host"), ("runs",), ("holds",), ("--version",)])
def test_a_command_that_speaks_to_no_product_imports_none(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """With thirty products installed it is as quick as with four."""
    (tmp_path / "hikeshi.yaml").write_text(PROJECT)
    assert len(entry_points(group="hikeshi.connectors")) >= 19

    assert products(imported(tmp_path, *arguments)) == set()


def test_a_command_that_needs_actions_imports_the_products_of_the_project(tmp_path: Path) -> None:
    """Those that are configured, and no others; and no library that only another one needs."""
    (tmp_path / "hikeshi.yaml").write_text(PROJECT)
    modules = imported(tmp_path, "check")

    assert products(modules) == {"crowdstrike", "panos"}
    assert modules & {"botocore", "ldap3", "dns", "vodozemac", "smtplib"} == set()
