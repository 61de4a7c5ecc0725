"""What stands behind -i: texts, files and the standard input. The playbook's types decide later what they mean."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from hikeshi.cli.failure import CommandError

__all__ = ["MAX_BYTES", "read_inputs"]

MAX_BYTES = 8_000_000


def read_inputs(given: Sequence[str], so_far: str = "nothing was started") -> dict[str, str]:
    """Return the text of each input. Raises CommandError with everything that is wrong, and what was done so far."""
    found: dict[str, str] = {}
    problems: list[str] = []
    from_stdin: str | None = None
    for each in given:
        name, equals, value = each.partition("=")
        name = name.strip()
        if not equals or not name:
            problems.append(f"{each[:60]!r}: write -i NAME=VALUE")
        elif name in found:
            problems.append(f"{name}: is given twice")
        elif value == "-" and from_stdin is not None:
            problems.append(f"{name}: the standard input was read for {from_stdin!r} already")
        else:
            try:
                found[name] = _text(value)
            except ValueError as exc:
                problems.append(f"{name}: {exc}")
            from_stdin = name if value == "-" else from_stdin
    if problems:
        raise CommandError("inputs", f"the inputs cannot be read; {so_far}", problems)
    return found


def _text(value: str) -> str:
    if value == "-":
        return _decoded(sys.stdin.buffer.read(MAX_BYTES + 1), "the standard input")
    if value.startswith("@@"):
        return value[1:]
    if value.startswith("@"):
        return _decoded(_read(Path(value[1:])), value[1:])
    return value


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as exc:
        raise ValueError(f"the file {str(path)!r} cannot be read: {exc.strerror or type(exc).__name__}") from None
    except ValueError:
        raise ValueError(f"{str(path)!r} is not the name of a file") from None


def _decoded(data: bytes, source: str) -> str:
    """Return the text without the line break at its end, which editors put there."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"{source} has more than {MAX_BYTES // 1_000_000} MB")
    try:
        return data.decode("utf-8-sig").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError as exc:
        raise ValueError(f"{source} is not UTF-8 text (byte {exc.start + 1})") from None
