"""The pure packages import no clock, no randomness, no I/O and no driver."""

import subprocess
import sys

import pytest

PROBE = """
import builtins, sys
real, found = builtins.__import__, set()
# pydantic, which the entities are made of, loads random and threading for itself; nobody of ours may.
not_ours = {"asyncio", "time", "random", "secrets", "socket", "sqlite3", "httpx", "threading", "subprocess", "os"}
pure = {"core", "playbook", "capabilities", "quick_dataclass"}
not_at_all = {"asyncio", "socket", "sqlite3", "httpx", "structlog"}

def watched(name, globals=None, locals=None, fromlist=(), level=0):
    importer = (globals or {}).get("__name__", "")
    if importer.startswith("hikeshi") and level == 0 and name.partition(".")[0] in not_ours:
        found.add(f"{importer} imports {name}")
    return real(name, globals, locals, fromlist, level)

builtins.__import__ = watched
__import__(sys.argv[1])
for module in list(sys.modules):
    if module in not_at_all:
        found.add(f"{module} came along")
    pure = ("core", "playbook", "capabilities", "quick_dataclass")
    if module.startswith("hikeshi.") and module.split(".")[1] not in pure:
        found.add(f"{module} came along")
print("\\n".join(sorted(found)))
"""


@pytest.mark.parametrize("package", ["hikeshi.capabilities", "hikeshi.core", "hikeshi.playbook.check"])
def test_a_pure_package_imports_nothing_that_acts(package: str) -> None:
    """Core decides, the shell does: nobody in there imports time, chance or I/O, and no driver is loaded with it."""
    answer = subprocess.run(
        [sys.executable, "-c", PROBE, package],
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == ""
