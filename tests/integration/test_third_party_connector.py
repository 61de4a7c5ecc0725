"""A connector from a package of its own: built, installed, found by its entry point, used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "examples" / "third-party-connector"

USE = """
import asyncio
from datetime import UTC, datetime

from hikeshi.capabilities import Effect
from hikeshi.connector import Secret
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import Registry, build, fill_catalogue
from hikeshi.secrets import Redactor
from hikeshi.testing.estate import Estate, EstateState
from hikeshi.testing.simulation import Simulation, discover_simulators, running

registry = Registry()
assert "deskline" in registry.products(), registry.products()
catalogue = fill_catalogue(registry, {"tickets": "deskline"})
assert catalogue.route("deskline.close_ticket").instances == ("tickets",)
assert catalogue.route("ticketing.get_ticket").instances == ("tickets",)
simulator = next(each for each in discover_simulators().simulators if each.product == "deskline")
simulation = Simulation(Estate(EstateState("small", datetime(2026, 3, 2, tzinfo=UTC))), [simulator])


def allowed(effect, action):
    return through(Door(mode="live", effect=effect, action=action, intended=True))


async def use(base_url):
    settings = simulator.connector_settings(base_url)
    del settings["product"]
    settings["api_key"] = Secret.of_value(settings["api_key"])
    connector = build(registry.load("deskline"), "tickets", settings, Redactor())
    with allowed(Effect.NOTIFY, "ticketing.create"):
        created = await connector.create("Phishing")
    [ticket] = await connector.find_tickets(created.name)
    with allowed(Effect.CHANGE, "deskline.close_ticket"):
        await connector.close_ticket(ticket, "done")
    print((await connector.status_of(ticket)).status, ticket.connector, simulation.estate.tickets[0].title)
    await connector.http.aclose()


with running(simulation) as base_url:
    asyncio.run(use(base_url))
"""


def pip(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which nothing but the example's wheel is installed."""
    pytest.importorskip("hatchling")
    built, site = tmp_path_factory.mktemp("built"), tmp_path_factory.mktemp("site")
    pip("wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", str(built), str(EXAMPLE))
    [wheel] = built.glob("*.whl")
    pip("install", "--no-deps", "--no-index", "--target", str(site), str(wheel))
    return site


def test_installed_connector_is_found_and_works(site: Path):
    """Installing the wheel is all it takes: no file of Hikeshi names the product."""
    path = os.pathsep.join([str(site), str(ROOT / "engine"), str(ROOT / "connectors")])
    used = subprocess.run(
        [sys.executable, "-W", "error", "-c", USE],
        capture_output=True,
        text=True,
        cwd=site,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert used.returncode == 0, used.stderr
    assert used.stdout.split() == ["closed", "tickets", "Phishing"]


def test_wheel_holds_the_package_and_nothing_else(site: Path):
    """Tests and build files stay out of what users install."""
    assert sorted(each.name.partition("-")[0] for each in site.iterdir()) == ["hikeshi_deskline", "hikeshi_deskline"]
    [names] = site.glob("*.dist-info/entry_points.txt")
    assert "deskline = hikeshi_deskline:Deskline" in names.read_text()


def test_example_uses_what_authors_may_use(site: Path):
    """The example imports the three public packages of Hikeshi, and Starlette for its simulator."""
    sources = [path.read_text() for path in (EXAMPLE / "hikeshi_deskline").glob("*.py")]
    imported = {
        line.split()[1]
        for source in sources
        for line in source.splitlines()
        if line.startswith(("from hikeshi.", "import hikeshi."))
    }
    allowed = {"hikeshi.capabilities", "hikeshi.connector", "hikeshi.testing.estate", "hikeshi.testing.simulator"}
    assert imported == allowed


def test_the_example_passes_its_own_tests():
    """Those beside the contract, which is kept with all others; in its folder, with its settings."""
    path = os.pathsep.join([str(ROOT / "engine"), str(ROOT / "connectors")])
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_deskline_words.py"],
        capture_output=True,
        text=True,
        cwd=EXAMPLE,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 passed" in ended.stdout


def test_guide_shows_the_example_as_it_is():
    """Each paragraph of Python, TOML and YAML in the guide stands in the example, word for word."""
    guide = (ROOT / "docs" / "write-a-connector.md").read_text()
    files = [*EXAMPLE.rglob("*.py"), EXAMPLE / "pyproject.toml", EXAMPLE / "README.md"]
    example = "\n".join(path.read_text() for path in files)
    written = [block.partition("\n") for block in guide.split("```")[1::2]]
    blocks = [text for language, _, text in written if language]  # the others are commands
    paragraphs = [each.strip("\n") for block in blocks for each in block.split("\n\n")]
    assert len(paragraphs) > 8
    assert [each for each in paragraphs if each not in example] == []
