"""Running `nft`: a program with words, a text on its standard input, and an end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Sequence
from typing import Final

from hikeshi.connector import Applied, Invalid, Timeout, Unavailable
from hikeshi_connectors.nftables.refusals import error_of

__all__ = ["Program"]

_ANSWER_MOST_BYTES: Final = 64 * 1024 * 1024


class Program:
    """The command of one instance. Every call is a process of its own, which does not outlive the call."""

    def __init__(self, name: str, command: Sequence[str], timeout_s: float) -> None:
        self._name = name
        self._command = tuple(command)
        self._timeout_s = timeout_s

    async def run(self, *words: str, given: bytes = b"") -> bytes:
        """Return what the command wrote. Raises ConnectorError, Timeout with `applied` MAYBE among them."""
        where = f"{self._name}: {self._command[0]}"
        process = await self._begun(where, words)
        try:
            async with asyncio.timeout(self._timeout_s):
                told, said = await process.communicate(given)
        except TimeoutError:
            raise Timeout(f"{where} did not end within {self._timeout_s:g} s", applied=Applied.MAYBE) from None
        finally:
            await _end(process)
        if process.returncode != 0:
            raise error_of(where, process.returncode or 0, said.decode("utf-8", "replace"))
        if len(told) > _ANSWER_MOST_BYTES:
            raise Invalid(f"{where} wrote more than {_ANSWER_MOST_BYTES} bytes", applied=Applied.MAYBE)
        return told

    async def _begun(self, where: str, words: Sequence[str]) -> asyncio.subprocess.Process:
        pipe = asyncio.subprocess.PIPE
        try:
            return await asyncio.create_subprocess_exec(
                *self._command,
                *words,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                env={**os.environ, "LC_ALL": "C"},
                start_new_session=True,  # so that what `command` starts (ssh, sudo) ends with it
            )
        except OSError as exc:
            hint = "install nftables, or mend `command` in hikeshi.yaml"
            raise Unavailable(f"{where} cannot be run ({exc.strerror}); {hint}", applied=Applied.NO) from None


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):  # it may end just now
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
