"""`hikeshi doctor`: what is wrong with a project and its machine is said, with what to do; nothing is changed."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hikeshi.app import Hikeshi
from hikeshi.app.machine import check_disk, check_permissions, file_system_of
from hikeshi.cli.application import run_command_line
from hikeshi.project import load_config
from hikeshi.runtime.clock import SystemClock

PLAYBOOK = """id: note
name: Note something
steps:
  - {id: one, set: {number: 1}}
"""
PAUSES = """id: pauses
steps:
  - {id: nap, wait: 20m}
"""
Doctor = Callable[..., tuple[int, list[dict[str, Any]]]]


class ShiftedClock(SystemClock):
    """The system's clock, as it would be after somebody had set it."""

    def __init__(self, by: timedelta) -> None:
        self._by = by

    def now(self) -> datetime:
        return super().now() + self._by


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in which one run has ended, whose checkpoints go to a file."""
    folder = tmp_path / "project"
    (folder / "playbooks").mkdir(parents=True)
    (folder / "playbooks" / "note.yaml").write_text(PLAYBOOK, encoding="utf-8")
    (folder / "playbooks" / "pauses.yaml").write_text(PAUSES, encoding="utf-8")
    (folder / "hikeshi.yaml").write_text("audit: {anchors: [{type: file, path: ../anchor}]}\n", encoding="utf-8")
    run(folder, "note")
    return folder


def run(folder: Path, playbook: str, *, ahead: timedelta = timedelta(0), detach: bool = False) -> str:
    """Run a playbook by a clock that may be wrong, and return the ID of the run."""

    async def begin() -> str:
        app = Hikeshi(load_config(folder), clock=ShiftedClock(ahead))
        app.park_after_s = 30.0
        try:
            return (await app.start_run(playbook, {}, actor="mei", mode="live", detach=detach)).run
        finally:
            await app.aclose()

    return asyncio.run(begin())


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Run the command, and give its exit code and what it found that is not as it should be."""

    def look(folder: Path, *options: str) -> tuple[int, list[dict[str, Any]]]:
        code = run_command_line(["doctor", "--json", "--project", str(folder), *options])
        findings = json.loads(capsys.readouterr().out)["findings"]
        return code, [each for each in findings if each["status"] != "ok" and each["what"] not in _OF_THIS_MACHINE]

    return look


_OF_THIS_MACHINE = (
    "none is configured",
    "nobody keeps this machine's clock right",
    "this system does not say whether its clock is kept right",
)


def only(found: tuple[int, list[dict[str, Any]]], check: str) -> str:
    """Return the one problem of a check-up, which is of this check."""
    code, findings = found
    assert [(each["check"], each["status"]) for each in findings] == [(check, "problem")]
    assert findings[0]["next"]
    assert code == 1
    return str(findings[0]["what"])


def everything(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Return what stands in a folder, with modes and times of writing."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith("-shm")]
    return {str(path): (path.stat().st_mode, path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_sound_project_has_no_problem_and_is_left_as_it_was(project: Path, doctor: Doctor) -> None:
    """The check-up writes nothing, also no sign of life."""
    before = everything(project)

    assert doctor(project) == (0, [])
    after = everything(project)
    after.pop(str(project / ".hikeshi" / "journal.db-wal"), None)  # SQLite's own, empty
    assert after == before


def test_a_project_in_which_nothing_ran_stays_without_state(tmp_path: Path, doctor: Doctor) -> None:
    """Looking makes no journal and no key."""
    assert doctor(tmp_path)[0] == 0
    assert list(tmp_path.iterdir()) == []


def test_a_broken_file_of_the_project_does_not_hide_the_rest(project: Path, doctor: Doctor) -> None:
    """The journal is looked at, whatever hikeshi.yaml says."""
    (project / "hikeshi.yaml").write_text("conectors: {}\n", encoding="utf-8")
    (project / ".hikeshi" / "audit.key").chmod(0o640)

    code, findings = doctor(project)

    assert code == 1
    assert "did you mean 'connectors'" in findings[0]["what"]
    assert {"hikeshi.yaml", "permissions", "signing key"} <= {each["check"] for each in findings}


def test_a_broken_playbook_is_named_with_its_place(project: Path, doctor: Doctor) -> None:
    """As `hikeshi check` does."""
    (project / "playbooks" / "note.yaml").write_text(PLAYBOOK + "stepz: []\n", encoding="utf-8")

    code, findings = doctor(project)

    assert code == 1
    playbooks = [each for each in findings if each["check"] == "playbooks"]
    assert playbooks[0]["where"].endswith("note.yaml:5:1")


def test_guardrails_that_cannot_be_read_are_a_problem(project: Path, doctor: Doctor) -> None:
    """They refuse every change, and somebody should know before the night."""
    (project / "hikeshi.yaml").write_text(
        "audit: {anchors: [{type: file, path: ../anchor}]}\nguardrails: {protected: [{file: gone.txt, kind: users}]}\n"
    )

    assert only(doctor(project), "guardrails").startswith("every change is refused: ")


def test_a_secret_that_is_not_there_is_named_and_not_shown(
    project: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connector's as a webhook's; one that is there is not written anywhere."""
    monkeypatch.setenv("HOOK_OLD", "whsec_c2VjcmV0LW9mLWEtaG9vaw==")
    monkeypatch.delenv("HOOK_NEW", raising=False)
    (project / "hikeshi.yaml").write_text(
        "audit: {anchors: [{type: file, path: ../anchor}]}\n"
        "webhooks:\n"
        '  edr: {verify: standard-webhooks, secret: ["${env:HOOK_OLD}", "${env:HOOK_NEW}"]}\n'
        '  gh: {verify: github, secret: "${env:HOOK_NEW}"}\n'
    )

    code, findings = doctor(project)

    assert code == 1
    assert [(each["status"], each["what"].partition(":")[0]) for each in findings] == [
        ("warning", "edr"),
        ("problem", "gh"),
    ]
    assert "c2VjcmV0" not in json.dumps(findings)


def test_a_key_that_others_may_read_is_a_problem(project: Path, doctor: Doctor) -> None:
    """It is said how to mend it."""
    key = project / ".hikeshi" / "audit.key"
    key.chmod(0o644)

    code, findings = doctor(project)

    assert code == 1
    assert [(each["check"], each["where"]) for each in findings] == [
        ("permissions", str(key)),
        ("signing key", str(key)),
    ]
    assert findings[0]["next"] == f"chmod 0600 {key}"


@pytest.mark.parametrize(("mode", "status"), [(0o700, "ok"), (0o750, "warning"), (0o755, "problem")])
def test_whoever_may_open_the_state_folder_is_said(tmp_path: Path, mode: int, status: str) -> None:
    """A group may be meant; everybody never is."""
    tmp_path.chmod(mode)

    assert [each.status for each in check_permissions(tmp_path, [], [])] == [status]


def test_a_journal_that_is_damaged_is_a_problem(project: Path, doctor: Doctor) -> None:
    """The check of SQLite itself finds it, before anybody reads what is gone."""
    path = project / ".hikeshi" / "journal.db"
    content = bytearray(path.read_bytes())
    for page in range(4096 * 3, len(content), 4096):
        content[page : page + 200] = b"\xff" * 200
    path.write_bytes(bytes(content))

    code, findings = doctor(project)

    assert code == 1
    assert "database" in {each["check"] for each in findings}


def test_an_older_journal_is_not_migrated_by_looking(project: Path, doctor: Doctor) -> None:
    """It is said that opening it for writing brings it up to date."""
    with sqlite3.connect(project / ".hikeshi" / "journal.db") as connection:
        connection.execute("PRAGMA user_version = 1")
    connection.close()

    assert "schema 1 of an older version" in only(doctor(project), "database")


@pytest.mark.parametrize("gone", ["removed", "cut"])
def test_signed_records_that_are_gone_are_a_problem(project: Path, doctor: Doctor, gone: str) -> None:
    """A key that is gone, and a journal that is shorter than what was signed."""
    if gone == "removed":
        (project / ".hikeshi" / "audit.key").unlink()
        assert "the key that signed the log is gone" in only(doctor(project), "signing key")
        return
    connection = sqlite3.connect(project / ".hikeshi" / "journal.db")
    connection.execute("DROP TRIGGER records_are_not_deleted")
    connection.execute("DELETE FROM records WHERE id = (SELECT max(id) FROM records)")
    connection.commit()
    connection.close()
    assert "1 records that were signed are gone" in only(doctor(project), "checkpoint")


def test_an_anchor_that_has_not_got_the_last_checkpoint_is_a_problem(project: Path, doctor: Doctor) -> None:
    """It is said since when, and nothing is sent to it."""
    anchor = project.parent / "anchor"
    with (project / "hikeshi.yaml").open("w") as file:
        file.write("audit: {anchors: [{type: file, path: ../anchor}, {type: file, path: ../gone/anchor}]}\n")
    before = anchor.read_bytes()

    code, findings = doctor(project)

    assert code == 1
    assert [each["what"].partition(";")[2] or each["what"] for each in findings] == [
        " it never got one",
        "its folder is not there, or can't be written",
    ]
    assert anchor.read_bytes() == before


def test_a_clock_behind_the_journal_is_a_problem(project: Path, doctor: Doctor) -> None:
    """Deadlines and windows would be counted from a time that is over."""
    run(project, "note", ahead=timedelta(hours=3))

    found = doctor(project)
    assert "behind the newest record" in only(found, "clock")


def test_a_clock_that_was_set_back_is_a_warning(project: Path, doctor: Doctor) -> None:
    """What was written by the later clock stands before what was written by the earlier one."""
    run(project, "note", ahead=timedelta(hours=-3))

    code, findings = doctor(project)

    assert (code, [(each["check"], each["status"]) for each in findings]) == (0, [("clock", "warning")])


def test_a_run_that_was_left_by_a_dead_process_is_a_problem(project: Path, doctor: Doctor) -> None:
    """The process is known to be gone by its lock; a run that is parked is not left."""
    left = run(project, "pauses", detach=True)
    assert doctor(project) == (0, [])
    with sqlite3.connect(project / ".hikeshi" / "journal.db") as connection:
        connection.execute("UPDATE runs SET parked = 0, owner = ? WHERE run = ?", ("0" * 32, left))
    connection.close()

    assert only(doctor(project), "runs") == f"1 were interrupted: {left}"


def test_a_run_that_is_due_for_long_says_that_nobody_works(project: Path, doctor: Doctor) -> None:
    """Its time came and nobody looked."""
    left = run(project, "pauses", ahead=timedelta(hours=-2))

    code, findings = doctor(project)

    assert code == 1
    assert [each["what"] for each in findings if each["check"] == "runs"] == [f"1 are due for more than 10m: {left}"]


def test_what_is_stopped_is_said(project: Path, doctor: Doctor, capsys: pytest.CaptureFixture[str]) -> None:
    """A forgotten kill switch is found in the morning, and not in the next night."""
    assert run_command_line(["stop", "everything", "--reason", "drill", "--project", str(project)]) == 0
    capsys.readouterr()

    code, findings = doctor(project)

    assert (code, findings[0]["check"], findings[0]["status"]) == (0, "kill switch", "warning")


def test_traces_without_their_library_are_a_problem(
    project: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the environment asks for has to be installed."""
    from hikeshi.app import machine

    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setitem(machine._EXTRAS, "otel", ("no_such_module",))

    assert only(doctor(project), "extras").endswith("'otel'")


@pytest.mark.parametrize(("kind", "status"), [("ext4", "ok"), ("nfs4", "problem"), ("tmpfs", "warning")])
def test_the_kind_of_file_system_is_told(tmp_path: Path, kind: str, status: str, monkeypatch: Any) -> None:
    """The innermost mount counts, and of two at one place the later."""
    mounts = tmp_path / "mountinfo"
    inside = tmp_path / "a b" / "project"
    inside.mkdir(parents=True)
    shown = str(tmp_path / "a b").replace(" ", "\\040")
    mounts.write_text(
        "22 1 254:1 / / rw - xfs /dev/vda rw\n"
        f"23 22 254:1 / {shown} rw - btrfs /dev/vdb rw\n"
        f"24 23 254:1 / {shown} rw shared:1 - {kind} /dev/vdb rw\n"
        f"25 22 254:1 / {shown}/proj rw - nfs server:/ rw\n"
    )
    from hikeshi.app import machine

    assert file_system_of(inside, mounts) == kind
    monkeypatch.setattr(machine, "file_system_of", lambda _: kind)
    assert next(iter(check_disk(inside, 0))).status == status


def test_a_disk_without_room_for_a_copy_is_a_warning(tmp_path: Path) -> None:
    """A backup is as large as the journal."""
    free = os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize
    found = [each for each in check_disk(tmp_path, 2 * free) if each.check == "disk"]

    assert [each.status for each in found] == ["warning"]


def test_people_get_one_line_for_each_check(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the status first, and what to do last."""
    (project / ".hikeshi" / "audit.key").chmod(0o604)

    assert run_command_line(["doctor", "--project", str(project)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert all(line.split()[0] in ("ok", "warning", "problem") for line in lines[:-1])
    assert any(line.startswith("problem  permissions  others may read a key (mode 0604) (") for line in lines)
    assert lines[-1].startswith("2 problems, ")
