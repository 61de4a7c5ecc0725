"""Where the words of a command go, and what they look like there."""

import io
import json

import pytest

from hikeshi.cli.output import Output
from hikeshi.cli.text import Styled
from hikeshi.secrets import Redactor


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def output(*, as_json: bool = False, terminal: bool = False) -> tuple[Output, io.StringIO, io.StringIO]:
    stdout, stderr = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
    return Output(as_json=as_json, stdout=stdout, stderr=stderr), stdout, stderr


def test_with_json_people_read_nothing_on_the_standard_output() -> None:
    """Only the document is there; notes go beside it."""
    out, stdout, stderr = output(as_json=True)
    out.line("for people")
    out.table(["A"], [["for people"]])
    out.note("a note")
    out.document({"ok": True})

    assert json.loads(stdout.getvalue()) == {"ok": True}
    assert stderr.getvalue() == "a note\n"


def test_a_document_is_ascii() -> None:
    """No terminal obeys it, and every program reads it."""
    out, stdout, _ = output(as_json=True)
    out.document({"name": "\x9b31m \u202e 火"})

    assert stdout.getvalue().isascii()
    assert json.loads(stdout.getvalue()) == {"name": "\x9b31m \u202e 火"}


def test_secrets_are_masked_wherever_they_turn_up() -> None:
    """In lines, notes, tables, diagrams and documents."""
    for write in (
        lambda out: out.line("token xoxb-77-Q9z8y7w6v5"),
        lambda out: out.line(Styled("xoxb-77-Q9z8y7w6v5", "red")),
        lambda out: out.note("xoxb-77-Q9z8y7w6v5"),
        lambda out: out.table(["A", "B"], [["xoxb-77-Q9z8y7w6v5", "x"]]),
        lambda out: out.verbatim("a\nxoxb-77-Q9z8y7w6v5"),
        lambda out: out.document({"xoxb-77-Q9z8y7w6v5": ["xoxb-77-Q9z8y7w6v5"]}),
    ):
        redactor = Redactor()
        redactor.add("xoxb-77-Q9z8y7w6v5")
        out, stdout, stderr = output()
        out.mask = redactor.data
        write(out)
        written = stdout.getvalue() + stderr.getvalue()
        assert "[secret]" in written
        assert "Q9z8" not in written


@pytest.mark.parametrize(
    ("terminal", "environment", "coloured"),
    [
        (True, {"TERM": "xterm"}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": "1"}, False),
        (True, {"TERM": "xterm", "NO_COLOR": ""}, True),
        (False, {"TERM": "xterm"}, False),
    ],
)
def test_colour_is_for_terminals_of_people_who_want_it(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, environment: dict[str, str], coloured: bool
) -> None:
    """The words are the same either way."""
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out, stdout, _ = output(terminal=terminal)
    out.line(Styled("FAILED", "red"), " after all")

    assert stdout.getvalue() == ("\x1b[31mFAILED\x1b[0m after all\n" if coloured else "FAILED after all\n")


def test_a_table_fits_a_terminal_and_is_whole_in_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is cut for eyes is not cut for grep."""
    monkeypatch.setenv("COLUMNS", "50")
    monkeypatch.setenv("NO_COLOR", "1")
    long = "a very long name of a playbook that nobody would choose"
    texts = {}
    for terminal in (True, False):
        out, stdout, _ = output(terminal=terminal)
        out.table(["ID", "NAME"], [["contain-host", long]])
        texts[terminal] = stdout.getvalue()

    assert max(map(len, texts[True].splitlines())) <= 50
    assert "..." in texts[True]
    assert long in texts[False]
