"""How nftables' refusals, and those of what runs nft, become errors."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hikeshi.capabilities import Effect, Indicator
from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    Timeout,
    Unauthorized,
    Unavailable,
)
from hikeshi.connector.door import Door, through
from hikeshi.connector.registry import build
from hikeshi.secrets import Redactor
from hikeshi_connectors.nftables import Nftables

ADDRESS = Indicator(kind="ipv4", value="203.0.113.7")
KERNEL = "internal:0:0-0: Error: "


def firewall(*command: str, timeout_s: float = 10) -> Nftables:
    connector = build(Nftables, "edge", {"command": command, "timeout_s": timeout_s}, Redactor())
    assert isinstance(connector, Nftables)
    return connector


async def refusal(connector: Nftables) -> ConnectorError:
    with (
        through(Door(mode="live", effect=Effect.CHANGE, action="firewall.block_indicators", intended=True)),
        pytest.raises(ConnectorError) as refused,
    ):
        await connector.block_indicators([ADDRESS], "c2", 60)
    return refused.value


@pytest.mark.parametrize(
    ("code", "said", "kind", "applied"),
    [
        (1, KERNEL + "Could not process rule: No such file or directory", NotFound, Applied.NO),
        (1, KERNEL + "Could not process rule: File exists", Conflict, Applied.NO),
        (1, KERNEL + "interval overlaps with an existing one", Conflict, Applied.NO),
        (1, KERNEL + "conflicting intervals specified", Conflict, Applied.NO),
        (1, KERNEL + "element does not exist", Conflict, Applied.NO),
        (1, KERNEL + "Could not process rule: Too many open files in system", Conflict, Applied.NO),
        (1, KERNEL + "Could not process rule: Device or resource busy", Unavailable, Applied.NO),
        (1, KERNEL + "Could not process rule: Invalid argument", Invalid, Applied.NO),
        (1, KERNEL + "Could not resolve hostname: Name or service not known", Invalid, Applied.NO),
        (1, KERNEL + "something new", Invalid, Applied.NO),
        (
            1,
            "Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed",
            Forbidden,
            Applied.NO,
        ),
        (1, "sudo: a password is required", Forbidden, Applied.NO),
        (1, "", Unavailable, Applied.MAYBE),
        (2, "what nobody knows", Unavailable, Applied.MAYBE),
        (127, "sh: 1: nft: not found", Invalid, Applied.NO),
        (137, "Killed", Unavailable, Applied.MAYBE),
        (255, "hikeshi@fw1: Permission denied (publickey).", Unauthorized, Applied.NO),
        (255, "ssh: connect to host fw1 port 22: Connection refused", Unavailable, Applied.NO),
        (255, "ssh: Could not resolve hostname fw1: Name or service not known", Unavailable, Applied.NO),
        (255, 'Cannot open network namespace "b": No such file or directory', Unavailable, Applied.NO),
        (255, "Connection to fw1 closed by remote host.", Unavailable, Applied.MAYBE),
        (255, "client_loop: send disconnect: Broken pipe", Unavailable, Applied.MAYBE),
        (255, "Read from remote host fw1: Connection timed out", Unavailable, Applied.MAYBE),
        (255, "client_loop: ssh_packet_write_poll: Connection to fw1: No route to host", Unavailable, Applied.MAYBE),
        (
            255,
            "Warning: Permanently added fw1\nssh: connect to host fw1 port 22: No route to host",
            Unavailable,
            Applied.NO,
        ),
        (255, "Host key verification failed.", Unavailable, Applied.NO),
        (255, "hikeshi: Connection closed: Permission denied (nobody knows when)", Unavailable, Applied.MAYBE),
        (137, "no such identity: id_fw: No such file or directory\nKilled", Unavailable, Applied.MAYBE),
        (143, KERNEL + "Could not process rule: File exists", Unavailable, Applied.MAYBE),
        (1, "Warning: Identity file id_fw not accessible: No such file or directory.", Unavailable, Applied.MAYBE),
        (1, "Warning: id_fw: No such file or directory\n" + KERNEL + "File exists", Conflict, Applied.NO),
        (1, "Sorry, user hikeshi is not allowed to execute /usr/sbin/nft as root on fw1.", Forbidden, Applied.NO),
    ],
)
async def test_an_end_becomes_the_right_error(code: int, said: str, kind: type[ConnectorError], applied: Applied):
    """A transaction that nft refuses changed nothing; what ends in another way may have."""
    error = await refusal(firewall("sh", "-c", f"cat >/dev/null; echo '{said}' >&2; exit {code}".replace("''", '""')))
    assert (type(error), error.applied) == (kind, applied)
    assert " ".join(said.split()) in error.message


async def test_a_command_that_is_not_there_changed_nothing():
    """The message says what to do."""
    error = await refusal(firewall("/nowhere/nft"))
    assert (type(error), error.applied) == (Unavailable, Applied.NO)
    assert "mend `command`" in error.message


async def test_a_command_that_is_killed_may_have_changed_something():
    """Nobody knows how far it came."""
    error = await refusal(firewall("sh", "-c", "kill -9 $$"))
    assert (type(error), error.applied) == (Unavailable, Applied.MAYBE)


async def test_a_command_that_does_not_end_is_killed_with_what_it_started(tmp_path: Path):
    """After the time that the settings give, with its children: an ssh would go on and change something later."""
    note = tmp_path / "child"
    started = time.monotonic()
    script = f"sleep 30 & echo $! > {note}; wait"
    error = await refusal(firewall("sh", "-c", script, timeout_s=0.2))
    assert (type(error), error.applied) == (Timeout, Applied.MAYBE)
    assert time.monotonic() - started < 5
    await gone(int(note.read_text()))


async def test_a_cancelled_call_leaves_no_command_behind(tmp_path: Path):
    """A run that is stopped ends what it started."""
    note = tmp_path / "child"
    call = asyncio.ensure_future(
        firewall("sh", "-c", f"echo $$ > {note}.new; mv {note}.new {note}; sleep 30").blocks_of([ADDRESS])
    )
    await until(note.exists)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await gone(int(note.read_text()))


async def test_a_set_that_is_missing_is_named():
    """The operator has to load the ruleset; an unread set is not an empty one."""
    with pytest.raises(NotFound) as refused:
        await firewall("sh", "-c", "echo 'Error: No such file or directory' >&2; exit 1").blocks_of([ADDRESS])
    assert "no set 'blocked4' in the table inet hikeshi" in refused.value.message
    assert "ruleset of the connector's README" in refused.value.message


async def gone(process: int) -> None:
    """Wait until a process has ended; one that only waits for its parent to notice has."""

    def ended() -> bool:
        try:
            return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except (ProcessLookupError, FileNotFoundError):
            return True

    await until(ended)


async def until(so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if so():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it did not come to that")
