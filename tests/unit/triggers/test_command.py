"""The commands about triggers: what they show, and what they say when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hikeshi.cli.application import run_command_line

PLAYBOOK = """
id: it
inputs: {host: {type: hostname}}
triggers:
  - {id: nightly, schedule: "0 2 * * *", timezone: Asia/Tokyo, inputs: {host: pc1}}
  - {id: alert, webhook: edr, when: event.high, inputs: {host: "{{ event.host }}"}, enabled: false}
  - {id: other, webhook: nobody, inputs: {host: pc1}}
steps:
  - {id: a, set: {x: inputs.host}}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "it.yaml").write_text(PLAYBOOK)
    (tmp_path / "hikeshi.yaml").write_text('webhooks: {edr: {verify: github, secret: "${env:EDR}"}}\n')
    return tmp_path


def run(project: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = run_command_line(["triggers", *arguments, "--project", str(project)])
    out, err = capsys.readouterr()
    return code, out, err


def test_triggers_are_listed_without_making_a_journal(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What starts what, when it is due, and what is wrong; who only looks leaves nothing behind."""
    code, out, _ = run(project, capsys)
    assert code == 0
    lines = out.splitlines()
    assert lines[1].split()[:2] == ["it/nightly", "schedule"]
    assert "17:00:00 UTC" in lines[1]
    assert "not enabled" in lines[2]
    assert "no webhook 'nobody'" in lines[3]
    assert not (project / ".hikeshi").exists()


def test_triggers_for_programs(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One document, in which a broken file is a problem."""
    (project / "playbooks" / "bad.yaml").write_text("id: bad\ntriggers: [")
    _, out, err = run(project, capsys, "--json")
    found = json.loads(out)
    assert [row["trigger"] for row in found["triggers"]] == ["nightly", "alert", "other"]
    assert found["offers"] == []
    assert "bad.yaml is broken" in found["problems"][0]
    assert "bad.yaml is broken" in err


def test_an_event_is_tried_without_recording_it(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What would be started with which inputs, or why nothing would be; a trigger that is not enabled can be tried."""
    event = project / "event.json"
    event.write_text('{"high": true, "host": "PC7"}')
    code, out, _ = run(project, capsys, "test", "it", "alert", "--event", str(event))
    assert code == 0
    assert 'host: "pc7"' in out
    event.write_text('{"high": false}')
    assert (
        "would start nothing: 'when' is false" in run(project, capsys, "test", "it", "alert", "--event", str(event))[1]
    )
    event.write_text('{"high": 1}')
    code, out, _ = run(project, capsys, "test", "it", "alert", "--event", str(event), "--json")
    assert (code, json.loads(out)["outcome"]) == (1, "refused")
    assert not (project / ".hikeshi").exists()


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("test", "it", "alrt", "--event", "event.json"), "did you mean 'it/alert'?"),
        (("test", "it", "alert", "--event", "nothing.json"), "can't be read"),
        (("test", "it", "alert", "--event", "wrong.json"), "no object of JSON"),
        (("accept", "x"), "nothing is offered"),
        (("decline", "x"), "nothing is offered"),
        (("fires", "--limit", "0"), "limit"),
    ],
)
def test_what_is_wrong_is_said(
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    why: str,
) -> None:
    """A wrong name, a file that is none, an offer that is none: one line, and exit code 2."""
    monkeypatch.chdir(project)
    (project / "event.json").write_text("{}")
    (project / "wrong.json").write_text('{"a": 1, "a": 2}')
    code, _, err = run(project, capsys, *arguments)
    assert code == 2
    assert why in err


def test_what_came_of_events_is_listed(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing before anything came; then each event with its run or its reason."""
    assert "No event has come yet" in run(project, capsys, "fires")[1]
    import asyncio

    from hikeshi.app import Hikeshi
    from hikeshi.triggers import Triggers

    (project / "playbooks" / "it.yaml").write_text(PLAYBOOK.replace(", enabled: false", ""))

    async def come() -> None:
        app = Hikeshi.open(project)
        triggers = Triggers(app, alert=lambda _: None)
        await triggers.receive("webhook:edr", "e1", {"high": True, "host": "pc1"})
        await triggers.receive("webhook:edr", "e2", {"high": False})
        await triggers.settled()
        await app.aclose()

    asyncio.run(come())
    code, out, _ = run(project, capsys, "fires")
    assert code == 0
    assert "'when' is false" in out
    assert "started" in out
    _, out, _ = run(project, capsys, "fires", "--json", "--playbook", "nothing")
    assert json.loads(out) == {"fires": []}
    assert "not_wanted" in run(project, capsys)[1]
