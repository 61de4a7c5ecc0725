"""Plain YAML scalars by the core schema of YAML 1.2, https://yaml.org/spec/1.2.2/#1032-tag-resolution."""

from __future__ import annotations

import math
import re

__all__ = ["NotANumber", "resolve_plain"]

_WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip
_INTEGER = re.compile(r"[-+]?[0-9]+", re.ASCII)
_OCTAL = re.compile(r"0o[0-7]+", re.ASCII)
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+", re.ASCII)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", re.ASCII)
_STARTS_A_NUMBER = frozenset("0123456789+-.")
_MAX_DIGITS = 1_000


class NotANumber(ValueError):
    """A number that JSON can't hold."""


def resolve_plain(text: str) -> bool | int | float | str | None:
    """Return what a scalar without quotes stands for. Raises NotANumber for infinities and numbers out of bounds."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _STARTS_A_NUMBER:
        return text
    return _number(text)


def _number(text: str) -> int | float | str:
    if _INTEGER.fullmatch(text):
        if len(text) > _MAX_DIGITS:
            raise NotANumber(f"the number has more than {_MAX_DIGITS:,} digits; put it in quotes if it is text")
        return int(text)
    if _OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if _HEXADECIMAL.fullmatch(text):
        return int(text[2:], 16)
    if _NOT_FINITE.fullmatch(text):
        raise NotANumber(f"{text} is not a finite number; put it in quotes if it is text")
    if not _FLOAT.fullmatch(text):
        return text
    number = float(text)
    if not math.isfinite(number):
        raise NotANumber("the number is too large; put it in quotes if it is text")
    return number
