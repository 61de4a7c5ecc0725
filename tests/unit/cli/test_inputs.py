"""What stands behind -i."""

import io
import sys
from pathlib import Path

import pytest

from hikeshi.cli.failure import CommandError
from hikeshi.cli.inputs import read_inputs


class _Stdin:
    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)


def test_values_are_texts_as_they_were_written() -> None:
    """Only the first = separates; nothing is interpreted here."""
    assert read_inputs(["a=1", "b=x=y", "c=", "d= {{ 1 }}", "e=@@soc"]) == {
        "a": "1",
        "b": "x=y",
        "c": "",
        "d": " {{ 1 }}",
        "e": "@soc",
    }


def test_files_are_read_without_the_line_break_at_their_end(tmp_path: Path) -> None:
    """An editor's last line break and a byte order mark are not part of the value."""
    (tmp_path / "host").write_bytes(b"\xef\xbb\xbfpc7\r\n")
    (tmp_path / "list").write_bytes(b"a\nb\n\n")

    assert read_inputs([f"host=@{tmp_path}/host", f"list=@{tmp_path}/list"]) == {"host": "pc7", "list": "a\nb\n"}


def test_the_standard_input_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two inputs cannot both have it."""
    monkeypatch.setattr(sys, "stdin", _Stdin(b"1.2.3.4\n"))

    with pytest.raises(CommandError) as error:
        read_inputs(["a=-", "b=-"])

    assert error.value.problems == ["b: the standard input was read for 'a' already"]


def test_everything_that_is_wrong_is_said_at_once() -> None:
    """One pass, not one problem for each attempt."""
    with pytest.raises(CommandError) as error:
        read_inputs(["host", "=x", "a=1", "a=2", "b=@/no/such/file", "c=@bad\0name"])

    assert len(error.value.problems) == 5
