"""What this machine and this process are called, so that no playbook cuts them off."""

from __future__ import annotations

import os
import pwd
import socket
from typing import NamedTuple

__all__ = ["Machine", "this_machine"]

# Documentation addresses: a datagram socket that is connected to one sends nothing, and knows its own address then.
_FAR_AWAY = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))


class Machine(NamedTuple):
    """The names, addresses and accounts of a machine as its own system knows them."""

    hosts: tuple[str, ...]
    addresses: tuple[str, ...]
    accounts: tuple[str, ...]


def this_machine() -> Machine:
    """Return what the system says of itself. No name is looked up, so it is quick and may not be complete.

    Behind a translating gateway or in a container, others know it by further names and addresses.
    """
    found = (_own_address(family, far) for family, far in _FAR_AWAY)
    return Machine((socket.gethostname(),), tuple(address for address in found if address), tuple(_accounts()))


def _own_address(family: socket.AddressFamily, far: str) -> str:
    """Return the address from which this machine reaches others, empty if it reaches nobody."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((far, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def _accounts() -> list[str]:
    try:
        return [pwd.getpwuid(os.getuid()).pw_name]
    except KeyError:  # a container's user without a name
        return []
