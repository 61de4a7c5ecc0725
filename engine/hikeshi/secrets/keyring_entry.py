"""Secrets in the keyring of the operating system, by the optional package `keyring`."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import Protocol

from hikeshi.quick_dataclass import dataclass
from hikeshi.secrets.unavailable import SecretUnavailable

__all__ = ["Keyring", "KeyringEntry", "open_keyring"]


class Keyring(Protocol):
    """What is asked of a keyring."""

    def get_password(self, service: str, username: str) -> str | None:
        """Return the password of a name in a service, or None if there is none."""


@dataclass(frozen=True, slots=True)
class KeyringEntry:
    """A name in a service of the keyring. A service may contain slashes, a name may not."""

    service: str
    name: str

    def __str__(self) -> str:
        return f"{self.service}/{self.name}"

    @classmethod
    def parse(cls, rest: str) -> KeyringEntry:
        """Return the entry that `service/name` stands for. Raises ValueError, which does not repeat it."""
        service, _, name = rest.rpartition("/")
        if not service or not name or not rest.isprintable():
            raise ValueError("a keyring reference is ${keyring:SERVICE/NAME}, with both parts")
        return cls(service, name)

    def read(self, keyring: Callable[[], Keyring] | None = None) -> str:
        """Return the password. Raises SecretUnavailable, and whatever a keyring raises."""
        value = (keyring or open_keyring)().get_password(self.service, self.name)
        if value is None:
            raise SecretUnavailable(
                f"the keyring secret {self} does not exist for this user; "
                f"add it with: keyring set {shlex.quote(self.service)} {shlex.quote(self.name)}"
            )
        return value


def open_keyring() -> Keyring:
    """Return the keyring of this user. Raises SecretUnavailable if there is none, or no package for it."""
    try:
        import keyring
        from keyring.backends import fail
    except ImportError:
        keyring = None  # type: ignore[assignment]  # told below, where no exception hangs on
    if keyring is None:
        raise SecretUnavailable(
            "keyring references need an optional package; add it with: pip install 'hikeshi[keyring]'"
        )
    found = keyring.get_keyring()
    if isinstance(found, fail.Keyring):
        raise SecretUnavailable(
            "this machine has no keyring that can be used; see 'keyring diagnose', or keep the secret elsewhere "
            "(${file:PATH}, ${env:NAME})"
        )
    return found
