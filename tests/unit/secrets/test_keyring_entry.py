"""Secrets in the keyring of the operating system."""

import sys
from collections.abc import Iterator

import keyring
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import fail
from keyring.errors import KeyringLocked

from hikeshi.secrets import Secret, SecretUnavailable
from hikeshi.secrets.keyring_entry import KeyringEntry

CANARY = "canary-5f1d0c9a7e"


class MemoryKeyring(KeyringBackend):
    """A keyring that is not of this machine. Locked, it says so with a value in its words."""

    priority = 0  # type: ignore[assignment]  # never chosen by itself

    def __init__(self, entries: dict[tuple[str, str], str], locked: bool = False) -> None:
        super().__init__()
        self.entries = entries
        self.locked = locked

    def get_password(self, service: str, username: str) -> str | None:
        if self.locked:
            raise KeyringLocked(f"locked: {self.entries}")
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave the keyring of this process as it was."""
    before = keyring.get_keyring()
    yield
    keyring.set_keyring(before)


@pytest.mark.parametrize(
    ("rest", "service", "name"),
    [
        ("hikeshi/falcon", "hikeshi", "falcon"),
        ("https://vpn.example/login/mei", "https://vpn.example/login", "mei"),
        ("火消し/秘密 1", "火消し", "秘密 1"),
    ],
)
def test_the_last_slash_separates_service_and_name(rest: str, service: str, name: str) -> None:
    """Services are often addresses."""
    assert KeyringEntry.parse(rest) == KeyringEntry(service, name)


@pytest.mark.parametrize("rest", ["a", "/a", "a/", "/", "a/b\n"])
def test_a_reference_without_both_parts_is_refused(rest: str) -> None:
    """With the form to write."""
    with pytest.raises(ValueError, match="SERVICE/NAME"):
        KeyringEntry.parse(rest)


def test_the_value_comes_from_the_keyring() -> None:
    """Of this service and this name, and what is missing is told with the command that adds it."""
    keyring.set_keyring(MemoryKeyring({("hikeshi", "falcon"): CANARY}))
    assert Secret.parse("${keyring:hikeshi/falcon}").reveal() == CANARY
    with pytest.raises(SecretUnavailable, match="does not exist for this user; add it with: keyring set hikeshi 'a b'"):
        Secret.parse("${keyring:hikeshi/a b}").reveal()


def test_an_empty_password_is_no_secret() -> None:
    """As an empty variable is none."""
    keyring.set_keyring(MemoryKeyring({("hikeshi", "falcon"): ""}))
    with pytest.raises(SecretUnavailable, match="is empty"):
        Secret.parse("${keyring:hikeshi/falcon}").reveal()


@pytest.mark.safety(27)
def test_a_keyring_that_fails_is_told_by_the_kind_of_its_error() -> None:
    """Its words are not repeated."""
    keyring.set_keyring(MemoryKeyring({("hikeshi", "falcon"): CANARY}, locked=True))
    with pytest.raises(SecretUnavailable) as caught:
        Secret.parse("${keyring:hikeshi/falcon}").reveal()
    assert str(caught.value) == "the keyring secret hikeshi/falcon: cannot be asked: KeyringLocked"
    assert caught.value.__context__ is None


def test_a_machine_without_a_keyring_is_told() -> None:
    """A server often has none."""
    keyring.set_keyring(fail.Keyring())
    with pytest.raises(SecretUnavailable, match="no keyring that can be used"):
        Secret.parse("${keyring:hikeshi/falcon}").reveal()


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is optional; the reference itself is right, so a project that has one can be read."""
    secret = Secret.parse("${keyring:hikeshi/falcon}")
    monkeypatch.setitem(sys.modules, "keyring", None)  # what Python itself does for a module that may not be imported
    with pytest.raises(SecretUnavailable, match=r"pip install 'hikeshi\[keyring\]'") as caught:
        secret.reveal()
    assert caught.value.__context__ is None
