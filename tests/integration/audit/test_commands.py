"""`hikeshi audit`: what people type, and what they get back for it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hikeshi.cli.application import run_command_line

Command = Callable[..., tuple[int, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with an anchor beside it; the commands are typed there."""
    folder = tmp_path / "project"
    (folder / "playbooks").mkdir(parents=True)
    (folder / "playbooks" / "note.yaml").write_text(
        "id: note\nname: Note something\nsteps: [{id: one, set: {number: 1}}]\n", encoding="utf-8"
    )
    (folder / "hikeshi.yaml").write_text("audit: {anchors: [{type: file, path: ../anchor}]}\n", encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def hikeshi(folder: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Type a command, and get its exit code and all that it said."""

    def typed(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = run_command_line(arguments)
        said = capsys.readouterr()
        return code, said.out + said.err

    return typed


def document(hikeshi: Command, *arguments: str) -> dict[str, Any]:
    found, _ = json.JSONDecoder().raw_decode(hikeshi(*arguments, "--json")[1])
    assert isinstance(found, dict)
    return found


def test_a_run_is_exported_and_verified_with_the_key_that_was_pinned(hikeshi: Command, folder: Path) -> None:
    """Also after the key was changed; and the words say up to where."""
    run = document(hikeshi, "run", "note")["run"]
    code, key = hikeshi("audit", "key")
    (folder / "pinned").write_text(key, encoding="utf-8")
    assert (code, len(key.splitlines())) == (0, 1)
    assert document(hikeshi, "audit", "key")["key"] == key.strip()
    assert hikeshi("audit", "rotate")[0] == 0
    hikeshi("run", "note")

    code, text = hikeshi("audit", "export", run, "-o", "run.pack")
    assert (code, "signed up to record" in text) == (0, True)
    pinned = ("audit", "verify", "run.pack", "--key", "pinned")
    code, text = hikeshi(*pinned, "--anchor", "../anchor")
    assert (code, "intact and anchored up to record" in text, f"those of run {run}" in text) == (0, True, True)
    code, text = hikeshi(*pinned, "--strict")
    assert (code, "not anchored from record 1 to" in text) == (7, True)
    assert hikeshi("audit", "verify", "--strict")[0] == 0
    assert hikeshi("audit", "verify", ".hikeshi/journal.db", "--key", "pinned", "--anchor", "../anchor")[0] == 0


def test_a_pack_that_is_older_than_the_anchor_has_to_be_called_one(hikeshi: Command, folder: Path) -> None:
    """Or else it looks like one whose end was cut off."""
    hikeshi("run", "note")
    (folder / "pinned").write_text(hikeshi("audit", "key")[1], encoding="utf-8")
    assert document(hikeshi, "audit", "export", "--all", "-o", "all.pack")["not_sent"] == []
    hikeshi("run", "note")

    verify = ("audit", "verify", "all.pack", "--key", "pinned", "--anchor", "../anchor")
    code, text = hikeshi(*verify)
    assert (code, "BROKEN" in text, "is missing" in text) == (6, True, True)
    assert hikeshi(*verify, "--older")[0] == 0


def test_a_wrong_key_is_said_to_be_one(hikeshi: Command, folder: Path) -> None:
    """With what to do."""
    hikeshi("run", "note")
    hikeshi("audit", "export", "--all", "-o", "all.pack")
    (folder / "wrong").write_text("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k\n")

    for more in ((), ("all.pack",)):
        code, text = hikeshi("audit", "verify", *more, "--key", "wrong")
        assert (code, "WRONG KEY" in text, "Compare the key" in text) == (6, True, True)


def test_signing_now_says_how_far_and_what_was_not_sent(hikeshi: Command, folder: Path) -> None:
    """An anchor that is gone makes it fail: somebody asked for it."""
    hikeshi("run", "note")
    code, text = hikeshi("audit", "checkpoint")
    assert (code, text.startswith("Signed up to record ")) == (0, True)

    (folder / "hikeshi.yaml").write_text("audit: {anchors: [{type: file, path: gone/x}]}\n", encoding="utf-8")
    code, text = hikeshi("audit", "checkpoint")
    assert (code, "not sent: " in text) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("export", "-o", "x.pack"), "name a run, or give --all"),
        (("export", "nobody", "--all", "-o", "x.pack"), "name a run, or give --all"),
        (("export", "nobody", "-o", "x.pack"), "there is no run 'nobody'"),
        (("export", "--all", "-o", "hikeshi.yaml"), "never written over"),
        (("export", "--all", "-o", "no/folder.pack"), "cannot be written"),
        (("verify", "missing.pack", "--key", "hikeshi.yaml"), "no key to verify with"),
        (("verify", "missing.pack"), "missing.pack: there is no such file"),
        (("verify", "hikeshi.yaml"), "believed with --key FILE only"),
        (("verify", "--key", "missing"), "key cannot be read"),
        (("verify", "--key", ".hikeshi/audit.key"), "This is a private key"),
        (("verify", "--anchor", "missing"), "missing: there is no such file"),
        (("verify", "--older"), "name the file"),
    ],
)
def test_what_cannot_be_done_is_wrong_input(
    hikeshi: Command, folder: Path, arguments: tuple[str, ...], says: str
) -> None:
    """2, with the reason; nothing is left behind."""
    hikeshi("run", "note")
    before = sorted(each.name for each in folder.iterdir())

    code, text = hikeshi("audit", *arguments)

    assert (code, says in text) == (2, True), text
    assert sorted(each.name for each in folder.iterdir()) == before


def test_a_lost_key_is_replaced_on_demand_only(hikeshi: Command, folder: Path) -> None:
    """Until then the project has no key; runs go on."""
    hikeshi("run", "note")
    (folder / ".hikeshi" / "audit.key").unlink()

    code, text = hikeshi("run", "note")
    assert (code, "rotate --lost" in text) == (0, True)
    assert hikeshi("audit", "key")[0] == 6
    code, text = hikeshi("audit", "rotate", "--lost")
    assert (code, "Everybody has to pin it" in text) == (0, True)
    assert document(hikeshi, "audit", "verify")["status"] == "ok"
    assert hikeshi("audit", "rotate", "--lost")[0] == 6
