"""External dynamic lists on a disk: several processes at once, one that is killed, and many entries."""

import os
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

from hikeshi_connectors.edl.published import EdlLists
from hikeshi_connectors.edl.settings import EdlSettings
from hikeshi_connectors.edl.store import ListStore

LIST = """\
import sys
from pathlib import Path
from hikeshi_connectors.edl.store import ListStore
store, first, times = ListStore(Path(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
for n in range(times):
    store.add({"ipv4": [f"{first}-{n}-{part}" for part in range(20)]}, "r", None)
"""


def process(path: Path, first: int, times: int) -> subprocess.Popen[str]:
    """Begin a process that lists twenty lines so many times; it waits until it is told to."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", LIST, str(path), str(first), str(times)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def begin(worker: subprocess.Popen[str]) -> None:
    assert worker.stdin is not None
    worker.stdin.write("now\n")
    worker.stdin.flush()


def close(worker: subprocess.Popen[str]) -> None:
    for stream in (worker.stdin, worker.stdout):
        assert stream is not None
        stream.close()


def test_processes_list_at_once_and_nothing_is_lost(tmp_path: Path) -> None:
    """The file is made by whoever comes first; the others wait for their turn."""
    path = tmp_path / "lists" / "x.sqlite"
    workers = [process(path, n, 20) for n in range(3)]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            begin(worker)
        assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    finally:
        for worker in workers:
            worker.kill()
            worker.wait(10)
            close(worker)
    found = ListStore(path).read(["ipv4"])
    assert len(found.lines) == 3 * 20 * 20
    assert found.revision == 60


def test_whoever_comes_while_another_makes_the_file_waits(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        freed = threading.Timer(0.3, other.execute, ["COMMIT"])
        freed.start()
        ListStore(path).add({"ipv4": ["192.0.2.1"]}, "r", None)
        freed.join()
    assert ListStore(path).count(["ipv4"]) == 1


def test_a_change_is_there_as_a_whole_or_not_at_all_when_its_process_is_killed(tmp_path: Path) -> None:
    """Killed at any moment, the file holds whole changes, and is used on without repair."""
    path = tmp_path / "x.sqlite"
    for attempt in range(3):
        worker = process(path, attempt, 1_000_000)
        begin(worker)
        store, before, end = ListStore(path), 0, time.monotonic() + 30
        while store.count(["ipv4"]) <= before + 100 * (attempt + 1):
            assert time.monotonic() < end
            time.sleep(0.003)
        worker.kill()
        worker.wait(10)
        close(worker)
        assert store.count(["ipv4"]) % 20 == 0
        store.add({"ipv4": [f"192.0.2.{attempt}"]}, "r", None)
        store.remove({"ipv4": [f"192.0.2.{attempt}"]})


def test_a_hundred_thousand_entries_are_listed_read_and_served_quickly(tmp_path: Path) -> None:
    """A batch looks up its own lines only, and the text is made once."""
    store = ListStore(tmp_path / "x.sqlite")
    settings = EdlSettings.model_validate({"folder": str(tmp_path), "pollers": ["10.0.0.1"]})
    lists = EdlLists(store, settings, lambda secret: secret.reveal())
    many = [f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(100_000)]
    began = time.monotonic()
    for at in range(0, len(many), 10_000):
        store.add({"ipv4": many[at : at + 10_000]}, "feed", 3600)
    assert len(store.find({"ipv4": many[::200]})) == 500
    for _ in range(50):
        text = lists.read("ip")
        assert text is not None
    assert text.content.count(b"\n") == 100_000
    assert time.monotonic() - began < 15
