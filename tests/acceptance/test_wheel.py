"""The built wheel, installed where nothing of the checkout is: everything that a run needs is inside."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PLAYBOOKS = ["block-indicators", "contain-host", "isolate-host", "notify-stakeholders", "restrict-user"]
LOOK = """
import json, sys
from importlib.metadata import entry_points, version
from importlib.resources import files
from pathlib import Path

import hikeshi
from hikeshi.app import Hikeshi
from hikeshi.connector.registry import Registry
from hikeshi.project import Config
from hikeshi.testing.simulation import discover_simulators

library = Hikeshi(Config(Path(sys.argv[1]))).library
registry = Registry()
found = discover_simulators()
print(json.dumps({
    "at": hikeshi.__file__,
    "version": version("hikeshi"),
    "playbooks": {each: library.load(each).name for each in library.ids()},
    "folders": [str(folder) for folder in library.folders],
    "connectors": {each: registry.load(each).__module__ for each in registry.products()},
    "simulators": [each.product for each in found.simulators],
    "broken": found.broken,
    "schemas": sorted(each.name for each in files("hikeshi").joinpath("_schemas").iterdir()),
    "script": [point.value for point in entry_points(group="console_scripts", name="hikeshi")],
}))
"""


def run(*command: str, cwd: Path) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP", "VIRTUAL_ENV"))}
    done = subprocess.run(command, cwd=cwd, env=clean, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, with the build tool that is installed if it is."""
    folder = tmp_path_factory.mktemp("wheel")
    alone = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    run(*pip, "wheel", str(ROOT), "--no-deps", "--wheel-dir", str(folder), "--quiet", *alone, cwd=folder)
    (built,) = folder.glob("hikeshi-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel into a fresh environment, beside the dependencies of this one; return its Python."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(python)]
    run(*pip, "install", "--no-deps", "--no-index", "--quiet", str(wheel), cwd=folder)
    (site,) = folder.glob("lib/python*/site-packages")
    # A path file adds the folder alone: it does not follow the path files in it, so no checkout comes along.
    paths = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("\n".join(sorted(paths)))
    return python


@pytest.fixture(scope="module")
def look(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what the installed program finds of itself."""
    empty = tmp_path_factory.mktemp("empty")
    found: dict[str, Any] = json.loads(run(str(installed), "-I", "-c", LOOK, str(empty), cwd=empty))
    return found


def test_the_wheel_runs_without_the_checkout(look: dict[str, Any], installed: Path) -> None:
    """What is imported is the installed package, not the sources of this checkout."""
    assert Path(look["at"]).is_relative_to(installed.parents[1])
    assert not any(Path(folder).is_relative_to(ROOT) for folder in look["folders"])


def test_the_wheel_has_the_playbooks(look: dict[str, Any]) -> None:
    """The five playbooks are found and load, each by its ID."""
    assert sorted(look["playbooks"]) == PLAYBOOKS
    assert all(look["playbooks"].values())


def test_the_wheel_has_the_schemas(look: dict[str, Any]) -> None:
    """Every schema of the checkout is in the package."""
    assert look["schemas"] == sorted(path.name for path in (ROOT / "schemas").iterdir())
    assert look["schemas"] != []


def test_the_wheel_has_the_connectors_and_their_simulators(look: dict[str, Any]) -> None:
    """Every one of the checkout is found by its entry point, and loads without any extra."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    modules = {name: f"{value.partition(':')[0]}.connector" for name, value in points["hikeshi.connectors"].items()}
    assert look["connectors"] == modules
    assert len(modules) >= 30
    assert look["simulators"] == sorted(points["hikeshi.simulators"])
    assert look["broken"] == {}


def test_the_wheel_has_a_command(look: dict[str, Any], installed: Path) -> None:
    """Installing it gives the command `hikeshi`."""
    assert look["script"] == ["hikeshi.cli:main"]
    assert (installed.parent / "hikeshi").is_file()


CONTAIN = """
import asyncio, json, sys
from datetime import UTC, datetime
from pathlib import Path

from hikeshi.app import Hikeshi
from hikeshi.project import load_config
from hikeshi.testing.estate_maker import make_estate
from hikeshi.testing.simulation import Simulation, running


async def main(folder):
    simulation = Simulation(make_estate(hosts=40, users=20, connections=10, base=datetime.now(UTC), settle_s=0.02))
    with running(simulation) as url:
        settings = simulation.project_settings(url)
        for name, key in (("falcon", "client_secret"), ("fw_hq", "api_key"), ("entra", "client_secret"),
                          ("slack", "bot_token")):
            (folder / name).write_text(settings[name][key])
            settings[name][key] = f"${{file:{folder / name}}}"
        (folder / "hikeshi.yaml").write_text(json.dumps({"connectors": settings}))
        hikeshi = Hikeshi(load_config(folder))
        state = await hikeshi.start_run("contain-host", {"hostname": "fs-tyo-01"}, actor="me", mode="live")
        print(json.dumps([state.status.value, [each["name"] for each in simulation.summary()["isolated_hosts"]]]))
        await hikeshi.aclose()


asyncio.run(main(Path(sys.argv[1])))
"""


def test_the_wheel_contains_a_host(installed: Path, tmp_path: Path) -> None:
    """A playbook runs live from the installed package: engine, connectors, simulators and playbooks fit together."""
    assert json.loads(run(str(installed), "-I", "-c", CONTAIN, str(tmp_path), cwd=tmp_path)) == [
        "succeeded", ["fs-tyo-01"],
    ]  # fmt: skip
