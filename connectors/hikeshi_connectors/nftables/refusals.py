"""What `nft` says, and what the programs around it say, as the connector's errors.

nft has no codes: it ends with 1 and tells the kernel's error in words. A transaction that it refuses has changed
nothing. ssh and `ip netns exec` end with 255 for failures of their own.
Source: nft 1.0.6 on Linux 6.18, OpenSSH 9.2, iproute2 6.1 and sudo 1.9, as they answered.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from hikeshi.connector import (
    Applied,
    Conflict,
    ConnectorError,
    Forbidden,
    Invalid,
    NotFound,
    Unauthorized,
    Unavailable,
)

__all__ = ["error_of"]

_SHOWN_MOST: Final = 300
_OF_THE_WAY: Final = 255
_NOT_RUNNABLE: Final = (126, 127)
_REFUSED: Final = 1

_OF_SUDO: Final = (
    ("sudo: a password is required", "sudo has to allow it without a password"),
    ("Sorry, user ", "sudo has to allow it"),
)
_OF_NFT: Final[tuple[tuple[str, type[ConnectorError], str], ...]] = (
    ("Operation not permitted", Forbidden, "nft needs CAP_NET_ADMIN: let `command` run it as root"),
    ("interval overlaps with an existing one", Conflict, "a network in the set lies across it"),
    ("conflicting intervals specified", Conflict, "two of the networks lie across each other"),
    ("File exists", Conflict, ""),
    ("element does not exist", Conflict, ""),
    ("Too many open files in system", Conflict, "the set is full: raise its size"),
    ("No such file or directory", NotFound, "load the ruleset of the connector's README, or mend its names"),
    ("Device or resource busy", Unavailable, "try again"),
    ("Could not resolve hostname", Invalid, ""),
    ("flags interval", Invalid, "the sets for networks need `flags interval, timeout`"),
    ("Invalid argument", Invalid, "the sets need `flags timeout`, and those for networks `flags interval, timeout`"),
)
_NO_CAPABILITY: Final = "Operation not permitted (you must be root)"  # nft says so on a line before its "Error:"
# The beginnings of lines: "Connection timed out" is said of a connection that broke after the transaction, too.
_BEFORE_A_CONNECTION: Final = (
    "ssh: connect to host ",
    "ssh: Could not resolve hostname ",
    "Host key verification failed",
    "Cannot open network namespace ",
)
_KEY_REFUSED: Final = re.compile(r"(?:\S+@\S+: )?Permission denied \(")


def error_of(where: str, code: int, said: str) -> ConnectorError:
    """Return the error for a program that ended with `code` and wrote `said` to its standard error."""
    told = " ".join(said.split())[:_SHOWN_MOST]
    message = f"{where} ended with {code}: {told}" if told else f"{where} ended with {code}"
    if code == _OF_THE_WAY:
        return _lost_on_the_way(message, said)
    if code in _NOT_RUNNABLE:
        return Invalid(f"{message}; mend `command` in hikeshi.yaml, or install nftables there")
    refusal = _refusal(message, said.splitlines()) if code == _REFUSED else None
    # Killed, or a failure that is none of nft's: nobody knows how far it came.
    return refusal or Unavailable(message, applied=Applied.MAYBE)


def _refusal(message: str, lines: Sequence[str]) -> ConnectorError | None:
    """Return what sudo or nft refused; None if neither of them says so."""
    for beginning, hint in _OF_SUDO:
        if any(line.startswith(beginning) for line in lines):
            return Forbidden(f"{message}; {hint}")
    # ssh and shells warn before nft runs at all, in the same words of the system.
    of_nft = "\n".join(line for line in lines if "Error:" in line or line.startswith(_NO_CAPABILITY))
    if "Error:" not in of_nft:
        return None
    for words, kind, hint in _OF_NFT:
        if words in of_nft:
            return kind(f"{message}; {hint}" if hint else message)
    return Invalid(message)


def _lost_on_the_way(message: str, said: str) -> ConnectorError:
    lines = said.splitlines()
    if any(_KEY_REFUSED.match(line) for line in lines):
        return Unauthorized(f"{message}; the firewall does not accept the ssh key")
    before = any(line.startswith(_BEFORE_A_CONNECTION) for line in lines)
    return Unavailable(message, applied=Applied.NO if before else Applied.MAYBE)
