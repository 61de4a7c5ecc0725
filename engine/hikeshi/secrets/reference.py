"""A secret is a reference until the moment it is used; its value is never shown, compared or serialised."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hikeshi.secrets.unavailable import SecretUnavailable

__all__ = ["Secret"]

_REFERENCE = re.compile(r"\$\{(?P<scheme>[a-z]+):(?P<rest>[^}]+)\}")


class Secret:
    """A reference such as `${env:FALCON_SECRET}`, `${file:/run/secrets/falcon}`, `${keyring:hikeshi/falcon}` or
    `${vault:secret/falcon#client_secret}`.

    Only `reveal` gives the value. Text, repr and pickling never do.
    """

    __slots__ = ("_reference", "_resolve")

    def __init__(self, reference: str, resolve: Callable[[], str]) -> None:
        self._reference = reference
        self._resolve = resolve

    @classmethod
    def parse(cls, text: str) -> Secret:
        """Return the secret that a reference names. Raises ValueError for plain text: a value in a file leaks."""
        match = _REFERENCE.fullmatch(text.strip())
        if match is None:
            raise ValueError(
                "write a reference, such as ${env:NAME} or ${file:/run/secrets/name}, not the secret itself"
            )
        kind = _KINDS.get(match["scheme"])
        if kind is None:
            raise ValueError(f"unknown kind of secret reference {match['scheme']!r}; known: {', '.join(_KINDS)}")
        return cls(text, kind(match["rest"]))

    @classmethod
    def of_value(cls, value: str) -> Secret:
        """Return a secret that holds its value, for tests and for values that were fetched at run time."""
        return cls("(given)", lambda: value)

    def reveal(self) -> str:
        """Return the value. Raises SecretUnavailable; pass the value to a Redactor before anything can write it."""
        value = self._resolve()
        if not value:
            raise SecretUnavailable(f"the secret {self._reference} is empty")
        if not _is_utf8(value):  # it could be neither sent nor masked
            raise SecretUnavailable(f"the secret {self._reference} is no text in UTF-8")
        return value

    def __repr__(self) -> str:
        return f"Secret({self._reference})"

    def __reduce__(self) -> Any:
        raise TypeError("a secret is not serialised")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        def accept(value: object) -> Secret:
            if isinstance(value, Secret):
                return value
            if isinstance(value, str):
                return cls.parse(value)
            raise ValueError("a secret is a text such as ${env:NAME}")

        return core_schema.no_info_plain_validator_function(
            accept, serialization=core_schema.plain_serializer_function_ser_schema(repr)
        )


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _in_environment(name: str) -> Callable[[], str]:
    def read() -> str:
        value = os.environ.get(name)
        if value is None:
            raise SecretUnavailable(f"the environment variable {name} is not set; set it before starting hikeshi")
        return value

    return read


def _in_file(rest: str) -> Callable[[], str]:
    def read() -> str:
        try:
            return Path(rest).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as exc:
            kind = type(exc).__name__
        # Outside of the block above: the other exception holds what it could not decode.
        raise SecretUnavailable(f"the secret file {rest} cannot be read: {kind}")

    return read


def _in_keyring(rest: str) -> Callable[[], str]:
    from hikeshi.secrets.keyring_entry import KeyringEntry
    from hikeshi.secrets.lookup import Lookup

    entry = KeyringEntry.parse(rest)
    return Lookup(f"the keyring secret {entry}", entry.read)


def _in_vault(rest: str) -> Callable[[], str]:
    from hikeshi.secrets.lookup import Lookup
    from hikeshi.secrets.vault_entry import VaultEntry

    entry = VaultEntry.parse(rest)

    def read() -> str:
        from hikeshi.secrets.vault import Vault

        return Vault.from_environment().read(entry)

    return Lookup(f"the vault secret {entry}", read)


_KINDS = {"env": _in_environment, "file": _in_file, "keyring": _in_keyring, "vault": _in_vault}
