"""`make test-real`: installs the servers that the tests in this folder need, where it may, and runs the tests.

    run.py                 Debian's packages (as root) and Python's, then all tests
    run.py --quick         without the packages that take minutes: what CI has time for
    run.py --no-install    with what is there
    run.py --only-install  installs, and runs nothing

What could not be installed, and each test that was skipped for it, is said at the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

from run_all import Result, run  # noqa: E402 - it is found once its folder is named

SERVERS = ROOT / ".venv-real"
SLOW = "(slow)"
CROWDSEC_OFFLINE = Path("/etc/crowdsec/online_api_credentials.yaml")


@dataclass(frozen=True, slots=True)
class Need:
    """A package, why it is needed, and whether installing it takes long."""

    name: str
    why: str

    @property
    def is_slow(self) -> bool:
        return SLOW in self.why


def needs(path: Path) -> list[Need]:
    """Return the packages of a list: one a line, the name, then why; `#` begins a remark or the reason."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, why = line.strip().partition(" ")
        if name and not name.startswith("#"):
            found.append(Need(name, why.strip(" #")))
    return found


def install_debian(wanted: Sequence[Need]) -> list[str]:
    """Install Debian packages that are missing, and return what could not be done."""
    missing = [need.name for need in wanted if not _is_installed(need.name)]
    if not missing:
        return []
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        return [f"{name}: is not installed, and only root with apt-get can" for name in missing]
    if "crowdsec" in missing and not CROWDSEC_OFFLINE.exists():
        # Else the package registers at CrowdSec's central service while it is installed, and fails without a network.
        CROWDSEC_OFFLINE.parent.mkdir(parents=True, exist_ok=True)
        CROWDSEC_OFFLINE.write_text("# off\n", encoding="utf-8")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    apt = ["apt-get", "-qq", "-o=Dpkg::Use-Pty=0", "-o=DPkg::Lock::Timeout=300"]
    subprocess.run([*apt, "update"], env=environment, check=False, stdout=subprocess.DEVNULL)
    command = [*apt, "install", "-y", "--no-install-recommends", *missing]
    if subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL).returncode != 0:
        # One that does not install keeps no other from being tried.
        for name in missing:
            subprocess.run([*command[:7], name], env=environment, check=False, stdout=subprocess.DEVNULL)
    return [f"{name}: apt-get could not install it" for name in missing if not _is_installed(name)]


def install_python(wanted: Sequence[Need]) -> list[str]:
    """Install Python's servers into an environment of their own, and return what could not be done."""
    if not wanted:
        return []
    if not (SERVERS / "bin" / "python").exists():
        subprocess.run([sys.executable, "-m", "venv", str(SERVERS)], check=True)
    pip = [str(SERVERS / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    failed = []
    for need in wanted:
        if subprocess.run([*pip, need.name], check=False, stdout=subprocess.DEVNULL).returncode != 0:
            failed.append(f"{need.name}: pip could not install it")
    return failed


def run_tests(arguments: Sequence[str]) -> Result:
    """Run the tests, with what was installed for them within reach."""
    python = SERVERS / "bin" / "python"
    more = {"HIKESHI_SYNAPSE_PYTHON": str(python)} if python.exists() else {}
    path = os.pathsep.join([os.environ.get("PATH", ""), str(SERVERS / "bin"), "/usr/sbin", "/sbin"])
    return run(str(HERE), *arguments, env={**os.environ, **more, "PATH": path})


def _is_installed(package: str) -> bool:
    if shutil.which("dpkg-query") is None:
        return False
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True, check=False).stdout == "installed"


def _told(missing: Sequence[str]) -> int:
    for text in missing:
        print(f"not installed: {text}")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--no-install", action="store_true")
    parser.add_argument("--only-install", action="store_true")
    chosen, further = parser.parse_known_args()
    started = time.monotonic()
    missing: list[str] = []
    if not chosen.no_install:
        debian, python = (needs(HERE / name) for name in ("packages.txt", "requirements.txt"))
        missing += [
            f"{need.name}: left out, it takes minutes" for need in (*debian, *python) if need.is_slow and chosen.quick
        ]
        missing += install_debian([need for need in debian if not (need.is_slow and chosen.quick)])
        missing += install_python([need for need in python if not (need.is_slow and chosen.quick)])
        print(f"=== installing took {time.monotonic() - started:.0f} s", flush=True)
    if chosen.only_install:
        return _told(missing)
    result = run_tests(further)
    _told(missing)
    print(f"{result.tell()}, in {time.monotonic() - started:.0f} s")
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
