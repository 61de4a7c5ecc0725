"""Leases: a process that is stopped loses its runs in the end, and can't send anything once it has."""

import fcntl
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hikeshi.journal import JournalError, JournalMisused, JournalUnavailable, LeaseLost, LeaseOver, Ownership
from hikeshi.journal.lease import boot_clock

Start = Callable[..., subprocess.Popen[str]]
Take = Callable[..., Ownership]

STOPPED = """
import sys
from pathlib import Path
from hikeshi.journal import LeaseOver, Ownership
from hikeshi.journal.lease import boot_clock
ownership = Ownership(Path(sys.argv[1]), lease_s=0.2, longest_attempt_s=0.2)
began_s = boot_clock()
ownership.renew()
print(ownership.owner_id, began_s, flush=True)
sys.stdin.readline()
for ask in (ownership.check, ownership.renew, ownership.check, ownership.renew):
    try:
        ask()
        print("no error", flush=True)
    except LeaseOver as exc:
        print(type(exc).__name__, flush=True)
"""

OWNERS = """
import sys, time
from pathlib import Path
from hikeshi.journal import LeaseLost, Ownership
now_s = 0.0
owners = [Ownership(Path(sys.argv[1]), lease_s=1, longest_attempt_s=0, boot_clock=lambda: now_s) for _ in range(60)]
print(*(owner.owner_id for owner in owners), flush=True)
starts_s = float(sys.stdin.readline())
now_s = 100.0
for n, owner in enumerate(owners):
    time.sleep(max(starts_s + n / 1000 - time.monotonic(), 0))
    try:
        owner.renew()
        print("renewed", end=" ")
    except LeaseLost:
        print("lost", end=" ")
sys.stdin.readline()
"""

TAKERS = """
import sys, time
from pathlib import Path
from hikeshi.journal import Ownership
own = Ownership(Path(sys.argv[1]), boot_clock=lambda: 100.0)
print("ready", flush=True)
starts_s, *owner_ids = sys.stdin.readline().split()
for n, owner_id in enumerate(owner_ids):
    time.sleep(max(float(starts_s) + n / 1000 - time.monotonic(), 0))
    print(own.may_take_over(owner_id), end=" ")
"""

FULL_DISK = """
import resource, sys
from pathlib import Path
from hikeshi.journal import JournalUnavailable, Ownership
now_s = 0.0
ownership = Ownership(Path(sys.argv[1]), lease_s=10, boot_clock=lambda: now_s)
ownership.renew()
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), unlimited[1]))
now_s = 9.0
try:
    ownership.renew()
    print("no error")
except JournalUnavailable as exc:
    print(exc)
ownership.check()
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
ownership.renew()
now_s = 19.0
ownership.check()
print("renewed")
"""


class Clock:
    """A boot clock that stands still. `then` is done once, when somebody next looks at it."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        self.then: list[Callable[[], Any]] = []

    def __call__(self) -> float:
        if self.then:
            self.then.pop()()
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "owners"


@pytest.fixture
def take(folder: Path, clock: Clock) -> Iterator[Take]:
    """Take part with a lease of 10 s and attempts of 5 s."""
    taken: list[Ownership] = []

    def take_one(boot_clock: Callable[[], float] = clock) -> Ownership:
        taken.append(Ownership(folder, lease_s=10, longest_attempt_s=5, boot_clock=boot_clock))
        return taken[-1]

    yield take_one
    for ownership in taken:
        ownership.close()


def lock_file(folder: Path, ownership: Ownership) -> Path:
    return folder / f"{ownership.owner_id}.lock"


def test_a_lease_runs_until_its_end(take: Take, clock: Clock) -> None:
    """At the last moment something may still be sent, after it nothing."""
    ownership = take()
    clock.now_s += 10
    ownership.check()
    clock.now_s += 0.25
    with pytest.raises(LeaseOver, match=r"ended 0\.2 s ago") as over:
        ownership.check()
    assert isinstance(over.value, JournalError)
    assert not isinstance(over.value, LeaseLost)


def test_a_lease_is_renewed_from_now_on(take: Take, clock: Clock) -> None:
    """Before its end and after it, as long as nobody has taken over."""
    ownership = take()
    clock.now_s += 6
    ownership.renew()
    clock.now_s += 10
    ownership.check()
    clock.now_s += 1_000
    ownership.renew()
    clock.now_s += 10
    ownership.check()


def test_a_living_owner_is_taken_over_from_after_its_lease_and_the_longest_attempt(take: Take, clock: Clock) -> None:
    """Not at the end of the lease, since what was sent before it may still be under way."""
    owner, other = take(), take()
    assert not other.may_take_over(owner.owner_id)
    clock.now_s += 15
    assert not other.may_take_over(owner.owner_id)
    clock.now_s += 0.001
    assert other.is_alive(owner.owner_id)
    assert other.may_take_over(owner.owner_id)
    assert not other.is_alive(owner.owner_id)


def test_an_owner_that_was_taken_over_from_never_comes_back(take: Take, clock: Clock) -> None:
    """Whatever the clock says, and however often it tries."""
    owner, other = take(), take()
    clock.now_s += 16
    other.may_take_over(owner.owner_id)
    for _ in range(2):
        with pytest.raises(LeaseLost, match="taken over the runs") as lost:
            owner.renew()
        assert isinstance(lost.value, LeaseOver)
        clock.now_s = 0
        with pytest.raises(LeaseLost, match="Restart this process"):
            owner.check()
    with pytest.raises(LeaseLost):
        owner.may_take_over(other.owner_id)
    assert not owner.is_alive(owner.owner_id)
    assert take().may_take_over(owner.owner_id) is False  # the clock was set back


def test_a_fenced_owner_does_not_know_before_it_renews(take: Take, clock: Clock) -> None:
    """Its lease is over long before, and that is what keeps it from sending."""
    owner, other = take(), take()
    clock.now_s += 16
    other.may_take_over(owner.owner_id)
    with pytest.raises(LeaseOver) as over:
        owner.check()
    assert type(over.value) is LeaseOver


def test_several_may_be_told_that_they_may_take_over(take: Take, clock: Clock) -> None:
    """The first append decides between them, and who is told a minute later is no worse."""
    owner, one, two = take(), take(), take()
    clock.now_s += 16
    assert [one.may_take_over(owner.owner_id), two.may_take_over(owner.owner_id)] == [True, True]
    clock.now_s += 60
    assert one.may_take_over(owner.owner_id)


def test_a_renewed_lease_is_respected_by_all(take: Take, clock: Clock) -> None:
    """Also if it was over before."""
    owner, other = take(), take()
    clock.now_s += 16
    owner.renew()
    assert not other.may_take_over(owner.owner_id)
    owner.check()


def test_a_dead_owner_is_taken_over_from_at_once(take: Take, folder: Path) -> None:
    """The dead send nothing, so nobody waits for their lease."""
    owner, other = take(), take()
    left = lock_file(folder, owner).read_bytes()
    owner.close()
    assert other.may_take_over(owner.owner_id)
    lock_file(folder, owner).write_bytes(left)
    assert other.may_take_over(owner.owner_id)
    assert not lock_file(folder, owner).exists()


def test_nobody_oneself_and_strangers(take: Take) -> None:
    """Nobody's runs may be taken, one's own not, those of an unknown owner may, and what is no id is refused."""
    ownership = take()
    assert ownership.may_take_over("")
    assert not ownership.may_take_over(ownership.owner_id)
    assert ownership.may_take_over("0" * 32)
    for owner_id in ("../x", "A" * 32, "a" * 33, f"{'a' * 32}\n"):
        with pytest.raises(JournalMisused):
            ownership.may_take_over(owner_id)


def test_an_emptied_folder_lets_nobody_take_over(take: Take, folder: Path) -> None:
    """Whose own lock is gone can't know about others, and loses its own lease: others take it for dead."""
    one, two = take(), take()
    for path in folder.iterdir():
        path.unlink()
    with pytest.raises(JournalUnavailable, match="own lock is gone"):
        one.may_take_over(two.owner_id)
    with pytest.raises(LeaseLost, match="lock file of this process is gone"):
        two.renew()
    with pytest.raises(LeaseLost):
        two.check()


@pytest.mark.skipif(not Path("/proc/sys/kernel/random/boot_id").exists(), reason="the system has no boot id")
def test_an_owner_of_another_boot_is_dead(take: Take, folder: Path, clock: Clock) -> None:
    """Its clock says nothing here; it is fenced, in case it lives on another machine."""
    owner, other = take(), take()
    elsewhere = Ownership(folder, boot_clock=clock)
    elsewhere._boot_id = "00000000-0000-0000-0000-000000000000"
    elsewhere.renew()
    assert other.may_take_over(elsewhere.owner_id)
    assert not other.may_take_over(owner.owner_id)
    with pytest.raises(LeaseLost):
        elsewhere.renew()
    elsewhere.close()


def test_without_a_boot_id_the_clock_decides(take: Take, folder: Path, clock: Clock) -> None:
    """No id is not another id."""
    owner, other = take(), take()
    owner._boot_id = ""
    owner.renew()
    assert not other.may_take_over(owner.owner_id)
    clock.now_s += 16
    assert other.may_take_over(owner.owner_id)


@pytest.mark.parametrize("change", ["empty", "cut", "digit", "text"])
def test_a_lease_that_cannot_be_read_is_never_over(take: Take, folder: Path, clock: Clock, change: str) -> None:
    """A process of a version without leases, or a damaged file: while it has its lock, it keeps its runs."""
    owner, other = take(), take()
    content = lock_file(folder, owner).read_bytes()
    changed = {
        "empty": b"",
        "cut": content[:100],
        "digit": content.replace(b"1010.0", b"1009.0"),
        "text": b"x" * len(content),
    }[change]
    assert changed != content
    lock_file(folder, owner).write_bytes(changed)
    clock.now_s += 1_000
    assert not other.may_take_over(owner.owner_id)
    assert other.is_alive(owner.owner_id)
    owner.renew()
    clock.now_s += 16
    assert other.may_take_over(owner.owner_id)


def test_a_closed_owner_has_no_lease(take: Take) -> None:
    """Others take over at once, so it sends nothing and takes nothing."""
    ownership = take()
    ownership.close()
    for ask in (ownership.check, ownership.renew, lambda: ownership.may_take_over("")):
        with pytest.raises(LeaseLost, match="closed"):
            ask()


def test_a_forked_child_has_no_lease(take: Take) -> None:
    """The lease is its parent's, who goes on."""
    ownership = take()
    child = os.fork()
    if child == 0:
        codes = []
        for ask in (ownership.check, ownership.renew):
            try:
                ask()
            except LeaseLost:
                codes.append(1)
        os._exit(sum(codes))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 2
    ownership.renew()
    ownership.check()


@pytest.mark.parametrize(
    "durations",
    [{"lease_s": 0}, {"lease_s": -1}, {"lease_s": float("nan")}, {"longest_attempt_s": -1}, {"lease_s": 1e9}],
)
def test_durations_that_make_no_sense_are_refused(folder: Path, durations: dict[str, Any]) -> None:
    """Before anything is written."""
    with pytest.raises(JournalMisused):
        Ownership(folder, **durations)
    assert not folder.exists()


@pytest.mark.parametrize("taking_over", [False, True])
def test_a_renewal_or_takeover_waits_for_another(take: Take, folder: Path, clock: Clock, taking_over: bool) -> None:
    """While one is under way, the next one waits, so that neither sees half of it."""
    owner, other = take(), take()
    clock.now_s += 16
    descriptor = os.open(folder / "takeover.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    ended = threading.Event()

    def end() -> None:
        ended.set()
        os.close(descriptor)

    threading.Timer(0.02, end).start()
    if taking_over:
        assert other.may_take_over(owner.owner_id)
    else:
        owner.renew()
    assert ended.is_set()


def test_a_renewal_that_meets_a_takeover_without_the_lock_is_lost(take: Take, clock: Clock) -> None:
    """Whoever has the lock and is stopped keeps nobody waiting for ever, and does not win twice afterwards."""
    owners_clock = Clock()
    owner, other = take(owners_clock), take()
    clock.now_s += 16
    told: list[bool] = []
    # The owner has the lock, has seen no fence, and is "stopped" until the other one has given up waiting.
    owners_clock.then.append(lambda: told.append(other.may_take_over(owner.owner_id)))
    with pytest.raises(LeaseLost):
        owner.renew()
    assert told == [True]
    with pytest.raises(LeaseLost):
        owner.check()


def test_a_takeover_that_meets_a_renewal_without_the_lock_is_none(take: Take, clock: Clock) -> None:
    """The owner goes on until its next renewal, and the other one has to wait for it."""
    takers_clock = Clock()
    owner, other = take(), take(takers_clock)
    clock.now_s += 16
    takers_clock.now_s = clock.now_s
    # The other one has the lock, has read a lease that is over, and is "stopped" before it writes the fence.
    takers_clock.then += [owner.renew, lambda: None]
    assert not other.may_take_over(owner.owner_id)
    owner.check()
    with pytest.raises(LeaseLost):
        owner.renew()
    clock.now_s += 16
    takers_clock.now_s = clock.now_s
    assert other.may_take_over(owner.owner_id)


def test_a_stopped_process_loses_its_runs(folder: Path, start_python: Start) -> None:
    """It keeps its lock, but not its lease; let go, it notices before it sends anything."""
    own = Ownership(folder, lease_s=0.2, longest_attempt_s=0.2)
    process = start_python(STOPPED, folder)
    assert process.stdout is not None
    owner_id, began_s = process.stdout.readline().split()
    process.send_signal(signal.SIGSTOP)
    while not own.may_take_over(owner_id):
        assert boot_clock() - float(began_s) < 10
        time.sleep(0.01)
    assert boot_clock() - float(began_s) > 0.4
    assert (folder / f"{owner_id}.lock").exists()
    process.send_signal(signal.SIGCONT)
    answers = process.communicate("go on\n", timeout=20)[0].split()
    assert answers == ["LeaseOver", "LeaseLost", "LeaseLost", "LeaseLost"]
    own.close()


def test_of_renewals_and_takeovers_exactly_one_wins(folder: Path, start_python: Start) -> None:
    """Many owners renew leases that are over, while several processes take over from them, all in step."""
    owners = start_python(OWNERS, folder)
    takers = [start_python(TAKERS, folder) for _ in range(3)]
    assert owners.stdout is not None
    owner_ids = owners.stdout.readline().split()
    for taker in takers:
        assert taker.stdout is not None
        assert taker.stdout.readline() == "ready\n"
    starts_s = str(time.monotonic() + 0.05)
    for process, line in [(owners, [starts_s]), *((taker, [starts_s, *owner_ids]) for taker in takers)]:
        assert process.stdin is not None
        process.stdin.write(f"{' '.join(line)}\n")
        process.stdin.flush()
    told = [taker.communicate(timeout=20)[0].split() for taker in takers]
    own_words = owners.communicate("end\n", timeout=20)[0].split()
    assert set(own_words) <= {"renewed", "lost"}
    taken = ["True" in words for words in zip(*told, strict=True)]
    assert taken == [word == "lost" for word in own_words]


@pytest.mark.parametrize("limit_bytes", [0, 60])
def test_a_lease_that_cannot_be_written_is_not_extended(folder: Path, start_python: Start, limit_bytes: int) -> None:
    """On a full disk the owner goes on to the end of its lease, and the next renewal may succeed."""
    error, renewed = start_python(FULL_DISK, folder, limit_bytes).communicate(timeout=20)[0].splitlines()
    assert "Cannot renew an owner's lease: the disk is full" in error
    assert renewed == "renewed"


@pytest.mark.skipif(not Path("/proc/uptime").exists(), reason="the system does not say how long it has been up")
def test_the_boot_clock_counts_since_the_machine_was_started() -> None:
    """As the kernel counts, the time included in which the machine was suspended."""
    uptime_s = float(Path("/proc/uptime").read_text().split()[0])
    assert abs(boot_clock() - uptime_s) < 5
