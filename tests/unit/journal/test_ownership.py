"""Who drives a run on this machine, told by locks. SAFETY rule 18's question on one host."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hikeshi.journal import JournalMisused, JournalUnavailable, Ownership

pytestmark = pytest.mark.safety(18)

Start = Callable[..., subprocess.Popen[str]]

OWNER = """
import sys
from pathlib import Path
from hikeshi.journal import Ownership
ownership = Ownership(Path(sys.argv[1]))
print(ownership.owner_id, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def take(tmp_path: Path) -> Iterator[Callable[[], Ownership]]:
    taken: list[Ownership] = []

    def take_one() -> Ownership:
        taken.append(Ownership(tmp_path / "owners"))
        return taken[-1]

    yield take_one
    for ownership in taken:
        ownership.close()


def started_owner(start_python: Start, folder: Path) -> tuple[subprocess.Popen[str], str]:
    process = start_python(OWNER, folder)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_an_owner_sees_itself_and_others_of_its_process(take: Callable[[], Ownership]) -> None:
    """Two owners in one process are two owners."""
    one, two = take(), take()
    assert one.owner_id != two.owner_id
    assert [one.is_alive(one.owner_id), one.is_alive(two.owner_id), two.is_alive(one.owner_id)] == [True] * 3


def test_an_owner_that_closed_is_dead(take: Callable[[], Ownership], tmp_path: Path) -> None:
    """Closing, which may be done twice, gives the lock back and leaves no file."""
    one, two = take(), take()
    two.close()
    two.close()
    assert not one.is_alive(two.owner_id)
    assert [path.stem for path in (tmp_path / "owners").iterdir()] == [one.owner_id]


def test_an_owner_nobody_knows_is_dead(take: Callable[[], Ownership]) -> None:
    """No file, no owner."""
    assert not take().is_alive("0" * 32)


def test_an_owner_in_another_process_lives_until_it_is_killed(
    take: Callable[[], Ownership], tmp_path: Path, start_python: Start
) -> None:
    """A stopped process keeps its runs; a killed one loses them, and its file is cleaned up."""
    own = take()
    process, owner_id = started_owner(start_python, tmp_path / "owners")
    assert own.is_alive(owner_id)
    process.send_signal(signal.SIGSTOP)
    assert own.is_alive(owner_id)
    process.kill()
    process.wait()
    assert (tmp_path / "owners" / f"{owner_id}.lock").exists()
    assert not own.is_alive(owner_id)
    assert not own.is_alive(owner_id)
    assert not (tmp_path / "owners" / f"{owner_id}.lock").exists()


def test_a_new_owner_sweeps_what_dead_ones_left(take: Callable[[], Ownership], tmp_path: Path) -> None:
    """Files of dead owners go, files of living ones and of others stay."""
    one = take()
    folder = tmp_path / "owners"
    (folder / f"{'a' * 32}.lock").touch()
    (folder / "notes.lock").touch()
    two = take()
    assert {path.stem for path in folder.iterdir()} == {one.owner_id, two.owner_id, "notes"}


def test_a_forked_child_does_not_keep_its_parent_alive(take: Callable[[], Ownership], tmp_path: Path) -> None:
    """A child that outlives its parent is not the owner."""
    one, watcher = take(), take()
    ready, done = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        os.write(ready[1], b"x")
        os.read(done[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    one.close()
    assert not watcher.is_alive(one.owner_id)
    os.write(done[1], b"x")
    os.waitpid(child, 0)
    for descriptor in (*ready, *done):
        os.close(descriptor)


def test_an_emptied_folder_proves_nobodys_death(take: Callable[[], Ownership], tmp_path: Path) -> None:
    """When even one's own lock is gone, nobody's runs may be taken over."""
    one, two = take(), take()
    for path in (tmp_path / "owners").iterdir():
        path.unlink()
    with pytest.raises(JournalUnavailable, match="own lock is gone"):
        one.is_alive(two.owner_id)


@pytest.mark.parametrize("owner_id", ["", "../x", "A" * 32, "a" * 33])
def test_what_is_no_owner_id_is_refused(take: Callable[[], Ownership], owner_id: str) -> None:
    """An id never becomes a path elsewhere."""
    with pytest.raises(JournalMisused):
        take().is_alive(owner_id)


def test_locks_are_their_owners_only(take: Callable[[], Ownership], tmp_path: Path) -> None:
    """The folder is 0700 and each file 0600."""
    take()
    folder = tmp_path / "owners"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in folder.iterdir()] == [0o600]


def test_a_folder_that_cannot_be_used_is_an_error(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "owners").touch()
    with pytest.raises(JournalUnavailable):
        Ownership(tmp_path / "owners")
