"""Sending checkpoints: each anchor gets the newest one and every record once; those out of reach get it later."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from hikeshi.audit.anchor_file import read_anchors
from hikeshi.audit.anchors import FileAnchor, TimestampAnchor, syslog_frame
from hikeshi.audit.checkpoint import CheckpointMaker
from hikeshi.audit.delivery import Delivery
from hikeshi.audit.errors import AuditError

Now = Callable[[], datetime]


async def sign(log: Any, now: Now, count: int = 3) -> str:
    """Write some records, and return the checkpoint over them."""
    await log.add("a", count)
    made = await CheckpointMaker(log.journal, log.folder, now).make()
    assert made is not None
    return str(made.note)


async def test_an_anchor_gets_each_checkpoint_and_each_record_once(log: Any, now: Now, anchor: Any) -> None:
    """What it answered is kept."""
    delivery = Delivery(log.journal, [anchor], now)
    first = await sign(log, now, 600)
    assert await delivery.send() == await delivery.send() == []
    second = await sign(log, now)
    assert await delivery.send() == []

    assert anchor.notes == [first, second]
    assert anchor.positions == list(range(1, 604))
    receipts = [tuple(row) for row in log.journal.query("SELECT anchor, size, receipt FROM receipts")]
    assert receipts == [("memory", 600, b"got it"), ("memory", 603, b"got it")]


async def test_an_anchor_gets_no_record_that_is_not_signed_yet(log: Any, now: Now, anchor: Any) -> None:
    """Those that were written since the checkpoint come with the next one."""
    delivery = Delivery(log.journal, [anchor], now)
    for upto in (3, 11):
        await sign(log, now)
        await log.add("a", 5)
        await delivery.send()
        assert anchor.positions == list(range(1, upto + 1))


async def test_an_anchor_gets_no_more_of_a_journal_with_a_gap(log: Any, now: Now, anchor: Any) -> None:
    """Somebody has removed a record since the checkpoint; as many are sent as were signed, and not all there are."""
    await sign(log, now, 5)
    await log.add("a", 600)
    with closing(sqlite3.connect(log.path)) as connection, connection:
        connection.execute("DROP TRIGGER records_are_not_deleted")
        connection.execute("DELETE FROM records WHERE id = 2")

    await Delivery(log.journal, [anchor], now).send()

    assert anchor.positions == [1, 3, 4, 5, 6]


async def test_an_anchor_that_cannot_be_reached_gets_it_later(
    log: Any, now: Now, anchor: Any, unreachable: Any
) -> None:
    """The others get it now."""
    delivery = Delivery(log.journal, [unreachable, anchor], now)
    await sign(log, now)
    problems = await delivery.send()
    newest = await sign(log, now)
    problems += await delivery.send()
    unreachable.problem = None
    assert await delivery.send() == []

    assert [str(each) for each in problems] == ["No way there (far away). Wait"] * 2
    assert len(anchor.notes) == 2
    assert (unreachable.notes, unreachable.positions) == ([newest], list(range(1, 7)))


async def test_a_defect_of_an_anchor_is_a_problem_of_that_anchor(log: Any, now: Now, anchor: Any) -> None:
    """Third parties may write some."""
    unreachable = type(anchor)("broken", ZeroDivisionError("secret"))
    await sign(log, now)

    (problem,) = await Delivery(log.journal, [unreachable, anchor], now).send()

    assert "defect (ZeroDivisionError)" in str(problem)
    assert "secret" not in str(problem)
    assert len(anchor.notes) == 1


async def test_a_defect_of_our_own_is_raised(log: Any, now: Now, anchor: Any) -> None:
    """It is no problem of an anchor, and whoever waits for the delivery has to know of it."""

    def broken() -> datetime:
        raise ZeroDivisionError

    await sign(log, now)

    with pytest.raises(ZeroDivisionError):
        await Delivery(log.journal, [anchor], broken).send()


async def test_a_file_gets_notes_and_a_list_of_records(log: Any, now: Now, tmp_path: Path) -> None:
    """Which can be read back, and hold nothing of what the records say."""
    path = tmp_path / "anchor"
    delivery = Delivery(log.journal, [FileAnchor(path)], now)
    notes = []
    for count in (3, 600):
        notes.append(await sign(log, now, count))
        await delivery.send()

    kept = read_anchors([path])
    assert kept.notes == notes
    assert kept.leaves == [(each.run.encode(), each.seq, each.hash) for each in log.journal.places(0, 1000)]
    assert "Noted" not in path.read_text(encoding="utf-8")
    assert path.stat().st_mode & 0o777 == 0o600


async def test_a_file_may_hold_notes_alone(log: Any, now: Now, tmp_path: Path) -> None:
    """About 300 bytes for a checkpoint."""
    path = tmp_path / "anchor"
    note = await sign(log, now)
    await Delivery(log.journal, [FileAnchor(path, leaves=False)], now).send()

    assert (read_anchors([path]).notes, read_anchors([path]).leaves) == ([note], [])
    assert path.stat().st_size < 400


async def test_a_line_that_was_left_half_written_harms_nothing(log: Any, now: Now, tmp_path: Path) -> None:
    """A process died in the middle of it; the next one writes a line of its own."""
    path = tmp_path / "anchor"
    delivery = Delivery(log.journal, [FileAnchor(path)], now)
    notes = [await sign(log, now)]
    await delivery.send()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[: len(whole) // 3])
    notes.append(await sign(log, now))
    await delivery.send()

    assert read_anchors([path]).notes == notes
    assert len(read_anchors([path]).leaves) == 6


async def test_a_file_that_cannot_be_written_is_a_problem(log: Any, now: Now, tmp_path: Path) -> None:
    """With the reason; nothing is made up in its place."""
    await sign(log, now)

    (problem,) = await Delivery(log.journal, [FileAnchor(tmp_path / "no" / "folder")], now).send()

    assert "No such file or directory" in str(problem)
    assert log.journal.anchored_size(f"file:{tmp_path / 'no' / 'folder'}") == 0


async def test_no_line_of_a_file_is_long(log: Any, now: Now, tmp_path: Path) -> None:
    """However many records are new: each line has at most 500 of them."""
    await sign(log, now, 1001)
    await Delivery(log.journal, [FileAnchor(tmp_path / "anchor")], now).send()

    lines = [json.loads(line) for line in (tmp_path / "anchor").read_text(encoding="utf-8").splitlines()]
    assert [len(line["leaves"]) for line in lines[:-1]] == [500, 500, 1]


@pytest.mark.parametrize("torn", [b"x", b"\n", b"half a line", b"a line\nand half of one", b"a line\n"])
async def test_what_stands_in_a_file_stays_lines_of_its_own(log: Any, now: Now, tmp_path: Path, torn: bytes) -> None:
    """One that was not ended is ended, and nothing else is changed."""
    path = tmp_path / "anchor"
    path.write_bytes(torn)
    note = await sign(log, now)
    await Delivery(log.journal, [FileAnchor(path, leaves=False)], now).send()

    ours = json.dumps({"size": 3, "note": note}).encode()
    assert path.read_bytes() == torn.removesuffix(b"\n") + b"\n" + ours + b"\n"


async def test_two_processes_never_write_into_each_others_lines(log: Any, now: Now, tmp_path: Path) -> None:
    """Whoever comes second waits until the first has ended its own."""
    path = tmp_path / "anchor"
    await sign(log, now)
    with path.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        sending = asyncio.create_task(Delivery(log.journal, [FileAnchor(path)], now).send())
        await asyncio.sleep(0.2)
        assert path.read_bytes() == b""
        other.write(b"a line of another\n")
    await sending

    assert path.read_bytes().startswith(b'a line of another\n{"first"')


def test_a_log_server_gets_one_message_with_its_length(now: Now) -> None:
    """Octets are counted as RFC 5425 says, the header is that of RFC 5424, and the note survives."""
    text = json.dumps({"size": 3, "note": "log\n3\nx=\n\n\u2014 log y=\n"})

    frame = syslog_frame(text, now(), "fs-tyo-01", 42)

    length, _, message = frame.partition(b" ")
    assert int(length) == len(message)
    assert message.startswith(b"<110>1 2026-02-03T04:05:06.000000Z fs-tyo-01 hikeshi 42 checkpoint - {")
    assert syslog_frame(text, now(), "名前 x", 1).split(b" ")[3] == b"x"
    assert syslog_frame(text, now(), "\x7f!a b~\x1f", 1).split(b" ")[3] == b"!ab~"
    assert syslog_frame(text, now(), "x" * 300, 1).split(b" ")[3] == b"x" * 255
    assert b" - hikeshi" in syslog_frame(text, now(), "名前", 1)


def test_what_a_log_server_has_written_is_read(tmp_path: Path, now: Now) -> None:
    """With its own words before ours, and lines of others between."""
    path = tmp_path / "messages"
    text = json.dumps({"size": 3, "note": "log\n3\nx=\n\n\u2014 log y=\n"})
    path.write_text(
        "Feb  3 04:05:06 pc7 sshd[1]: {not ours}\n"
        f"Feb  3 04:05:06 pc7 hikeshi[42]: {text}\n"
        'Feb  3 04:05:07 pc7 other: {"note": 7, "leaves": [], "first": "x"}\n'
        'Feb  3 04:05:07 pc7 other: {"a": [[[[\n',
        encoding="utf-8",
    )

    assert read_anchors([path]).notes == ["log\n3\nx=\n\n\u2014 log y=\n"]


def test_a_single_note_is_an_anchor(tmp_path: Path) -> None:
    """Written down by hand, or printed."""
    path = tmp_path / "note"
    path.write_text("log\n3\nx=\n\n\u2014 log y=\n", encoding="utf-8")

    assert read_anchors([path]).notes == ["log\n3\nx=\n\n\u2014 log y=\n"]


def test_a_file_without_a_checkpoint_is_no_anchor(tmp_path: Path) -> None:
    """Whoever named the wrong one must not read that all is well."""
    (tmp_path / "empty").touch()

    with pytest.raises(AuditError, match="No checkpoint is in the file"):
        read_anchors([tmp_path / "empty"])
    with pytest.raises(AuditError, match="cannot be read"):
        read_anchors([tmp_path / "missing"])


@pytest.mark.parametrize(
    ("lines", "count"),
    [
        ([[1, 2], [3, 2]], 4),
        ([[1, 2], [1, 3]], 3),
        ([[1, 2], [4, 2]], 2),
        ([[2, 2]], 0),
        ([[1, 2], [2, 1], [3, 1]], 3),
    ],
)
def test_the_list_is_used_as_far_as_it_is_whole(tmp_path: Path, lines: list[list[int]], count: int) -> None:
    """Parts may come twice; a part that is missing ends it."""
    path = tmp_path / "anchor"
    parts = [
        {"first": first, "leaves": [["a", first + at, "00" * 32] for at in range(number)]} for first, number in lines
    ]
    note = {"note": "log\n3\nx=\n\n\u2014 log y=\n"}
    path.write_text(os.linesep.join(map(json.dumps, [*parts, note])), encoding="utf-8")

    assert [leaf[1] for leaf in read_anchors([path]).leaves] == list(range(1, count + 1))


async def test_a_time_stamp_needs_its_library(log: Any, now: Now, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it, the reason says how to get it."""
    monkeypatch.setitem(__import__("sys").modules, "rfc3161_client", None)
    await sign(log, now)

    (problem,) = await Delivery(log.journal, [TimestampAnchor("http://127.0.0.1:1/")], now).send()

    assert "pip install 'hikeshi[audit]'" in str(problem)


async def test_nothing_is_sent_while_nothing_is_signed(log: Any, now: Now, anchor: Any) -> None:
    """A journal that was just made, and one without anchors."""
    assert await Delivery(log.journal, [anchor], now).send() == []
    assert anchor.notes == []
    await sign(log, now)
    assert await Delivery(log.journal, [], now).send() == []
