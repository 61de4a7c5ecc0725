"""What `nft` says, and what the programs around it say, as the connector's errors.

nft has no codes: it ends with 1 and tells the kernel's error in words. A transaction that it refuses has changed
nothing. ssh and `ip netns exec` end with 255 for failures of their own.
Source: nft 1.0.6 on Linux 6.18, OpenSSH 9.2, iproute2 6.1 and sudo 1.9, as they answered.
"""

from __future__ import annotations

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

_WORDS: Final[tuple[tuple[str, type[ConnectorError], str], ...]] = (
    ("Operation not permitted", Forbidden, "nft needs CAP_NET_ADMIN: let `command` run it as root"),
    ("a password is required", Forbidden, "sudo has to allow it without a password"),
    ("not allowed to execute", Forbidden, "sudo has to allow it"),
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
_BEFORE_A_CONNECTION: Final = (
    "Connection refused",
    "Could not resolve hostname",
    "No route to host",
    "Network is unreachable",
    "Connection timed out",
    "Host key verification failed",
    "Cannot open network namespace",
)


def error_of(where: str, code: int, said: str) -> ConnectorError:
    """Return the error for a program that ended with `code` and wrote `said` to its standard error."""
    told = " ".join(said.split())[:_SHOWN_MOST]
    message = f"{where} ended with {code}: {told}" if told else f"{where} ended with {code}"
    if code == _OF_THE_WAY:
        return _lost_on_the_way(message, said)
    if code in _NOT_RUNNABLE:
        return Invalid(f"{message}; mend `command` in hikeshi.yaml, or install nftables there")
    for words, kind, hint in _WORDS:
        if words in said:
            return kind(f"{message}; {hint}" if hint else message)
    if code == 1 and "Error:" in said:
        return Invalid(message)
    # Killed, or a failure that is none of nft's: nobody knows how far it came.
    return Unavailable(message, applied=Applied.MAYBE)


def _lost_on_the_way(message: str, said: str) -> ConnectorError:
    if "Permission denied (" in said:
        return Unauthorized(f"{message}; the firewall does not accept the ssh key")
    before = any(words in said for words in _BEFORE_A_CONNECTION)
    return Unavailable(message, applied=Applied.NO if before else Applied.MAYBE)
