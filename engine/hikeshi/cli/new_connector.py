"""A new connector: a package of its own with a connector, a simulator and tests that pass at once."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Final

import typer

from hikeshi.cli.exit_codes import ExitCode
from hikeshi.cli.session import Session
from hikeshi.cli.text import Styled

__all__ = ["new"]

CAPABILITIES: Final = ("firewall", "edr", "identity", "messaging")
_STARTERS: Final = "hikeshi.testing.starters"
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_PYPROJECT: Final = """[build-system]
requires = ["hatchling>=1.26"]
build-backend = "hatchling.build"

[project]
name = "hikeshi-{dashed}"
version = "0.1.0"
description = "{title} for Hikeshi"
readme = "hikeshi_{name}/README.md"
requires-python = ">=3.11"
dependencies = ["hikeshi>=0.1"]

[project.entry-points."hikeshi.connectors"]
{name} = "hikeshi_{name}:{title}"

[project.entry-points."hikeshi.simulators"]
{name} = "hikeshi_{name}.simulator:{title}Simulator"

[tool.hatch.build.targets.wheel]
packages = ["hikeshi_{name}"]

[tool.pytest.ini_options]
pythonpath = ["."]
testpaths = ["tests"]
addopts = ["--import-mode=importlib"]
asyncio_mode = "auto"
asyncio_default_fixture_loop_scope = "function"
"""
_TO_BE_SAID: Final = {  # what only somebody who knows the product can say is done
    "messaging": ("docs", "idempotent_retry"),
    "firewall": ("docs",),
    "edr": ("docs",),
    "identity": ("docs",),
}
_README: Final = """# {title} for Hikeshi

What it does, and what it does not do.

```yaml
connectors:
  {name}:
    product: {name}
    base_url: https://{dashed}.example/api
    api_key: ${{env:{upper}_API_KEY}}
```

What {title} has to grant: see `least_privileges` in `hikeshi_{name}/connector.py`.
"""
_CHECKLIST: Final = """# The quality rules of a connector: done, todo or exempt, an exemption with its reason.
product = "{name}"

[rules]
{rules}

# What {title}'s documentation does not say, and what follows if it is otherwise.
# [[facts]]
# fact = "Whether a block of a blocked address is refused."
# effect = "The state is read first."
"""
_TESTS: Final = '''"""{title} keeps the contract of every connector, and its checklist says the truth."""

from pathlib import Path

from hikeshi_{name}.contract import CONTRACT

from hikeshi.testing.contract_pytest import contract_tests, quality_tests

test_contract = contract_tests(CONTRACT)
test_quality = quality_tests(CONTRACT, root=Path(__file__).parent.parent)
'''


def new(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The product's name: a-z, 0-9 and '_'.")],
    capability: Annotated[
        str, typer.Option("--capability", metavar="NAME", help=f"What it is: {', '.join(CAPABILITIES)}.")
    ] = "firewall",
    folder: Annotated[
        Path, typer.Option("--in", metavar="DIR", help="Where its folder is made; default: here.")
    ] = Path(),
) -> int:
    """Write a connector, its simulator and tests that pass at once: a package to begin with."""
    problem = _problem(name, capability, folder)
    if problem:
        raise typer.BadParameter(problem)
    if name in session.app.registry.products():
        session.output.note(f"warning: a connector for the product {name!r} is installed; yours will take its place")
    place = folder / f"hikeshi-{name.replace('_', '-')}"
    for path, text in _written(name, capability).items():
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    session.output.line("Written: ", Styled(str(place), "bold"))
    session.output.line()
    for line in (
        f"cd {place}",
        "pip install -e . pytest    # beside hikeshi, in the same environment",
        "pytest                     # the contract of every connector, against the simulator",
    ):
        session.output.line(f"  {line}")
    session.output.line()
    session.output.line(f"Then make it {_title(name)}'s: connector.py and simulator.py say what its API is like,")
    session.output.line("contract.py how each action is called. docs/write-a-connector.md explains each part.")
    return ExitCode.SUCCEEDED


def _problem(name: str, capability: str, folder: Path) -> str:
    """Return why nothing can be written, or nothing."""
    if not _NAME.fullmatch(name):
        return f"{name!r} cannot name a product; use a-z, 0-9 and '_', a letter first"
    if capability not in CAPABILITIES:
        return f"there is no example for the capability {capability!r}; begin with one of {', '.join(CAPABILITIES)}"
    if not folder.is_dir():
        return f"{folder}: there is no such folder"
    place = folder / f"hikeshi-{name.replace('_', '-')}"
    return f"{place} is there already; choose another name, or --in another folder" if place.exists() else ""


def _written(name: str, capability: str) -> dict[str, str]:
    """Return the files of the package, by path."""
    words = {"name": name, "dashed": name.replace("_", "-"), "title": _title(name), "upper": name.upper()}
    source = files(_STARTERS) / capability
    modules = {
        f"hikeshi_{name}/{module}.py": _renamed((source / f"{module}.py").read_text(encoding="utf-8"), name, capability)
        for module in ("__init__", "connector", "simulator", "contract")
    }
    return {
        **modules,
        f"hikeshi_{name}/checklist.toml": _CHECKLIST.format(**words, rules=_rules(capability)),
        f"hikeshi_{name}/README.md": _README.format(**words),
        f"hikeshi_{name}/py.typed": "",
        "pyproject.toml": _PYPROJECT.format(**words),
        f"tests/test_{name}.py": _TESTS.format(**words),
    }


def _renamed(text: str, name: str, capability: str) -> str:
    own = text.replace(f"{_STARTERS}.{capability}", f"hikeshi_{name}")
    return own.replace("Acme", _title(name)).replace("acme", name)


def _rules(capability: str) -> str:
    """Return the standings of a connector that nobody has tried on a real product yet."""
    from hikeshi.connector.quality import RULES

    exempt = {
        "messaging": {
            "verify": "posting a message is a notification: it has no target and opens no hold",
            "undo_restores": "a message that people have read is not taken back",
            "native_expiry": "messages block nothing",
            "pagination": "nothing is listed",
        },
        "firewall": {"pagination": "one answer for each indicator; the simulator's list has pages"},
        "edr": {"native_expiry": "an isolation has no end of its own"},
        "identity": {"native_expiry": "a lock has no end of its own"},
    }[capability]
    lines = [
        f'{rule.name} = {{ exempt = "{exempt[rule.name]}" }}'
        if rule.name in exempt
        else f'{rule.name} = "{"todo" if rule.name in _TO_BE_SAID[capability] else "done"}"'
        for rule in RULES
    ]
    return "\n".join(lines)


def _title(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
