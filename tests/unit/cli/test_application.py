"""Building the command line: every command is there, and only the wanted one is loaded."""

import subprocess
import sys

import pytest

from hikeshi.cli.application import COMMANDS, run_command_line


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Help works, names the command, and has the options that all commands share."""
    assert run_command_line([*name.split(), "--help"]) == 0

    shown = capsys.readouterr().out
    assert f"Usage: hikeshi {name} " in shown
    assert all(option in shown for option in ("--project", "--json", "--debug"))


def test_only_the_wanted_command_is_loaded() -> None:
    """Start-up does not grow with the number of commands, and help needs no library that draws."""
    program = (
        "import sys; from hikeshi.cli.application import run_command_line as run; run(['runs', '--help']);"
        "print(sorted(name for name in sys.modules if name.startswith('hikeshi.')), 'rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]

    assert "hikeshi.cli.runs" in loaded
    assert "hikeshi.cli.start" not in loaded
    assert "hikeshi.app" not in loaded
    assert loaded.endswith("False")
