"""A secret is a reference until the moment it is used; its value is never shown, compared or serialised."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Secret", "SecretUnavailable"]

_REFERENCE = re.compile(r"\$\{(?P<scheme>[a-z]+):(?P<rest>[^}]+)\}")
_LATER = {"keyring", "vault"}


class SecretUnavailable(Exception):
    """A secret could not be resolved. The message names the reference, never a value. The operator is to mend it."""


class Secret:
    """A reference such as `${env:FALCON_SECRET}` or `${file:/run/secrets/falcon}`.

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
        scheme, rest = match["scheme"], match["rest"]
        if scheme == "env":
            return cls(text, lambda: _from_environment(rest))
        if scheme == "file":
            return cls(text, lambda: _from_file(Path(rest)))
        if scheme in _LATER:
            raise ValueError(f"'{scheme}' references are not available yet; use ${{env:NAME}} or ${{file:PATH}}")
        raise ValueError(f"unknown kind of secret reference {scheme!r}; known: env, file")

    @classmethod
    def of_value(cls, value: str) -> Secret:
        """Return a secret that holds its value, for tests and for values that were fetched at run time."""
        return cls("(given)", lambda: value)

    def reveal(self) -> str:
        """Return the value. Raises SecretUnavailable; pass the value to a Redactor before anything can write it."""
        value = self._resolve()
        if not value:
            raise SecretUnavailable(f"the secret {self._reference} is empty")
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


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise SecretUnavailable(f"the environment variable {name} is not set; set it before starting hikeshi")
    return value


def _from_file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as exc:
        raise SecretUnavailable(f"the secret file {path} cannot be read: {type(exc).__name__}") from None
