"""The audit log of a project: made beside its runs, read on the record, and never in the way of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hikeshi.app import Hikeshi
from hikeshi.audit.errors import PackError
from hikeshi.audit.keys import KEY_FILE
from hikeshi.audit.stream import AUDIT_RUN
from hikeshi.audit.verification import verify_pack

PLAYBOOK = """\
id: note
name: Note something
steps:
  - {id: one, set: {number: 1}}
  - {id: two, set: {other: 2}, needs: [one]}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project whose checkpoints go to a file, in a folder beside it."""
    folder = tmp_path / "project"
    (folder / "playbooks").mkdir(parents=True)
    (folder / "playbooks" / "note.yaml").write_text(PLAYBOOK, encoding="utf-8")
    (folder / "hikeshi.yaml").write_text("audit: {anchors: [{type: file, path: ../anchor}]}\n", encoding="utf-8")
    return folder


async def run(folder: Path, trouble: Callable[[str], None] | None = None) -> Any:
    """Run the playbook in a project that is opened for it alone, and return the state at its end."""
    app = Hikeshi.open(folder)
    app.trouble = trouble
    try:
        return await app.start_run("note", {}, actor="mei", mode="live")
    finally:
        await app.aclose()


async def test_the_end_of_a_run_is_signed_and_anchored(folder: Path) -> None:
    """By the time that the project is closed; in a project without any setting it is signed."""
    await run(folder)
    found = Hikeshi.open(folder).verify()

    assert (found.status, found.problems) == ("ok", ())
    assert found.records == found.signed_to == found.anchored_to > 3
    (folder / "hikeshi.yaml").unlink()
    await run(folder)
    found = Hikeshi.open(folder).verify()
    assert (found.status, found.signed_to, found.anchored_to) == ("ok_unanchored_tail", found.records, 0)


@pytest.mark.parametrize("state", ["readable by others", "damaged", "a folder"])
async def test_a_key_that_cannot_be_used_stops_no_run(folder: Path, state: str) -> None:
    """Somebody is told; what could not be signed is signed when the key is there again."""
    key = folder / ".hikeshi" / KEY_FILE
    await run(folder)
    before = key.read_bytes()
    if state == "readable by others":
        key.chmod(0o644)
    else:
        key.unlink()
        key.mkdir(mode=0o700) if state == "a folder" else key.touch(mode=0o600)
    told: list[str] = []

    ended = await run(folder, told.append)

    assert ended.status == "succeeded"
    assert [text.startswith("audit log: ") for text in told] == [True]
    if key.is_dir():
        key.rmdir()
    key.write_bytes(before)
    key.chmod(0o600)
    await run(folder)
    assert Hikeshi.open(folder).verify().status == "ok"


async def test_an_anchor_that_is_gone_stops_no_run(folder: Path) -> None:
    """The log is signed, and not anchored; when the anchor is back it gets everything."""
    (folder / "hikeshi.yaml").write_text("audit: {anchors: [{type: file, path: ../gone/anchor}]}\n", encoding="utf-8")
    told: list[str] = []

    ended = await run(folder, told.append)

    assert ended.status == "succeeded"
    assert "did not reach its anchor" in told[0]
    found = Hikeshi.open(folder).verify()
    assert (found.status, found.signed_to, found.anchored_to) == ("ok_unanchored_tail", found.records, 0)
    (folder.parent / "gone").mkdir()
    await run(folder)
    assert Hikeshi.open(folder).verify().status == "ok"


async def test_reading_the_audit_log_is_on_record(folder: Path, tmp_path: Path) -> None:
    """Who, how and what; the record is in what was read, and it is no run of a playbook."""
    state = await run(folder)
    app = Hikeshi.open(folder)
    try:
        await app.audit.export(tmp_path / "one.pack", state.run, actor="ken")
        await app.audit.export(tmp_path / "all.pack", None, actor="ken")
        with pytest.raises(PackError, match="exists"):
            await app.audit.export(tmp_path / "all.pack", None, actor="ken")
        await app.audit.record_read("mei", "console", state.run)
        records = list(app.journal.read(AUDIT_RUN))
        key = app.audit.public_key()
        assert [row["run"] for row in app.runs()] == [state.run]
        assert app.due().runs == []
    finally:
        await app.aclose()

    size = state.seq
    assert [record.kind for record in records] == ["AuditLogRead"] * 3
    assert [record.data for record in records] == [
        {"by": "ken", "how": "export", "of": state.run, "first": 1, "last": size},
        {"by": "ken", "how": "export", "of": None, "first": 1, "last": size + 1},
        {"by": "mei", "how": "console", "of": state.run, "first": 1, "last": size},
    ]
    found = verify_pack(tmp_path / "all.pack", key, [tmp_path / "anchor"], may_be_older=True)
    assert (found.status, found.records) == ("ok", size + 2)
    assert Hikeshi.open(folder).verify().status == "ok"


async def test_the_clock_signs_what_other_processes_left(folder: Path) -> None:
    """Whoever works for the project looks at it; the interval is the project's."""
    (folder / "hikeshi.yaml").write_text("audit: {checkpoint_after_idle_s: 0.05}\n", encoding="utf-8")
    app, other = Hikeshi.open(folder), Hikeshi.open(folder)
    try:
        app.due()
        await other.audit._append_read("mei", "console", None)
        assert app.journal.last_checkpoint() is None
        await app.clock.sleep(0.1)
        app.due()
        await app.clock.sleep(0.1)
        last = app.journal.last_checkpoint()
    finally:
        await app.aclose()
        await other.aclose()

    assert last is not None
    assert last.size == 1


def test_processes_that_run_side_by_side_agree_on_the_tree(folder: Path, tmp_path: Path) -> None:
    """Each signs the other's records, too."""
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from hikeshi.app import Hikeshi\n"
        "async def main():\n"
        "    app = Hikeshi.open(Path(sys.argv[1]))\n"
        "    try:\n"
        "        for _ in range(5):\n"
        "            await app.start_run('note', {}, actor='mei', mode='live')\n"
        "    finally:\n"
        "        await app.aclose()\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [subprocess.Popen([sys.executable, "-c", script, str(folder)], env=environment) for _ in range(3)]

    assert [process.wait() for process in processes] == [0, 0, 0]
    found = Hikeshi.open(folder).verify()
    assert (found.status, found.runs, found.problems) == ("ok", 15, ())
    lines = (tmp_path / "anchor").read_text(encoding="utf-8").splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)


async def test_a_changed_key_goes_on_with_the_log(folder: Path) -> None:
    """Packs that were made before and after are believed with the key that was pinned first."""
    await run(folder)
    app = Hikeshi.open(folder)
    try:
        pinned = app.audit.public_key()
        new = await app.audit.change_key(actor="mei")
    finally:
        await app.aclose()
    await run(folder)

    assert new != pinned
    for key in (pinned, new):
        assert Hikeshi.open(folder).audit.verify(key).status == "ok"
