"""The unit and the image that are shipped as examples: what they allow, and that systemd understands them."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hikeshi.serving.server import STOP_WITHIN_S

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "operation"
UNITS = ("hikeshi.service", "hikeshi-backup.service", "hikeshi-backup.timer")


def unit(name: str) -> dict[str, list[str]]:
    """Return the settings of a unit, `Section.Key`, each with all its values in their order."""
    found: dict[str, list[str]] = {}
    section = ""
    for line in (FOLDER / name).read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            key, _, value = line.partition("=")
            found.setdefault(f"{section}.{key}", []).append(value)
    return found


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as they would be installed: what they start is there, under another name."""
    program = tmp_path / "hikeshi"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for name in UNITS:
        text = (FOLDER / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/opt/hikeshi/bin/hikeshi", str(program)), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", UNITS)
def test_the_units_are_what_systemd_takes(installed: Path, name: str) -> None:
    """By its own verification where it is installed, with no warning; else they are read as the format says."""
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        parser = configparser.ConfigParser(strict=False, interpolation=None)
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string((FOLDER / name).read_text(encoding="utf-8"))
        assert parser.sections()
        pytest.skip("systemd-analyze is not installed: the unit was parsed, and not verified")
    done = subprocess.run([analyze, "verify", str(installed / name)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


def test_the_service_is_stopped_after_the_program_has_given_up_by_itself() -> None:
    """Systemd kills later than what is under way is waited for, and starts it again only when it has failed."""
    service = unit("hikeshi.service")

    (timeout_s,) = service["Service.TimeoutStopSec"]
    assert int(timeout_s) > STOP_WITHIN_S
    assert service["Service.Restart"] == ["on-failure"]
    assert service["Service.KillSignal"] == ["SIGTERM"]


def test_the_service_may_write_nothing_but_its_state() -> None:
    """Neither as root, nor elsewhere, and it gains no rights."""
    service = unit("hikeshi.service")

    assert service["Service.User"] != ["root"]
    assert service["Service.ProtectSystem"] == ["strict"]
    assert service["Service.NoNewPrivileges"] == ["true"]
    assert service["Service.CapabilityBoundingSet"] == [""]
    assert service["Service.ReadWritePaths"] == ["/srv/soc/.hikeshi"]
    # Leases name the boot of the machine, which stands where this would hide it.
    assert "Service.ProcSubset" not in service


@pytest.mark.safety(26)
def test_secrets_are_handed_over_as_files_and_stand_nowhere() -> None:
    """Not in the environment of the unit, and in no layer of the image."""
    service = unit("hikeshi.service")
    assert not {"Service.Environment", "Service.EnvironmentFile"} & set(service)
    assert all(re.fullmatch(r"\w+:/etc/hikeshi/credentials/\w+", each) for each in service["Service.LoadCredential"])
    image = (FOLDER / "Containerfile").read_text(encoding="utf-8")
    assert not re.search(r"(?i)(secret|token|password|api_?key)\s*=", image)
    copied = {line.split()[1] for line in image.splitlines() if line.startswith("COPY") and "--from" not in line}
    assert copied == {"pyproject.toml", "engine", "connectors", "playbooks", "schemas"}


def test_the_image_runs_as_nobody_of_note_and_is_asked_whether_it_is_ready() -> None:
    """A user by number, so that an orchestrator can see that it is not root."""
    image = (FOLDER / "Containerfile").read_text(encoding="utf-8")

    assert re.search(r"^USER [1-9]\d+:[1-9]\d+$", image, re.MULTILINE)
    assert image.rindex("USER ") > image.rindex("RUN ")
    assert "/ready" in image[image.index("HEALTHCHECK") :]
    assert re.search(r"^STOPSIGNAL SIGTERM$", image, re.MULTILINE)


def test_everything_that_the_image_copies_is_there() -> None:
    """The build begins at the top of the repository."""
    image = (FOLDER / "Containerfile").read_text(encoding="utf-8")
    top = FOLDER.parents[1]
    sources = [
        source
        for line in image.splitlines()
        if line.startswith("COPY") and "--from" not in line
        for source in line.split()[1:-1]
    ]

    assert [source for source in sources if not (top / source).exists()] == []
